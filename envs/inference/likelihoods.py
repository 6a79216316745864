"""Likelihoods of stimuli that recur, worked out once."""

from __future__ import annotations

from typing import Any

import numpy as np

from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

_MOST = 1024  # stimuli that are kept; more than any bank has


class Likelihoods:
    """p(answer | hypothesis) of stimuli, in a table that grows with what is asked.

    Args:
        model: how people answer.
        hypotheses: `[H, F]` levels.
        factored: whether a stimulus informs one factor, which the model names.
    """

    def __init__(self, model: ResponseModel, hypotheses: Ints, factored: bool) -> None:
        """Starts empty."""
        self._model, self._hypotheses, self._factored = model, hypotheses, factored
        self._places: dict[bytes, int] = {}
        self._table: Floats = np.zeros((0, 0, 0))
        self._factor = np.zeros(0, dtype=np.int64)

    def of(self, stimulus: Floats) -> tuple[int, Floats]:
        """Row of the belief that a stimulus `[S]` informs, and its likelihood `[K, H]`."""
        place = int(self._find(stimulus[None])[0])
        return int(self._factor[place]), self._table[place]

    def of_answers(self, stimulus: Floats, answer: Ints) -> tuple[Ints, Floats]:
        """`[b]` informed rows, and `[b, H]` likelihoods, of answers `[b]` to stimuli `[b, S]`."""
        places = self._find(stimulus)
        return self._factor[places], self._table[places, answer]

    def _find(self, stimuli: Floats) -> Ints:
        """`[n]` where stimuli `[n, S]` stand in the table."""
        row = np.dtype((np.void, stimuli.itemsize * stimuli.shape[1]))
        keys: list[Any] = np.ascontiguousarray(stimuli).view(row).ravel().tolist()
        found = [self._places.get(key, -1) for key in keys]
        if -1 not in found:
            return np.array(found)
        new = {key: n for n, key in enumerate(keys) if key not in self._places}
        # A task that never repeats a stimulus must not fill the memory.
        if len(self._places) + len(new) > _MOST:
            self._places.clear()
            new = {key: n for n, key in enumerate(keys)}
        for key, n in new.items():
            place = len(self._places)
            factor = self._model.factor(stimuli[n]) if self._factored else 0
            assert factor is not None  # the factored form is for models that name the factor
            by_answer = self._model.probs(self._hypotheses, stimuli[n]).T
            if place == len(self._table):
                more = np.empty((max(16, place), *by_answer.shape))
                self._table = np.concatenate([self._table, more]) if place else more
                self._factor = np.resize(self._factor, len(self._table))
            self._table[place], self._factor[place] = by_answer, factor
            self._places[key] = place
        return np.array([self._places[key] for key in keys])
