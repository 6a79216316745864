"""People who weigh the features of options, and choose the one of greatest utility.

Qiu, Sha, Allen, Kim, Linzen & van Steenkiste, "Bayesian teaching enables probabilistic reasoning in
large language models", Nature Communications 17, 1238.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.population import FEWEST_TYPES_TO_SPLIT, Population
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

WEIGHTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
# Options whose utilities differ by less are equally good: more than float32 rounds off, and less
# than any step of a feature is worth.
MARGIN = 1e-4
# The most types of people held in full; of more, a seeded sample stands for them.
MOST_TYPES = 4000
SAMPLE = 1000


class WeighedOptions(ResponseModel):
    """A person picks the option of greatest utility, the weights times the normalised features.

    `indicator`: p = 1 - floor for the best option, the first of equally good ones; the floor is
    shared by all. `softmax`: p proportional to exp(temperature * utility).

    A subclass that overrides `coded` or `utilities` overrides `near_utilities` with it.

    Args:
        num_options: N.
        likelihood: `indicator` or `softmax`.
        temperature: inverse temperature of `softmax`, > 0.
        floor: probability shared by all options under `indicator`, > 0, so that one slip does not
            rule a person out for good.
    """

    def __init__(self, num_options: int, likelihood: str, temperature: float, floor: float) -> None:
        if likelihood not in ("indicator", "softmax"):
            raise ValueError(f"Unknown likelihood {closest(likelihood, ('indicator', 'softmax'))}")
        if not 0 < temperature < np.inf or not 0 < floor < 1:
            raise ValueError(f"temperature={temperature}, floor={floor}; expected > 0, and 0..1.")
        self._options = num_options
        self._softmax = likelihood == "softmax"
        self._temperature, self._floor = temperature, floor
        # [N - 1] what the floor adds to the probabilities of the first options, up to each.
        self._shared = (np.arange(1, num_options) * floor / num_options).astype(np.float32)

    def weights(self, levels: Ints) -> Floats:
        """`[..., F']` weight of each feature to people of levels `[..., F]`."""
        return WEIGHTS[levels]

    def encode(self, stimulus: Floats) -> Floats:
        """`[..., N, F']` the features that are weighed, of the options in stimuli `[..., S]`."""
        return stimulus.reshape(*stimulus.shape[:-1], self._options, -1).astype(np.float64)

    def utilities(self, weights: Floats, stimulus: Floats) -> Floats:
        """`[..., N]` utility of each option to people with weights `[..., F']`."""
        return np.einsum("...nf,...f->...n", self.encode(stimulus), weights)

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        utilities = self.utilities(self.weights(levels), stimulus)
        best = utilities.max(axis=-1, keepdims=True)
        if self._softmax:
            odds = np.exp(self._temperature * (utilities - best))
            return odds / odds.sum(axis=-1, keepdims=True)
        first = (utilities >= best - MARGIN).argmax(axis=-1)
        chosen = np.arange(self._options) == first[..., None]
        return np.where(chosen, 1 - self._floor, 0.0) + self._floor / self._options

    def sample(self, levels: Ints, stimuli: Floats, uniform: Floats) -> npt.NDArray[np.int8]:
        """As the general form, in float32, and in the general form what that cannot decide."""
        utilities, error = self.near_utilities(levels, stimuli.astype(np.float32, copy=False))
        # [N, B, T]: passes along many people are fast, along a few options they are not.
        options = np.ascontiguousarray(utilities.reshape(*uniform.shape, -1).transpose(2, 0, 1))
        options -= options.max(axis=0)
        last = len(options) - 1
        if self._softmax:
            odds = np.exp(np.float32(self._temperature) * options)
            for option in range(last):
                odds[option + 1] += odds[option]
            cumulative = odds[:last] / odds[last]
            # Log-odds that are off by d move a share by d / 2 at most.
            error *= self._temperature / 2
        else:
            if np.abs(options + np.float32(MARGIN)).min() <= error:
                return super().sample(levels, stimuli, uniform)
            taken, error = options >= -np.float32(MARGIN), 0.0
            for option in range(last):
                taken[option + 1] |= taken[option]
            cumulative = taken[:last] * np.float32(1 - self._floor)
            cumulative += self._shared[:, None, None]
        return self.sample_near(cumulative, error + 1e-6, levels, stimuli, uniform)

    def near_utilities(self, levels: Ints, stimuli: Floats) -> tuple[Floats, float]:
        """`[B, T * N]` float32 utilities of options to people of levels `[B, F]`, quickly.

        With the most by which the difference of two of them may be off.
        """
        weights = self.weights(levels).astype(np.float32)
        size = weights.shape[1]
        options = stimuli.reshape(len(stimuli), -1, size)
        # Each product and each sum rounds by 2^-24 of what the features, 0..1, can add up to.
        error = 2 * (size + 2) * 2.0**-24 * size * float(np.abs(weights).max())
        return (options @ weights[:, :, None])[..., 0], error

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """As the general form, with all utilities in one product: a teacher's time is here."""
        return self._likelihoods(self.weights(levels), stimulus)

    def _likelihoods(self, weights: Floats, stimulus: Floats) -> Floats:
        """`[n, N, P]` choice probabilities of people with weights `[P, F']` at `[n, S]`."""
        options = self.encode(stimulus).reshape(-1, weights.shape[1])
        # In place: there are many, and fresh memory costs more than what is done with it.
        likelihoods = (options @ weights.T).reshape(len(stimulus), self._options, -1)
        best = likelihoods.max(axis=1)
        if self._softmax:
            likelihoods -= best[:, None]
            likelihoods *= self._temperature
            np.exp(likelihoods, out=likelihoods)
            likelihoods /= likelihoods.sum(axis=1, out=best)[:, None]
            return likelihoods
        best -= MARGIN
        taken = np.zeros(best.shape, dtype=bool)
        for option in range(self._options):
            first = (likelihoods[:, option] >= best) & ~taken
            taken |= first
            likelihoods[:, option] = first
        likelihoods *= 1 - self._floor
        likelihoods += self._floor / self._options
        return likelihoods


def weighing_people(features: tuple[str, ...]) -> Population:
    """All combinations of weights but the zero vector, equally probable; a sample if too many."""
    full = Population.profiles(features, WEIGHTS)
    types = np.flatnonzero((WEIGHTS[full.levels] != 0).any(axis=1))
    if len(types) > MOST_TYPES:
        stream = np.random.Generator(np.random.Philox(key=len(types)))
        types = np.sort(stream.choice(types, SAMPLE, replace=False))
    prior = np.full(len(types), 1 / len(types))
    return Population(
        features, full.levels[types], prior, WEIGHTS, len(types) >= FEWEST_TYPES_TO_SPLIT
    )


class TraitOptions(WeighedOptions):
    """People whose traits decide how they weigh the features; softmax choice (McFadden, 1974).

    The weight of a feature is base + sum over traits of theta times the mapping's entry: a random
    utility with Gumbel noise, in units of which the weights are multiplied by the temperature.

    Args:
        num_options: N.
        temperature: inverse temperature, > 0.
        population: the people; its grid gives theta of each level.
        base: `[F']` weight of each feature to a person whose traits are all average.
        mapping: `[F, F']` change of each weight with a trait, per standard deviation.
    """

    def __init__(
        self,
        num_options: int,
        temperature: float,
        population: Population,
        base: Floats,
        mapping: Floats,
    ) -> None:
        super().__init__(num_options, "softmax", temperature, floor=0.5)
        assert population.grid is not None  # profiles of traits have one
        self._grid, self._base, self._mapping = population.grid, base, mapping
        self._everyone = population.levels
        # Traits without an entry make no difference; a sum of float products might.
        matter = population.levels[:, (mapping != 0).any(axis=1)]
        _, first, self._alike = np.unique(matter, axis=0, return_index=True, return_inverse=True)
        self._alike = self._alike.ravel()
        self._distinct = self.weights(population.levels[first])

    def weights(self, levels: Ints) -> Floats:
        """See `WeighedOptions.weights`."""
        return self._base + self._grid[levels] @ self._mapping

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """As the general form; for all types of the population once for those that weigh alike."""
        if levels is not self._everyone:
            return super().likelihoods(levels, stimulus)
        return self._likelihoods(self._distinct, stimulus).take(self._alike, axis=2)


class WantedOptions(WeighedOptions):
    """People who want some values of some features: one point for each that an option has.

    The first of the options with the most points is chosen, up to the floor of `indicator`.

    Args:
        num_options: N.
        floor: see `WeighedOptions`.
        values: `F` number of values of each feature of an option; a stimulus holds them normalised.
        wanted: `[P, F]` the value that each type of person, in its order, wants of each feature,
            -1 for any.
    """

    def __init__(self, num_options: int, floor: float, values: Ints, wanted: Ints) -> None:
        super().__init__(num_options, "indicator", temperature=1.0, floor=floor)
        self._values = values
        self._weights = np.concatenate(
            [column[:, None] == np.arange(n) for column, n in zip(wanted.T, values, strict=True)],
            axis=1,
        ).astype(np.float64)
        as_shown = np.where(wanted < 0, -1, wanted / (values - 1)).astype(np.float32)
        self._as_shown = np.tile(as_shown, num_options)

    def weights(self, levels: Ints) -> Floats:
        """See `WeighedOptions.weights`; a person's only level is their type."""
        return self._weights[levels[..., 0]]

    def encode(self, stimulus: Floats) -> Floats:
        """See `WeighedOptions.encode`: one number for every value of a feature, 1 for its own."""
        steps = np.rint(super().encode(stimulus) * (self._values - 1)).astype(np.int64)
        place = np.cumsum(self._values) - self._values + steps
        codes = np.zeros((*steps.shape[:-1], int(self._values.sum())))
        np.put_along_axis(codes, place, 1.0, axis=-1)
        return codes

    def near_utilities(self, levels: Ints, stimuli: Floats) -> tuple[Floats, float]:
        """See `WeighedOptions.near_utilities`: points are counted, without any error."""
        wanted = self._as_shown.take(levels[:, 0], axis=0)
        points = (stimuli == wanted[:, None]).astype(np.float32)
        size = len(self._values)
        return points.reshape(-1, size) @ np.ones(size, dtype=np.float32), 0.0
