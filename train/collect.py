"""Records the exact teacher's conversations: `python -m train.collect --env ID --out DIR`.

Each split goes to a folder of its own, `DIR/train`, `DIR/dev`, `DIR/test`, in the format of
`eval.run --out`: per turn the teacher's distribution over the person's next answer, and its belief
about the person. What is there already is kept; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import task_class
from acquaint_gym.eval.runs.command import (
    add_options,
    add_people,
    check_options,
    exit_code,
    in_own_folder,
    input_errors,
)
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.execution import PlannedRun, run_all
from acquaint_gym.train.export import EXPORTS, export

# Five people of each of the 2,250 / 250 / 625 profiles of a split.
USERS = {"train": 11_250, "dev": 1_250, "test": 3_125}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("train.collect"), description="Records the exact teacher's conversations."
    )
    cli.add_argument(
        "--env", nargs="+", default=["acquaint/Questionnaire-v0"], metavar="ID", help="environments"
    )
    cli.add_argument(
        "--agent",
        metavar="NAME[:key=value,...]",
        help="whose conversations (the teacher's); its distribution is recorded beside each",
    )
    numbers = " / ".join(f"{number:,}" for number in USERS.values())
    add_people(
        cli,
        "train dev test, all by default; of --data train dev",
        f"of each split: {numbers}; of --data everyone",
        several=True,
    )
    cli.add_argument(
        "--export",
        nargs="+",
        default=[],
        choices=list(EXPORTS),
        metavar="FORM",
        help=f"also write them as {', '.join(EXPORTS)}, to DIR/<split>/export",
    )
    cli.add_argument(
        "--with-levels",
        action="store_true",
        help="export the people's hidden levels as well, which no agent may see",
    )
    add_options(cli, "runs/traces")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    options = parser().parse_args(list(sys.argv[1:] if arguments is None else arguments))
    return exit_code(partial(_run, options), lambda: options.out)


def _run(options: argparse.Namespace, console: Console) -> None:
    with input_errors():
        work = in_own_folder(prepare, options, console)
    complete = True
    for split, (runs, users) in work.items():
        console.print(f"{split}: {users:,} people", highlight=False)
        complete &= run_all(runs, users, options, console)
    for split in work if complete else []:
        for form in options.export:
            for path in export(form, Path(options.out) / split, options.with_levels):
                console.print(f"{form}: {path}", highlight=False, soft_wrap=True)


def prepare(options: argparse.Namespace) -> dict[str, tuple[list[PlannedRun], int]]:
    """What is to be done for each split, and with how many people.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    named = [] if options.agent is None else [options.agent]
    options.agent = named
    check_options(options)
    settings, work = parse_settings(options.settings), {}
    for form in options.export:
        EXPORTS[form].check()
    for split in options.split or (["train", "dev"] if options.data else list(USERS)):
        people = People(split, options.seed, options.data, options.people)
        evaluations = [
            evaluation
            for env_id in options.env
            for evaluation in plan(
                env_id,
                named or [task_class(env_id).teacher],
                people,
                settings,
                tuple(options.packages),
            )
        ]
        users = evaluations[0].num_users(options.users, USERS[split])
        runs = [PlannedRun(one, Path(options.out) / split, options.fresh) for one in evaluations]
        runs[0].dry_run(users)
        work[split] = runs, users
    return work


if __name__ == "__main__":
    sys.exit(main())
