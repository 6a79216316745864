"""Fits a questionnaire's items to real people's answers: `python -m train.fit_items --help`.

Writes what `GradedParameters.load` reads: the items' parameters (`--out`) and, beside them, the
latent correlations of the traits. 14,000 people and 50 items take ten seconds on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.coding import MISSING
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train.psychometrics import common
from acquaint_gym.train.psychometrics.correlation import latent_correlation, likelihoods
from acquaint_gym.train.psychometrics.graded import (
    MAX_ITERATIONS,
    NODES,
    TOLERANCE,
    GradedFit,
    quadrature,
)
from acquaint_gym.train.psychometrics.scales import fit_scale

MODULE = "train.fit_items"
DIGITS = 4


@dataclass(frozen=True)
class BankFit:
    """The fit of a whole questionnaire.

    Attributes:
        traits: `F` fits, one a trait, in the bank's order; items within in the bank's order.
        correlation: `[F, F]` latent correlations, positive definite.
        correlation_errors: `[F, F]` their standard errors, zero on the diagonal.
        remarks: sentences about items that are not as one expects, see `fit_scale`.
    """

    traits: tuple[GradedFit, ...]
    correlation: Floats
    correlation_errors: Floats
    remarks: tuple[str, ...] = ()


def fit_bank(
    responses: Ints,
    bank: ItemBank,
    progress: ProgressBars,
    *,
    reverse: Collection[str] = (),
    leave_out: Collection[str] = (),
    nodes: int = NODES,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> BankFit:
    """Fits every trait of a questionnaire, then the correlation of every pair of traits.

    Args:
        responses: `[N, I]` keyed categories 0..K-1 in the bank's order, -1 missing.
        bank: the items.
        progress: bar that shows how far it is.
        reverse: items that are known to run against their key.
        leave_out: items that are to carry no weight.
        nodes: grid points of theta.
        tolerance: see `fit_graded`.
        max_iterations: see `fit_graded`.

    Raises:
        ValueError: see `fit_scale`; or an item that the bank has not.
    """
    for name in (*reverse, *leave_out):
        if name not in bank.item_ids:
            raise ValueError(f"{bank.name} has no item {closest(name, bank.item_ids)}")
        if name in reverse and name in leave_out:
            raise ValueError(f"Item {name}: --reverse or --leave-out, not both.")
    theta, _ = quadrature(nodes)
    pairs = list(combinations(range(len(bank.traits)), 2))
    task = progress.add_task("", total=len(bank.traits) + len(pairs))
    fits: list[GradedFit] = []
    remarks: list[str] = []
    for trait, name in enumerate(bank.traits):

        def show(iteration: int, total: float, change: float, name: str = name) -> None:
            text = f"{name}: iteration {iteration}, log-likelihood {total:,.1f}, moved {change:.0e}"
            progress.update(task, description=text)

        member = np.flatnonzero(bank.trait == trait)
        fit, odd = fit_scale(
            responses[:, member],
            bank.num_categories,
            [bank.item_ids[i] for i in member],
            reverse=reverse,
            leave_out=leave_out,
            nodes=nodes,
            tolerance=tolerance,
            max_iterations=max_iterations,
            on_iteration=show,
        )
        fits.append(fit)
        remarks += odd
        progress.advance(task)
    correlation, errors = np.eye(len(fits)), np.zeros((len(fits), len(fits)))
    for pair in pairs:
        progress.update(task, description=" and ".join(bank.traits[trait] for trait in pair))
        first, second = (
            likelihoods(responses[:, bank.trait == trait], fits[trait].parameters, theta)
            for trait in pair
        )
        estimate, error = latent_correlation(first, second, theta)
        correlation[pair] = correlation[pair[::-1]] = estimate
        errors[pair] = errors[pair[::-1]] = error
        progress.advance(task)
    return BankFit(tuple(fits), positive_definite(correlation), errors, tuple(remarks))


def positive_definite(correlation: Floats, floor: float = 1e-3) -> Floats:
    """The correlation matrix `[F, F]` with eigenvalues raised to `floor` and a unit diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    raised = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    scaled: Floats = raised / np.outer(scale, scale)
    return scaled


def save(path: Path, bank: ItemBank, fit: BankFit, provenance: Sequence[str]) -> None:
    """Writes the item parameters to `path` and the correlations beside it, both or neither.

    Args:
        path: `X.csv`; the correlations go to `X_traits.csv`.
        bank: the items.
        fit: what to write.
        provenance: lines for the top of both files.
    """
    parameters = np.zeros((bank.num_items, bank.num_categories))
    errors, answers = np.zeros_like(parameters), np.zeros(bank.num_items, dtype=int)
    for trait, part in enumerate(fit.traits):
        member = bank.trait == trait
        parameters[member], errors[member] = part.parameters, part.errors
        answers[member] = part.answers
    names = ["a", *(f"b{k}" for k in range(1, bank.num_categories))]
    items: dict[str, Sequence[object]] = {"item_id": bank.item_ids}
    digits = next(d for d in range(DIGITS, 16) if _distinct(np.round(parameters[:, 1:], d)))
    items |= {name: _round(parameters[:, k], digits) for k, name in enumerate(names)}
    items |= {f"se_{name}": _round(errors[:, k]) for k, name in enumerate(names)}
    items["n"] = answers.tolist()
    traits: dict[str, Sequence[object]] = {"trait": bank.traits}
    traits |= {name: _round(fit.correlation[:, f]) for f, name in enumerate(bank.traits)}
    largest = fit.correlation_errors.max()
    pairwise = (
        f"Latent correlations by pairs, items held fixed; standard errors up to {largest:.3f}."
    )
    common.write_all({path: (provenance, items), _beside(path): ([*provenance, pairwise], traits)})


def _beside(path: Path) -> Path:
    """Where the correlations of the traits go."""
    return path.with_name(f"{path.stem}_traits.csv")


def _round(values: Floats, digits: int = DIGITS) -> list[str]:
    """Numbers as they stand in the files: far finer than any standard error."""
    return [f"{value:.{digits}f}" for value in values]


def _distinct(thresholds: Floats) -> bool:
    """Whether neighbours of `[I, K-1]` differ, however rare the category between them is."""
    return bool((np.diff(thresholds, axis=1) != 0).all())


def _provenance(options: argparse.Namespace, people: common.Respondents, fit: BankFit) -> list[str]:
    """Lines for the top of the files: what it is, whose answers, how it was made."""
    totals = [
        f"{name} {part.log_likelihood:,.1f}"
        for name, part in zip(people.bank.traits, fit.traits, strict=True)
    ]
    return [
        f"Graded response model of {people.bank.name}, fitted to the answers of "
        f"{len(people.answers):,} people: P(Y >= k | theta) = 1 / (1 + exp(-a (theta - b_k))), "
        "keyed categories, theta ~ N(0, 1).",
        *common.data_lines(options, people),
        f"Method: marginal maximum likelihood by EM, {options.nodes} equally spaced nodes on "
        f"[-6, 6]; standard errors (se_) from the outer product of respondents' scores.",
        f"Log-likelihood, nats: {'; '.join(totals)}.",
        *fit.remarks,
        common.provenance_line(
            MODULE, options, people, "nodes", "tolerance", "reverse", "leave_out"
        ),
    ]


def _summary(bank: ItemBank, fit: BankFit) -> Table:
    """The result on screen: one row a trait."""
    table = Table("trait", title=f"Graded response model of {bank.name}")
    for column in ("people", "log-likelihood", "iterations", "median a"):
        table.add_column(column, justify="right")
    for name, part in zip(bank.traits, fit.traits, strict=True):
        table.add_row(
            name,
            f"{part.respondents:,}",
            f"{part.log_likelihood:,.1f}",
            str(part.iterations),
            f"{np.median(part.parameters[:, 0]):.2f}",
        )
    return table


def _run(options: argparse.Namespace, people: common.Respondents, console: Console) -> None:
    """Fits, writes and shows."""
    bank, raw = people.bank, people.answers
    responses = np.where(raw == MISSING, MISSING, bank.apply_keying(raw))
    with ProgressBars(unit="traits and pairs") as progress:
        fit = fit_bank(
            responses,
            bank,
            progress,
            reverse=options.reverse,
            leave_out=options.leave_out,
            nodes=options.nodes,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
        )
    save(options.out, bank, fit, _provenance(options, people, fit))
    console.print(_summary(bank, fit))
    for remark in fit.remarks:
        console.print(remark, style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Wrote {options.out} and {_beside(options.out)}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; errors in the data or the arguments end it with one line and status 2."""
    parser = common.options(MODULE, __doc__)
    parser.add_argument("--nodes", type=int, default=NODES, help="grid points (%(default)s)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="largest last change (%(default)s)"
    )
    parser.add_argument(
        "--max-iterations", type=int, default=MAX_ITERATIONS, help="of EM (%(default)s)"
    )
    parser.add_argument(
        "--reverse",
        nargs="+",
        default=[],
        metavar="ITEM",
        help="items whose answers run against their key: fitted with a negative discrimination",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="ITEM",
        help="items that are to tell nothing of their trait; only their shares of answers are kept",
    )
    common.run(parser, _run, arguments)


if __name__ == "__main__":
    main()
