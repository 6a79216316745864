"""What is measured of agents that ask: what the exact posterior knows after each answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.base import Metric, correlation, mean_correlation, moments
from acquaint_gym.eval.metrics.stats import Combine, Estimate, interval
from acquaint_gym.eval.trace import Trace


def _after(trace: Trace) -> Floats:
    """`[N, T, D]` what is known after turn 1..T; for who stopped earlier it stays as it was."""
    turn = np.arange(1, trace.answers.shape[1] + 1)
    last = np.minimum(turn, trace.length.astype(np.int64)[:, None])
    return np.take_along_axis(trace.interview_stats, last[..., None], axis=1)


def _number(name: str) -> Callable[[Trace], Floats]:
    """The cells of one of the scorer's numbers."""
    place = STATISTICS.index(name)
    return lambda trace: _after(trace)[..., place, None]


def _thetas(trace: Trace) -> tuple[Floats, Floats]:
    """`[N, T, F]` posterior means of theta after each answer, and the true thetas."""
    mean, truth = np.split(_after(trace)[..., len(STATISTICS) :], 2, axis=2)
    return mean, truth


def _squared_error(trace: Trace) -> Floats:
    mean, truth = _thetas(trace)
    return np.square(mean - truth).mean(axis=2, keepdims=True)


def _root(mean: Floats) -> Floats:
    return np.sqrt(mean[..., 0])


def _theta_moments(trace: Trace) -> Floats:
    """`[N, T, F * 5]` the moments of all traits."""
    return moments(*_thetas(trace)).reshape(*trace.answers.shape, -1)


def by_trait(trace: Trace, traits: Sequence[str]) -> dict[str, dict[str, Estimate]]:
    """Trait -> `rmse` and `theta_correlation`, each `[T]` after 1..T questions.

    Args:
        trace: of an interview.
        traits: names of its F factors, or none where they have no theta.

    Returns:
        With 95 % intervals over people; NaN where nothing was learned of a trait yet.
    """
    if not traits:
        return {}
    mean, truth = _thetas(trace)
    estimates = {
        "rmse": interval(np.square(mean - truth)[..., None], _root),
        "theta_correlation": interval(moments(mean, truth), correlation),
    }
    return {
        trait: {
            name: Estimate(*(column[:, place] for column in vars(of).values()))
            for name, of in estimates.items()
        }
        for place, trait in enumerate(traits)
    }


def _questions(trace: Trace) -> Floats:
    turn = np.arange(1, trace.answers.shape[1] + 1)
    return np.minimum(turn, trace.length[:, None])[..., None].astype(float)


def _final(
    name: str,
    unit: str,
    better: Literal["higher", "lower"],
    cells: Callable[[Trace], Floats],
    combine: Combine | None = None,
) -> Metric:
    return Metric(name, unit, better, cells, combine, of="interviews")


INTERVIEW_METRICS = {
    metric.name: metric
    for metric in (
        _final("log_score", "nats", "higher", _number("log_score")),
        _final("posterior_entropy", "nats", "lower", _number("posterior_entropy")),
        _final("rmse", "theta", "lower", _squared_error, _root),
        _final("theta_correlation", "correlation", "higher", _theta_moments, mean_correlation),
        _final("unasked_accuracy", "share of items", "higher", _number("unasked_accuracy")),
        _final("unasked_nll", "nats", "lower", _number("unasked_nll")),
        _final("identified", "share of people", "higher", _number("identified")),
        _final("questions", "questions", "lower", _questions),
    )
}
"""After the last answer; curves are by the number of answers that a person could have given."""
