"""People who weigh the features of options: Qiu et al. (2026).

Qiu, Sha, Allen, Kim, Linzen & van Steenkiste, "Bayesian teaching enables probabilistic reasoning in
large language models", Nature Communications 17, 1238.
"""

from __future__ import annotations

import numpy as np

from envs.names import closest
from envs.users.population import FEWEST_TYPES_TO_SPLIT, Population
from envs.users.response_models import Floats, Ints, ResponseModel

WEIGHTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
# The most types of people held in full; of more, a seeded sample stands for them.
MOST_TYPES = 4000
SAMPLE = 1000


class WeighedOptions(ResponseModel):
    """A person picks the option of greatest utility, the weights times the normalised features.

    `indicator`: p = 1 - floor for the best option, the first of equally good ones; the floor is
    shared by all. `softmax`: p proportional to exp(temperature * utility).

    Args:
        num_options: N.
        likelihood: `indicator` or `softmax`.
        temperature: inverse temperature of `softmax`, > 0.
        floor: probability shared by all options under `indicator`, > 0, so that one slip does not
            rule a person out for good.
    """

    def __init__(self, num_options: int, likelihood: str, temperature: float, floor: float) -> None:
        """Stores the settings."""
        if likelihood not in ("indicator", "softmax"):
            raise ValueError(f"Unknown likelihood {closest(likelihood, ('indicator', 'softmax'))}")
        if temperature <= 0 or not 0 < floor < 1:
            raise ValueError(f"temperature={temperature}, floor={floor}; expected > 0, and 0..1.")
        self._options = num_options
        self._softmax = likelihood == "softmax"
        self._temperature, self._floor = temperature, floor

    def utilities(self, weights: Floats, stimulus: Floats) -> Floats:
        """`[..., N]` utility of each option to people with weights `[..., F]`."""
        options = stimulus.reshape(*stimulus.shape[:-1], self._options, -1).astype(np.float64)
        return np.einsum("...nf,...f->...n", options, weights)

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        utilities = self.utilities(WEIGHTS[levels], stimulus)
        best = utilities.max(axis=-1, keepdims=True)
        if self._softmax:
            odds = np.exp(self._temperature * (utilities - best))
            return odds / odds.sum(axis=-1, keepdims=True)
        # Utilities are multiples of a coarse step; the margin forgives what float32 rounds off.
        first = (utilities >= best - 1e-6).argmax(axis=-1)
        chosen = np.arange(self._options) == first[..., None]
        return np.where(chosen, 1 - self._floor, 0.0) + self._floor / self._options

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """As the general form, with all utilities in one product: a teacher's time is here."""
        size, features = len(stimulus), levels.shape[1]
        options = stimulus.reshape(-1, features).astype(np.float64)
        utilities = (options @ WEIGHTS[levels].T).reshape(size, self._options, -1)
        best = utilities.max(axis=1, keepdims=True)
        if self._softmax:
            odds = np.exp(self._temperature * (utilities - best))
            return odds / odds.sum(axis=1, keepdims=True)
        likelihoods = np.full(utilities.shape, self._floor / self._options)
        taken = np.zeros(best[:, 0].shape, dtype=bool)
        for option in range(self._options):
            first = (utilities[:, option] >= best[:, 0] - 1e-6) & ~taken
            likelihoods[:, option] += (1 - self._floor) * first
            taken |= first
        return likelihoods


def weighing_people(features: tuple[str, ...]) -> Population:
    """All combinations of weights but the zero vector, equally probable; a sample if too many."""
    full = Population.profiles(features, WEIGHTS)
    some = np.flatnonzero((WEIGHTS[full.levels] != 0).any(axis=1))
    if len(some) > MOST_TYPES:
        stream = np.random.Generator(np.random.Philox(key=len(some)))
        some = np.sort(stream.choice(some, SAMPLE, replace=False))
    prior = np.full(len(some), 1 / len(some))
    return Population(
        features, full.levels[some], prior, WEIGHTS, len(some) >= FEWEST_TYPES_TO_SPLIT
    )
