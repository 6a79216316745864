"""A batch of hidden people, and where they come from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Users(NamedTuple):
    """A batch of hidden people, complete from the start: every agent would meet the same answers.

    N is T, one stimulus a turn; where agents choose what to ask, it is all that can be asked.

    Attributes:
        person: `[B]` int64 the people's numbers.
        levels: `[B, F]` int32 hidden factor levels, of the last turn where people drift; -1 where
            nobody knows them.
        stimuli: `[B, N, S]` float32 what each turn asks, or can be asked; -1 beyond `length`.
        answers: `[B, N]` int8 what the person replies to it; -1 beyond `length`.
        length: `[B]` int16 turns of the person's episode, 0..T.
        left: `[B]` whether the person leaves before the task is over.
        would_accept: `[B, T]` whether the person would accept the action that equals their answer.
        context: `[B, C * (S' + 1)]` float32 what is known of them from another task, see
            `envs.core.Context`; C = 0 without one.
    """

    person: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int32]
    stimuli: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int8]
    length: npt.NDArray[np.int16]
    left: npt.NDArray[np.bool_]
    would_accept: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]

    @classmethod
    def from_answers(
        cls,
        person: npt.NDArray[np.int64],
        levels: npt.NDArray[np.int32],
        stimuli: npt.NDArray[np.float32],
        answers: npt.NDArray[np.int8],
        num_turns: int,
    ) -> Users:
        """People who stay for as many turns as they have answers, and without a context.

        Args:
            person: `[B]` the people's numbers.
            levels: `[B, F]`, -1 where nobody knows them.
            stimuli: `[B, N, S]` what each turn asks, or can be asked.
            answers: `[B, N]` replies; -1 for none, at the end only.
            num_turns: T, the longest episode.
        """
        num, answered = len(person), answers >= 0
        length = np.minimum(answered.sum(axis=1), num_turns).astype(np.int16)
        stimuli = np.where(answered[..., None], stimuli, np.float32(-1))
        left, would_accept = np.zeros(num, dtype=bool), np.ones((num, num_turns), dtype=bool)
        none = np.zeros((num, 0), dtype=np.float32)
        return cls(person, levels, stimuli, answers, length, left, would_accept, none)


class PeopleError(ValueError):
    """A source of people gives something else than people of the task; says what came instead."""


class UserSource(Protocol):
    """Where people come from: the simulator, recorded rows, or `people="module:Class"`.

    That class may ask a language model or a server; it is called with the task, the split and the
    number of the world of people: `Class(task, split, suite_seed)`, and raises a `ValueError` for
    a split or a task that it has no people for. `tests/outsider/people.py` is a whole one.
    """

    @property
    def num_people(self) -> int | None:
        """How many there are; None for as many as one likes, numbered 0 to below 2**62."""

    @property
    def stride(self) -> int:
        """How much further on the next person of a lane is; prime to `num_people`.

        So a lane that is reset again and again meets all of them in turn.
        """

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """The people with these numbers `[B]`, with all the answers that they would ever give.

        A person is the same in whatever batch, process or order they are drawn, so every agent
        meets the same answers: draw from `envs.users.PersonStreams`, or keep what a server
        answered. `Users` says which arrays; `Users.from_answers` makes them from stimuli and
        answers. Hidden levels that nobody knows are -1: metrics that need them say so, all others
        are computed.
        """
