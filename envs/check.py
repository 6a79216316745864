"""Runs the whole contract on tasks of one's own, and says in words what they break.

python -m envs.check my_package:my/Task-v0 --set num_turns=5
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from traceback import walk_tb
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from acquaint_gym.envs.console import ProgressBars, program, screen
from acquaint_gym.envs.contract import CHECKS, RESPONDENT_CHECKS, Check
from acquaint_gym.envs.contract.play import scalar
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import (
    check_settings,
    environment_spec,
    environments,
    import_package,
)
from acquaint_gym.envs.task_form import TaskFormError
from acquaint_gym.envs.users.quirks import Quirks

# What the code of others may raise. It is reported with its place, and counts as a broken check.
ANYTHING = (Exception, SystemExit)
# Modules that find faults in others.
_FINDERS = tuple(
    f"acquaint_gym.{part}"
    for part in ("envs.check", "envs.contract", "agents.check", "agents.contract")
)


class Subject(NamedTuple):
    """Something to check: an environment here, an agent in `agents.check`.

    Attributes:
        title: what it is called on the screen.
        owner: the package of its code.
        fault: what keeps it from being made at all, in words; "" where nothing does.
        keeps: runs one check on it.
    """

    title: str
    owner: str
    fault: str
    keeps: Callable[[Check], None]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("envs.check"),
        description="Runs the contract of an environment on tasks of one's own, and says what they "
        "break. The exit code is 0 if all checks hold, and 1 if not.",
        epilog=f"environments that need no package: {', '.join(environments())}.",
    )
    cli.add_argument(
        "env",
        nargs="+",
        metavar="[PACKAGE:]ID",
        help="environments, each after the module that registers it",
    )
    cli.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environments' tasks",
    )
    cli.add_argument(
        "--data",
        metavar="PATH",
        help="file of real respondents to meet, with the checks that need no simulated people",
    )
    cli.add_argument(
        "--people",
        metavar="MODULE:CLASS",
        help="another source of people, see eval.run; with the same checks as for --data",
    )
    cli.add_argument(
        "--split",
        help="people to meet: train (the default), dev or test; of --data: train, dev or all",
    )
    cli.add_argument("--seed", type=int, metavar="S", help="which world of people (0)")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    It is 1 for a broken contract, 2 for bad input, 130 for an interrupt.
    """
    options = parser().parse_args(arguments)
    recorded = options.data or options.people
    chosen = {
        "respondents": options.data,
        "people": options.people,
        "split": options.split,
        "suite_seed": options.seed,
    }
    people = {key: value for key, value in chosen.items() if value is not None}

    def subjects() -> list[Subject]:
        if options.seed is not None and options.seed < 0:
            raise ValueError(f"--seed {options.seed}: expected at least 0.")
        settings = parse_settings(options.settings)
        return [prepare(text, settings, people) for text in options.env]

    return run_checks(subjects, RESPONDENT_CHECKS if recorded else CHECKS)


def run_checks(subjects: Callable[[], Sequence[Subject]], checks: Sequence[Check]) -> int:
    """Runs checks on what they are about; returns the exit code, see `main`.

    Args:
        subjects: gives them; raises a `ValueError` for bad input, which is printed.
        checks: of the contract.
    """
    errors = Console(stderr=True)
    try:
        try:
            prepared = subjects()
        except ValueError as error:
            errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
            return 2
        return examine(prepared, checks, errors)
    except KeyboardInterrupt:
        errors.print("Interrupted.")
        return 130


def prepare(text: str, settings: Mapping[str, Any], people: Mapping[str, Any]) -> Subject:
    """Everything that can be wrong with the input is found here, before anything is checked.

    Args:
        text: `[PACKAGE:]ID`.
        settings: arguments of the task.
        people: arguments of its environment that say whom to meet.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    package, _, env_id = text.rpartition(":")
    if package:
        try:
            import_package(package)
        except ANYTHING as error:
            cause = error.__cause__ or error
            if not place(cause, package):
                raise
            cause_text = in_words(cause, package)
            raise ValueError(f"Package {package!r} cannot be imported: {cause_text}") from error
    check_settings(env_id, settings)
    quirks = Quirks.parse(str(settings.get("quirks", "none")))
    if quirks.drift:
        raise ValueError(
            "--set quirks: the contract is about people whose levels stay as they are; check "
            "without drift."
        )
    owner = environment_spec(env_id).kwargs["task"].partition(":")[0]

    def keeps(check: Check) -> None:
        check(env_id, **settings, **people)

    try:
        scalar(env_id, **settings, **people).reset(options={"person": 0})
    except ANYTHING as error:
        if isinstance(error, ValueError) and (settings or people):
            raise
        return Subject(env_id, owner, in_words(error, owner), keeps)
    return Subject(env_id, owner, "", keeps)


def examine(subjects: Sequence[Subject], checks: Sequence[Check], errors: Console) -> int:
    """Runs the checks with a progress bar and prints a line for each; the exit code.

    It is 0 if all hold, 1 if not.
    """
    held, out, total = 0, screen(), len(subjects) * len(checks)
    # On a terminal the bar has to know of the lines that are printed above it.
    on = out if sys.stdout.isatty() else errors
    # Elsewhere the lines themselves say how far it is.
    with ProgressBars(on, "checks", disable=not on.is_terminal) as bar:
        row = bar.add_task("", total=total)
        for title, owner, fault, keeps in subjects:
            out.print(Text(title, "bold"), soft_wrap=True)
            if fault:
                out.print(line("cannot be made", fault, broken=True), soft_wrap=True)
                bar.advance(row, len(checks))
                continue
            faults: dict[str, str] = {}
            for check in checks:
                bar.update(row, description=check.__name__)
                summary = (inspect.getdoc(check) or "").partition("\n")[0]
                try:
                    keeps(check)
                except ANYTHING as error:
                    words = in_words(error, owner)
                    # One fault may break many checks; it is told once.
                    first = faults.setdefault(words, check.__name__)
                    if first != check.__name__:
                        words = f"as {first}"
                    out.print(line(check.__name__, words, True), soft_wrap=True)
                else:
                    held += 1
                    out.print(line(check.__name__, summary, False), soft_wrap=True)
                bar.advance(row)
    out.print(f"{held} of {total} checks hold", highlight=False)
    return int(held < total)


def line(name: str, text: str, broken: bool) -> Text:
    """What is printed of one check."""
    verdict = ("broken  ", "red") if broken else ("ok      ", "green")
    return Text.assemble(verdict, f"{name:<26}", text)


def in_words(error: BaseException, owner: str) -> str:
    """An error in one line: the sentence of a check, or else what was raised, and where."""
    message, where = " ".join(str(error).split()), place(error, owner)
    if isinstance(error, AssertionError | TaskFormError) and not where:
        return message
    cause = error.__cause__ or error  # gym.make raises some errors anew
    where = where or place(cause, owner) or place(error, "")
    return f"{type(error).__name__}: {message} ({where})"


def place(error: BaseException, owner: str) -> str:
    """The innermost line of a package that an error came through, "" if it came through none.

    Args:
        error: the error.
        owner: a module of the package; "" for any package.
    """
    top, place = owner.partition(".")[0], ""
    for frame, number in walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if not owner or (module.partition(".")[0] == top and not module.startswith(_FINDERS)):
            file = frame.f_code.co_filename.removeprefix(os.path.join(os.getcwd(), ""))
            place = f"{file}, line {number}"
    return place


if __name__ == "__main__":
    sys.exit(main())
