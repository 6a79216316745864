"""What commands that let agents meet people share: options, the work, and how they say no."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.envs.console import program
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import import_package
from acquaint_gym.eval.rollout import BrokenAgentError
from acquaint_gym.eval.runs.evaluation import Evaluation, People
from acquaint_gym.eval.runs.store import Store
from acquaint_gym.eval.trace import Trace

DEFAULT_USERS = 1000


class RefusedError(Exception):
    """Input that cannot be used, in one line that says what is wrong and what to do."""


@contextmanager
def refusing(*kinds: type[ValueError]) -> Iterator[None]:
    """Turns errors about the input into a `RefusedError`; all others stay what they are."""
    refused = kinds or (ValueError,)
    try:
        yield
    except refused as error:
        raise RefusedError(str(error)) from error


def say_no(error: Exception, errors: Console) -> int:
    """Prints why a command is refused; the exit code 2."""
    errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    return 2


def run_command(
    module: str,
    cli: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace, str, Console], None],
    arguments: Sequence[str] | None,
) -> int:
    """Parses a command line and runs its body; the exit code, see `guarded`.

    Args:
        module: what follows `python -m`.
        cli: with the option `--out`.
        body: takes the options, the command as it was typed, and the console for errors.
        arguments: in place of the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = cli.parse_args(given)
    return guarded(partial(body, options, command_line(module, given)), options.out)


def guarded(body: Callable[[Console], None], out: str) -> int:
    """Runs a command's body; the exit code: 2 for refused input, 130 for an interrupt.

    Args:
        body: takes the console for progress and errors.
        out: the folder that holds what is done when it is interrupted.
    """
    errors = Console(stderr=True)
    try:
        body(errors)
    except RefusedError as error:
        return say_no(error, errors)
    except KeyboardInterrupt:
        errors.print(f"Interrupted. What is done lies in {out}; the same command goes on.")
        return 130
    return 0


def add_people(cli: argparse.ArgumentParser) -> None:
    """The options of commands that meet synthetic people only."""
    cli.add_argument(
        "--split", default="test", help="people to meet: train, dev or test (the default)"
    )
    cli.add_argument(
        "--users",
        type=int,
        default=DEFAULT_USERS,
        metavar="N",
        help=f"how many people ({DEFAULT_USERS})",
    )


def add_options(cli: argparse.ArgumentParser, out: str) -> None:
    """The options that all these commands have, beside agents, environments and people.

    Args:
        cli: gets them.
        out: default folder of results.
    """
    cli.add_argument("--seed", type=int, default=0, metavar="S", help="which world of people (0)")
    cli.add_argument("--out", default=out, metavar="DIR", help=f"results ({out})")
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


def check_options(options: argparse.Namespace) -> None:
    """Imports what is to be imported and checks what `add_options`, agents and environments got.

    Raises:
        ValueError: a number that is too small, a name given twice, or no such package.
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


class Errand:
    """A job, and the folder below which its traces lie.

    Args:
        job: one agent on one environment.
        out: the folder.
        fresh: whether traces that lie there are about to be replaced.

    Raises:
        ValueError: traces of another configuration lie there, or the folder cannot be made.
    """

    def __init__(self, job: Evaluation, out: Path, fresh: bool) -> None:
        """Opens the folder."""
        self.job, self.out, self._fresh = job, out, fresh
        self.store = Store(out, job.config(), fresh)

    @property
    def label(self) -> str:
        """What the progress bar calls it."""
        return f"{self.job.agent.label} on {self.job.env}"

    def try_out(self, users: int) -> None:
        """Plays one turn, unless the traces of all people are there; see `Evaluation.dry_run`."""
        if self._fresh or self.store.missing(users, users):
            self.job.dry_run()

    def trace(self, users: int) -> Trace:
        """The trace of all people, after the work.

        Raises:
            RefusedError: a damaged file.
        """
        with refusing():
            return self.store.load(users)


def carry_out(
    errands: Sequence[Errand], users: int, options: argparse.Namespace, console: Console
) -> None:
    """Computes the traces that are not there yet, with a progress bar; with `--fresh`, all.

    Raises:
        RefusedError: an agent breaks its contract, or cannot go on.
    """
    for errand in errands if options.fresh else []:  # only now: a refused command loses nothing
        errand.store.clear()
    work = [
        (errand, first, end)
        for errand in errands
        for first, end in errand.store.missing(users, options.batch_size)
    ]
    with progress(console) as bar, refusing(BrokenAgentError, OutsideError):
        rows = {
            label: bar.add_task(label, total=users * count, completed=users * count)
            for label, count in Counter(errand.label for errand in errands).items()
        }
        for errand, first, end in work:
            bar.advance(rows[errand.label], first - end)
        for errand, people in _done(work, options.workers):
            bar.advance(rows[errand.label], people)


def _done(work: list[tuple[Errand, int, int]], workers: int) -> Iterator[tuple[Errand, int]]:
    """Carries the work out, here or in several processes; yields each finished part."""
    if workers == 1:
        for errand, first, end in work:
            errand.job.evaluate(errand.out, first, end)
            yield errand, end - first
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(errand.job.evaluate, errand.out, first, end): (errand, end - first)
            for errand, first, end in work
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


def command_line(module: str, given: Sequence[str]) -> str:
    """The command as somebody would type it again."""
    return " ".join([program(module), *map(shlex.quote, given)])


def how_made(
    command: str, options: argparse.Namespace, users: int, people: People
) -> dict[str, Any]:
    """What a report says of how it was made.

    Args:
        command: see `command_line`.
        options: with `settings`.
        users: how many people each agent met.
        people: who they are.
    """
    return {
        "command": command,
        "version": metadata.version("acquaint-gym"),
        "users": users,
        "people": people.identity(),
        "settings": dict(parse_settings(options.settings)),
        "packages": {name: metadata.version(name) for name in ("gymnasium", "numpy")},
    }
