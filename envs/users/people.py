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
            `envs.context`; C = 0 without one.
    """

    person: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int32]
    stimuli: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int8]
    length: npt.NDArray[np.int16]
    left: npt.NDArray[np.bool_]
    would_accept: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]


class UserSource(Protocol):
    """Where people come from."""

    @property
    def num_people(self) -> int | None:
        """How many there are; None for as many as one likes."""

    @property
    def stride(self) -> int:
        """How much further on the next person of a lane is."""

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """The people with these numbers `[B]`, the same in whatever batch they are drawn."""
