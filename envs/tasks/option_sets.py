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

    Other sets for every split: the steps of a set (0, 1, ... for the values of a feature) are added
    up, and the sum modulo 3 is 0 in train, 1 in dev and 2 in test. To make it so, one step is
    replaced, that of the first feature of the last option. Example: features of 5 and 3 values, two
    options with the steps (4, 2) and (1, 0). The step to be replaced is the 1, the others add up to
    6.

        split      fits           how many   (1 + 6 // 3) modulo that   step   sum
        train, 0   0, 3           2          1                          3      9
        dev, 1     1, 4           2          1                          4      10
        test, 2    2              1          0                          2      8

    The step that was drawn says which of the fitting ones it is, so that all are about equally
    frequent; where 5 drawn steps are dealt out to 2 fitting ones, somebody gets three, and
    the sum of the others changes who.

    Raises:
        ValueError: a first feature of too few values to keep the splits' sets disjoint.
    """

    def __init__(self, values: Sequence[int], num_turns: int, num_options: int) -> None:
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
        # Which of a set's numbers is replaced, and by split what by. A table has a row for every
        # sum of all steps and a column for every step that may have been drawn; its entry number
        # first * sum + drawn is the product of a set with these weights.
        self._replaced, self._replacements = self._size - len(steps), {}
        self._weights = first * np.tile(steps, num_options).astype(np.float32)
        self._weights[self._replaced] += steps[0]
        drawn, total = np.arange(first), np.arange(num_options * steps.sum() + 1)[:, None]
        others, modulus = total - drawn, len(SPLITS)
        for remainder, split in enumerate(SPLITS):
            # Those that fit are lowest, lowest + 3, ... below `first`.
            lowest = (remainder - others) % modulus
            fitting = (first - 1 - lowest) // modulus + 1
            step = lowest + modulus * ((drawn + others // modulus) % fitting)
            self._replacements[split] = (step / steps[0]).astype(np.float32).ravel()

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
        """`[B, T, N * F]` sets that people of another split never meet, from `[B, T, N * F]`."""
        sets = stimuli.reshape(-1, self._size).copy()
        # Sums of float32 that are all but whole.
        place = np.rint(sets @ self._weights).astype(np.intp)
        sets[:, self._replaced] = self._replacements[split].take(place)
        return sets.reshape(stimuli.shape)


def _combinations(values: Sequence[int]) -> Floats:
    """`[n, f]` all combinations of the values of `f` features, from 0 to 1."""
    every = np.stack([place.ravel() for place in np.indices(tuple(values))], axis=1)
    return (every / (np.array(values) - 1)).astype(np.float32)
