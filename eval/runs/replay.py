"""Conversations of a run take place again: the environment as it was, the actions of the trace."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import AgentSpec
from acquaint_gym.envs.registration import environment_spec, environments, import_package, make_task
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.rollout import to_env
from acquaint_gym.eval.runs.evaluation import Evaluation, People
from acquaint_gym.eval.runs.store import Run, differences
from acquaint_gym.eval.trace import Trace

# Of a configuration, what the agent is made of decides nothing here: its actions are in the trace.
DECIDING = ("env", "env_spec", "env_settings", "people", "version", "code")


def evaluation_of(
    config: dict[str, Any], data: str | None = None, packages: tuple[str, ...] = ()
) -> Evaluation:
    """The evaluation that made a trace, from the configuration beside it.

    Args:
        config: see `Evaluation.config`.
        data: the file of respondents; by default the one of that name, see `envs.files.locate`.
        packages: modules that were imported first, already imported here.
    """
    if config["env"] not in environments():  # its task's module registers it
        import_package(config["env_spec"]["task"].partition(":")[0])
    people = config["people"]
    recorded = people["data"] or {}
    return Evaluation(
        config["env"],
        config["env_settings"],
        AgentSpec(**config["agent_spec"]),
        AgentSpec(**config["teacher_spec"]),
        People(
            people["split"],
            people["suite_seed"],
            data or recorded.get("file"),
            recorded.get("people"),
        ),
        packages,
    )


def check_unchanged(evaluation: Evaluation, config: dict[str, Any], folder: Path) -> None:
    """Refuses a trace that code, settings or people of today would not make again.

    Args:
        evaluation: see `evaluation_of`.
        config: of the trace.
        folder: where it lies, for the message.

    Raises:
        ValueError: what differs, and what to do.
    """
    now = evaluation.config()
    was, now = ({key: part.get(key) for key in DECIDING} for part in (config, now))
    if differing := differences(was, now):
        raise ValueError(
            f"{folder}: made by other code or of other people, and cannot be replayed: "
            f"{differing}. Take the version and the --import of then, or run eval.run --fresh."
        )


def reference(evaluation: Evaluation) -> Agent:
    """The teacher of an evaluation, without the agent, whose weights may be large."""
    fixed = dict(environment_spec(evaluation.env).kwargs)
    task = partial(make_task, fixed.pop("task"))
    return evaluation.teacher.build(task, {**fixed, **evaluation.settings})


def replay(run: Run, evaluation: Evaluation) -> Iterator[Transcript]:
    """The transcripts of all people of a run before each turn, and after the last one.

    Args:
        run: its trace says what the agent did.
        evaluation: see `evaluation_of`.

    Yields:
        T + 1 transcripts; those of people who have left stand still.

    Raises:
        ValueError: people are asked or answer otherwise by now.
    """
    trace = run.trace
    env = evaluation.environment(len(trace.person))
    observation = Transcript(env.reset(options={"person": trace.person})[0])
    changed = ValueError(
        f"{run.agent} on {run.env}: people answer otherwise than when the traces were made; run "
        "eval.run --fresh with this version of the environment."
    )
    if env.task.num_turns != trace.answers.shape[1]:
        raise changed
    for turn in range(env.task.num_turns):
        yield observation
        actions = to_env(env.task, trace.actions[:, turn], trace.action_probs[:, turn])
        observation = Transcript(env.step(actions)[0])
    answers = observation["answers"] if env.task.agent_asks else env.users.answers
    if not same_events(trace, answers, observation.stimuli):
        raise changed
    yield observation


def same_events(trace: Trace, answers: Any, stimuli: Any) -> bool:
    """Whether people were asked and answered in all turns as in the trace."""
    turn_mask = trace.turn_mask
    return np.array_equal(answers[turn_mask], trace.answers[turn_mask]) and np.array_equal(
        stimuli[turn_mask], trace.stimuli[turn_mask]
    )
