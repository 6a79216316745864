"""Synthetic people: drawn from a task's population, answering by its response model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from envs.core import Users, UserTask
from envs.names import closest
from envs.users.population import SPLITS, PersonStreams, evenly


class Simulator:
    """Synthetic people: levels from the population's prior, answers from the response model.

    Args:
        task: the task they take part in.
        split: `train`, `dev` or `test`: types of people, and people, of different splits differ.
        suite_seed: >= 0; another number is another world of people.

    Raises:
        ValueError: unknown split.
    """

    def __init__(self, task: UserTask, split: str, suite_seed: int) -> None:
        """Lays out each person's block of random numbers."""
        if split not in SPLITS:
            raise ValueError(f"Unknown split {closest(split, SPLITS)}")
        self._task = task
        self._split = split
        self._seed = suite_seed
        # Streams of their own, so that who a person is does not depend on how many turns there are,
        # nor, where a task names slots, what they answer on the order of being asked.
        widths = {"answers": task.num_answers or task.num_turns, "stimuli": task.num_uniforms}
        self._streams = {
            purpose: PersonStreams(suite_seed, f"{purpose}/{split}", width)
            for purpose, width in widths.items()
        }

    @property
    def num_people(self) -> int | None:
        """See `UserSource.num_people`: as many as one likes."""
        return None

    @property
    def stride(self) -> int:
        """See `UserSource.stride`: beyond any number of lanes, so that no two meet one person."""
        return 2**20

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """See `UserSource.draw`."""
        task = self._task
        uniform = {purpose: stream.uniform(person) for purpose, stream in self._streams.items()}
        kind = evenly(self._seed, f"type/{self._split}", person)
        levels = task.population.levels[task.population.draw(self._split, kind)]
        drawn = task.draw_stimuli(uniform["stimuli"])[:, : task.num_turns]
        stimuli, answering = task.settle(drawn, self._split), uniform["answers"]
        slots = task.slots(stimuli)
        if slots is not None:
            answering = np.take_along_axis(answering, slots, axis=1)
        answers = task.model.sample(levels, stimuli, answering[:, : task.num_turns])
        length = np.full(len(person), task.num_turns, dtype=np.int16)
        return Users(person, levels.astype(np.int32), stimuli, answers, length)
