"""Marginal maximum likelihood for the graded response model.

One trait at a time, theta ~ N(0, 1) on a quadrature grid (Bock & Aitkin, 1981, Psychometrika 46,
443-459). Inside, an item is (a, c_1..c_{K-1}) with intercepts c = -a * b, in which the
log-likelihood of given thetas is concave (Pratt, 1981, JASA 76, 103-106).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
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
UNUSED = 0.5
"""How many answers a category that nobody chose is given, by people of whom nothing is known."""
BLOCK = 8192
Grid = tuple[Floats, Floats]  # thetas, and the log of their weights


@dataclass(frozen=True)
class GradedFit:
    """Maximum likelihood estimates of the items of one trait.

    Attributes:
        parameters: `[I, K]` a, then b_1..b_{K-1} on the scale of theta ~ N(0, 1). The thresholds of
            an item with a < 0, whose answers run against its key, decrease.
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
    signs: Ints | None = None,
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

    A category that nobody chose has no maximum: its threshold would leave for infinity or meet the
    next one, and the category become impossible. `UNUSED` answers keep it possible, and all else is
    what it would be if the category were joined with its neighbour.

    Args:
        responses: `[N, I]` keyed categories 0..K-1, -1 missing.
        num_categories: K.
        items: `I` names, for messages.
        signs: `[I]` -1 where discriminations begin below zero, 1 elsewhere; 1 by default. In which
            direction a trait points is decided by them, for items that agree with each other.
        nodes: L, grid points of theta.
        tolerance: stop when no a or intercept -a*b moves by more in an iteration.
        max_iterations: give up after so many.
        block: respondents held in memory at a time; changes nothing else.
        on_iteration: gets the iteration, the log-likelihood before it, and the largest change.

    Raises:
        ValueError: categories out of range, an item that cannot be estimated (fewer than 50
            answers, one category only, a discrimination above 10), fewer than 3 items, no more
            respondents than parameters, or no convergence.
    """
    _check(responses, num_categories, items)
    grid = quadrature(nodes)
    extra = unused(responses, num_categories)[:, None] * np.exp(grid[1])[:, None]
    # A logistic curve averaged over N(0, 1) is flatter by about this factor, as a probit would be.
    flatter = np.sqrt(1 + 1 / 1.702**2)
    slopes = np.ones(len(items)) if signs is None else signs
    natural = np.column_stack([slopes, flatter * marginal_logits(responses, num_categories)])
    for iteration in range(1, max_iterations + 1):
        total, counts = _expected_counts(responses, natural, grid, block)
        updated = _scoring_step(natural, counts + extra, grid[0])
        change = float(np.abs(updated - natural).max())
        natural = updated
        on_iteration(iteration, total, change)
        steepest = int(np.abs(natural[:, 0]).argmax())
        # Not "beyond": a likelihood that broke down (NaN) must end here as well.
        if not abs(natural[steepest, 0]) <= MAX_SLOPE:
            raise ValueError(
                f"Item {items[steepest]}: discrimination {natural[steepest, 0]:.1f} is not below "
                f"{MAX_SLOPE:g}, as where one item repeats another. Leave one of them out "
                f"(--leave-out {items[steepest]}), or use more respondents."
            )
        if change < tolerance:
            break
    else:
        raise ValueError(
            f"No convergence in {max_iterations} iterations: the last one moved a parameter by "
            f"{change:.1e}, expected below {tolerance:.1e}. Allow more (--max-iterations), or a "
            "larger --tolerance."
        )
    total, _ = _expected_counts(responses, natural, grid, block)
    covariance = np.linalg.inv(_information(responses, natural, extra, grid, block))
    answered = responses != MISSING
    return GradedFit(
        parameters=_from_natural(natural),
        errors=_errors(natural, covariance),
        answers=answered.sum(axis=0),
        respondents=int(answered.any(axis=1).sum()),
        log_likelihood=total,
        iterations=iteration,
    )


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
        if used.sum() < MIN_ANSWERS or used.max() == used.sum():
            raise ValueError(
                f"Item {item} cannot be estimated: its {num_categories} categories, from low to "
                f"high on the trait, were chosen {', '.join(map(str, used))} times; expected at "
                f"least {MIN_ANSWERS} answers in two categories. Use more respondents, or leave it "
                f"out (--leave-out {item})."
            )


def _one_hot(responses: Ints, num_categories: int) -> Floats:
    """`[N, I]` -> `[N, I * K]` ones at the answers; a missing answer has none."""
    chosen = np.equal(responses[..., None], np.arange(num_categories))
    return chosen.reshape(len(responses), -1).astype(float)


def category_counts(responses: Ints, num_categories: int) -> Ints:
    """`[I, K]` how often each category was chosen."""
    counts: Ints = np.array([(responses == k).sum(axis=0) for k in range(num_categories)]).T
    return counts


def unused(responses: Ints, num_categories: int) -> Floats:
    """`[I, K]` answers that are added: `UNUSED` where nobody chose the category, else none."""
    return np.where(category_counts(responses, num_categories) == 0, UNUSED, 0.0)


def marginal_logits(responses: Ints, num_categories: int) -> Floats:
    """`[I, K-1]` log-odds of the shares of answers in category 1 or above, 2 or above..."""
    counts = category_counts(responses, num_categories) + unused(responses, num_categories)
    at_least = counts[:, ::-1].cumsum(axis=1)[:, ::-1] / counts.sum(axis=1, keepdims=True)
    logits: Floats = logit(at_least[:, 1:])
    return logits


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


def _information(responses: Ints, natural: Floats, extra: Floats, grid: Grid, block: int) -> Floats:
    """Summed outer product of scores in (a, c_1..c_{K-1}), `[I * K, I * K]`.

    Of respondents, and of the answers `[I, L, K]` that are added to categories nobody chose.
    """
    items, categories = natural.shape
    derivative = _derivatives(natural, grid[0])[1]
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
    own = np.einsum("ilk,ilkp,ilkq->ipq", extra, derivative, derivative)
    for i in range(items):
        block_of = slice(i * categories, (i + 1) * categories)
        information[block_of, block_of] += own[i]
    return information


def _errors(natural: Floats, covariance: Floats) -> Floats:
    """Standard errors `[I, K]` of (a, b_1..b_{K-1}), b = -c / a, by the delta method."""
    items, categories = natural.shape
    chain = np.zeros((items, categories, categories))
    k = np.arange(1, categories)
    chain[:, 0, 0] = 1.0
    chain[:, k, 0] = natural[:, 1:] / natural[:, :1] ** 2
    chain[:, k, k] = -1 / natural[:, :1]
    shape = (items, categories, items, categories)
    own = np.einsum("ipiq->ipq", covariance.reshape(shape))
    return np.sqrt(np.einsum("ipq,iqr,ipr->ip", chain, own, chain))
