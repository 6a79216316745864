"""Located latent classes by EM: the mathematics of `train.fit_population`.

Thousands of classes are scattered over a standard normal space and stay where they are; EM learns
how a person at a place answers. This is marginal maximum a posteriori estimation of a
multidimensional nominal response model (Bock and Aitkin, 1981, Psychometrika 46), whose integral
over the space is a sum over the classes, so that the classes are also the population in which the
model is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc

from acquaint_gym.envs.users.classes import LocatedClasses, log_response
from acquaint_gym.envs.users.coding import MISSING
from acquaint_gym.envs.users.response_models import Floats, Ints

DIMENSIONS = 12
RIDGE = 2.0
ITERATIONS = 12
COARSE = 1024  # classes of the first, quick round of EM
# The intercepts of an item may all rise together without any effect; a trace of a ridge holds them.
INTERCEPT_RIDGE = 1e-3
HALVINGS = 10
PEOPLE_AT_ONCE = 1024

Report = Callable[[int, int, float], None]
Singles = npt.NDArray[np.float32]


def fit_classes(
    answers: Ints,
    num_categories: int,
    num_classes: int,
    rng: np.random.Generator,
    *,
    dimensions: int = DIMENSIONS,
    ridge: float = RIDGE,
    iterations: int = ITERATIONS,
    report: Report | None = None,
) -> LocatedClasses:
    """Classes at fixed random places, with the response model that fits the answers best.

    EM (Dempster, Laird and Rubin, 1977, JRSS B 39) climbs the penalised log-likelihood: the sum
    over people of log p(answers), less ridge / 2 times the sum of squared weights. A first round
    with few classes is quick and finds the start of the round with all of them.

    Args:
        answers: `[N, I]` raw zero-based categories, -1 missing.
        num_categories: K.
        num_classes: C.
        rng: scatters the classes.
        dimensions: D of the space.
        ridge: 1 / variance of the weights' normal prior.
        iterations: of EM in each round.
        report: called as (classes, iteration, penalised log-likelihood in nats).

    Raises:
        ValueError: answers out of range, an item that nobody answered, or settings out of range.
    """
    answers = np.asarray(answers)
    if answers.ndim != 2 or not answers.size:
        raise ValueError(
            f"Answers of shape {answers.shape}; expected [people, items], some of both."
        )
    if answers.min() < MISSING or answers.max() >= num_categories:
        raise ValueError(
            f"Answers from {answers.min()} to {answers.max()}; expected categories from 0 to "
            f"{num_categories - 1}, with {MISSING} for a missing answer."
        )
    if (answers == MISSING).all(axis=0).any():
        raise ValueError("Nobody answered some item; drop its column or read more people.")
    if not 0 < dimensions <= min(answers.shape) or num_classes < 2 or ridge <= 0 or iterations < 1:
        raise ValueError(
            f"{num_classes} classes, {dimensions} dimensions, ridge {ridge}, {iterations} "
            f"iterations; expected 2 classes or more, 1..{min(answers.shape)} dimensions, a "
            "positive ridge and at least one iteration."
        )
    chosen = indicators(answers, num_categories)
    weights = first_weights(answers, num_categories, dimensions)
    # Places are kept with the digits of the file, so that what is fitted is what is read back.
    positions = np.round(scatter(num_classes, dimensions, rng), 2)
    for count in sorted({min(COARSE, num_classes), num_classes}):
        design = np.concatenate([np.ones((count, 1)), positions[:count]], axis=1)
        for iteration in range(1, iterations + 1):
            counts, likelihood = expected_answers(chosen, design, weights)
            if report is not None:
                report(count, iteration, likelihood - penalty(weights, ridge).sum())
            weights = maximise(counts, design, weights, ridge)
    return LocatedClasses(
        log_prior=np.zeros(num_classes),
        positions=positions,
        intercepts=weights[..., 0],
        weights=weights[..., 1:],
    )


def scatter(num_classes: int, dimensions: int, rng: np.random.Generator) -> Floats:
    """`[C, D]` standard normal places: Sobol points, all shifted by one random vector modulo 1.

    They cover the space more evenly than independent draws, and so does every leading part of them
    (Cranley and Patterson, 1976, SIAM Journal on Numerical Analysis 13, for the shift).
    """
    points = qmc.Sobol(dimensions, scramble=False).random_base2((num_classes - 1).bit_length())
    shifted = (points[:num_classes] + rng.random(dimensions)) % 1.0
    # A coordinate that the shift takes to zero exactly would lie at minus infinity.
    places: Floats = ndtri(np.clip(shifted, 1e-9, 1 - 1e-9))
    return places


def indicators(answers: Ints, num_categories: int) -> Singles:
    """`[N, I*K]` 1 for the category chosen, otherwise 0; a missing answer chooses none."""
    chosen = answers[:, :, None] == np.arange(num_categories)
    return chosen.reshape(len(answers), -1).astype(np.float32)


def first_weights(answers: Ints, num_categories: int, dimensions: int) -> Floats:
    """`[I, K, 1+D]` start of EM from multiple correspondence analysis.

    The axes are those of the indicators less their shares p, over sqrt(p) (Greenacre, 1984, Theory
    and Applications of Correspondence Analysis, 5). To first order in the scores z along the axes,
    log p(category | z) = log p + z cov(indicator, z) / p, which gives the logits.
    """
    people, items = answers.shape
    tally = np.stack([(answers == k).sum(axis=0) + 0.5 for k in range(num_categories)], axis=1)
    shares = (tally / tally.sum(axis=1, keepdims=True)).ravel()
    known = np.repeat(answers != MISSING, num_categories, axis=1)
    centred = np.where(known, indicators(answers, num_categories) - shares, 0) / np.sqrt(shares)
    variance, axes = np.linalg.eigh(centred.T @ centred / people)
    slopes = axes[:, ::-1] * np.sqrt(np.maximum(variance[::-1], 0)) / np.sqrt(shares)[:, None]
    start = np.concatenate([np.log(shares)[:, None], slopes[:, :dimensions]], axis=1)
    return start.reshape(items, num_categories, 1 + dimensions)


def expected_answers(chosen: Singles, design: Floats, weights: Floats) -> tuple[Floats, float]:
    """E-step: how often each class is expected to have given each answer.

    Args:
        chosen: `[N, I*K]` from `indicators`.
        design: `[C, 1+D]` a one and the place of each class, all equally probable a priori.
        weights: `[I, K, 1+D]`.

    Returns:
        `[C, I, K]` expected counts and the log-likelihood of all people in nats.
    """
    log_probs = log_response(design[:, 1:], weights[..., 0], weights[..., 1:])
    # Most of a fit goes into two products a part; single precision halves their time.
    transposed = log_probs.reshape(len(design), -1).T.astype(np.float32)
    counts = np.zeros((len(design), chosen.shape[1]))
    likelihood = -len(chosen) * np.log(len(design))
    for start in range(0, len(chosen), PEOPLE_AT_ONCE):
        part = chosen[start : start + PEOPLE_AT_ONCE]
        belief = part @ transposed
        top = belief.max(axis=1, keepdims=True)
        np.exp(belief - top, out=belief)
        total = belief.sum(axis=1, keepdims=True)
        belief /= total
        counts += belief.T @ part
        likelihood += float((top + np.log(total)).sum(dtype=np.float64))
    return counts.reshape(log_probs.shape), float(likelihood)


def log_likelihood(answers: Ints, classes: LocatedClasses) -> float:
    """Sum over people `[N, I]` of log p(answers) in nats, of equally probable classes."""
    design = np.insert(classes.positions, 0, 1.0, axis=1)
    weights = np.insert(classes.weights, 0, classes.intercepts, axis=2)
    chosen = indicators(answers, classes.intercepts.shape[1])
    return expected_answers(chosen, design, weights)[1]


def penalty(weights: Floats, ridge: float) -> Floats:
    """`[I]` minus log of the normal prior, without its constant: half the ridge times squares."""
    squares = (weights**2).sum(axis=1)
    total: Floats = 0.5 * (INTERCEPT_RIDGE * squares[:, 0] + ridge * squares[:, 1:].sum(axis=1))
    return total


def maximise(counts: Floats, design: Floats, weights: Floats, ridge: float) -> Floats:
    """M-step: one Newton step of every item's penalised multinomial regression on the places.

    The objective is concave (Boehning, 1992, Annals of the Institute of Statistical Mathematics
    44). An item's step is halved until it climbs, and left out if it never does, so that the
    penalised log-likelihood cannot fall: generalised EM (McLachlan and Peel, 2000, Finite Mixture
    Models, 2.8).

    Args:
        counts: `[C, I, K]` from `expected_answers`.
        design: `[C, 1+D]`.
        weights: `[I, K, 1+D]` before the step.
        ridge: see `fit_classes`.

    Returns:
        `[I, K, 1+D]` after the step.
    """

    def objective(values: Floats) -> tuple[Floats, Floats]:
        log_probs = log_response(design[:, 1:], values[..., 0], values[..., 1:])
        return (counts * log_probs).sum(axis=(0, 2)) - penalty(values, ridge), log_probs

    items, categories, width = weights.shape
    before, log_probs = objective(weights)
    probs = np.exp(log_probs)
    answered = counts.sum(axis=2, keepdims=True) * probs
    ridges = np.array([INTERCEPT_RIDGE] + [ridge] * (width - 1))
    rest = (counts - answered).reshape(len(design), -1)
    gradient = (rest.T @ design).reshape(weights.shape) - ridges * weights
    # Block (k, l) of an item's information is the sum over classes of n p_k (1[k = l] - p_l) z z'.
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    blocks = np.empty((items, categories, width, categories, width))
    for k in range(categories):
        share = (np.arange(categories) == k) - probs
        share *= answered[:, :, k, None]
        summed = (share.reshape(len(design), -1).T @ products).reshape(items, categories, width, -1)
        blocks[:, k] = summed.transpose(0, 2, 1, 3)
    information = blocks.reshape(items, categories * width, categories * width)
    information += np.diag(np.tile(ridges, categories))
    step = np.linalg.solve(information, gradient.reshape(items, -1, 1)).reshape(weights.shape)
    length = np.ones(items)
    for _ in range(HALVINGS):
        moved = weights + length[:, None, None] * step
        worse = objective(moved)[0] < before
        if not worse.any():
            return moved
        length[worse] /= 2
    length[worse] = 0.0
    return weights + length[:, None, None] * step


def sequential_scores(answers: Ints, prior: Floats, probs: Floats) -> tuple[float, float]:
    """Scores of exact Bayes that predicts each answer, sees it, and goes on to the next item.

    Args:
        answers: `[N, I]` raw zero-based categories in the order asked, -1 missing (not scored).
        prior: `[C]` probability of each class.
        probs: `[C, I, K]` p(category | class, item).

    Returns:
        Share of the answers that were the most probable category, and mean of minus log
        probability of the answers, in nats.
    """
    hits, surprise = 0, 0.0
    log_probs = np.log(probs)
    for start in range(0, len(answers), PEOPLE_AT_ONCE // 4):
        part = answers[start : start + PEOPLE_AT_ONCE // 4]
        log_belief = np.tile(np.log(prior), (len(part), 1))
        for item in range(part.shape[1]):
            here = np.flatnonzero(part[:, item] != MISSING)
            given = part[here, item]
            belief = np.exp(log_belief[here] - log_belief[here].max(axis=1, keepdims=True))
            predicted = belief @ probs[:, item] / belief.sum(axis=1, keepdims=True)
            hits += int((predicted.argmax(axis=1) == given).sum())
            surprise -= float(np.log(predicted[np.arange(len(here)), given]).sum())
            log_belief[here] += log_probs[:, item, :].T[given]
    known = int((answers != MISSING).sum())
    return hits / known, surprise / known
