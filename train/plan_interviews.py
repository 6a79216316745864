"""Plans interviews in hindsight: `python -m train.plan_interviews --env ID --out DIR`.

For each person, the questions whose recorded answers raise the log posterior of the true hypothesis
fastest, found by a beam search over all of that person's answers; several plans a person, which
begin with different questions. They are played in the environment and recorded as `train.collect`
records, each plan as an agent of its own, with what the Bayesian teacher would have asked beside
it: `train.distill` with `imitate: agent` teaches the plans, without it the teacher. Each split's
folder also gets the report of `eval.run`, whose curves no interviewer can exceed who does not know
the answers beforehand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from acquaint_gym.agents.registry import AgentSpec
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.names import closest, parse_settings
from acquaint_gym.envs.registration import environments, task_class
from acquaint_gym.eval.report.report import build_report, table, write_report
from acquaint_gym.eval.runs.command import (
    add_options,
    add_people,
    check_options,
    in_own_folder,
    input_errors,
    run_command,
)
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.eval.runs.execution import PlannedRun, run_all
from acquaint_gym.eval.runs.provenance import provenance

# As many as `train.collect` meets of the training split.
USERS = 11_250


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("train.plan_interviews"),
        description="Plans interviews in hindsight, as an upper bound and to teach from.",
    )
    cli.add_argument("--env", default="acquaint/Interview-v0", metavar="ID", help="where to ask")
    add_people(
        cli,
        "train (the default), dev, test; of --data train, dev",
        f"of each split: {USERS:,}; of --data everyone",
        several=True,
    )
    cli.set_defaults(split=["train"])
    cli.add_argument(
        "--beam", type=int, default=8, metavar="W", help="sets of questions kept; 1 is greedy (8)"
    )
    cli.add_argument(
        "--sequences", type=int, default=3, metavar="S", help="plans for each person (3)"
    )
    cli.add_argument(
        "--threshold",
        type=float,
        metavar="NATS",
        help="end a plan where a question is worth less than this; the environments then have "
        "allow_stop and this as cost (none: plans take all turns)",
    )
    add_options(cli, "runs/plans")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("train.plan_interviews", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, console: Console) -> None:
    with input_errors():
        work = in_own_folder(prepare, options, console)
    for split, (runs, users) in work.items():
        console.print(f"{split}: {users:,} people", highlight=False)
        if not run_all(runs, users, options, console):
            continue
        traces = {options.env: {run.evaluation.agent.label: run.trace(users) for run in runs}}
        meta = provenance(command, options, users, runs)
        report = build_report(meta, traces, teacher="")
        write_report(report, traces, Path(options.out) / split)
        screen().print(table(report, options.env))
        console.print(f"Plans and report: {Path(options.out) / split}", soft_wrap=True)


def prepare(options: argparse.Namespace) -> dict[str, tuple[list[PlannedRun], int]]:
    """What is to be done for each split, and with how many people.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    options.agent, settings = [], parse_settings(options.settings)
    checked = argparse.Namespace(**{**vars(options), "env": [options.env]})
    check_options(checked)
    if not issubclass(task_class(options.env), AskingTask):
        asking = [key for key in environments() if issubclass(task_class(key), AskingTask)]
        raise ValueError(f"--env: agents do not ask in {closest(options.env, asking)}")
    if options.sequences < 1:
        raise ValueError(f"--sequences {options.sequences}: expected at least 1.")
    if len(set(options.split)) < len(options.split):
        raise ValueError(f"--split {' '.join(options.split)}: each may be named once.")
    if options.threshold is not None:
        for key in ("allow_stop", "cost"):
            if key in settings:
                raise ValueError(f"--set {key}: --threshold sets it; say one of the two.")
        settings |= {"allow_stop": True, "cost": options.threshold}
    work = {}
    for split in options.split:
        people = People(split, options.seed, options.data, options.people)
        evaluations = _evaluations(options, people, settings)
        users = evaluations[0].num_users(options.users, USERS)
        runs = [PlannedRun(one, Path(options.out) / split, options.fresh) for one in evaluations]
        for run in runs:
            run.dry_run(users)
        work[split] = runs, users
    return work


def _evaluations(
    options: argparse.Namespace, people: People, settings: Mapping[str, Any]
) -> list[Evaluation]:
    """An evaluation for each of a person's plans."""
    packages = tuple(options.packages)
    [any_agent] = plan(options.env, ["random"], people, settings, packages)
    evaluations = []
    for sequence in range(1, options.sequences + 1):
        arguments = {"beam": options.beam, "sequence": sequence}
        spec = AgentSpec(
            f"hindsight-{sequence}", "acquaint_gym.eval.oracles.hindsight:Hindsight", arguments
        )
        evaluations.append(replace(any_agent, agent=spec))
    return evaluations


if __name__ == "__main__":
    sys.exit(main())
