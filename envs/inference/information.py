"""What the answers to many possible questions would be, and how much they would tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import entr

from acquaint_gym.envs.inference.posterior import Inference
from acquaint_gym.envs.users.response_models import Floats, Ints


class _Group(NamedTuple):
    """Stimuli that inform one factor.

    Attributes:
        factor: which row of the beliefs by factor.
        places: `[n]` which stimuli.
        likelihood: `[H, n * K]` p(answer | hypothesis), by stimulus.
        conditional_entropy: `[H, n]` entropy in nats of the answer of somebody who is known.
    """

    factor: int
    places: Ints
    likelihood: Floats
    conditional_entropy: Floats


class AnswerPredictor:
    """Predictions and expected information of a fixed set of stimuli, for any belief.

    Where each stimulus informs one factor, the beliefs about factors are all that is needed, also
    in the joint form: given its factor, an answer depends on nothing else.

    Args:
        engine: the exact inference whose beliefs are given.
        stimuli: `[N, S]`.

    Attributes:
        separable: whether each of them informs one factor.
    """

    def __init__(self, engine: Inference, stimuli: Floats) -> None:
        """Works out how every hypothesis answers every stimulus."""
        population, model = engine.population, engine.model
        self._engine, self.separable = engine, model.separable
        factors: list[int] = [0] * len(stimuli)
        hypotheses: Ints = population.levels
        if self.separable:
            factors = [model.factor(stimulus) or 0 for stimulus in stimuli]
            shape = (population.num_levels, len(population.factors))
            hypotheses = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        self._groups = []
        for factor in sorted(set(factors)):
            places = np.flatnonzero(np.array(factors) == factor)
            probs = model.probs(hypotheses[:, None], stimuli[places][None])  # [H, n, K]
            flat = probs.reshape(len(probs), -1)
            self._groups.append(_Group(factor, places, flat, entr(probs).sum(axis=2)))
        self.num_stimuli, self.num_categories = len(stimuli), probs.shape[2]

    def predict(self, weights: Floats) -> Floats:
        """`[B, N, K]` posterior predictive of the answer to every stimulus, of `[B, F, H]`."""
        beliefs = self.beliefs(weights)
        predictive = np.empty((len(weights), self.num_stimuli, self.num_categories))
        for group in self._groups:
            probs = beliefs[:, group.factor] @ group.likelihood
            predictive[:, group.places] = probs.reshape(len(weights), -1, self.num_categories)
        return predictive

    def information(self, weights: Floats, beliefs: Floats | None = None) -> Floats:
        """`[B, N]` expected information gain of asking, in nats, of beliefs `[B, F, H]`.

        The mutual information of answer and person (Lindley, 1956, Annals of Mathematical
        Statistics 27): entropy of the predictive answer less the mean entropy of the answers of
        people who are known, which equals the expected drop of the posterior's entropy.

        Args:
            weights: the beliefs.
            beliefs: what `beliefs` gives of them, where it is known already.
        """
        beliefs = self.beliefs(weights) if beliefs is None else beliefs
        information = np.empty((len(weights), self.num_stimuli))
        for group in self._groups:
            belief = beliefs[:, group.factor]
            probs = belief @ group.likelihood
            # p log p of probabilities that are all above zero, faster than scipy's entr.
            terms = np.log(probs)
            terms *= probs
            surprise = terms.reshape(len(weights), -1, self.num_categories) @ np.ones(
                self.num_categories
            )
            information[:, group.places] = -surprise - belief @ group.conditional_entropy
        return information

    def beliefs(self, weights: Floats) -> Floats:
        """`[B, F, L]` by factor, where each stimulus informs one, else `weights` themselves."""
        return self._engine.by_factor(weights) if self.separable else weights
