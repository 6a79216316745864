"""Shows one conversation of a run, turn by turn, with the exact teacher beside the agent.

python -m eval.show runs/demo --agent micro-lora --person 7
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.files import atomic
from acquaint_gym.envs.names import closest, resolve
from acquaint_gym.envs.registration import import_package
from acquaint_gym.eval.metrics import metric_named
from acquaint_gym.eval.report.conversation import (
    Conversation,
    Turn,
    conversation,
    information_lost,
    lost_by_turn,
)
from acquaint_gym.eval.report.conversation_page import page
from acquaint_gym.eval.report.conversation_text import on_screen
from acquaint_gym.eval.report.tables import screen_table
from acquaint_gym.eval.runs.command import print_error
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.replay import check_unchanged, evaluation_of
from acquaint_gym.eval.runs.store import Run, load_runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(prog=program("eval.show"), description=__doc__)
    cli.add_argument("run", type=Path, metavar="RUN", help="folder that eval.run --out wrote")
    whom = cli.add_mutually_exclusive_group(required=True)
    whom.add_argument("--person", type=int, metavar="N", help="number of the person")
    whom.add_argument(
        "--worst",
        type=int,
        metavar="K",
        help="the K people with whom the agent lost most against the teacher: log score, summed "
        "over turns, probabilities counted as at least 1e-4; where agents ask, expected "
        "information; --html FILE then shows all of them",
    )
    cli.add_argument("--agent", metavar="NAME", help="which agent, if the run has several")
    cli.add_argument("--env", metavar="ID", help="which environment, if the run has several")
    cli.add_argument("--turns", metavar="A-B", help="these turns only, from 1")
    cli.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs no other")
    cli.add_argument(
        "--data",
        metavar="PATH",
        help="file of respondents, if it is not here nor where ACQUAINT_DATA says",
    )
    cli.add_argument(
        "--import",
        dest="packages",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="module to import first, which registers environments of its own",
    )
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, 2 for what cannot be shown."""
    options = parser().parse_args(arguments)
    try:
        show(options)
    except (OSError, ValueError) as error:
        return print_error(error, Console(stderr=True))
    return 0


def show(options: argparse.Namespace) -> None:
    """Prints a conversation or the table of people, and writes the page.

    Raises:
        ValueError: nothing like it in the run, or a trace of other code.
    """
    for package in options.packages:
        import_package(package)
    span = parse_turns(options.turns)
    run = choose(load_runs(options.run), options.env, options.agent)
    evaluation = evaluation_of(run.config, options.data, tuple(options.packages))
    check_unchanged(evaluation, run.config, options.run)
    output = screen()
    if options.worst is None:
        persons = [options.person]
    else:
        header, lines, persons = worst(run, evaluation, options.worst)
        title = f"{run.agent} on {run.env}: lost most against the teacher"
        output.print(screen_table(title, header, lines))
        if options.html is None:
            return
    agent = _writer(evaluation)
    conversations = [conversation(_of_person(run, person), evaluation, agent) for person in persons]
    shown = [(one, _turns(one, span)) for one in conversations]
    if options.worst is None:
        output.print(on_screen(*shown[0]))
    if options.html is not None:
        with atomic(options.html) as partial:
            partial.write_text(page(f"{run.agent} on {run.env}", shown), "utf-8")
        output.print(f"Page: {options.html}", highlight=False, soft_wrap=True)


def choose(runs: Sequence[Run], env: str | None, agent: str | None) -> Run:
    """The run of an agent on an environment; each may be left out where there is only one.

    Raises:
        ValueError: none of that name, or several and none named.
    """
    for option, name, of in (("--env", env, "env"), ("--agent", agent, "agent")):
        known = list(dict.fromkeys(getattr(run, of) for run in runs))
        if name is None and len(known) > 1:
            raise ValueError(f"Several have been run; name one with {option}: {', '.join(known)}.")
        name = name and name.rpartition(":")[2] if option == "--env" else name  # PACKAGE:ID
        if name is not None and name not in known:
            raise ValueError(f"{option}: unknown {closest(name, known)}")
        runs = [run for run in runs if getattr(run, of) == (name or known[0])]
    return runs[0]


def parse_turns(text: str | None) -> tuple[int, int | None]:
    """`A-B` or `A` as first and last turn; 1 and None for all.

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(r"([1-9]\d*)(-([1-9]\d*))?", text or "1-999999")
    first, last = (int(match[1]), int(match[3] or match[1])) if match else (1, 0)
    if first > last:
        raise ValueError(f"--turns {text}: expected A-B or A, from 1, e.g. 1-10.")
    return first, last


def _turns(conversation: Conversation, span: tuple[int, int | None]) -> Sequence[Turn]:
    """The turns of a conversation that are to be shown."""
    (first, last), number = span, len(conversation.turns)
    turns = [turn for turn in conversation.turns if first <= turn.number <= (last or number)]
    if number and not turns:
        raise ValueError(f"--turns: the conversation has {number} turns, 1 to that.")
    return turns


def _of_person(run: Run, person: int) -> Run:
    """The run of one person."""
    known = run.trace.person
    (rows,) = np.nonzero(known == person)
    if not len(rows):
        raise ValueError(
            f"--person {person}: nobody of that number; {run.agent} met {len(known)} people, "
            f"{known.min()} to {known.max()}."
        )
    return Run(run.env, run.agent, run.config, run.trace.select(rows[:1]))


def _writer(evaluation: Evaluation) -> Agent | None:
    """The agent, if it is one that can say what it wrote; weights are loaded for no other."""
    kind: Any = resolve(evaluation.agent.target, "Agent")
    writes = getattr(kind, "messages", None) is not Agent.messages
    return evaluation.agents()[0] if writes else None


def worst(
    run: Run, evaluation: Evaluation, count: int
) -> tuple[list[str], list[list[str]], list[int]]:
    """The people with whom an agent lost most: header and lines of a table, and their numbers.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"--worst {count}: expected at least 1.")
    trace = run.trace
    asks = trace.agent_asks
    lost = information_lost(run, evaluation) if asks else lost_by_turn(trace)
    names = ("log_score",) if asks else ("accuracy", "nll", "kl_from_teacher")
    columns = [metric_named(name).statistics(trace)[:, 0] for name in names]
    order = np.argsort(-lost.sum(axis=1), kind="stable")[:count]
    header = ["person", "turns", "lost, nats", "most at turn", *names]
    lines = [
        [
            str(trace.person[row]),
            str(trace.length[row]),
            f"{lost[row].sum():.3f}",
            f"{lost[row].argmax() + 1} ({lost[row].max():.3f})",
            *(f"{column[row]:.3f}" for column in columns),
        ]
        for row in order
    ]
    return header, lines, trace.person[order].tolist()


if __name__ == "__main__":
    sys.exit(main())
