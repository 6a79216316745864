"""The exact posterior over all types of people."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from acquaint_gym.envs.inference.exact import ExactPosterior
from acquaint_gym.envs.users.population import grid_marginals
from acquaint_gym.envs.users.response_models import Floats, Ints


class JointPosterior(ExactPosterior):
    """A belief is `[B, 1, P]`: the probabilities of all types. Exact for any prior and model."""

    _factored = False

    def _lay_out(self) -> tuple[Ints, Floats]:
        """See `ExactPosterior._lay_out`."""
        return self.population.levels, self.population.prior[None, :]

    def predict(
        self, belief: Floats, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """See `Posterior.predict`; stimuli that never recur are worked on all at once."""
        if self.model.recurring:
            return super().predict(belief, stimulus, turn)
        timed = self.model.at_turn(stimulus, turn)
        likelihoods = self.model.likelihoods(self.population.levels, timed)
        return (likelihoods @ belief[:, 0, :, None])[..., 0]

    def _learn(self, belief: Floats, stimulus: Floats, answer: Ints, feedback: Ints) -> None:
        """See `ExactPosterior._learn`; stimuli that never recur are worked on all at once."""
        if self.model.recurring:
            super()._learn(belief, stimulus, answer, feedback)
            return
        likelihoods = self.model.likelihoods(self.population.levels, stimulus)
        likelihood = likelihoods[np.arange(len(answer)), answer]
        self._multiply(belief[:, 0], likelihood, feedback, stimulus)

    def by_factor(self, belief: Floats) -> Floats:
        """See `ExactPosterior.by_factor`."""
        size = self.population.num_levels
        if self._is_grid:
            return np.stack(grid_marginals(belief[:, 0], size), axis=1)
        return (belief[:, 0] @ self._one_hot).reshape(len(belief), -1, size)

    def joint(self, belief: Floats) -> Floats:
        """See `ExactPosterior.joint`."""
        return belief

    def index(self, levels: Ints) -> Ints:
        """See `ExactPosterior.index`.

        Raises:
            ValueError: levels that no type of the population has together.
        """
        number = self._number(levels)
        codes, order = self._numbers
        place = order[np.minimum(np.searchsorted(codes, number), len(codes) - 1)]
        if not np.array_equal(self.population.levels[place], levels):
            raise ValueError("No type of the population has some of these levels together.")
        return place[:, None]

    def levels(self, index: Ints) -> Ints:
        """See `ExactPosterior.levels`."""
        return self.population.levels[index[:, 0]]

    def _number(self, levels: Ints) -> Ints:
        """`[n]` combinations of levels `[n, F]` counted through, the last factor fastest.

        Of two factors with three levels (0, 0) is 0, (0, 2) is 2 and (2, 1) is 7.
        """
        size = self.population.num_levels
        return levels.astype(np.int64) @ size ** np.arange(levels.shape[1])[::-1]

    @cached_property
    def _numbers(self) -> tuple[Ints, Ints]:
        """`[P]` the types' numbers, sorted, and `[P]` which type each belongs to."""
        numbers = self._number(self.population.levels)
        order = np.argsort(numbers)
        return numbers[order], order

    @cached_property
    def _is_grid(self) -> bool:
        """Whether there are all combinations of levels, in order: marginals are sums over axes."""
        levels = self.population.levels
        return len(levels) == self.population.num_levels ** levels.shape[1] and np.array_equal(
            self._number(levels), np.arange(len(levels))
        )

    @cached_property
    def _one_hot(self) -> Floats:
        """`[P, F * L]` the types' levels, so that marginals are one product."""
        levels = self.population.levels
        one_hot = levels[..., None] == np.arange(self.population.num_levels)
        return one_hot.reshape(len(levels), -1).astype(np.float64)
