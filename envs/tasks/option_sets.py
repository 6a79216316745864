"""Sets of options with features on grids, drawn evenly, and other sets for every split."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from acquaint_gym.envs.users.population import SPLITS
from acquaint_gym.envs.users.response_models import Floats

# A longer list would leave a core's cache, and be drawn less evenly from multiples of 2^-24.
LONGEST = 2**14


class OptionSets:
    """T sets of N options, each with F features of a few values, as numbers from 0 to 1.

    One random number draws neighbouring features together, from the list of all combinations of
    their values; as many features as a list of tolerable length has room for.

    Args:
        values: `F` how many values each feature has, >= 2.
        num_turns: T.
        num_options: N.

    Raises:
        ValueError: a first feature of too few values to tell the splits apart.
    """

    def __init__(self, values: Sequence[int], num_turns: int, num_options: int) -> None:
        """Lays out tables."""
        if values[0] < len(SPLITS):
            raise ValueError(f"The first feature has {values[0]} values; {len(SPLITS)} or more.")
        groups: list[list[int]] = [[]]
        for count in values:
            if groups[-1] and prod(groups[-1]) * count > LONGEST:
                groups.append([])
            groups[-1].append(count)
        self._lists = [_combinations(group) for group in groups]
        self.num_uniforms = num_turns * num_options * len(groups)
        steps, first = np.array(values) - 1, values[0]
        self._turns, self._size = num_turns, num_options * len(steps)
        self._moved, self._settled = self._size - len(steps), {}
        # A set's place in the tables: the sum of its steps, and the step that may be moved.
        self._weights = first * np.tile(steps, num_options).astype(np.float32)
        self._weights[self._moved] += steps[0]
        drawn, total = np.arange(first), np.arange(num_options * steps.sum() + 1)[:, None]
        others = total - drawn
        for split, kind in enumerate(SPLITS):
            lowest = (split - others) % len(SPLITS)
            # The sum of the others evens out what the division of a few steps by fewer leaves over.
            turn = (drawn + others // len(SPLITS)) % -(-(first - lowest) // len(SPLITS))
            settled = (lowest + len(SPLITS) * turn) / steps[0]
            self._settled[kind] = settled.astype(np.float32).ravel()

    def draw(self, uniform: Floats) -> Floats:
        """`[B, T, N * F]` options of even and independent features, from `[B, num_uniforms]`."""
        numbers = uniform.reshape(-1, len(self._lists))
        parts = [
            listed.take((column * np.float32(len(listed))).astype(np.intp), axis=0)
            for column, listed in zip(numbers.T, self._lists, strict=True)
        ]
        options = np.concatenate(parts, axis=1) if parts[1:] else parts[0]
        return options.reshape(len(uniform), self._turns, self._size)

    def separate_splits(self, stimuli: Floats, split: str) -> Floats:
        """`[B, T, N * F]` sets that people of another split never meet, from `[B, T, N * F]`.

        The sum of a set's steps modulo 3 is the split's. The first feature of the last option is
        moved to a step that makes it so, every such step about equally often.
        """
        settled = stimuli.reshape(-1, self._size).copy()
        # Sums of float32 that are all but whole.
        place = np.rint(settled @ self._weights).astype(np.intp)
        settled[:, self._moved] = self._settled[split].take(place)
        return settled.reshape(stimuli.shape)


def _combinations(values: Sequence[int]) -> Floats:
    """`[n, f]` all combinations of the values of `f` features, from 0 to 1."""
    every = np.stack([place.ravel() for place in np.indices(tuple(values))], axis=1)
    return (every / (np.array(values) - 1)).astype(np.float32)
