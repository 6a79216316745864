"""Latent correlations of traits, pair by pair, items held fixed."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train.psychometrics.graded import BLOCK, log_likelihood


def likelihoods(responses: Ints, parameters: Floats, theta: Floats, block: int = BLOCK) -> Floats:
    """`[N, L]` p(a respondent's answers | theta), each row divided by its largest value.

    Args:
        responses: `[N, I]` keyed categories 0..K-1; -1 is missing and left out.
        parameters: `[I, K]` a, then b_1..b_{K-1}.
        theta: `[L]`.
        block: respondents at a time, which bounds what is needed beside the result.
    """
    table = np.empty((len(responses), len(theta)))
    for start in range(0, len(responses), block):
        part = log_likelihood(responses[start : start + block], parameters, theta)
        table[start : start + block] = np.exp(part - part.max(axis=1, keepdims=True))
    return table


def latent_correlation(
    first: Floats, second: Floats, theta: Floats, block: int = BLOCK
) -> tuple[float, float]:
    """Maximum likelihood correlation of two traits whose items have been fitted.

    The traits are bivariate normal with unit variances, on the square of the grid.

    Args:
        first: `[N, L]` p(answers to the first trait's items | theta), each row up to a factor.
        second: `[N, L]` the same for the second trait.
        theta: `[L]`.
        block: respondents at a time; changes nothing else.

    Returns:
        The correlation, in (-0.99, 0.99), and its standard error from respondents' scores.
    """
    parts = [slice(start, start + block) for start in range(0, len(first), block)]
    x, y = theta[:, None], theta[None, :]

    def weight(rho: float) -> Floats:
        log_density = -(x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))
        return np.exp(log_density - logsumexp(log_density))

    def evidence(weights: Floats, part: slice) -> Floats:
        return ((first[part] @ weights) * second[part]).sum(axis=1)

    def minus_log_likelihood(rho: float) -> float:
        weights = weight(rho)
        return -sum(float(np.log(evidence(weights, part)).sum()) for part in parts)

    best = minimize_scalar(minus_log_likelihood, bounds=(-0.99, 0.99), method="bounded")
    rho, at_best = float(best.x), weight(float(best.x))
    # The derivative of the log density in rho, up to a constant whose mean is taken off below.
    slope = (x * y * (1 + rho**2) - rho * (x**2 + y**2)) / (1 - rho**2) ** 2
    slope = slope - (at_best * slope).sum()
    information = 0.0
    for part in parts:
        scores = evidence(at_best * slope, part) / evidence(at_best, part)
        information += float((scores**2).sum())
    return rho, float(1 / np.sqrt(information))
