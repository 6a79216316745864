"""What a small policy reads of a conversation: transcripts as numbers, by one of three views."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.episodes import observation_space
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints


class Features(ABC):
    """A function of transcripts alone, so that a policy behind it is one too.

    Args:
        task: whose transcripts.

    Attributes:
        space: of `observe`, for one person.
    """

    space: spaces.Space[object]

    def __init__(self, task: UserTask) -> None:
        self.task = task

    @abstractmethod
    def numbers(self, observation: Transcript) -> Floats:
        """`[B, D]` float64, what goes into the first layer after these transcripts."""

    def observe(self, observation: Transcript) -> object:
        """The same in the form of `space`, with a batch axis, for Stable-Baselines3."""
        return self.numbers(observation).astype(np.float32)


class TranscriptFeatures(Features):
    """The environment's own observation, part after part."""

    def __init__(self, task: UserTask) -> None:
        super().__init__(task)
        self.space = self._parts = observation_space(task, "transcript")

    def numbers(self, observation: Transcript) -> Floats:
        """See `Features.numbers`: in the order in which `MultiInputPolicy` joins the parts."""
        return np.concatenate([observation[key] for key in self._parts], axis=1).astype(np.float64)

    def observe(self, observation: Transcript) -> object:
        """See `Features.observe`: a plain dict, as it came."""
        return dict(observation)


class TurnFeatures(Features):
    """This turn, for policies that remember: the last action and answer, and what is asked.

    `[A]` the last action and `[K]` the last answer one-hot, the share of turns that are over, and
    what is known beforehand; then the present stimulus: of an item bank one-hot, otherwise scaled
    to 0..1; or, where the agent itself asks, which actions are legal.
    """

    def __init__(self, task: UserTask) -> None:
        super().__init__(task)
        self._codes = {
            "actions": _one_hot(len(task.actions)),
            "answers": _one_hot(len(task.categories)),
        }
        self._span = np.maximum(task.stimulus_high - task.stimulus_low, 1e-9)
        stimulus = len(self._span)
        if task.bank is not None:
            stimulus = task.bank.num_items
            self._items = _one_hot(stimulus)
        now = 1 + (len(task.actions) if task.agent_asks else stimulus)
        self.space = spaces.Box(-np.inf, np.inf, (self._before() + now,), np.float32)

    def _before(self) -> int:
        """How many numbers tell what was before."""
        context = self.task.context
        known = 0 if context is None else context.space.shape[0]
        return known + sum(code.shape[1] for code in self._codes.values())

    def numbers(self, observation: Transcript) -> Floats:
        """See `Features.numbers`."""
        turn = observation.turn
        # Before the first turn nothing stands at the first place, which is the nearest one.
        last = [
            code[_at(observation[key], turn - 1).astype(np.int64)]
            for key, code in self._codes.items()
        ]
        known = [observation["context"]] if "context" in observation else []
        return np.concatenate([*last, *known, *self._now(observation, turn)], axis=1)

    def _now(self, observation: Transcript, turn: Ints) -> list[Floats]:
        """How far the conversation is, and what it is about now; zeros where it is over."""
        task, begun = self.task, (turn < self.task.num_turns)[:, None]
        now = [turn[:, None] / task.num_turns]
        if task.agent_asks:
            return [*now, observation["action_mask"] * begun]
        stimulus = _at(observation.stimuli, turn)
        if task.bank is not None:
            return [*now, begun * self._items[stimulus[:, 0].astype(np.int64)]]
        return [*now, begun * (stimulus - task.stimulus_low) / self._span]


class BeliefFeatures(TurnFeatures):
    """As `TurnFeatures`, the exact posterior in place of the last answer: nothing to remember.

    `[F * L]` the marginal posterior of each trait under the task's own model, worked out from the
    answers in the transcript.

    Raises:
        ValueError: people of unordered types, of whom there are thousands.
    """

    def __init__(self, task: UserTask) -> None:
        if task.population.grid is None:
            raise ValueError(
                "view=belief: these people are of unordered types, whose posterior is too large to "
                "be read by a policy; take people with traits, or view=turn or view=transcript."
            )
        super().__init__(task)
        self._posterior = TranscriptPosterior(task)

    def _before(self) -> int:
        """See `TurnFeatures._before`."""
        return len(self.task.population.factors) * self.task.population.num_levels

    def numbers(self, observation: Transcript) -> Floats:
        """See `Features.numbers`."""
        turn = observation.turn
        marginals = self._posterior.marginals(observation)
        assert marginals is not None  # the levels are ordered
        known = marginals.reshape(len(turn), -1)
        return np.concatenate([known, *self._now(observation, turn)], axis=1)


VIEWS: dict[str, type[Features]] = {
    "transcript": TranscriptFeatures,
    "turn": TurnFeatures,
    "belief": BeliefFeatures,
}


def make_features(name: str, task: UserTask) -> Features:
    """A view by name.

    Raises:
        ValueError: no such view, or a task that it cannot show.
    """
    if name not in VIEWS:
        raise ValueError(f"Unknown view {closest(name, VIEWS)}")
    return VIEWS[name](task)


def _at(values: npt.NDArray[np.floating], turn: Ints) -> npt.NDArray[np.floating]:
    """`[B, ...]` what stands at turns `[B]` of `[B, T, ...]`; the nearest where there is none."""
    return values[np.arange(len(turn)), np.minimum(np.maximum(turn, 0), values.shape[1] - 1)]


def _one_hot(size: int) -> Floats:
    """`[size + 1, size]` by index: 1 at its place; nothing for -1, which is the last row."""
    return np.eye(size + 1, size)
