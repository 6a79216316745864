"""Likelihoods of stimuli, worked out once: of those that recur, and of all that may be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr

from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

# The smallest probability above zero, whose logarithm is finite.
TINY = np.finfo(np.float64).tiny


class Likelihoods:
    """p(answer | hypothesis) of stimuli, in a table that grows with what is asked.

    The table has one entry `[K, H]` per stimulus, in the order in which stimuli were met first. It
    starts with space for 16 and doubles when that is used up: a bank of 50 items needs spaces of
    16, 32 and 64, so that entries are copied twice instead of fifty times. A task that never
    repeats a stimulus must not fill the memory: when `limit` stimuli are known and another comes,
    all are dropped and the table begins again with the stimuli of the present call.

    Args:
        model: how people answer.
        hypotheses: `[H, F]` levels.
        by_factor: whether a stimulus informs one factor, which the model names.
        limit: stimuli that are kept, unless one call asks for more; more than any bank has.
    """

    def __init__(
        self, model: ResponseModel, hypotheses: Ints, by_factor: bool, limit: int = 1024
    ) -> None:
        self._model, self._hypotheses, self._by_factor = model, hypotheses, by_factor
        self._limit = limit
        self._places: dict[bytes, int] = {}
        self._table: Floats = np.zeros((0, 0, 0))
        self._row = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        """How many stimuli are kept."""
        return len(self._places)

    def of(self, stimulus: Floats) -> tuple[int, Floats]:
        """Row of the belief that a stimulus `[S]` informs, and its likelihood `[K, H]`."""
        place = int(self._find(stimulus[None])[0])
        return int(self._row[place]), self._table[place]

    def of_answers(self, stimulus: Floats, answer: Ints) -> tuple[Ints, Floats]:
        """`[b]` informed rows, and `[b, H]` likelihoods, of answers `[b]` to stimuli `[b, S]`."""
        places = self._find(stimulus)
        return self._row[places], self._table[places, answer]

    def _find(self, stimuli: Floats) -> Ints:
        """`[n]` where stimuli `[n, S]` stand in the table."""
        # A stimulus is looked up by its bytes: its S numbers seen as one opaque value.
        as_one = np.dtype((np.void, stimuli.itemsize * stimuli.shape[1]))
        keys: list[Any] = np.ascontiguousarray(stimuli).view(as_one).ravel().tolist()
        places = [self._places.get(key, -1) for key in keys]
        if -1 not in places:
            return np.array(places)
        new = {key: n for n, key in enumerate(keys) if key not in self._places}
        if len(self._places) + len(new) > self._limit:
            self._places.clear()
            new = {key: n for n, key in enumerate(keys)}
        for key, n in new.items():
            self._add(key, stimuli[n])
        return np.array([self._places[key] for key in keys])

    def _add(self, key: bytes, stimulus: Floats) -> None:
        """Works out an entry, and doubles the table's space where it is full."""
        place = len(self._places)
        row = self._model.factor(stimulus) if self._by_factor else 0
        assert row is not None  # the factored form is for models that name the factor
        by_answer = self._model.probs(self._hypotheses, stimulus).T
        if place == len(self._table):
            more = np.empty((max(16, place), *by_answer.shape))
            self._table = np.concatenate([self._table, more]) if place else more
            self._row = np.resize(self._row, len(self._table))
        self._table[place], self._row[place] = by_answer, row
        self._places[key] = place


class _Group(NamedTuple):
    """Stimuli that inform one factor.

    Attributes:
        factor: which row of the beliefs.
        places: `[n]` which stimuli.
        likelihood: `[H, n * K]` p(answer | hypothesis), by stimulus.
        conditional_entropy: `[H, n]` entropy in nats of the answer of somebody who is known.
    """

    factor: int
    places: Ints
    likelihood: Floats
    conditional_entropy: Floats


class AnswerPredictor:
    """Predictions and expected information of a fixed set of stimuli, for exact beliefs.

    Where each stimulus informs one factor, beliefs by factor `[B, F, L]` are all that is needed,
    of a joint posterior too: given its factor, an answer depends on nothing else. Otherwise they
    are joint, `[B, 1, P]`. Stimuli of one factor are worked on together, as one matrix product.

    Args:
        population: the hypotheses.
        model: how they answer.
        stimuli: `[N, S]`.

    Attributes:
        stimuli: a copy of them.
    """

    def __init__(self, population: Population, model: ResponseModel, stimuli: Floats) -> None:
        self.stimuli = stimuli.copy()
        factors: list[int] = [0] * len(stimuli)
        hypotheses: Ints = population.levels
        if model.separable:
            factors = [model.factor(stimulus) or 0 for stimulus in stimuli]
            shape = (population.num_levels, len(population.factors))
            hypotheses = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        self._groups = []
        for factor in sorted(set(factors)):
            places = np.flatnonzero(np.array(factors) == factor)
            probs = model.probs(hypotheses[:, None], stimuli[places][None])  # [H, n, K]
            flat = probs.reshape(len(probs), -1)
            self._groups.append(_Group(factor, places, flat, entr(probs).sum(axis=2)))
        self._num_categories = probs.shape[2]

    def predict(self, belief: Floats) -> Floats:
        """`[B, N, K]` posterior predictive of the answer to every stimulus."""
        predictive = np.empty((len(belief), len(self.stimuli), self._num_categories))
        for group in self._groups:
            probs = belief[:, group.factor] @ group.likelihood
            predictive[:, group.places] = probs.reshape(len(belief), -1, self._num_categories)
        return predictive

    def information(self, belief: Floats) -> Floats:
        """`[B, N]` expected information gain in nats, see `Posterior.information`."""
        information = np.empty((len(belief), len(self.stimuli)))
        for group in self._groups:
            weights = belief[:, group.factor]
            probs = weights @ group.likelihood
            # p log p, faster than scipy's entr; 0 for an answer that nobody gives.
            terms = np.maximum(probs, TINY)
            np.log(terms, out=terms)
            terms *= probs
            surprise = terms.reshape(len(belief), -1, self._num_categories) @ np.ones(
                self._num_categories
            )
            information[:, group.places] = -surprise - weights @ group.conditional_entropy
        return information


def shared_stimuli(stimulus: Floats) -> Iterator[tuple[slice | Ints, Floats]]:
    """People who are asked the same: (their rows, the stimulus `[S]`), group by group."""
    if (stimulus == stimulus[:1]).all():
        yield slice(None), stimulus[0]
        return
    distinct, group = np.unique(stimulus, axis=0, return_inverse=True)
    group = group.ravel()  # NumPy 2.0 gives it a second axis
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(distinct)))
    for one, rows in zip(distinct, np.split(order, ends[:-1]), strict=True):
        yield rows, one


def blocks(batch: int, bytes_per_person: int, block_bytes: int = 2**20) -> Iterator[slice]:
    """People to work on together, so that their beliefs stay in a core's cache between passes.

    With the default of 1 MiB, about what a core's own cache holds: a joint posterior over 3,125
    profiles has 25,000 bytes a person, so blocks are of 41 people; a factored one of five traits
    with five levels has 200 bytes, so blocks are of 5,242.

    Args:
        batch: B people in all.
        bytes_per_person: of a belief.
        block_bytes: of a block; a block holds one person at least.
    """
    size = max(1, block_bytes // bytes_per_person)
    return (slice(start, start + size) for start in range(0, batch, size))
