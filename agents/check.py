"""Runs the whole contract on agents of one's own, and says in words what they break.

python -m agents.check my_agent.yaml --env acquaint/Questionnaire-v0 --set num_turns=5
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from acquaint_gym.agents.contract import CHECKS, Check
from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import agent_names, parse_agent
from acquaint_gym.envs.check import ANYTHING, Subject, in_words, run_checks
from acquaint_gym.envs.console import program
from acquaint_gym.envs.contract.play import scalar
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import check_settings, environment_spec, task_keys


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("agents.check"),
        description="Runs the contract of an agent: a function of transcripts, which keeps nothing "
        "about people. Says what is broken in a sentence; the exit code is 0 if all checks hold, "
        "and 1 if not.",
        epilog=f"agents by name: {', '.join(agent_names())}.",
    )
    cli.add_argument(
        "agent",
        nargs="+",
        metavar="NAME|FILE.yaml|MODULE:CLASS",
        help="agents, each with settings after a further colon as for eval.run",
    )
    cli.add_argument(
        "--env",
        nargs="+",
        default=["acquaint/Questionnaire-v0"],
        metavar="[PACKAGE:]ID",
        help="environments to be checked on (acquaint/Questionnaire-v0)",
    )
    cli.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environments' tasks",
    )
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    It is 1 for a broken contract, 2 for bad input, 130 for an interrupt.
    """
    options = parser().parse_args(arguments)

    def subjects() -> list[Subject]:
        settings = parse_settings(options.settings)
        pairs = [(agent, env_id) for agent in options.agent for env_id in options.env]
        return [prepare(agent, env_id, settings) for agent, env_id in pairs]

    return run_checks(subjects, CHECKS)


def prepare(text: str, env_id: str, settings: Mapping[str, Any]) -> Subject:
    """Everything that can be wrong with the input is found here, before anything is checked.

    Args:
        text: the agent, as typed.
        env_id: `[PACKAGE:]ID`.
        settings: arguments of the task.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    check_settings(env_id, settings)
    spec = parse_agent(text, task_keys(env_id))
    if spec.task_arguments:
        raise ValueError(
            f"{text}: {', '.join(spec.task_arguments)} of its task; here --set changes the task of "
            "agent and environment alike."
        )
    build = partial(_build, text)
    owner, title = spec.target.partition(":")[0], f"{text} on {environment_spec(env_id).id}"

    def keeps(check: Check) -> None:
        check(build, env_id, **settings)

    task = scalar(env_id, **settings).task
    try:
        agent = build(task)
    except ValueError:
        raise
    except ANYTHING as error:
        return Subject(title, owner, in_words(error, owner), keeps)
    if type(agent).observe_truth is not Agent.observe_truth:
        raise ValueError(
            f"{text}: sees the people themselves, as only the evaluator may; the contract is for "
            "agents, which see transcripts."
        )
    return Subject(title, owner, "", keeps)


def _build(text: str, task: UserTask) -> Agent:
    """The agent of this name on this very task."""
    return parse_agent(text, []).build(lambda **_: task, {})


if __name__ == "__main__":
    sys.exit(main())
