"""What an agent sees of a conversation."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.response_models import Floats, Ints


class Rules(Protocol):
    """What transcripts need to know of their task; every `envs.core.UserTask` has it."""

    @property
    def agent_asks(self) -> bool:
        """Whether the agent chooses what the person is asked."""

    def legal(self, observation: Transcript) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are allowed after these transcripts."""


class Transcript(dict[str, Floats]):
    """What has happened in the conversations with B people, as agents receive it.

    A dict of float32 arrays, the observation of an environment; `Transcript(observation)` takes
    what `reset` or `step` returned and copies no array. -1 where nothing stands yet.

    - `turn` `[B, 1]`: how many answers have been given.
    - `stimuli` `[B, T * S]`: what each turn asked. The stimulus of the present turn stands here,
      unless the agent is to choose it; its answer does not.
    - `actions` `[B, T]`: what the agent did.
    - `answers` `[B, T]`: what the person answered; with `feedback="accept"` 1 for an accepted
      action and 0 for a rejected one.
    - `context` `[B, C * (S' + 1)]`: in a task that has one, what is known of the person from
      another task: C times a stimulus of that task and the person's answer.
    - `action_mask` `[B, A]`: where the agent chooses what to ask, 1 for what it may choose now.

    All parts are flat, as Stable-Baselines3 wants them; properties give them in their own shape.
    One person's transcript, see `person`, has the same parts without the batch axis.
    """

    @classmethod
    def of(
        cls,
        turn: Ints,
        stimuli: Floats,
        actions: Floats | Ints,
        answers: Floats | Ints,
        *,
        context: Floats | None = None,
        action_mask: Floats | npt.NDArray[np.bool_] | None = None,
    ) -> Transcript:
        """Transcripts from arrays, which are copied; without the batch axis, of one person.

        Args:
            turn: `[B]` how many answers have been given.
            stimuli: `[B, T, S]`.
            actions: `[B, T]`.
            answers: `[B, T]`.
            context: `[B, C * (S' + 1)]`, in a task that has one.
            action_mask: `[B, A]`, where agents choose what to ask.
        """
        made = cls(
            turn=_copy(np.asarray(turn)[..., None]),
            stimuli=_copy(stimuli).reshape(*stimuli.shape[:-2], -1),
            actions=_copy(actions),
            answers=_copy(answers),
        )
        if context is not None:
            made["context"] = _copy(context)
        if action_mask is not None:
            made["action_mask"] = _copy(action_mask)
        return made

    @property
    def num_people(self) -> int:
        """B."""
        return len(self["turn"])

    @property
    def turn(self) -> npt.NDArray[np.int64]:
        """`[B]` how many answers have been given, which is the number of the present turn."""
        return self["turn"][..., 0].astype(np.int64)

    @property
    def stimuli(self) -> Floats:
        """`[B, T, S]` what each turn asked, a view; -1 where nothing was asked yet."""
        return self["stimuli"].reshape(*self["answers"].shape, -1)

    @property
    def present_stimulus(self) -> Floats:
        """`[B, S]` the stimulus to which an answer is due; the last one after the end."""
        last = self["answers"].shape[1] - 1
        return self.stimuli[np.arange(self.num_people), np.minimum(self.turn, last)]

    def latest(self) -> dict[str, Floats]:
        """The observation `turn` of an environment: the end of these transcripts, -1 for nothing.

        `turn` `[B, 1]`, `stimulus` `[B, S]` of the present turn, `action` and `answer` `[B, 1]` of
        the turn before; `context` and `action_mask` as they are.
        """
        rows, turn = np.arange(self.num_people), self.turn
        # A spare column at the end: nothing is asked after the last turn, or said before the first.
        stimuli, actions, answers = (
            np.concatenate([part, np.full_like(part[:, :1], -1)], axis=1)
            for part in (self.stimuli, self["actions"], self["answers"])
        )
        return {
            "turn": self["turn"],
            "stimulus": stimuli[rows, turn],
            "action": actions[rows, turn - 1, None],
            "answer": answers[rows, turn - 1, None],
            **{key: self[key] for key in ("context", "action_mask") if key in self},
        }

    def rows(self, rows: slice | Ints | npt.NDArray[np.bool_]) -> Transcript:
        """The transcripts of some of the people: views for a slice, else copies."""
        return Transcript({key: part[rows] for key, part in self.items()})

    def person(self, row: int) -> Transcript:
        """The transcript of one person, without the batch axis: views."""
        return Transcript({key: part[row] for key, part in self.items()})

    def at(self, turn: Ints, task: Rules) -> Transcript:
        """These transcripts as they were at earlier turns `[B]`, copied.

        Args:
            turn: `[B]`, at most the present turns.
            task: whose transcripts they are; it says what could be chosen then.
        """
        turns = np.arange(self["answers"].shape[1])
        over = turns < turn[:, None]
        asked = turns < turn[:, None] + (0 if task.agent_asks else 1)
        then = Transcript.of(
            turn,
            np.where(asked[:, :, None], self.stimuli, -1),
            np.where(over, self["actions"], -1),
            np.where(over, self["answers"], -1),
            context=self.get("context"),
        )
        return then.with_mask(task)

    def with_mask(self, task: Rules) -> Transcript:
        """The same with `action_mask`, in a task in which agents choose what to ask."""
        if not task.agent_asks:
            return self
        return self.replace(action_mask=task.legal(self).astype(np.float32))

    def between_turns(self) -> Transcript:
        """The same after the last answer, with nothing asked yet."""
        stimuli = self.stimuli.copy()
        stimuli[np.arange(stimuli.shape[1]) >= self["turn"]] = -1
        return self.replace(stimuli=stimuli.reshape(len(stimuli), -1))

    def replace(self, **parts: Floats) -> Transcript:
        """The same with other parts."""
        return Transcript({**self, **parts})


def _copy(part: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A copy in float32; environments make one at every step, and `copy` is the fastest way."""
    return part.copy() if part.dtype == np.float32 else part.astype(np.float32)
