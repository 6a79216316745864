"""Recorded people as the hypotheses themselves, and how one of them would answer anew.

Instead of a model of what people have in common, a bank of people: whoever is behind the screen is
taken for one of them. Somebody who answered y once answers k with a probability that falls with
the distance of k and y; how fast is one number, the width. `python -m train.fit_raters` finds it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from acquaint_gym.envs.files import locate
from acquaint_gym.envs.users.coding import PUBLISHED, Coding
from acquaint_gym.envs.users.fast_draws import fibonacci_hash
from acquaint_gym.envs.users.humans import load_respondents, split_rows
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints

WIDTH = 1.0
"""Of the kernel, in categories. `python -m train.fit_raters --data ipip50.csv.gz`: with it 10,046
raters predict others best. Fewer raters of more items resemble nobody so well and need a wider one,
1,923 of spi128 1.5 and 976 of ambi181 2.5."""
SMALLEST_WIDTH = 0.1  # below, an answer next to the recorded one is as good as impossible


class Raters(NamedTuple):
    """People who answered every item of a bank.

    Attributes:
        answers: `[R, I]` zero-based raw categories, items in the bank's order.
        row: `[R]` published row numbers, ascending.
    """

    answers: Ints
    row: Ints


def load_raters(bank: ItemBank, path: str, num: int, coding: Coding = PUBLISHED) -> Raters:
    """Respondents of the training split of a file, spread over it; a larger bank holds a smaller.

    Args:
        bank: the items; who left one out is no rater.
        path: the file, see `envs.files.locate`.
        num: R; 0 for all of them.
        coding: how the file writes answers, where not as the bank says.

    Raises:
        ValueError: an unreadable file, or fewer than 2 or than `num` such people.
    """
    if num < 0 or num == 1:
        raise ValueError(f"num_raters={num}; expected at least 2, or 0 for everybody.")
    recorded = load_respondents(locate(path), bank, coding)
    usable = split_rows(recorded.row, "train") & (recorded.answers >= 0).all(axis=1)
    answers, row = recorded.answers[usable], recorded.row[usable]
    if len(row) < max(num, 2):
        raise ValueError(
            f"num_raters={num}: {path} has {len(row)} people in its training split who answered "
            f"every item of {bank.name}; at least 2 are needed."
        )
    # By the hash that splits the rows: neighbouring rows lie far apart in it.
    order = np.argsort(fibonacci_hash(row))[: num or None]
    chosen = order[np.argsort(row[order])]
    return Raters(answers[chosen], row[chosen])


def kernel(num_categories: int, width: float) -> Floats:
    """`[K, K]` p(answer k | recorded answer y) of row y, proportional to exp(-|k - y| / width).

    Raises:
        ValueError: a width so small that people could not but repeat themselves.
    """
    if not SMALLEST_WIDTH <= width < np.inf:
        raise ValueError(f"width={width}; expected at least {SMALLEST_WIDTH}.")
    category = np.arange(num_categories)
    weights = np.exp(-np.abs(category[:, None] - category) / width)
    probs: Floats = weights / weights.sum(axis=1, keepdims=True)
    return probs


def response_table(answers: Ints, num_categories: int, width: float) -> Floats:
    """`[I, R, K]` p(answer | rater) of every item, of recorded answers `[R, I]`."""
    return kernel(num_categories, width)[answers.T]
