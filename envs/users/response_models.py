"""How a person with given hidden factors answers: p(response category | theta, stimulus)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

# People simulated at a time: their numbers stay in a core's cache between the passes.
_BLOCK = 1024


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
    def recurring(self) -> bool:
        """Whether stimuli come from a bank, so that their likelihoods are worth keeping."""
        return False

    def at_turn(self, stimulus: Floats, turn: Floats | Ints | None) -> Floats:
        """`[..., S]` or `[..., S + 1]` stimuli `[..., S]` as `probs` wants them, at turns `[...]`.

        Raises:
            ValueError: answers depend on the turn, and none is given.
        """
        if not self.timed:
            return stimulus
        if turn is None:
            raise ValueError("Answers depend on the turn here, so `turn` is needed.")
        turns = np.broadcast_to(turn, stimulus.shape[:-1])[..., None]
        return np.concatenate([stimulus, turns], axis=-1, dtype=np.float32)

    @property
    def timed(self) -> bool:
        """Whether answers depend on the turn, which then stands at the end of each stimulus."""
        return False

    @property
    def separable(self) -> bool:
        """Whether every stimulus informs one factor only, as the factored posterior needs it."""
        return False

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """`[n, K, P]` p(answer | type) of all types `[P, F]` for each stimulus `[n, S]`."""
        probs = self.probs(levels[None], stimulus[:, None, :])
        return np.moveaxis(probs, -1, 1)

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

    def sample_near(
        self, cumulative: Floats, slack: float, levels: Ints, stimuli: Floats, uniform: Floats
    ) -> npt.NDArray[np.int8]:
        """As `sample`, from cumulative probabilities worked out quickly instead of exactly.

        People with a number too close to one of them to be sure are sampled by the general form,
        so that all answers are exactly its answers.

        Args:
            cumulative: `[K-1, B, T]` float32, within `slack` of the model's own, or NaN.
            slack: how far they may be off; more than the rounding of float32, 1e-7.
            levels: of `sample`, as are the others.
            stimuli: its stimuli.
            uniform: its numbers.
        """
        beyond = uniform - cumulative
        answers = (beyond >= 0).sum(axis=0, dtype=np.int8)
        distance = np.abs(beyond, out=beyond)
        if not distance.min(initial=np.inf) > slack:  # nor is NaN
            near = np.flatnonzero(~(distance > slack).all(axis=(0, 2)))
            answers[near] = ResponseModel.sample(self, levels[near], stimuli[near], uniform[near])
        return answers


class TableModel(ResponseModel):
    """Items that each inform one factor, as a table of answer probabilities.

    A stimulus is `[item]`, the item's index as a number.

    Args:
        table: `[I, L, K]` p(answer | level of the item's factor), rows sum to one.
        factor: `[I]` which factor an item informs.
    """

    def __init__(self, table: Floats, factor: Ints) -> None:
        self.table = table
        self._factor = factor
        cumulative = np.cumsum(table, axis=-1)[..., :-1].astype(np.float32)
        self._cumulative = np.ascontiguousarray(
            np.moveaxis(cumulative, -1, 0).reshape(table.shape[-1] - 1, -1)
        )

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        item = stimulus[..., 0].astype(np.int64)
        shape = np.broadcast_shapes(item.shape, levels.shape[:-1])
        factor = np.broadcast_to(self._factor[item], shape)[..., None]
        level = np.take_along_axis(np.broadcast_to(levels, (*shape, levels.shape[-1])), factor, -1)
        return self.table[item, level[..., 0]]

    def factor(self, stimulus: Floats) -> int:
        """See `ResponseModel.factor`."""
        return int(self._factor[int(stimulus[0])])

    @property
    def recurring(self) -> bool:
        """Always true: the items of a bank."""
        return True

    @property
    def separable(self) -> bool:
        """Always true: an item informs one factor."""
        return True

    def sample(self, levels: Ints, stimuli: Floats, uniform: Floats) -> npt.NDArray[np.int8]:
        """As the general form, in blocks that stay in cache: most of a simulator's time is here."""
        asked_alike = stimuli.strides[0] == 0
        answers = np.zeros(uniform.shape, dtype=np.int8)
        for start in range(0, len(levels), _BLOCK):
            rows = slice(start, start + _BLOCK)
            item = stimuli[rows, :, 0][: 1 if asked_alike else None].astype(np.int64)
            if asked_alike:
                cell = levels[rows].take(self._factor[item[0]], axis=1)
            else:
                cell = np.take_along_axis(levels[rows], self._factor[item], axis=1)
            # Not in place: levels of a small integer type would overflow.
            cell = cell + item * self.table.shape[1]
            bound = np.empty(cell.shape, dtype=np.float32)
            for cumulative in self._cumulative:
                # Cells are in range by construction; "clip" spares numpy a checked copy.
                cumulative.take(cell, out=bound, mode="clip")
                answers[rows] += uniform[rows] >= bound
        return answers


def graded_response(theta: Floats, discrimination: Floats, thresholds: Floats) -> Floats:
    """Category probabilities of the graded response model.

    P(Y >= k | theta) = sigmoid(a * (theta - b_k)), k = 1..K-1, logistic metric without the
    constant 1.7; a category's probability is the difference of neighbours (Samejima, 1969,
    Psychometrika Monograph 17).

    Args:
        theta: `[L]` latent trait, in population standard deviations.
        discrimination: `[I]` a > 0, usually 0.5 to 2.5.
        thresholds: `[I, K-1]` b, increasing along the last axis, on the scale of theta; decreasing
            where a < 0.

    Returns:
        `[I, L, K]` probabilities of the keyed categories 0..K-1; rows sum to one.
    """
    return _categories(
        discrimination[:, None, None] * (theta[None, :, None] - thresholds[:, None, :])
    )


def graded_information(theta: Floats, discrimination: Floats, thresholds: Floats) -> Floats:
    """Fisher information of items under the graded response model, sum over k of P_k'^2 / P_k.

    The same in raw and keyed categories (Samejima, 1969, Psychometrika Monograph 17).

    Args:
        theta: `[..., I]` where each item is looked at.
        discrimination: `[I]` see `graded_response`.
        thresholds: `[I, K-1]` see there.

    Returns:
        `[..., I]` > 0, per squared unit of theta.
    """
    logit = discrimination[:, None] * (theta[..., None] - thresholds)
    # The derivative of each boundary; the outermost ones, always or never passed, have none.
    slope = discrimination[:, None] * expit(logit) * expit(-logit)
    rise = np.diff(slope, axis=-1, prepend=0.0, append=0.0)
    return (np.square(rise) / _categories(logit)).sum(axis=-1)


def _categories(logit: Floats) -> Floats:
    """`[..., K]` probabilities of categories between boundaries at log-odds `[..., K-1]`."""
    at_least, below = expit(logit), expit(-logit)
    # Differences of upper tails lose digits where the tail is near one, so the middle categories
    # take whichever of the two tails is the smaller.
    middle = np.where(
        at_least[..., :-1] < 0.5,
        at_least[..., :-1] - at_least[..., 1:],
        below[..., 1:] - below[..., :-1],
    )
    return np.concatenate([below[..., :1], middle, at_least[..., -1:]], axis=-1)


def reverse_key(category: Ints, keying: Ints, num_categories: int) -> Ints:
    """Zero-based raw category <-> zero-based keyed category: K-1-y where keying is -1.

    The one place where keying is applied; the map is its own inverse.

    Args:
        category: `[...]` in 0..K-1.
        keying: broadcastable to `category`, +1 or -1.
        num_categories: K.
    """
    return np.where(keying > 0, category, num_categories - 1 - category)
