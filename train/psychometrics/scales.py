"""The items of one trait, fitted whatever their answers are like; what is odd is said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from acquaint_gym.envs.users.coding import MISSING
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train.psychometrics.graded import (
    MIN_ITEMS,
    GradedFit,
    category_counts,
    fit_graded,
    marginal_logits,
)

FLAT = 0.01
"""Discrimination of an item whose answers carry no weight: within two standard deviations of theta
its log-odds move by 0.02."""
CLEAR = 2.0  # standard errors from zero
ASIDE = f"Set aside: shares of answers and discrimination {FLAT}, the others fitted without."


def fit_scale(
    responses: Ints,
    num_categories: int,
    items: Sequence[str],
    *,
    reverse: Collection[str] = (),
    leave_out: Collection[str] = (),
    **settings: Any,
) -> tuple[GradedFit, list[str]]:
    """Fits the items of a trait; items that are no measure of it are set aside.

    An item is set aside where it is to be left out, and where its discrimination comes out on the
    wrong side of zero: because its answers have nothing to do with the trait, or because they run
    against its key. The others are then fitted without it. It keeps its shares of answers, with the
    discrimination `FLAT`: whoever reads the parameters predicts it for everybody alike.

    Args:
        responses: `[N, I]` keyed categories 0..K-1, -1 missing.
        num_categories: K.
        items: `I` names.
        reverse: items that are known to run against their key: fitted with a < 0.
        leave_out: items to set aside.
        **settings: of `fit_graded`.

    Returns:
        The fit of all `I` items, errors NaN for those that were set aside, and sentences about
        items that are not as one expects.

    Raises:
        ValueError: see `fit_graded`; or fewer than 3 items are left.
    """
    names = np.array(items)
    signs = np.where(np.isin(names, list(reverse)), -1, 1)
    aside = np.isin(names, list(leave_out))
    remarks = [f"{_items(names[aside])}: left out. {ASIDE}"] if aside.any() else []
    while True:
        kept = np.flatnonzero(~aside)
        if len(kept) < MIN_ITEMS:
            raise ValueError(
                " ".join([*remarks, f"{len(kept)} items are left, expected at least {MIN_ITEMS}."])
            )
        fit = fit_graded(
            responses[:, kept], num_categories, list(names[kept]), signs=signs[kept], **settings
        )
        slope, error = fit.parameters[:, 0] * signs[kept], fit.errors[:, 0]
        wrong = slope <= 0
        against, noise = wrong & (slope < -CLEAR * error), wrong & (slope >= -CLEAR * error)
        if against.any():
            these = names[kept[against]]
            remarks.append(
                f"{_items(these, slope[against])}: answers run against the key. {ASIDE} If the key "
                f"is wrong, or the data are scored already, --reverse {' '.join(these)} fits with "
                f"the key turned round; --leave-out {' '.join(these)} leaves out without a word."
            )
        if noise.any():
            remarks.append(
                f"{_items(names[kept[noise]], slope[noise])}: no discrimination that is clear of "
                f"none; the answers tell nothing of the trait. {ASIDE}"
            )
        if not wrong.any():
            break
        aside[kept[wrong]] = True
    faint = slope < CLEAR * error
    if faint.any():
        remarks.append(
            f"{_items(names[kept[faint]], slope[faint])}: a discrimination within {CLEAR:g} "
            "standard errors of none; the answers hardly tell of the trait."
        )
    turned = kept[signs[kept] < 0]
    if len(turned):
        remarks.append(f"{_items(names[turned])}: fitted with the key turned round.")
    for name, counts in zip(items, category_counts(responses, num_categories), strict=True):
        if not counts.all():
            empty = ", ".join(str(k + 1) for k in np.flatnonzero(counts == 0))
            remarks.append(
                f"Item {name}: nobody chose category {empty} of {num_categories}, from low to high "
                "on the trait. It is joined with its neighbour but for half an answer, which keeps "
                "it possible."
            )
    return _complete(responses, num_categories, fit, kept), remarks


def _items(names: npt.NDArray[np.str_], slopes: Floats | None = None) -> str:
    """Items as the beginning of a sentence."""
    words = list(names)
    if slopes is not None:
        words = [f"{name} ({slope:.2f})" for name, slope in zip(names, slopes, strict=True)]
    return f"Item{'s' if len(words) > 1 else ''} {', '.join(words)}"


def _complete(responses: Ints, num_categories: int, fit: GradedFit, kept: Ints) -> GradedFit:
    """The fit of the items `kept` as one of all items, those that were set aside included."""
    logits = marginal_logits(responses, num_categories)
    parameters = np.column_stack([np.full(len(logits), FLAT), -logits / FLAT])
    errors = np.full(parameters.shape, np.nan)
    aside = np.ones(len(logits), dtype=bool)
    aside[kept] = False
    parameters[kept], errors[kept] = fit.parameters, fit.errors
    counts = category_counts(responses, num_categories)
    likelihood = xlogy(counts, counts / counts.sum(axis=1, keepdims=True).clip(1))[aside]
    return replace(
        fit,
        parameters=parameters,
        errors=errors,
        answers=counts.sum(axis=1),
        respondents=int((responses != MISSING).any(axis=1).sum()),
        log_likelihood=fit.log_likelihood + float(likelihood.sum()),
    )
