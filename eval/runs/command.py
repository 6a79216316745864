"""What commands that let agents meet people share: options, errors, exit codes."""

from __future__ import annotations

import argparse
import errno
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.envs.files import FileError
from acquaint_gym.envs.names import resolve
from acquaint_gym.envs.registration import import_package
from acquaint_gym.eval.runs.evaluation import forget
from acquaint_gym.eval.runs.store import OtherTracesError
from acquaint_gym.eval.trace import DifferentPeopleError

DEFAULT_USERS = 1000
Prepared = TypeVar("Prepared")


class InputError(Exception):
    """Input that cannot be used, in one line that says what is wrong and what to do."""


@contextmanager
def input_errors(*kinds: type[ValueError]) -> Iterator[None]:
    """Turns errors about the input into an `InputError`; all others stay what they are.

    Args:
        *kinds: which errors are about the input; every `ValueError` if none is named.
    """
    about_input = kinds or (ValueError,)
    try:
        yield
    except about_input as error:
        raise InputError(str(error)) from error


@contextmanager
def same_people_errors(source: str | None) -> Iterator[None]:
    """Turns a `DifferentPeopleError` into an `InputError`.

    Args:
        source: where the people come from, `module:Class`, if not from this package: then it gave
            others each time it was asked.
    """
    try:
        yield
    except DifferentPeopleError as error:
        if source is None:
            raise InputError(str(error)) from error
        raise InputError(
            f"people={source!r} gives others when it is asked again: {error} Draw from "
            "envs.users.PersonStreams, or keep what a server answered."
        ) from error


def print_error(error: Exception, console: Console) -> int:
    """Prints why a command is refused; the exit code 2."""
    console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    return 2


def run_command(
    module: str,
    cli: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace, str, Console], None],
    arguments: Sequence[str] | None,
) -> int:
    """Parses a command line and runs its body; the exit code, see `exit_code`.

    Args:
        module: what follows `python -m`.
        cli: with the option `--out`.
        body: takes the options, with `started` (see `time.perf_counter`), the command as it was
            typed, and the console for errors.
        arguments: in place of the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = cli.parse_args(given)
    options.started = perf_counter()
    return exit_code(partial(body, options, command_line(module, given)), lambda: options.out)


def exit_code(body: Callable[[Console], None], out: Callable[[], str]) -> int:
    """Runs a command's body; the exit code: 2 for refused input, 130 for an interrupt.

    Args:
        body: takes the console for progress and errors.
        out: names the folder that holds what is done when it is interrupted.
    """
    console = Console(stderr=True)
    try:
        body(console)
    except (InputError, FileError) as error:
        return print_error(error, console)
    except OSError as error:  # of a file that somebody else's code writes, e.g. weights
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return print_error(FileError.unwritable(Path(error.filename or out()), error), console)
    except KeyboardInterrupt:
        console.print(f"Interrupted. What is done lies in {out()}; the same command goes on.")
        return 130
    finally:
        forget()  # another command in this process begins anew, as in one of its own
    return 0


class DefaultFolder(str):
    """A folder of results that nobody chose: another may be taken in its place."""


def in_own_folder(
    prepare: Callable[[argparse.Namespace], Prepared], options: argparse.Namespace, console: Console
) -> Prepared:
    """Prepares a run in `options.out`, by default in a folder that holds no other run's traces.

    Where those lie in `runs/latest` it is `runs/latest-2` or the next; the same command goes on.

    Args:
        prepare: takes a copy of the options.
        options: of the command line; `out` becomes the folder that was taken.
        console: where it is said.

    Raises:
        ValueError: see `prepare`, and `OtherTracesError` in a folder of one's choice.
    """
    default, numbers = options.out, count(2)
    while True:
        try:
            prepared = prepare(argparse.Namespace(**vars(options)))
        except OtherTracesError:
            if not isinstance(default, DefaultFolder):
                raise
            options.out = f"{default}-{next(numbers)}"
            continue
        if options.out != default:
            words = f"{default} holds traces of another configuration; this run: {options.out}"
            console.print(words, highlight=False, soft_wrap=True)
        return prepared


def add_people(
    cli: argparse.ArgumentParser,
    split: str,
    users: str,
    *,
    several: bool = False,
    synthetic_only: bool = False,
) -> None:
    """The options `--split`, `--users`, `--data` and `--people`: whom to meet.

    Args:
        cli: gets them.
        split: which splits there are, and which is the default, for the help text.
        users: how many people are the default, for the help text.
        several: whether `--split` takes more than one.
        synthetic_only: whether people are always simulated: then there are the first two only.
    """
    cli.add_argument(
        "--split",
        nargs="+" if several else None,
        metavar="SPLIT",
        help=f"people to meet: {split}",
    )
    cli.add_argument("--users", type=int, metavar="N", help=f"how many people ({users})")
    if not synthetic_only:
        cli.add_argument(
            "--data",
            metavar="PATH",
            help="file of real respondents to meet instead of synthetic people; looked for here, "
            "then in the folder that the variable ACQUAINT_DATA names",
        )
        cli.add_argument(
            "--people",
            metavar="MODULE:CLASS",
            help="another source of people than the simulator, e.g. a language model or a server; "
            "see envs.users.people.UserSource",
        )


def add_options(cli: argparse.ArgumentParser, out: str) -> None:
    """The options that all these commands have, beside agents, environments and people.

    Args:
        cli: gets them.
        out: default folder of results.
    """
    cli.add_argument("--seed", type=int, default=0, metavar="S", help="which world of people (0)")
    cli.add_argument(
        "--out",
        default=DefaultFolder(out),
        metavar="DIR",
        help=f"results ({out}, or {out}-2 and so on where another run's traces lie there)",
    )
    cli.add_argument(
        "--fresh",
        action="store_true",
        help="replace the traces that lie in --out, if there are any, and ask servers again for "
        "what they have answered before",
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
    cli.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="W",
        help="processes (1); with accelerators each sees one of them, in turn",
    )
    cli.add_argument(
        "--executor",
        metavar="MODULE:FACTORY",
        help="instead of processes: workers of a cluster, as whatever concurrent.futures.Executor "
        "the factory makes, called without arguments, e.g. distributed.Client(address)"
        ".get_executor(pure=False); see eval.runs.executors. Give each worker its own accelerator, "
        "e.g. start it with CUDA_VISIBLE_DEVICES=0",
    )
    cli.add_argument(
        "--shard",
        metavar="K/N",
        help="compute the K-th of N parts, for batch schedulers and one shared --out, e.g. "
        "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT of an array 1-N; whoever finishes last "
        "writes the report",
    )


def check_options(options: argparse.Namespace) -> None:
    """Imports what is to be imported and checks what `add_options`, agents and environments got.

    Raises:
        ValueError: a number that is too small, a name given twice, or no such package.
    """
    for name, smallest in (("users", 1), ("batch_size", 1), ("workers", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < smallest:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected at least {smallest}.")
    shard, shards = parse_shard(options.shard)
    if options.fresh and shards > 1:
        raise ValueError(
            f"--fresh --shard {shard}/{shards}: each shard would remove what the others have done; "
            "choose another --out, or remove what lies there."
        )
    if options.executor is not None:
        resolve(options.executor, "--executor")
        if options.workers > 1:
            raise ValueError("--workers, --executor: name one; an executor brings its own workers.")
    for package in options.packages:
        import_package(package)
    for kind, names in (("--agent", options.agent), ("--env", options.env)):
        if len(set(names)) < len(names):
            raise ValueError(f"{kind} {' '.join(names)}: each may be named once.")


def parse_shard(text: str | None) -> tuple[int, int]:
    """`K/N` as K and N; 1 and 1 for none.

    Raises:
        ValueError: another form, or K out of 1..N.
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    shard, shards = (int(number) for number in match.groups()) if match else (0, 0)
    if not 1 <= shard <= shards:
        raise ValueError(f"--shard {text}: expected K/N with K in 1..N, e.g. 1/4 to 4/4.")
    return shard, shards


def command_line(module: str, given: Sequence[str]) -> str:
    """The command as somebody would type it again."""
    return " ".join([program(module), *map(shlex.quote, given)])
