"""Scores agents on environments: a table on the screen, and a report, plots and traces in a folder.

python -m eval.run --agent random prior bayes clairvoyant --env acquaint/Questionnaire-v0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acquaint_gym.agents.registry import agent_names
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import environments
from acquaint_gym.eval.report.report import build_report, table, write_report
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.eval.runs.execution import (
    DEFAULT_USERS,
    Errand,
    add_options,
    carry_out,
    check_options,
    how_made,
    refusing,
    run_command,
)
from acquaint_gym.eval.trace import Trace


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = ", ".join(agent_names())
    cli = argparse.ArgumentParser(
        prog=program("eval.run"),
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
    cli.add_argument(
        "--data",
        metavar="PATH",
        help="file of real respondents to meet instead of synthetic people; looked for here, then "
        "in the folder that the variable ACQUAINT_DATA names",
    )
    cli.add_argument(
        "--people",
        metavar="MODULE:CLASS",
        help="another source of people than the simulator, e.g. a language model or a server; see "
        "envs.users.people.UserSource",
    )
    add_options(cli, "runs/latest")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("eval.run", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, errors: Console) -> None:
    with refusing():
        errands, users = prepare(options)
    carry_out(errands, users, options, errors)
    traces: dict[str, dict[str, Trace]] = {}
    for errand in errands:
        traces.setdefault(errand.job.env, {})[errand.job.agent.label] = errand.trace(users)
    jobs = [errand.job for errand in errands]
    # The agent that is the reference, by whatever name; none where settings changed it.
    teachers = [job.agent.label for job in jobs if job.agent.same_as(job.teacher)]
    meta = how_made(command, options, users, jobs[0].people)
    report = build_report(meta, traces, teacher=teachers[0] if teachers else "")
    write_report(report, traces, Path(options.out))
    console = screen()
    for env_id in traces:
        console.print(table(report, env_id))
    console.print(f"Report, plots and traces: {options.out}", highlight=False, soft_wrap=True)


def prepare(options: argparse.Namespace) -> tuple[list[Errand], int]:
    """Everything that can be wrong with the input is found here, before anything is computed.

    Returns:
        What is to be done, and how many people each agent meets.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    check_options(options)
    people = People(
        options.split or ("dev" if options.data else "test"),
        options.seed,
        options.data,
        options.people,
    )
    settings = parse_settings(options.settings)
    jobs: list[Evaluation] = []
    for env_id in options.env:
        jobs += plan(env_id, options.agent, people, settings, tuple(options.packages))
    most = jobs[0].environment(1).num_people
    users = options.users or most or DEFAULT_USERS
    if most is not None and users > most:
        raise ValueError(f"--users {users}: split {people.split!r} has {most} respondents.")
    errands = []
    for job in jobs:
        errands.append(Errand(job, Path(options.out), options.fresh))
        errands[-1].try_out(users)
    return errands, users


if __name__ == "__main__":
    sys.exit(main())
