"""The people who may be behind the screen: a finite set of types, a prior, splits, seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints, TableModel

SPLITS = ("train", "dev", "test")
SPLIT_SHARES = (0.72, 0.08, 0.20)
# With fewer types a split could not stand for the population: all splits then share the types, and
# only the people in them differ.
FEWEST_TYPES_TO_SPLIT = 100
MOST_PROFILES = 1_000_000  # of more, one posterior would no longer fit into memory with others


@dataclass(frozen=True)
class Population:
    """Finitely many types of people, each a combination of factor levels.

    Attributes:
        factors: `F` names, e.g. the traits; a single factor for latent classes.
        levels: `[P, F]` int, the level of type p on factor f, in 0..L-1.
        prior: `[P]` float64, probabilities of the types; sums to one.
        grid: `[L]` theta of each level in population standard deviations, or None where the levels
            are unordered (latent classes): then agents report no belief about traits.
        split_by_type: whether train, dev and test people are of different types; profiles are
            unless there are fewer than 100 of them.
    """

    factors: tuple[str, ...]
    levels: Ints
    prior: Floats
    grid: Floats | None
    split_by_type: bool

    @classmethod
    def profiles(
        cls, traits: Sequence[str], grid: Floats, correlation: Floats | None = None
    ) -> Population:
        """All combinations of trait levels, 5^5 = 3,125 for five traits of five levels.

        Args:
            traits: `F` names.
            grid: `[L]` theta of each level.
            correlation: `[F, F]` of a standard multivariate normal; its density at the grid
                points, normalised, is the prior. None for a uniform prior.
        """
        shape = (len(grid),) * len(traits)
        levels = np.stack([index.ravel() for index in np.indices(shape)], axis=1)
        if correlation is None:
            prior = np.full(len(levels), 1.0 / len(levels))
        else:
            # Here, for scipy.stats takes half of the time in which a command starts.
            from scipy.stats import multivariate_normal

            log_density = multivariate_normal(cov=correlation).logpdf(grid[levels])
            prior = np.exp(log_density - log_density.max())
            prior /= prior.sum()
        split_by_type = len(levels) >= FEWEST_TYPES_TO_SPLIT
        return cls(tuple(traits), levels, prior, np.asarray(grid, dtype=float), split_by_type)

    @classmethod
    def classes(cls, prior: Floats) -> Population:
        """Latent classes: one factor whose levels are the classes; every split meets them all."""
        index = np.arange(len(prior))[:, None]
        return cls(("class",), index, np.asarray(prior, dtype=float), None, False)

    @cached_property
    def num_levels(self) -> int:
        """L, the number of levels of a factor."""
        return int(self.levels.max()) + 1

    @cached_property
    def marginals(self) -> Floats:
        """`[F, L]` prior probability of each level of each factor."""
        return np.stack(
            [
                np.bincount(column, weights=self.prior, minlength=self.num_levels)
                for column in self.levels.T
            ]
        )

    @cached_property
    def independent(self) -> bool:
        """Whether the prior is the product of its marginals, as the factored posterior needs it."""
        if len(self.levels) != self.num_levels ** len(self.factors):
            return False
        product = np.prod(
            [m[c] for m, c in zip(self.marginals, self.levels.T, strict=True)], axis=0
        )
        return bool(np.allclose(self.prior, product, rtol=1e-12, atol=0))

    @cached_property
    def splits(self) -> Mapping[str, Ints]:
        """Type indices of train, dev and test: 2,250 / 250 / 625 of 3,125, the same in every run.

        Types are sorted by two Latin keys, (sum_f l_f) mod L and (sum_f f l_f) mod L, and cut: with
        five traits of five levels every split then holds each pair of levels of each pair of
        traits equally often (an orthogonal array; Rao, 1947, J. R. Stat. Soc. Suppl. 9). Types
        cut at random would make a split easier or harder than the population by a point.
        """
        everyone = np.arange(len(self.prior))
        if not self.split_by_type:
            return dict.fromkeys(SPLITS, everyone)
        keys = [
            (self.levels * factor).sum(axis=1) % self.num_levels
            for factor in (np.arange(len(self.factors)), 1)
        ]
        order = np.lexsort(keys)
        cuts = np.rint(np.cumsum(SPLIT_SHARES)[:-1] * len(everyone)).astype(int)
        parts = np.split(order, cuts)
        if not all(map(len, parts)):
            raise ValueError(
                f"{len(everyone)} types cannot be split into {', '.join(SPLITS)} of different "
                "types; set split_by_type=False."
            )
        return dict(zip(SPLITS, map(np.sort, parts), strict=True))

    def draw(self, split: str, uniform: Floats) -> Ints:
        """Types of people by inverse transform of the prior, restricted to a split.

        Args:
            split: `train`, `dev` or `test`.
            uniform: `[B]` in [0, 1), one number per person.

        Returns:
            `[B]` indices into `levels`.
        """
        types = self.splits[split]
        cumulative = self._cumulative[split]
        place = np.searchsorted(cumulative, uniform, side="right")
        return types[np.minimum(place, len(types) - 1)]

    @cached_property
    def _cumulative(self) -> Mapping[str, Floats]:
        """Cumulative prior of each split's types, float32 as the random numbers are."""
        sums = {split: np.cumsum(self.prior[types]) for split, types in self.splits.items()}
        return {split: (total / total[-1]).astype(np.float32) for split, total in sums.items()}


def grid_marginals(weights: Floats, levels: int) -> list[Floats]:
    """Sums `[B, L]` of `[B, L**F]` over all axes but one, F of them; halving reads less memory."""
    batch, size = weights.shape
    if size == levels:
        return [weights]
    left = levels
    while left * left * levels <= size:
        left *= levels
    halves = weights.reshape(batch, left, size // left)
    # Sums as products with ones: BLAS is several times faster than a reduction of a short axis.
    first, second = halves @ np.ones(size // left), np.ones(left) @ halves
    return grid_marginals(first, levels) + grid_marginals(second, levels)


class Profiles(NamedTuple):
    """Profiles of traits, and the items that measure them.

    Attributes:
        bank: the questionnaire that names the traits.
        parameters: how its items depend on the traits; the traits' correlations.
        population: all combinations of trait levels.
    """

    bank: ItemBank
    parameters: GradedParameters
    population: Population

    @property
    def model(self) -> TableModel:
        """How they answer the bank's items."""
        table = self.bank.response_table(np.asarray(self.population.grid), self.parameters)
        return TableModel(table, self.bank.trait)


def load_profiles(questionnaire: str, parameters: str, levels: int) -> Profiles:
    """The people of a personality task: theta -2..2 in equal steps on every trait.

    Args:
        questionnaire: an item bank, e.g. `ipip50`.
        parameters: a parameter set of it, see `GradedParameters.load`; its correlations make the
            prior, uniform where it has none.
        levels: L, levels a trait.

    Raises:
        ValueError: unknown names, or too few or too many levels.
    """
    bank = ItemBank.load(questionnaire)
    if levels < 2 or levels ** len(bank.traits) > MOST_PROFILES:
        most = f"{MOST_PROFILES:,} profiles of {len(bank.traits)} traits"
        raise ValueError(f"levels={levels}; expected at least 2, and at most {most}.")
    graded = GradedParameters.load(bank, parameters)
    grid = np.linspace(-2.0, 2.0, levels)
    return Profiles(bank, graded, Population.profiles(bank.traits, grid, graded.correlation))
