"""Real respondents as the hidden people of a task that asks questionnaire items."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.files import locate
from acquaint_gym.envs.users.coding import Coding
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.humans import load_respondents, split_rows
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.quirks import Quirks


class Respondents:
    """Replays recorded answers. Person k is row k of the split; an unanswered item is not asked.

    Args:
        task: a task with an item bank.
        path: the file, see `envs.files.locate`, in a format that
            `envs.users.humans.load_respondents` reads.
        split: `train`, `dev` or `all`.
        suite_seed: fixes the order of items where the task shuffles them.

    Raises:
        ValueError: a task without items, an unreadable file, or a split without people.
    """

    def __init__(self, task: UserTask, path: str, split: str, suite_seed: int) -> None:
        if task.bank is None:
            raise ValueError(
                f"{type(task).__name__} asks no questionnaire items; drop respondents."
            )
        if task.context is not None or task.quirks != Quirks():
            raise ValueError("Recorded respondents have no context and no quirks; drop them.")
        recorded = load_respondents(
            locate(path), task.bank, Coding.parse(task.bank, task.codes, task.missing)
        )
        chosen = split_rows(recorded.row, split)
        if task.agent_asks:  # anything may be asked
            chosen &= (recorded.answers >= 0).all(axis=1)
        if not chosen.any():
            whole = " who answered every item" if task.agent_asks else ""
            raise ValueError(f"{path}: no respondent in split {split!r}{whole}.")
        self._answers, self._row = recorded.answers[chosen], recorded.row[chosen]
        self._task = task
        self._streams = PersonStreams(suite_seed, "respondents", task.num_uniforms)

    @property
    def num_people(self) -> int | None:
        """See `UserSource.num_people`: the rows of the split."""
        return len(self._answers)

    @property
    def stride(self) -> int:
        """See `UserSource.stride`: prime to the number of people, so that all are met in turn."""
        num = len(self._answers)
        near = round(num * 0.618)  # the golden section spreads successive people over the file
        return next(s for s in range(max(near, 1), near + num + 1) if math.gcd(s, num) == 1)

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """See `UserSource.draw`; numbers beyond the last row start over at the first."""
        task = self._task
        row = person % len(self._answers)
        recorded = self._answers[row]
        stimuli = task.draw_stimuli(self._streams.uniform(row))
        answers = np.take_along_axis(recorded, stimuli[..., 0].astype(np.int64), axis=1)
        order = np.argsort(answers < 0, axis=1, kind="stable")[:, : task.num_stimuli]
        answers = np.take_along_axis(answers, order, axis=1)
        stimuli = np.take_along_axis(stimuli, order[..., None], axis=1)
        levels = task.known_levels(self._row[row], recorded)
        return Users.from_answers(person, levels, stimuli, answers, task.num_turns)
