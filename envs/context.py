"""What is known of a person before the first turn: the beginning of another task with them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.quirks import DistortedModel, Quirks
from acquaint_gym.envs.users.response_models import Floats, Ints

if TYPE_CHECKING:
    from acquaint_gym.envs.core import UserTask

NONE = "none"
# Words for what every personality task can begin with; any registered environment will do as well.
SOURCES = {
    "answers": "acquaint_gym.envs.tasks.questionnaire:Questionnaire",
    "traits": "acquaint_gym.envs.tasks.stated_traits:StatedTraits",
}


class Context:
    """The first turns of another task with the same people, answers revealed.

    Args:
        task: the other task; the same person gives the same answers in it as on its own.
            Careless, styled and incoherent people are so there as well, see `apply_quirks`.
        turns: C, how many of its turns are known.

    Raises:
        ValueError: more turns than the task has.
    """

    def __init__(self, task: UserTask, turns: int) -> None:
        """Lays out the space."""
        if not 1 <= turns <= task.num_turns:
            raise ValueError(f"context: {turns} turns; {task.stream} has 1..{task.num_turns}.")
        self.task, self.turns = task, turns
        low = np.append(np.minimum(task.stimulus_low, -1), 0)
        high = np.append(task.stimulus_high, len(task.categories) - 1)
        self.space = spaces.Box(
            np.tile(low, turns).astype(np.float32), np.tile(high, turns).astype(np.float32)
        )

    def apply_quirks(self, quirks: Quirks) -> None:
        """People answer there with the same quirks, but for those of conversations and of time."""
        asked = replace(quirks, skepticism=0.0, impatience=0.0, drift=0.0)
        if asked.changes_responses:
            self.task.quirks, self.task.model = asked, DistortedModel(self.task.model, asked)

    def __str__(self) -> str:
        """What is known, in a few words."""
        return f"{self.turns} turns of {self.task.stream}"

    def pack(self, stimuli: Floats, answers: Ints) -> Floats:
        """`[B, C * (S' + 1)]` float32 of stimuli `[B, T', S']` and answers `[B, T']`."""
        pairs = np.concatenate([stimuli, answers[..., None]], axis=2)[:, : self.turns]
        return pairs.reshape(len(pairs), -1).astype(np.float32)

    def unpack(self, observation: Transcript) -> tuple[Floats, Floats]:
        """Stimuli `[..., C, S']` and answers `[..., C]` of transcripts."""
        flat = observation["context"]
        pairs = flat.reshape(*flat.shape[:-1], self.turns, -1)
        return pairs[..., :-1], pairs[..., -1]

    def words(self, observation: Transcript) -> str:
        """The context of one transcript (no batch axis) in words, a line a turn."""
        known = zip(*self.unpack(observation), strict=True)
        lines = [f"- {self.task.context_line(stimulus, int(answer))}" for stimulus, answer in known]
        return "This is known about the person:\n" + "\n".join(lines)


def make_context(text: str, receiver: UserTask, shared: dict[str, Any]) -> Context | None:
    """The context that an argument names.

    Args:
        text: `none`; `traits`, all stated trait levels; `answers:K`, the first K items of the
            questionnaire; or `ID:K`, the first K turns of a registered environment.
        receiver: the task that gets the context, its population known.
        shared: arguments that the other task takes from this one where it knows them.

    Raises:
        ValueError: another form, an unknown id, too many turns, other people, or the task itself.
    """
    from acquaint_gym.envs.registration import (  # tasks know contexts as well
        make_task,
        task_arguments,
    )

    if text == NONE:
        return None
    source, turns = text, ""
    if ":" in text:
        source, _, turns = text.rpartition(":")
    spec = gym.registry.get(source)
    target = SOURCES.get(source) or (spec.kwargs.get("task") if spec else None)
    if target is None or not re.fullmatch(r"[1-9][0-9]*" if source != "traits" else "", turns):
        raise ValueError(
            f"context={text!r}: expected none, traits, answers:K or ID:K, K turns of a registered "
            "environment."
        )
    fixed = {} if spec is None else {k: v for k, v in spec.kwargs.items() if k != "task"}
    known = task_arguments(target)
    if "feedback" in known:
        fixed["feedback"] = "choice"  # what is known beforehand is known in full
    task = make_task(target, **{k: v for k, v in shared.items() if k in known}, **fixed)
    people, others = receiver.population, task.population
    if (
        people.factors != others.factors
        or not np.array_equal(people.levels, others.levels)
        or not np.array_equal(people.prior, others.prior)
    ):
        raise ValueError(f"context={text!r}: that task is about other people than this one.")
    if task.stream == receiver.stream:
        raise ValueError(
            f"context={text!r}: that is this task itself; people would repeat answers."
        )
    return Context(task, int(turns or task.num_turns))
