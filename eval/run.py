"""Scores agents on environments: a table on the screen, and a report, plots and traces in a folder.

python -m eval.run --agent random prior bayes clairvoyant --env acquaint/Questionnaire-v0
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.registry import agent_names, parse_settings
from eval.console import screen
from eval.job import Job, People, environments, import_package, plan
from eval.report import build_report, table, write_report
from eval.rollout import BrokenAgentError
from eval.store import Store
from eval.trace import Trace

DEFAULT_USERS = 1000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = ", ".join(agent_names())
    cli = argparse.ArgumentParser(
        prog="python -m eval.run",
        description="Scores agents with hidden people, against the exact Bayesian teacher.",
        epilog=f"agents (configs/agents/): {known}. Environments: {', '.join(environments())}.",
    )
    cli.add_argument(
        "--agent",
        nargs="+",
        required=True,
        metavar="NAME[:key=value,...]",
        help="agents to score; settings after a colon are this agent's own or its task's, e.g. "
        "bayes:parameters=human is a teacher with other item parameters than the environment's",
    )
    cli.add_argument(
        "--env", nargs="+", default=["acquaint/Questionnaire-v0"], metavar="ID", help="environments"
    )
    cli.add_argument(
        "--split",
        help="people to meet: train, dev or test (the default); of --data: train, dev (the "
        "default) or all",
    )
    cli.add_argument(
        "--users",
        type=int,
        metavar="N",
        help=f"how many people (default: {DEFAULT_USERS}; of --data everyone in the split)",
    )
    cli.add_argument("--seed", type=int, default=0, metavar="S", help="which world of people (0)")
    cli.add_argument(
        "--data",
        metavar="PATH",
        help="file of real respondents to meet instead of synthetic people; looked for here, then "
        "in the folder that the variable ACQUAINT_DATA names",
    )
    cli.add_argument("--out", default="runs/latest", metavar="DIR", help="results (runs/latest)")
    cli.add_argument(
        "--fresh",
        action="store_true",
        help="replace the traces that lie in --out, if there are any",
    )
    cli.add_argument(
        "--import",
        dest="packages",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="module to import first, which registers environments of its own",
    )
    cli.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environments' tasks; with agent.KEY, of the agents or of their tasks",
    )
    cli.add_argument(
        "--batch-size", type=int, default=512, metavar="B", help="people at a time (512)"
    )
    cli.add_argument("--workers", type=int, default=1, metavar="W", help="processes (1)")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    console, errors = screen(), Console(stderr=True)

    def refuse(error: ValueError) -> int:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 2

    try:
        try:
            jobs, users, stores = prepare(options)
        except ValueError as error:
            return refuse(error)
        try:
            carry_out(jobs, users, stores, options, errors)
        except BrokenAgentError as error:
            return refuse(error)
        try:
            traces = collected(jobs, users, stores)
        except ValueError as error:
            return refuse(error)
        # The agent that is the reference, by whatever name; none where settings changed it.
        teachers = [job.agent.label for job in jobs if job.agent.same_as(job.teacher)]
        meta = {
            "command": shlex.join(["python", "-m", "eval.run", *given]),
            "version": metadata.version("acquaint"),
            "users": users,
            "people": jobs[0].people.identity(),
            "settings": dict(parse_settings(options.settings)),
            "packages": {name: metadata.version(name) for name in ("gymnasium", "numpy")},
        }
        report = build_report(meta, traces, teacher=teachers[0] if teachers else "")
        write_report(report, traces, Path(options.out))
        for env_id in traces:
            console.print(table(report, env_id))
        console.print(f"Report, plots and traces: {options.out}", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        errors.print(f"Interrupted. What is done lies in {options.out}; the same command goes on.")
        return 130
    return 0


def collected(jobs: list[Job], users: int, stores: list[Store]) -> dict[str, dict[str, Trace]]:
    """The traces on disk: environment -> agent -> trace.

    Raises:
        ValueError: a damaged file.
    """
    traces: dict[str, dict[str, Trace]] = {}
    for job, store in zip(jobs, stores, strict=True):
        traces.setdefault(job.env, {})[job.agent.label] = store.load(users)
    return traces


def prepare(options: argparse.Namespace) -> tuple[list[Job], int, list[Store]]:
    """Everything that can be wrong with the input is found here, before anything is computed.

    Returns:
        The jobs, how many people each meets, and where each job's traces lie.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    for name, smallest in (("users", 1), ("batch_size", 1), ("workers", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < smallest:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected at least {smallest}.")
    for package in options.packages:
        import_package(package)
    for kind, names in (("--agent", options.agent), ("--env", options.env)):
        if len(set(names)) < len(names):
            raise ValueError(f"{kind} {' '.join(names)}: each may be named once.")
    people = People(
        options.split or ("dev" if options.data else "test"), options.seed, options.data
    )
    settings = parse_settings(options.settings)
    jobs: list[Job] = []
    for env_id in options.env:
        jobs += plan(env_id, options.agent, people, settings, tuple(options.packages))
    most = jobs[0].environment(1).num_people
    users = options.users or most or DEFAULT_USERS
    if most is not None and users > most:
        raise ValueError(f"--users {users}: split {people.split!r} has {most} respondents.")
    stores = []
    for job in jobs:
        stores.append(Store(Path(options.out), job.config(), options.fresh))
        if options.fresh or stores[-1].missing(users, users):
            job.try_out()
    for store in stores if options.fresh else []:  # nothing is lost to a command that is refused
        store.clear()
    return jobs, users, stores


def carry_out(
    jobs: list[Job], users: int, stores: list[Store], options: argparse.Namespace, console: Console
) -> None:
    """Computes the traces that are not there yet, with a progress bar."""
    out = Path(options.out)
    work = [
        (number, job, first, end)
        for number, (job, store) in enumerate(zip(jobs, stores, strict=True))
        for first, end in store.missing(users, options.batch_size)
    ]
    with progress(console) as bar:
        rows = [
            bar.add_task(f"{job.agent.label} on {job.env}", total=users, completed=users)
            for job in jobs
        ]
        for number, _, first, end in work:
            bar.advance(rows[number], first - end)
        for number, people in _done(work, out, options.workers):
            bar.advance(rows[number], people)


def _done(work: list[Any], out: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Carries the work out, here or in several processes; yields each finished part."""
    if workers == 1:
        for number, job, first, end in work:
            job.evaluate(out, first, end)
            yield number, end - first
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(job.evaluate, out, first, end): (number, end - first)
            for number, job, first, end in work
        }
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """A progress bar on the error stream, so that tables can be piped."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("people"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar


if __name__ == "__main__":
    sys.exit(main())
