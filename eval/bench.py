"""Speed, side by side in one run, as ratios; absolute figures depend on the machine.

python -m eval.bench envs       environments, against Gymnasium's own vector CartPole, and all of
                                them against the questionnaire
python -m eval.bench teacher    exact inference, against the memory bandwidth it needs, and the
                                other teachers against the seconds they should take
python -m eval.bench interviews adaptive questions, against a plain NumPy posterior
python -m eval.bench llm        a language model, against loops that keep nothing between turns
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from rich.table import Table
from threadpoolctl import threadpool_limits

from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.console import program, screen, track
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import environment_spec, environments, make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.eval.speed.interviews import bench_interviews

ENV = "acquaint/Questionnaire-v0"
PEER = "CartPole-v1"
SCALAR = "scalar under SyncVectorEnv, at most 1,024"
TURNS_OF_STUDY, PEOPLE_OF_STUDY = 50, 15_625
# Environments are to stay within this factor of the questionnaire's steps per second.
SLOWEST = 3
# Seconds that all decisions for so many people should take one core, by environment and settings.
PEOPLE_OF_GOALS = 10_000
GOALS: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("acquaint/FlightChoice-v0", {}, 2.0),
    ("acquaint/Flights-v0", {"context": "answers:50"}, 10.0),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    cli = argparse.ArgumentParser(
        prog=program("eval.bench"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = cli.add_subparsers(dest="what", required=True)
    envs = what.add_parser("envs", help="steps per second of the vector environments")
    envs.add_argument("--sizes", type=int, nargs="+", default=[1024, 16384], metavar="B")
    envs.add_argument("--rounds", type=int, default=9, help="times each is measured (9)")
    envs.add_argument("--seconds", type=float, default=0.3, help="of one measurement (0.3)")
    teacher = what.add_parser("teacher", help="decisions per second of the exact teacher")
    teacher.add_argument("--people", type=int, default=PEOPLE_OF_STUDY, metavar="N")
    teacher.add_argument("--batch-size", type=int, default=512, metavar="B")
    asking = what.add_parser("interviews", help="adaptive questions, beside plain NumPy")
    asking.add_argument("--people", type=int, default=1000, metavar="N")
    asking.add_argument("--turns", type=int, default=TURNS_OF_STUDY, metavar="T")
    asking.add_argument("--rounds", type=int, default=5, metavar="R")
    llm = what.add_parser("llm", help="decisions of a language model with random weights")
    llm.add_argument("--arch", default="micro", metavar="NAME", help="micro, llama-100m, llama-8b")
    llm.add_argument(
        "--random-weights", action="store_true", help="always so: they take as long as any others"
    )
    llm.add_argument(
        "--people", type=int, metavar="N", help="16; of larger models without an accelerator 1"
    )
    llm.add_argument("--turns", type=int, default=TURNS_OF_STUDY, metavar="T")
    llm.add_argument("--batch-size", type=int, default=64, metavar="B")
    options = cli.parse_args(arguments)
    for name in ("rounds", "people", "turns", "batch_size"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            cli.error(f"--{name.replace('_', '-')} must be at least 1")
    console = screen()
    console.print(one_core(), highlight=False)
    if options.what == "envs":
        for size in options.sizes:
            console.print(bench_envs(size, options.rounds, options.seconds))
            console.print(bench_all(size, options.rounds, options.seconds))
    elif options.what == "teacher":
        console.print(bench_teacher(options.people, options.batch_size))
        console.print(bench_goals(min(options.people, PEOPLE_OF_GOALS), options.batch_size))
    elif options.what == "interviews":
        if options.turns > TURNS_OF_STUDY:
            cli.error(f"--turns {options.turns}: there are {TURNS_OF_STUDY} items to ask.")
        console.print(bench_interviews(options.people, options.turns, options.rounds))
    else:
        from acquaint_gym.eval.speed.llm import bench_llm  # torch, which the others do without

        task = make_task(environment_spec(ENV).kwargs["task"], num_turns=options.turns)
        try:
            console.print(bench_llm(task, options.arch, options.people, options.batch_size))
        except ValueError as error:
            print(error, file=sys.stderr)  # noqa: T201 - one line instead of a table
            return 2
    return 0


def one_core() -> str:
    """Keeps this process on one core where the system can; says what was done."""
    # Libraries counted cores when they were loaded: their threads would run on the others, or wait
    # for each other on this one.
    threadpool_limits(1)
    if not hasattr(os, "sched_setaffinity"):
        return "This system cannot pin a process to a core; libraries are kept to one thread."
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"On one core of {os.cpu_count()}, NumPy {np.__version__}, Gymnasium {gym.__version__}."


def stepper(env: gym.vector.VectorEnv[Any, Any, Any], seconds: float) -> Callable[[], float]:
    """A measurement: environment steps per second with actions drawn beforehand, resets counted."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]

    def measure() -> float:
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            for action in actions:
                env.step(action)
            calls += len(actions)
        return calls * env.num_envs / elapsed

    return measure


def bench_envs(size: int, rounds: int, seconds: float) -> Table:
    """Our vector environments beside CartPole's and beside our scalar one, at one size."""
    rows = {
        "native, this turn": gym.make_vec(ENV, num_envs=size, observation="turn"),
        "native, transcript": gym.make_vec(ENV, num_envs=size),
        "native, transcript, shuffled": gym.make_vec(ENV, num_envs=size, order="shuffled"),
        SCALAR: gym.make_vec(
            ENV, num_envs=min(size, 1024), vectorization_mode="sync", observation="turn"
        ),
    }
    peer = gym.make_vec(PEER, num_envs=size)
    measures = {name: stepper(env, seconds) for name, env in {PEER: peer, **rows}.items()}
    speeds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in track(range(rounds), f"{size:,} environments", "rounds"):
        for name, measure in measures.items():
            speeds[name].append(measure())
    table = Table(title=f"{size:,} environments, median of {rounds} rounds", title_justify="left")
    for column in ("environment", "M steps/s", f"of {PEER}", "of the scalar one"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    scalar = speeds[SCALAR]
    for name, speed in speeds.items():
        table.add_row(
            name,
            f"{statistics.median(speed) / 1e6:.2f}",
            f"{ratio(speed, speeds[PEER]):.2f}",
            f"{ratio(speed, scalar):.0f}" if name.startswith("native") else "",
        )
    return table


def bench_all(size: int, rounds: int, seconds: float) -> Table:
    """Every registered environment beside the questionnaire, in both forms of observation."""
    measures = {
        (env_id, form): stepper(gym.make_vec(env_id, num_envs=size, observation=form), seconds)
        for env_id in environments()
        for form in ("turn", "transcript")
    }
    speeds: dict[tuple[str, str], list[float]] = {key: [] for key in measures}
    for _ in track(range(rounds), f"all at {size:,}", "rounds"):
        for key, measure in measures.items():
            speeds[key].append(measure())
    table = Table(
        title=f"Every environment at {size:,}, median of {rounds} rounds",
        title_justify="left",
        caption="slower: how many times slower than the questionnaire in the same form and round; "
        f"the aim is {SLOWEST} at most",
    )
    table.add_column("environment")
    for form in ("this turn", "transcript"):
        table.add_column(f"{form}, M steps/s", justify="right")
        table.add_column("slower", justify="right")
    for env_id in environments():
        row = [env_id]
        for form in ("turn", "transcript"):
            own = speeds[env_id, form]
            row += [f"{statistics.median(own) / 1e6:.2f}", f"{ratio(speeds[ENV, form], own):.2f}"]
        table.add_row(*row)
    return table


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over rounds of the ratio within a round, which a busy moment cannot skew."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def bench_teacher(people: int, batch_size: int) -> Table:
    """All decisions with soft targets for N people, in both forms, fixed and shuffled order."""
    table = Table(
        title=f"{people:,} people x {TURNS_OF_STUDY} turns in batches of {batch_size}",
        title_justify="left",
        caption="bound: reading and writing the posterior once, and reading it twice, for each "
        "decision, at the bandwidth measured in this run; a cache can beat it",
    )
    for column in ("form", "order", "seconds", "us/decision", "bound", "seconds/bound"):
        table.add_column(column, justify="left" if column in ("form", "order") else "right")
    bandwidth = copy_bandwidth()
    for form in ("factored", "joint"):
        for order in ("fixed", "shuffled"):
            task = make_task(environment_spec(ENV).kwargs["task"], posterior=form, order=order)
            seconds = time_teacher(task, people, batch_size, f"{form}, {order}")
            moved = 4 * task.make_posterior().bytes_per_person * people * TURNS_OF_STUDY
            bound = moved / bandwidth
            table.add_row(
                form,
                order,
                f"{seconds:.2f}",
                f"{1e6 * seconds / people / TURNS_OF_STUDY:.2f}",
                f"{bound:.2f}",
                f"{seconds / bound:.1f}",
            )
    return table


def copy_bandwidth() -> float:
    """Bytes per second, read and written, of copying 256 MiB, the best of five."""
    source = np.ones(2**25)
    target, best = np.empty_like(source), np.inf
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def bench_goals(people: int, batch_size: int) -> Table:
    """All decisions of the teachers that have a time to keep, set for 10,000 people."""
    table = Table(
        title=f"{people:,} people in batches of {batch_size}",
        title_justify="left",
        caption=f"goal: for {PEOPLE_OF_GOALS:,} people",
    )
    for column in ("environment", "turns", "seconds", "us/decision", "goal"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    for env_id, settings, goal in GOALS:
        fixed = dict(environment_spec(env_id).kwargs)
        task = make_task(fixed.pop("task"), **fixed, **settings)
        name = " ".join([env_id, *(f"{key}={value}" for key, value in settings.items())])
        seconds = time_teacher(task, people, batch_size, name)
        turns = task.num_turns
        each = 1e6 * seconds / people / turns
        table.add_row(name, str(turns), f"{seconds:.2f}", f"{each:.2f}", f"{goal:.0f}")
    return table


def time_teacher(task: UserTask, people: int, batch_size: int, words: str) -> float:
    """Seconds that the teacher's `act` takes for everybody."""
    teacher, simulator, seconds = BayesTeacher(task), Simulator(task, "train", 0), 0.0
    starts = range(0, people, batch_size)
    for first in track(starts, words, "batches"):
        person = np.arange(first, min(first + batch_size, people))
        users = simulator.draw(person)
        for turn in range(task.num_turns):
            observation = example_transcripts(task, users, np.full(len(person), turn))
            start = time.perf_counter()
            teacher.act(observation, np.zeros(len(person)))
            seconds += time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    sys.exit(main())
