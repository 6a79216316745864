"""A finite population fitted to real people: located latent classes.

A class is a kind of person. It has a place in a space of a few dimensions, and every response
category of every item has a direction in that space and an intercept; the logit of an answer is
the product of the two. Given the class, answers are independent (local independence: Lazarsfeld
and Henry, 1968, Latent Structure Analysis). The response function is the multidimensional nominal
model (Bock, 1972, Psychometrika 37; Takane and de Leeuw, 1987, Psychometrika 52), which presumes
neither traits nor an order of the categories, so that answer styles find a dimension of their own.
Because there are finitely many classes, Bayes' rule over them is exact.

`train.fit_population` writes the files that `load_classes` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import log_softmax, softmax

from acquaint_gym.envs.data import read_table
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, TableModel

CLASS = "class"


@dataclass(frozen=True)
class LocatedClasses:
    """`C` classes of people in `D` dimensions, who answer `I` items in `K` categories.

    Attributes:
        log_prior: `[C]` logarithm of the share of each class, up to a constant.
        positions: `[C, D]` where the classes are; about standard normal.
        intercepts: `[I, K]` logits of the raw zero-based categories at the origin.
        weights: `[I, K, D]` change of these logits along each dimension.
    """

    log_prior: Floats
    positions: Floats
    intercepts: Floats
    weights: Floats

    def prior(self) -> Floats:
        """`[C]` probability of each class."""
        shares: Floats = softmax(self.log_prior)
        return shares

    def probs(self) -> Floats:
        """`[C, I, K]` p(raw category | class, item) = softmax over k of b_ik + w_ik . z_c."""
        return np.exp(log_response(self.positions, self.intercepts, self.weights))


def log_response(positions: Floats, intercepts: Floats, weights: Floats) -> Floats:
    """Logarithm of the nominal model's probabilities.

    Args:
        positions: `[C, D]` places of the classes.
        intercepts: `[I, K]` of the categories.
        weights: `[I, K, D]` of the categories.

    Returns:
        `[C, I, K]` log p(category | class, item).
    """
    items, categories, dimensions = weights.shape
    logits = positions @ weights.reshape(items * categories, dimensions).T
    log_probs: Floats = log_softmax(logits.reshape(-1, items, categories) + intercepts, axis=-1)
    return log_probs


def load_classes(bank: ItemBank, name: str) -> tuple[Floats, Floats]:
    """Reads a finite population for the items of a bank.

    The table has the columns `row`, `offset`, `d1`..`dD`. A row named `<item_id>_<code>` holds the
    intercept and the weights of that response category; each row named `class` holds the log prior
    and the position of one class. Rows come in any order.

    Args:
        bank: the items, in whose order the probabilities are returned.
        name: `classes` for the shipped `<bank>_classes.csv`, or the path of a CSV that
            `train.fit_population` wrote.

    Returns:
        `[C]` float64 prior, which sums to one, and `[C, I, K]` float64 probabilities of the raw
        zero-based categories, all positive; rows sum to one.

    Raises:
        ValueError: unknown file, columns or rows that do not match the bank, a cell that is no
            number, or numbers so large that a probability vanishes.
    """
    path = bank.file(name)
    if not path.is_file():
        raise ValueError(
            f"Unknown classes {name!r} for {bank.name}: no file {path.name}. Expected 'classes' "
            "where they are shipped, or the path of a CSV by train.fit_population."
        )
    # Environments side by side share what was read: sixteen megabytes of ipip50's, half a second.
    changed = path.stat().st_mtime_ns
    return _read(path, changed, bank.name, tuple(category_names(bank)), bank.num_categories)


@lru_cache(maxsize=2)
def _read(
    path: Path, changed: int, bank: str, wanted: tuple[str, ...], num_categories: int
) -> tuple[Floats, Floats]:
    """See `load_classes`; nobody may write on the arrays."""
    table = read_table(path)
    dimensions = [f"d{number}" for number in range(1, len(table) - 1)]
    if list(table) != ["row", "offset", *dimensions] or not dimensions:
        raise ValueError(
            f"{path}: columns are {', '.join(list(table)[:5])}...; expected row, offset, d1, d2..."
        )
    categories = [row for row in table["row"] if row != CLASS]
    if sorted(categories) != sorted(wanted) or len(categories) == len(table["row"]):
        odd = sorted(set(categories) ^ set(wanted))[:3]
        raise ValueError(
            f"{path}: rows do not match {bank} (look at {', '.join(odd) or 'doubled rows'}); "
            f"expected {wanted[0]}..{wanted[-1]} once each and at least one row {CLASS}."
        )
    try:
        cells = np.array([table[column] for column in ("offset", *dimensions)], dtype=float).T
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected numbers beside the column row.") from error
    place = {row: index for index, row in enumerate(table["row"])}
    by_category = cells[[place[row] for row in wanted]]
    by_class = cells[np.array(table["row"]) == CLASS]
    classes = LocatedClasses(
        log_prior=by_class[:, 0],
        positions=by_class[:, 1:],
        intercepts=by_category[:, 0].reshape(-1, num_categories),
        weights=by_category[:, 1:].reshape(-1, num_categories, len(dimensions)),
    )
    if not np.isfinite(cells).all():
        raise ValueError(f"{path}: holds numbers that are not finite; fit the classes again.")
    prior, probs = classes.prior(), classes.probs()
    if prior.min() <= 0 or probs.min() <= 0:
        raise ValueError(
            f"{path}: smallest share {prior.min():.0e}, smallest probability {probs.min():.0e}; "
            "expected positive ones. Fit again with a larger --ridge."
        )
    prior.flags.writeable = probs.flags.writeable = False
    return prior, probs


def class_people(bank: ItemBank, name: str) -> tuple[Population, TableModel]:
    """The classes as hypotheses, and how they answer; see `load_classes`."""
    prior, probs = load_classes(bank, name)
    every = np.zeros(bank.num_items, dtype=np.int64)  # all items inform about the class
    return Population.classes(prior), TableModel(np.ascontiguousarray(probs.swapaxes(0, 1)), every)


def category_names(bank: ItemBank) -> list[str]:
    """`I * K` names `<item_id>_<code>`, items in the bank's order and categories ascending."""
    return [f"{item}_{code}" for item in bank.item_ids for code in bank.codes]
