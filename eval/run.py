"""Scores agents on environments: a table on the screen, and a report, plots and traces in a folder.

python -m eval.run --agent random prior bayes clairvoyant --env acquaint/Questionnaire-v0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import AgentSpec, agent_names
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.names import parse_settings, resolve
from acquaint_gym.envs.registration import environments, import_package
from acquaint_gym.eval.report.report import FLOOR, build_report, table, write_report
from acquaint_gym.eval.runs.command import (
    DEFAULT_USERS,
    add_options,
    add_people,
    check_options,
    in_own_folder,
    input_errors,
    run_command,
    same_people_errors,
)
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.eval.runs.execution import PlannedRun, run_all
from acquaint_gym.eval.runs.provenance import provenance
from acquaint_gym.eval.trace import Trace


class ListAction(argparse.Action):
    """Prints what there is by name and ends the command, as `--help` does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """See `argparse.Action`; what was imported before it on the command line is listed too."""
        from acquaint_gym.eval.report.listing import show_list  # few runs ask

        try:
            for package in namespace.packages:
                import_package(package)
        except ValueError as error:
            parser.exit(2, f"{error}\n")
        show_list()
        parser.exit()


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
    add_people(
        cli,
        "train, dev or test (the default); of --data: train, dev (the default) or all",
        f"default: {DEFAULT_USERS}; of --data everyone in the split",
    )
    add_options(cli, "runs/latest")
    cli.add_argument(
        "--list",
        action=ListAction,
        nargs=0,
        help="print every agent, environment, quirk and argument with a line on each, and end; "
        "after --import those of the package too",
    )
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("eval.run", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, console: Console) -> None:
    with input_errors():
        runs, users = in_own_folder(prepare, options, console)
    if not run_all(runs, users, options, console):
        return
    traces: dict[str, dict[str, Trace]] = {}
    evaluations = [run.evaluation for run in runs]
    for run, evaluation in zip(runs, evaluations, strict=True):
        traces.setdefault(evaluation.env, {})[evaluation.agent.label] = run.trace(users)
    # The agent that is the reference, by whatever name; none where settings changed it.
    teachers = [one.agent.label for one in evaluations if one.agent.same_as(one.teacher)]
    meta = provenance(command, options, users, runs)
    with same_people_errors(options.people):
        report = build_report(meta, traces, teacher=teachers[0] if teachers else "")
    oracles = {one.agent.label for one in evaluations if sees_truth(one.agent)}
    write_report(report, traces, Path(options.out), bounds={FLOOR, *oracles})
    output = screen()
    for env_id in traces:
        output.print(table(report, env_id))
    output.print(f"Report, plots and traces: {options.out}", highlight=False, soft_wrap=True)


def sees_truth(spec: AgentSpec) -> bool:
    """Whether an agent is an upper bound, which looks at the person, see `Agent.observe_truth`."""
    look: object = resolve(spec.target, "Agent").observe_truth
    return look is not Agent.observe_truth


def prepare(options: argparse.Namespace) -> tuple[list[PlannedRun], int]:
    """Checks all of the input before anything is computed.

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
    evaluations: list[Evaluation] = []
    for env_id in options.env:
        evaluations += plan(env_id, options.agent, people, settings, tuple(options.packages))
    users = evaluations[0].num_users(options.users, DEFAULT_USERS)
    runs = [PlannedRun(one, Path(options.out), options.fresh) for one in evaluations]
    for run in runs:
        run.dry_run(users)
    return runs, users


if __name__ == "__main__":
    sys.exit(main())
