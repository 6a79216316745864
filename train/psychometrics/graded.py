"""Marginal maximum likelihood for the graded response model, and for the correlation of two traits.

One trait at a time, theta ~ N(0, 1) on a quadrature grid (Bock & Aitkin, 1981, Psychometrika 46,
443-459). Inside, an item is (a, c_1..c_{K-1}) with intercepts c = -a * b, in which the
log-likelihood of given thetas is concave (Pratt, 1981, JASA 76, 103-106).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, logsumexp

from acquaint_gym.envs.users.coding import MISSING
from acquaint_gym.envs.users.response_models import Floats, Ints, graded_response

NODES = 61
MIN_NODES = 21
TOLERANCE = 1e-5
MAX_ITERATIONS = 1000
MIN_ANSWERS = 50
MIN_ITEMS = 3  # two items have one correlation for their two discriminations
MAX_SLOPE = 10.0  # steeper curves fall between two nodes of the grid
BLOCK = 8192
Grid = tuple[Floats, Floats]  # thetas, and the log of their weights


@dataclass(frozen=True)
class GradedFit:
    """Maximum likelihood estimates of the items of one trait.

    Attributes:
        parameters: `[I, K]` a, then b_1..b_{K-1} on the scale of theta ~ N(0, 1).
        errors: `[I, K]` their standard errors.
        answers: `[I]` how many respondents answered each item.
        respondents: how many answered any of the items.
        log_likelihood: marginal log-likelihood of all answers, nats.
        iterations: of the EM algorithm.
    """

    parameters: Floats
    errors: Floats
    answers: Ints
    respondents: int
    log_likelihood: float
    iterations: int


def quadrature(nodes: int) -> Grid:
    """Equally spaced nodes on [-6, 6] `[L]` and the log of their N(0, 1) weights `[L]`.

    Raises:
        ValueError: fewer than 21 nodes, too coarse for the posterior of a long scale.
    """
    if nodes < MIN_NODES:
        raise ValueError(f"{nodes} nodes; expected at least {MIN_NODES}, usually {NODES}.")
    theta = np.linspace(-6.0, 6.0, nodes)
    log_weight = -0.5 * theta**2
    return theta, log_weight - logsumexp(log_weight)


def log_likelihood(responses: Ints, parameters: Floats, theta: Floats) -> Floats:
    """Log-likelihood of each respondent's answers under the graded response model.

    Args:
        responses: `[N, I]` keyed categories 0..K-1; -1 is missing and left out.
        parameters: `[I, K]` a, then b_1..b_{K-1}.
        theta: `[L]`.

    Returns:
        `[N, L]` nats; zero for whoever answered nothing.
    """
    log_probs = np.log(graded_response(theta, parameters[:, 0], parameters[:, 1:]))
    by_answer = np.moveaxis(log_probs, 1, 2).reshape(-1, len(theta))
    return _one_hot(responses, parameters.shape[1]) @ by_answer


def fit_graded(
    responses: Ints,
    num_categories: int,
    items: Sequence[str],
    *,
    nodes: int = NODES,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    block: int = BLOCK,
    on_iteration: Callable[[int, float, float], None] = lambda *_: None,
) -> GradedFit:
    """Fits one trait's items by marginal maximum likelihood.

    EM over a quadrature grid whose M-step is one Fisher scoring step for all items at once, the EM
    gradient algorithm (Lange, 1995, JRSS B 57): it converges as EM does, without an inner loop.
    Standard errors come from the inverse of the summed outer product of respondents' scores.

    Args:
        responses: `[N, I]` keyed categories 0..K-1, -1 missing.
        num_categories: K.
        items: `I` names, for messages.
        nodes: L, grid points of theta.
        tolerance: stop when no a or intercept -a*b moves by more in an iteration.
        max_iterations: give up after so many.
        block: respondents held in memory at a time; changes nothing else.
        on_iteration: gets the iteration, the log-likelihood before it, and the largest change.

    Raises:
        ValueError: categories out of range, an item that cannot be estimated (fewer than 50
            answers, a category nobody used, a discrimination that is not positive or above 10),
            fewer than 3 items, no more respondents than parameters, or no convergence.
    """
    _check(responses, num_categories, items)
    grid = quadrature(nodes)
    natural = _start(responses, num_categories)
    for iteration in range(1, max_iterations + 1):
        total, counts = _expected_counts(responses, natural, grid, block)
        updated = _scoring_step(natural, counts, grid[0])
        change = float(np.abs(updated - natural).max())
        natural = updated
        on_iteration(iteration, total, change)
        steepest = int(natural[:, 0].argmax())
        # Not "beyond": a likelihood that broke down (NaN) must end here as well.
        if not natural[steepest, 0] <= MAX_SLOPE:
            raise ValueError(
                f"Item {items[steepest]}: discrimination {natural[steepest, 0]:.1f} is not below "
                f"{MAX_SLOPE:g}, as where one item repeats another. Leave one of them out, or use "
                "more respondents."
            )
        if change < tolerance:
            break
    else:
        raise ValueError(
            f"No convergence in {max_iterations} iterations: the last one moved a parameter by "
            f"{change:.1e}, expected below {tolerance:.1e}. Allow more, or a larger tolerance."
        )
    flattest = int(natural[:, 0].argmin())
    if natural[flattest, 0] <= 0:
        raise ValueError(
            f"Item {items[flattest]}: discrimination {natural[flattest, 0]:.2f} is not positive: "
            "its answers run against the trait; expected keyed answers. Check its keying."
        )
    total, _ = _expected_counts(responses, natural, grid, block)
    information = _information(responses, natural, grid, block)
    errors = np.sqrt(np.diag(np.linalg.inv(information))).reshape(natural.shape)
    answered = responses != MISSING
    return GradedFit(
        parameters=_from_natural(natural),
        errors=errors,
        answers=answered.sum(axis=0),
        respondents=int(answered.any(axis=1).sum()),
        log_likelihood=total,
        iterations=iteration,
    )


def latent_correlation(first: Floats, second: Floats, theta: Floats) -> tuple[float, float]:
    """Maximum likelihood estimate of the correlation of two traits, their items held fixed.

    The traits are bivariate normal with unit variances, on the square of the grid.

    Args:
        first: `[N, L]` log p(answers to the first trait's items | theta).
        second: `[N, L]` the same for the second trait.
        theta: `[L]`.

    Returns:
        The correlation, in (-0.99, 0.99), and its standard error from respondents' scores.
    """
    one, two = (np.exp(table - table.max(axis=1, keepdims=True)) for table in (first, second))
    x, y = theta[:, None], theta[None, :]

    def weight(rho: float) -> Floats:
        log_density = -(x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))
        return np.exp(log_density - logsumexp(log_density))

    def evidence(weights: Floats) -> Floats:
        return ((one @ weights) * two).sum(axis=1)

    best = minimize_scalar(
        lambda rho: -np.log(evidence(weight(rho))).sum(), bounds=(-0.99, 0.99), method="bounded"
    )
    rho, at_best = float(best.x), weight(float(best.x))
    # The derivative of the log density in rho, up to a constant whose mean is taken off below.
    slope = (x * y * (1 + rho**2) - rho * (x**2 + y**2)) / (1 - rho**2) ** 2
    slope = slope - (at_best * slope).sum()
    scores = evidence(at_best * slope) / evidence(at_best)
    return rho, float(1 / np.sqrt((scores**2).sum()))


def _check(responses: Ints, num_categories: int, items: Sequence[str]) -> None:
    """Raises where the answers cannot determine the parameters."""
    if len(items) < MIN_ITEMS or len(responses) <= len(items) * num_categories:
        raise ValueError(
            f"{len(responses)} respondents and {len(items)} items of {num_categories} categories; "
            f"expected at least {MIN_ITEMS} items, and more respondents than items x categories."
        )
    if responses.min() < MISSING or responses.max() >= num_categories:
        raise ValueError(
            f"Categories {responses.min()}..{responses.max()}; expected 0..{num_categories - 1}, "
            f"or {MISSING} for missing."
        )
    for item, column in zip(items, responses.T, strict=True):
        used = np.bincount(column[column != MISSING], minlength=num_categories)
        if used.sum() < MIN_ANSWERS or used.min() == 0:
            raise ValueError(
                f"Item {item} cannot be estimated: its {num_categories} categories, from low to "
                f"high on the trait, were chosen {', '.join(map(str, used))} times; expected at "
                f"least {MIN_ANSWERS} answers and every category. Use more respondents."
            )


def _one_hot(responses: Ints, num_categories: int) -> Floats:
    """`[N, I]` -> `[N, I * K]` ones at the answers; a missing answer has none."""
    chosen = np.equal(responses[..., None], np.arange(num_categories))
    return chosen.reshape(len(responses), -1).astype(float)


def _start(responses: Ints, num_categories: int) -> Floats:
    """`[I, K]` a = 1 and the intercepts that reproduce each item's shares of answers."""
    answered = (responses != MISSING).sum(axis=0)
    at_least = np.array([(responses >= k).sum(axis=0) for k in range(1, num_categories)]) / answered
    # A logistic curve averaged over N(0, 1) is flatter by about this factor, as a probit would be.
    flatter = np.sqrt(1 + 1 / 1.702**2)
    return np.column_stack([np.ones(responses.shape[1]), flatter * logit(at_least.T)])


def _from_natural(natural: Floats) -> Floats:
    """(a, c_1..c_{K-1}) with c = -a * b -> (a, b_1..b_{K-1}), `[I, K]`."""
    return np.column_stack([natural[:, 0], -natural[:, 1:] / natural[:, :1]])


def _posteriors(
    responses: Ints, natural: Floats, grid: Grid, block: int
) -> Iterator[tuple[Ints, Floats, Floats]]:
    """Respondents in blocks, which bounds memory: answers, log evidence, p(theta | answers)."""
    for start in range(0, len(responses), block):
        part = responses[start : start + block]
        joint = log_likelihood(part, _from_natural(natural), grid[0]) + grid[1]
        evidence = logsumexp(joint, axis=1, keepdims=True)
        yield part, evidence, np.exp(joint - evidence)


def _expected_counts(
    responses: Ints, natural: Floats, grid: Grid, block: int
) -> tuple[float, Floats]:
    """E-step: the marginal log-likelihood, and expected answers `[I, L, K]` at each node."""
    (items, categories), total = natural.shape, 0.0
    counts = np.zeros((items * categories, len(grid[0])))
    for part, evidence, posterior in _posteriors(responses, natural, grid, block):
        total += float(evidence.sum())
        counts += _one_hot(part, categories).T @ posterior
    return total, np.moveaxis(counts.reshape(items, categories, -1), 1, 2)


def _derivatives(natural: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """p(category | theta) `[I, L, K]`; of its log, d/d(a, c_1..c_{K-1}) `[I, L, K, K]`."""
    slope, intercepts = natural[:, None, :1], natural[:, None, 1:]
    logits = slope * theta[:, None] + intercepts
    density = expit(logits) * expit(-logits)
    k = np.arange(1, natural.shape[1])
    derivative = np.zeros((*density.shape[:2], len(k) + 1, len(k) + 1))
    # Category k is P(Y >= k) - P(Y >= k + 1), so intercept k moves mass from category k - 1 to k.
    derivative[..., k, k] = density
    derivative[..., k - 1, k] = -density
    derivative[..., 0] = theta[:, None] * derivative.sum(axis=-1)
    probs = graded_response(theta, natural[:, 0], _from_natural(natural)[:, 1:])
    return probs, derivative / probs[..., None]


def _scoring_step(natural: Floats, counts: Floats, theta: Floats) -> Floats:
    """M-step: one Fisher scoring step up the expected log-likelihood, `[I, K]` -> `[I, K]`."""
    probs, derivative = _derivatives(natural, theta)
    gradient = np.einsum("ilk,ilkp->ip", counts, derivative)
    weighted = (counts.sum(axis=-1, keepdims=True) * probs)[..., None] * derivative
    information = np.einsum("ilkp,ilkq->ipq", weighted, derivative, optimize=True)
    return natural + np.linalg.solve(information, gradient[..., None])[..., 0]


def _information(responses: Ints, natural: Floats, grid: Grid, block: int) -> Floats:
    """Summed outer product of respondents' scores in (a, b_1..b_{K-1}), `[I * K, I * K]`."""
    items, categories = natural.shape
    chain = np.zeros((items, categories, categories))
    k = np.arange(1, categories)
    chain[:, 0, 0] = 1.0
    chain[:, k, 0] = natural[:, 1:] / natural[:, :1]
    chain[:, k, k] = -natural[:, :1]
    derivative = _derivatives(natural, grid[0])[1] @ chain[:, None]
    information = np.zeros((natural.size, natural.size))
    for part, _, posterior in _posteriors(responses, natural, grid, block):
        # Fisher's identity: a respondent's score is the posterior mean of the complete-data score.
        scores = np.zeros((len(part), items, categories))
        for i, answer in enumerate(part.T):
            given = np.tensordot(posterior, derivative[i], axes=1)
            scores[:, i] = given[np.arange(len(part)), answer]
            scores[answer == MISSING, i] = 0.0
        flat = scores.reshape(len(part), -1)
        information += flat.T @ flat
    return information
