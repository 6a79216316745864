"""Sets of options with features on grids, drawn evenly, and other sets for every split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.users.population import SPLITS
from envs.users.response_models import Floats


class OptionSets:
    """T sets of N options, each with F features of a few values, as numbers from 0 to 1.

    Args:
        values: `F` how many values each feature has, >= 2.
        num_turns: T.
        num_options: N.
        catalogue: whether one random number draws an option from the list of all; else every
            feature has its own. For thousands of options, not for millions.

    Raises:
        ValueError: a first feature of too few values to tell the splits apart.
    """

    def __init__(
        self, values: Sequence[int], num_turns: int, num_options: int, catalogue: bool
    ) -> None:
        """Lays out tables."""
        if values[0] < len(SPLITS):
            raise ValueError(f"The first feature has {values[0]} values; {len(SPLITS)} or more.")
        self._turns, steps = num_turns, np.array(values) - 1
        self.num_uniforms = num_turns * num_options * (1 if catalogue else len(steps))
        self._catalogue: Floats | None = None
        if catalogue:
            every = np.stack([place.ravel() for place in np.indices(tuple(values))], axis=1)
            self._catalogue = (every / steps).astype(np.float32)
        row = np.tile(steps, num_turns * num_options)
        self._steps, self._size = row.astype(np.float32), num_options * len(steps)
        # Of 24 bits each, numbers times values: in 32 bits where they fit.
        self._values = (row + 1).astype(np.int32 if row.max() < 127 else np.int64)
        self._moved, self._settled = self._size - len(steps), {}
        drawn, others = np.arange(values[0]), np.arange(num_options * steps.sum() + 1)[:, None]
        for split, kind in enumerate(SPLITS):
            lowest = (split - others) % len(SPLITS)
            # The sum of the others evens out what the division of a few steps by fewer leaves over.
            turn = (drawn + others // len(SPLITS)) % -(-(values[0] - lowest) // len(SPLITS))
            self._settled[kind] = ((lowest + len(SPLITS) * turn) / steps[0]).astype(np.float32)

    def draw(self, uniform: Floats) -> Floats:
        """`[B, T, N * F]` options of even and independent features, from `[B, num_uniforms]`."""
        if self._catalogue is not None:
            number = (uniform * np.float32(len(self._catalogue))).astype(np.intp)
            options = self._catalogue.take(number.ravel(), axis=0)
        else:
            # Random numbers are multiples of 2^-24: without rounding, floor(u * values).
            whole = (uniform * np.float32(2**24)).astype(self._values.dtype)
            whole *= self._values
            whole >>= 24
            options = whole.astype(np.float32)
            options /= self._steps
        return options.reshape(len(uniform), self._turns, -1)

    def settle(self, stimuli: Floats, split: str) -> Floats:
        """`[B, T, N * F]` sets that people of another split never meet, from `[B, T, N * F]`.

        The sum of a set's steps modulo 3 is the split's. The first feature of the last option is
        moved to a step that makes it so, every such step about equally often.
        """
        settled = stimuli.reshape(-1, self._size).copy()
        moved, settling = settled[:, self._moved], self._settled[split]
        drawn = np.rint(moved * self._steps[0])
        # Sums of float32 that are all but whole.
        others = np.rint(settled @ self._steps[: self._size]) - drawn
        place = others * np.float32(settling.shape[1]) + drawn
        moved[:] = settling.ravel().take(place.astype(np.intp))
        return settled.reshape(stimuli.shape)
