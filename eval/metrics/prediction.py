"""What is measured of agents that predict, and of all agents."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr, rel_entr

from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.base import Metric, mean_correlation, moments
from acquaint_gym.eval.trace import Trace

BINS = 15  # of confidence, as in Guo et al. 2017


def reliability(trace: Trace) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Confidence and outcome of the category that an agent finds most probable.

    Categories within 1e-9 share a tie, so that the order of categories does not matter: a uniform
    agent hits once in K, whatever people answer.

    Returns:
        `[N, T, 15]` one-hot, the equal-width bin (low, high] that the confidence lies in; all
        false beyond `length`.
        `[N, T]` the confidence, the largest probability; NaN beyond `length`.
        `[N, T]` 1 where that category was the answer, 1/n where the answer was one of n in a
            tie, else 0; NaN beyond `length`.
    """
    confidence = trace.action_probs.max(axis=-1)
    top = trace.action_probs >= confidence[..., None] - 1e-9
    share = top / np.maximum(top.sum(axis=-1, keepdims=True), 1)
    # 1/5 is an edge of 15 bins, and a uniform softmax misses it by a rounding error.
    bin_index = np.ceil(np.round(confidence * BINS, 6)) - 1
    in_bin = bin_index[..., None] == np.arange(BINS)
    return in_bin, confidence, _probability(share, trace.answers)


def _probability(probs: Floats, index: npt.NDArray[Any]) -> Floats:
    """`[...]` the entry of `[..., K]` at `[...]`; NaN where the index is -1 (nobody knows)."""
    if index.size and index.max() >= probs.shape[-1]:
        raise ValueError(
            f"Category {index.max()} in a trace with {probs.shape[-1]} probabilities a decision: "
            "these metrics need one action for each response category. Leave this task out."
        )
    column = np.maximum(index, 0)[..., None].astype(np.int64)
    picked = np.take_along_axis(probs, column, axis=-1)[..., 0]
    return np.where(index < 0, np.nan, picked)


def _accuracy(trace: Trace) -> Floats:
    return (trace.actions == trace.answers)[..., None].astype(np.float64)


def _teacher_agreement(trace: Trace) -> Floats:
    same = trace.actions == trace.teacher_actions
    return np.where(trace.teacher_actions < 0, np.nan, same)[..., None]


def _reward(trace: Trace) -> Floats:
    return trace.rewards[..., None]


def _predictive_entropy(trace: Trace) -> Floats:
    return entr(trace.action_probs).sum(axis=-1, keepdims=True)


def _nll(trace: Trace) -> Floats:
    return -np.log(_probability(trace.action_probs, trace.answers))[..., None]


def _brier(trace: Trace) -> Floats:
    outcome = trace.answers[..., None] == np.arange(trace.action_probs.shape[-1])
    return ((trace.action_probs - outcome) ** 2).sum(axis=-1, keepdims=True)


def _absolute_error(trace: Trace) -> Floats:
    """`[N, T, 1]` categories between the action and the answer; NaN where they have no order."""
    error = np.abs(trace.actions.astype(np.float64) - trace.answers)
    return np.where(trace.ordered[:, None], error, np.nan)[..., None]


def _ranked_probability_score(trace: Trace) -> Floats:
    """`[N, T, 1]` squared error of the cumulative distribution; NaN where there is no order.

    The mean over the K - 1 bounds between categories of (P(answer <= k) - [answer <= k])^2, 0 for
    certainty of the answer, 1 for certainty of the other end of the scale (Epstein, 1969, Journal
    of Applied Meteorology 8; proper: Gneiting & Raftery, 2007, JASA 102, section 4.2). With
    probabilities .5, .5, 0 and the last answer: ((.5 - 0)^2 + (1 - 0)^2) / 2 = .625; with the
    first: ((.5 - 1)^2 + (1 - 1)^2) / 2 = .125.
    """
    cumulative = np.cumsum(trace.action_probs, axis=-1)[..., :-1]
    below = trace.answers[..., None] <= np.arange(cumulative.shape[-1])
    score = ((cumulative - below) ** 2).mean(axis=-1, keepdims=True)
    return np.where(trace.ordered[:, None, None], score, np.nan)


def _calibration_gaps(trace: Trace) -> Floats:
    """`[N, T, 15]` hit minus confidence, in the bin of the confidence."""
    in_bin, confidence, hit = reliability(trace)
    return in_bin * (hit - confidence)[..., None]


def _ece(gaps: Floats) -> Floats:
    """Expected calibration error of the top category (Guo et al. 2017, equation 3), 0..1.

    Biased upwards: chance gaps do not cancel, least of all with few turns in a bin. People weigh
    the same, as in every other metric; where all have as many turns this is the pooled error.

    Args:
        gaps: `[..., 15]` share of turns in the bin times (frequency of hits - mean confidence).
    """
    return np.abs(gaps).sum(axis=-1)


def _kl_from_teacher(trace: Trace) -> Floats:
    return rel_entr(trace.teacher_probs, trace.action_probs).sum(axis=-1, keepdims=True)


def _answer_mass(trace: Trace) -> Floats:
    return trace.answer_mass[..., None]


def _unparsed(trace: Trace) -> Floats:
    return trace.unparsed[..., None]


def _regret(trace: Trace) -> Floats:
    taken = _probability(trace.teacher_probs, trace.actions)
    return (trace.teacher_probs.max(axis=-1) - taken)[..., None]


def _belief_after(trace: Trace) -> Floats:
    """`[N, T, F, L]` the belief after each turn's answer; NaN for an agent without a belief."""
    if trace.belief.size == 0:
        shape = (*trace.answers.shape, trace.levels.shape[1], int(trace.levels.max(initial=0)) + 1)
        return np.full(shape, np.nan)
    return trace.belief[:, 1:].astype(np.float64)


def _true_levels(trace: Trace) -> npt.NDArray[np.int16]:
    """`[N, T, F]` the levels of `[N, F]`, the same at every turn."""
    shape = (*trace.answers.shape, trace.levels.shape[1])
    return np.broadcast_to(trace.levels[:, None, :], shape)


def _belief_nll(trace: Trace) -> Floats:
    believed = _probability(_belief_after(trace), _true_levels(trace))
    return -np.log(believed).mean(axis=-1, keepdims=True)


def trait_moments(trace: Trace) -> Floats:
    """`[N, T, F, 5]` x, y, x^2, y^2, xy of posterior mean level x after each turn, true level y.

    NaN for an agent without a belief and for people whose level nobody knows; anything beyond
    `length`.
    """
    belief, levels = _belief_after(trace), _true_levels(trace)
    # Moments about the middle of the scale lose no digits, and a correlation ignores the shift.
    scale = np.arange(belief.shape[-1]) - (belief.shape[-1] - 1) / 2
    x = belief @ scale
    y = np.where(levels < 0, np.nan, levels - (belief.shape[-1] - 1) / 2)
    return moments(x, y)


def _belief_moments(trace: Trace) -> Floats:
    """`[N, T, F * 5]` the moments of all traits."""
    return trait_moments(trace).reshape(*trace.answers.shape, -1)


PREDICTION_METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "share of turns", "higher", _accuracy),
        Metric("teacher_agreement", "share of turns", "higher", _teacher_agreement, of="both"),
        Metric("reward", "reward per turn", "higher", _reward, of="both"),
        Metric("regret", "expected hits lost per turn", "lower", _regret),
        Metric("predictive_entropy", "nats", "teacher", _predictive_entropy),
        Metric("nll", "nats", "lower", _nll),
        Metric("answer_mass", "probability", "higher", _answer_mass, curve=False, of="both"),
        Metric("unparsed", "messages", "lower", _unparsed, total=True, curve=False, of="both"),
        Metric("brier", "squared error", "lower", _brier),
        Metric("absolute_error", "categories", "lower", _absolute_error),
        Metric("rps", "squared error", "lower", _ranked_probability_score),
        Metric("ece", "share of turns", "lower", _calibration_gaps, _ece, curve=False),
        Metric("kl_from_teacher", "nats", "lower", _kl_from_teacher),
        Metric(
            "belief_correlation",
            "correlation",
            "higher",
            _belief_moments,
            mean_correlation,
            after_last_answer=True,
        ),
        Metric("belief_nll", "nats", "lower", _belief_nll, after_last_answer=True),
    )
}
