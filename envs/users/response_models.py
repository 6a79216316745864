"""How a person with given hidden factors answers: p(response category | theta, stimulus)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


class ResponseModel(ABC):
    """p(answer | factor levels, stimulus); the simulator samples it, the teacher inverts it."""

    @abstractmethod
    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """Answer probabilities.

        Args:
            levels: `[..., F]` the person's level on each factor.
            stimulus: `[..., S]` what is asked; leading axes broadcast against those of `levels`.

        Returns:
            `[..., K]` float64, all positive, rows sum to one.
        """

    def factor(self, stimulus: Floats) -> int | None:
        """The one factor that a stimulus `[S]` informs; None, the default, if several."""
        return None

    @property
    def separable(self) -> bool:
        """Whether every stimulus informs one factor only, so that factors can be kept apart."""
        return False

    def sample(self, levels: Ints, stimuli: Floats, uniform: Floats) -> npt.NDArray[np.int8]:
        """Answers by inverse transform: the number of cumulative probabilities not above u.

        Args:
            levels: `[B, F]`.
            stimuli: `[B, T, S]`.
            uniform: `[B, T]` float32 in [0, 1).

        Returns:
            `[B, T]` categories 0..K-1.
        """
        cumulative = np.cumsum(self.probs(levels[:, None, :], stimuli), axis=-1)[..., :-1]
        return (uniform[..., None] >= cumulative.astype(np.float32)).sum(-1, dtype=np.int8)


class TableModel(ResponseModel):
    """Items that each inform one factor, as a table of answer probabilities.

    A stimulus is `[item]`, the item's index as a number.

    Args:
        table: `[I, L, K]` p(answer | level of the item's factor), rows sum to one.
        factor: `[I]` which factor an item informs.
    """

    def __init__(self, table: Floats, factor: Ints) -> None:
        """Stores the table, and its cumulative form for the simulator."""
        self.table = table
        self._factor = factor
        cumulative = np.cumsum(table, axis=-1)[..., :-1].astype(np.float32)
        self._cumulative = np.ascontiguousarray(
            np.moveaxis(cumulative, -1, 0).reshape(table.shape[-1] - 1, -1)
        )

    def _row(self, levels: Ints, stimulus: Floats) -> Ints:
        """Index into the table's flattened first two axes, `[...]`."""
        item = stimulus[..., 0].astype(np.int64)
        column = np.broadcast_to(
            self._factor[item], np.broadcast_shapes(item.shape, levels.shape[:-1])
        )
        wide = np.broadcast_to(levels, (*column.shape, levels.shape[-1]))
        level = np.take_along_axis(wide, column[..., None], axis=-1)[..., 0]
        return item * self.table.shape[1] + level

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        return self.table.reshape(-1, self.table.shape[-1])[self._row(levels, stimulus)]

    def factor(self, stimulus: Floats) -> int:
        """See `ResponseModel.factor`."""
        return int(self._factor[int(stimulus[0])])

    @property
    def separable(self) -> bool:
        """Always true: an item informs one factor."""
        return True

    def sample(self, levels: Ints, stimuli: Floats, uniform: Floats) -> npt.NDArray[np.int8]:
        """As the general form, one category at a time: a fifth of the memory traffic."""
        row = self._row(levels[:, None, :], stimuli)
        answers = np.zeros(row.shape, dtype=np.int8)
        for cumulative in self._cumulative:
            answers += uniform >= cumulative.take(row)
        return answers


def graded_response(theta: Floats, discrimination: Floats, thresholds: Floats) -> Floats:
    """Category probabilities of the graded response model.

    P(Y >= k | theta) = sigmoid(a * (theta - b_k)), k = 1..K-1, logistic metric without the
    constant 1.7; a category's probability is the difference of neighbours (Samejima, 1969,
    Psychometrika Monograph 17).

    Args:
        theta: `[L]` latent trait, in population standard deviations.
        discrimination: `[I]` a > 0, usually 0.5 to 2.5.
        thresholds: `[I, K-1]` b, increasing along the last axis, on the scale of theta.

    Returns:
        `[I, L, K]` probabilities of the keyed categories 0..K-1; rows sum to one.
    """
    distance = theta[None, :, None] - thresholds[:, None, :]
    slope = discrimination[:, None, None]
    at_least = expit(slope * distance)
    below = expit(-slope * distance)
    # Differences of upper tails lose digits where the tail is near one, so the middle categories
    # take whichever of the two tails is the smaller.
    middle = np.where(
        at_least[..., :-1] < 0.5,
        at_least[..., :-1] - at_least[..., 1:],
        below[..., 1:] - below[..., :-1],
    )
    return np.concatenate([below[..., :1], middle, at_least[..., -1:]], axis=-1)


def reverse_keyed(category: Ints, keying: Ints, num_categories: int) -> Ints:
    """Zero-based raw category <-> zero-based keyed category: K-1-y where keying is -1.

    The one place where keying is applied; the map is its own inverse.

    Args:
        category: `[...]` in 0..K-1.
        keying: broadcastable to `category`, +1 or -1.
        num_categories: K.
    """
    return np.where(keying > 0, category, num_categories - 1 - category)
