"""People of somebody else's source, held to what `Users` promises."""

from __future__ import annotations

from contextlib import AbstractContextManager
from math import gcd

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import name_outsider, resolve
from acquaint_gym.envs.users.people import PeopleError, Users, UserSource


class OutsideSource:
    """A source `people="module:Class"` whose people are checked as they are drawn.

    NumPy would stretch one row over many people and cut 1.5 to 1: other people than the source has.

    Args:
        name: `module:Class`, for the message.
        source: what was made of it.
        task: says which shapes and answers there are.

    Raises:
        PeopleError: the source lacks a part of `UserSource`, or goes from person to person in
            steps that do not lead to all of them.
    """

    def __init__(self, name: str, source: UserSource, task: UserTask) -> None:
        missing = [part for part in ("num_people", "stride", "draw") if not hasattr(source, part)]
        if missing:
            raise PeopleError(
                f"people={name!r} has no {', '.join(missing)}; see envs.users.people.UserSource."
            )
        self._name, self._source, self._task = name, source, task
        stride, num_people = self.stride, self.num_people
        if num_people is not None and gcd(stride, num_people) > 1:
            raise PeopleError(
                f"people={name!r}: stride {stride} and num_people {num_people} have a common "
                "divisor, so that some people are never met; stride=1 always does."
            )

    @classmethod
    def make(cls, name: str, task: UserTask, split: str, suite_seed: int) -> OutsideSource:
        """The source that `people="module:Class"` names.

        Raises:
            ValueError: no such class, or it has no people for this task and split.
            PeopleError: it cannot be made, or lacks a part of `UserSource`.
        """
        source = resolve(name, "Source of people")
        advice = "It is called with the task, the split and the suite seed."
        with name_outsider(f"people={name!r}", PeopleError, advice):
            made = source(task, split, suite_seed)
        return cls(name, made, task)

    @property
    def num_people(self) -> int | None:
        """See `UserSource.num_people`."""
        with self._named():
            num_people = self._source.num_people
        return None if num_people is None else self._whole("num_people", num_people)

    @property
    def stride(self) -> int:
        """See `UserSource.stride`."""
        with self._named():
            stride = self._source.stride
        return self._whole("stride", stride)

    def _whole(self, part: str, number: object) -> int:
        """The number, if it is one to count with."""
        if isinstance(number, int | np.integer) and number > 0:
            return int(number)
        raise PeopleError(
            f"people={self._name!r}: {part} is {number!r}, expected a whole number of at least 1."
        )

    def _named(self) -> AbstractContextManager[None]:
        """Names the source in whatever it raises."""
        return name_outsider(f"people={self._name!r}", PeopleError)

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """See `UserSource.draw`.

        Raises:
            PeopleError: the source raises something, or gives something else than `Users`, an array
                of another shape or type, answers that the task does not have, or nobody who answers
                anything.
        """
        with self._named():
            users = self._source.draw(person)
        task, num = self._task, len(person)
        if not isinstance(users, Users):
            raise PeopleError(
                f"people={self._name!r}: draw() gave {type(users).__name__}, expected "
                "envs.users.people.Users."
            )
        asked, context = task.num_stimuli, task.context
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "person": ((num,), "iu"),
            "levels": ((num, len(task.population.factors)), "iu"),
            "stimuli": ((num, asked, len(task.stimulus_low)), "f"),
            "answers": ((num, asked), "iu"),
            "length": ((num,), "iu"),
            "left": ((num,), "b"),
            "would_accept": ((num, task.num_turns), "b"),
            "context": ((num, context.space.shape[0] if context else 0), "f"),
        }
        for name, (shape, kinds) in shapes.items():
            array = np.asarray(getattr(users, name))
            if array.shape != shape or array.dtype.kind not in kinds:
                words = {"iu": "whole numbers", "f": "floats", "b": "true or false"}[kinds]
                raise PeopleError(
                    f"people={self._name!r}: {name} is {array.dtype} {list(array.shape)}, expected "
                    f"{words} {list(shape)}."
                )
        low, high = users.answers.min(), users.answers.max()
        if low < -1 or high >= len(task.categories) or high < 0:
            raise PeopleError(
                f"people={self._name!r}: answers are {low}..{high}, expected 0.."
                f"{len(task.categories) - 1}, and -1 for what a person does not answer."
            )
        return users
