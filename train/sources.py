"""Recorded conversations on disk: what every way of training, and every export, reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.files import digest
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.eval.runs.store import Run, load_runs
from acquaint_gym.eval.trace import Trace


@dataclass(frozen=True)
class TraceSource:
    """Traces of one environment.

    Attributes:
        folder: the run's DIR.
        run: what lies there: names, configuration and trace.
        task: the environment's task.
        imitate: `teacher`, or the traces' `agent`.
    """

    folder: Path
    run: Run
    task: UserTask
    imitate: str = "teacher"

    @property
    def target(self) -> tuple[Floats, Ints]:
        """The distributions `[N, T, A]` and choices `[N, T]` to be learned."""
        trace = self.run.trace
        if self.imitate == "agent":
            return trace.action_probs, trace.actions
        return trace.teacher_probs, trace.teacher_actions

    def describe(self) -> dict[str, Any]:
        """What an adapter or a network says of the traces it learned from."""
        config = self.run.config
        arguments = {**config["env_spec"], **config["env_settings"]}
        return {
            "env": self.run.env,
            "task": arguments.pop("task"),
            "arguments": arguments,
            "agent": self.run.agent,
            "people": config["people"],
            "number": len(self.run.trace.person),
            "traces": self.digest,
        }

    @property
    def digest(self) -> str:
        """Digest of what was recorded, however it is cut into files."""
        columns = (self.run.trace.person, self.run.trace.actions, *self.target)
        return digest(np.ascontiguousarray(column).tobytes() for column in columns)


def load_sources(
    folders: Sequence[str], max_people: int | None = None, imitate: str = "teacher"
) -> list[TraceSource]:
    """The traces in these folders; of a folder with splits, those of training people.

    Args:
        folders: of `train.collect`.
        max_people: the first so many of each trace.
        imitate: see `TraceSource`.

    Raises:
        ValueError: no traces there, or of a task that is not here.
    """
    sources = []
    for name in folders:
        folder = Path(name)
        if not (folder / "traces").is_dir():
            folder /= "train"
        if not (folder / "traces").is_dir():
            raise ValueError(
                f"traces: {name} holds none; python -m train.collect --out {name} makes them."
            )
        for run in load_runs(folder):
            arguments = {**run.config["env_spec"], **run.config["env_settings"]}
            task = make_task(arguments.pop("task"), **arguments)
            trace = run.trace.select(slice(max_people))
            part = Run(run.env, run.agent, run.config, trace)
            sources.append(TraceSource(folder, part, task, imitate))
    return sources


def check_people(sources: Sequence[TraceSource]) -> None:
    """Raises a `ValueError` for traces of the synthetic people on whom agents are scored."""
    for source in sources:
        people = source.run.config["people"]
        if people["split"] == "test":  # which recorded respondents do not have
            raise ValueError(
                f"traces: {source.folder} is of split 'test', on whose people agents are scored; "
                "train on others, python -m train.collect --split train."
            )


def check_answers(sources: Sequence[TraceSource]) -> None:
    """Raises a `ValueError` for traces in which people's answers are no replies of the agent's."""
    for source in sources:
        if source.task.agent_asks:
            raise ValueError(
                f"{source.run.env}: agents ask here, and people's own answers are no replies to "
                "learn; take the teacher's choice (objective kl or ce-teacher; target teacher)."
            )


def transcripts(source: TraceSource) -> Transcript:
    """The finished transcripts of all people of a source.

    Raises:
        ValueError: of sceptical respondents, who may have rejected the right action.
    """
    task, trace, people = source.task, source.run.trace, source.run.config["people"]
    actions = _actions(task, trace) if task.states_distribution else trace.actions.astype(np.int64)
    turn_mask = trace.turn_mask
    willing = np.ones(actions.shape, dtype=bool)
    if task.quirks.skepticism:
        if people["data"] is not None:
            raise ValueError(
                f"{source.folder}: traces of sceptical respondents cannot be learned from; it was "
                "not recorded which actions they would have accepted."
            )
        everyone = Simulator(task, people["split"], people["suite_seed"])
        willing = everyone.draw(trace.person).would_accept
    feedback = task.feedback_of(actions, trace.answers.astype(np.int64), willing)
    return Transcript.of(
        trace.length,
        trace.stimuli,
        np.where(turn_mask, actions, -1),
        np.where(turn_mask, feedback, -1),
        context=None if task.context is None else trace.context,
    ).with_mask(task)


def _actions(task: UserTask, trace: Trace) -> Ints:
    """`[N, T]` actions in the transcripts of a task whose actions state distributions."""
    box = task.to_box(np.nan_to_num(trace.action_probs).reshape(-1, len(task.actions)))
    return task.from_box(box).reshape(trace.actions.shape)
