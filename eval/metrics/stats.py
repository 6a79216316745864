"""Intervals over people: one function for means, correlations and calibration errors.

People are the unit of independence: the turns of one person are a cluster and are never counted
as independent (Miller 2024, arXiv:2411.00640). Everything that is reported is a function of the
mean over people of per-person statistics, so one function gives its interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from acquaint_gym.envs.users.response_models import Floats

Combine = Callable[[Floats], Floats]

RESAMPLES = 2000
LEVEL = 0.95
POWER = 0.8
WEIGHTS_AT_ONCE = 4_000_000  # of the R x N resampling weights, 32 MB


@dataclass(frozen=True)
class Estimate:
    """A number about a population, from some of its people; every field has shape `[...]`.

    Attributes:
        mean: the estimate; NaN where it is undefined.
        low: lower end of its interval; NaN with fewer than two people.
        high: upper end.
        users: how many people it rests on.
        failed: how many people were left out because a statistic of theirs is not finite.
    """

    mean: Floats
    low: Floats
    high: Floats
    users: npt.NDArray[np.int64]
    failed: npt.NDArray[np.int64]

    def detectable(self, *, power: float = POWER, level: float = LEVEL) -> Floats:
        """The smallest true value that a two-sided test on as many people finds, `[...]`.

        (z_{(1+level)/2} + z_power) * SE (Miller 2024, section 5), with the standard error read
        off the interval, which must have been made at the same `level`.
        """
        with np.errstate(invalid="ignore"):
            error = (self.high - self.low) / 2 / stdtrit(self.users - 1.0, 0.5 + level / 2)
        return (ndtri(0.5 + level / 2) + ndtri(power)) * error


def interval(
    statistics: Floats,
    combine: Combine | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    weights_at_once: int = WEIGHTS_AT_ONCE,
) -> Estimate:
    """The mean over people, or a function of it, with its interval.

    Without `combine`: the mean with Student's t interval. With it: the percentile bootstrap over
    people (Efron and Tibshirani 1993, chapter 13); resamples in which the number is undefined
    are left out. Percentiles inherit the bias of the number: those of a calibration error near
    zero lie above the truth.

    Args:
        statistics: `[N, ..., D]`, D numbers a person; the axes between (turns, say) are
            estimated one by one, from the same resampled people. A person in whom any of the D
            is not finite is left out and counted.
        combine: mean statistics `[..., D]` -> `[...]`; None takes D = 1 as it is.
        seed: of the bootstrap; the same seed and N resample the same people.
        resamples: R, number of bootstrap resamples.
        level: coverage of the interval, in (0, 1).
        weights_at_once: how many of the R x N resampling weights are held in memory; no result
            depends on it.

    Raises:
        ValueError: `statistics` has fewer than two axes, or D > 1 and `combine` is missing.
    """
    if statistics.ndim < 2 or (combine is None and statistics.shape[-1] != 1):
        raise ValueError(
            f"statistics has shape {statistics.shape}; expected [N, ..., D] with D = 1 unless "
            "`combine` says how to make one number of the D means. Add the axis or pass combine."
        )
    total = len(statistics)
    middle = statistics.shape[1:-1]
    cells = statistics.reshape(total, int(np.prod(middle)), statistics.shape[-1])
    valid = np.asarray(np.isfinite(cells).all(axis=-1))
    # A person without any number must not take a place in the resamples either.
    someone = np.asarray(valid.any(axis=1))
    cells, valid = np.where(valid[..., None], cells, 0.0)[someone], valid[someone]
    users = valid.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = cells.sum(axis=0) / users[:, None]
        if combine is None:
            mean = average[:, 0]
            squares = np.where(valid, (cells[..., 0] - mean) ** 2, 0.0).sum(axis=0)
            half = stdtrit(users - 1.0, 0.5 + level / 2) * np.sqrt(squares / (users - 1) / users)
            low, high = mean - half, mean + half
        else:
            mean = combine(average)
            values = _bootstrap(cells, valid, combine, seed, resamples, weights_at_once)
            low, high = _percentiles(values, level)
    bounded = (users > 1) & np.isfinite(mean)
    columns = (
        np.where(np.isfinite(mean), mean, np.nan),
        np.where(bounded, low, np.nan),
        np.where(bounded, high, np.nan),
        users,
        total - users,
    )
    return Estimate(*(column.reshape(middle)[()] for column in columns))


def paired_difference(
    statistics_a: Floats,
    statistics_b: Floats,
    combine: Combine | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """The difference a - b on the same people, with its interval; see `interval`.

    Args:
        statistics_a: `[N, ..., D]`.
        statistics_b: the same shape; row n is the same person. A person counts when finite in
            both.
        combine: as in `interval`, applied to each side.
        seed: as in `interval`.
        resamples: as in `interval`.
        level: as in `interval`.

    Raises:
        ValueError: the shapes differ.
    """
    if statistics_a.shape != statistics_b.shape:
        raise ValueError(
            f"Cannot pair statistics of shapes {statistics_a.shape} and {statistics_b.shape}: "
            "row n must be the same person in both. Select the common people first."
        )
    if combine is None:
        return interval(statistics_a - statistics_b, seed=seed, resamples=resamples, level=level)
    both = np.concatenate([statistics_a, statistics_b], axis=-1)
    size = statistics_a.shape[-1]

    def subtract(means: Floats) -> Floats:
        return combine(means[..., :size]) - combine(means[..., size:])

    return interval(both, subtract, seed=seed, resamples=resamples, level=level)


def _bootstrap(
    cells: Floats,
    valid: npt.NDArray[np.bool_],
    combine: Combine,
    seed: int,
    resamples: int,
    weights_at_once: int,
) -> Floats:
    """`[R, M]` the number in R resamples of people; cells `[N, M, D]`, zero where not `valid`."""
    people, middle, size = cells.shape
    if people == 0:
        return np.empty((0, middle))
    generator = np.random.Generator(np.random.Philox(seed))
    sums = np.concatenate([cells.reshape(people, -1), valid], axis=1)
    block = max(1, weights_at_once // people)
    values = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(people, size=(rows, people)) + people * np.arange(rows)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=rows * people).reshape(rows, people)
        resampled = times_drawn.astype(np.float64) @ sums
        users = resampled[:, -middle:, None]
        values.append(combine(resampled[:, :-middle].reshape(rows, middle, size) / users))
    return np.concatenate(values)


def _percentiles(values: Floats, level: float) -> tuple[Floats, Floats]:
    """`[M]` lower and upper percentile of each column's finite values; NaN where there are none."""
    bounds = np.full((2, values.shape[1]), np.nan)
    for index, column in enumerate(values.T):
        finite = column[np.isfinite(column)]
        if finite.size:
            bounds[:, index] = np.quantile(finite, [0.5 - level / 2, 0.5 + level / 2])
    return bounds[0], bounds[1]
