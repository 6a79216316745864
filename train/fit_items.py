"""Fits a questionnaire's items to real people's answers: `python -m train.fit_items --help`.

Writes what `GradedParameters.load` reads: the items' parameters (`--out`) and, beside them, the
latent correlations of the traits. 14,000 people and 50 items take ten seconds on one core.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from envs.data import write_table
from envs.users.humans import MISSING, SPLITS, Recorded, load_respondents, split_rows
from envs.users.item_bank import ItemBank
from envs.users.response_models import Floats, Ints
from train.graded_fit import (
    MAX_ITERATIONS,
    NODES,
    TOLERANCE,
    GradedFit,
    fit_graded,
    latent_correlation,
    log_likelihood,
    quadrature,
)


@dataclass(frozen=True)
class BankFit:
    """The fit of a whole questionnaire.

    Attributes:
        traits: `F` fits, one a trait, in the bank's order; items within in the bank's order.
        correlation: `[F, F]` latent correlations, positive definite.
        correlation_errors: `[F, F]` their standard errors, zero on the diagonal.
    """

    traits: tuple[GradedFit, ...]
    correlation: Floats
    correlation_errors: Floats


def fit_bank(
    responses: Ints,
    bank: ItemBank,
    progress: Progress,
    *,
    nodes: int = NODES,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> BankFit:
    """Fits every trait of a questionnaire, then the correlation of every pair of traits.

    Args:
        responses: `[N, I]` keyed categories 0..K-1 in the bank's order, -1 missing.
        bank: the items.
        progress: bar that shows how far it is.
        nodes: grid points of theta.
        tolerance: see `fit_graded`.
        max_iterations: see `fit_graded`.

    Raises:
        ValueError: see `fit_graded`.
    """
    theta, _ = quadrature(nodes)
    pairs = list(combinations(range(len(bank.traits)), 2))
    task = progress.add_task("", total=len(bank.traits) + len(pairs))
    fits: list[GradedFit] = []
    for trait, name in enumerate(bank.traits):

        def show(iteration: int, total: float, change: float, name: str = name) -> None:
            text = f"{name}: iteration {iteration}, log-likelihood {total:,.1f}, moved {change:.0e}"
            progress.update(task, description=text)

        member = np.flatnonzero(bank.trait == trait)
        fits.append(
            fit_graded(
                responses[:, member],
                bank.num_categories,
                [bank.item_ids[i] for i in member],
                nodes=nodes,
                tolerance=tolerance,
                max_iterations=max_iterations,
                on_iteration=show,
            )
        )
        progress.advance(task)
    correlation, errors = np.eye(len(fits)), np.zeros((len(fits), len(fits)))
    for pair in pairs:
        progress.update(task, description=" and ".join(bank.traits[trait] for trait in pair))
        first, second = (
            log_likelihood(responses[:, bank.trait == trait], fits[trait].parameters, theta)
            for trait in pair
        )
        estimate, error = latent_correlation(first, second, theta)
        correlation[pair] = correlation[pair[::-1]] = estimate
        errors[pair] = errors[pair[::-1]] = error
        progress.advance(task)
    return BankFit(tuple(fits), positive_definite(correlation), errors)


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
    items |= {name: _rounded(parameters[:, k]) for k, name in enumerate(names)}
    items |= {f"se_{name}": _rounded(errors[:, k]) for k, name in enumerate(names)}
    items["n"] = answers.tolist()
    traits: dict[str, Sequence[object]] = {"trait": bank.traits}
    traits |= {name: _rounded(fit.correlation[:, f]) for f, name in enumerate(bank.traits)}
    largest = fit.correlation_errors.max()
    pairwise = (
        f"Latent correlations by pairs, items held fixed; standard errors up to {largest:.3f}."
    )
    _replace({path: (provenance, items), _beside(path): ([*provenance, pairwise], traits)})


def _beside(path: Path) -> Path:
    """Where the correlations of the traits go."""
    return path.with_name(f"{path.stem}_traits.csv")


def _rounded(values: Floats) -> list[str]:
    """Numbers as they stand in the files: far finer than any standard error."""
    return [f"{value:.4f}" for value in values]


def _replace(tables: Mapping[Path, tuple[Sequence[str], Mapping[str, Sequence[object]]]]) -> None:
    """Writes all tables or none: an interrupt leaves whatever files were there before."""
    partial = {path: path.with_name(f"{path.name}.partial") for path in tables}
    try:
        for path, (provenance, columns) in tables.items():
            write_table(partial[path], provenance, columns)
        for path, temporary in partial.items():
            temporary.replace(path)
    finally:
        for temporary in partial.values():
            temporary.unlink(missing_ok=True)


def _provenance(
    options: argparse.Namespace, recorded: Recorded, bank: ItemBank, fit: BankFit, people: int
) -> list[str]:
    """Lines that say where the numbers come from; file names only, no folders of this machine."""
    likelihoods = [
        f"{name} {part.log_likelihood:,.1f}"
        for name, part in zip(bank.traits, fit.traits, strict=True)
    ]
    command = (
        f"python -m train.fit_items --questionnaire {bank.name} "
        f"--data {shlex.quote(recorded.name)} --split {options.split} --nodes {options.nodes} "
        f"--tolerance {options.tolerance} --out {shlex.quote(options.out.name)}"
    )
    return [
        f"Graded response model of {bank.name}, fitted to the answers of {people:,} people: "
        "P(Y >= k | theta) = 1 / (1 + exp(-a (theta - b_k))), keyed categories, theta ~ N(0, 1).",
        f"Data: {recorded.name}, sha256 {recorded.sha256}; split {options.split}, {people:,} of "
        f"{len(recorded.row):,} rows, besides {recorded.unanswered} without any answer.",
        *options.credit,
        f"Method: marginal maximum likelihood by EM, {options.nodes} equally spaced nodes on "
        f"[-6, 6]; standard errors (se_) from the outer product of respondents' scores.",
        f"Log-likelihood, nats: {'; '.join(likelihoods)}.",
        f"Made {datetime.datetime.now(datetime.UTC).date()} by: {command}",
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


def _run(options: argparse.Namespace, console: Console) -> None:
    """Reads, fits, writes and shows."""
    out: Path = options.out
    if out.suffix != ".csv" or not out.parent.is_dir():
        raise ValueError(f"--out {out}: expected a name ending in .csv in a folder that exists.")
    bank = ItemBank.load(options.questionnaire)
    recorded = load_respondents(options.data, bank)
    raw = recorded.answers[split_rows(recorded.row, options.split)]
    responses = np.where(raw == MISSING, MISSING, bank.keyed(raw))
    with Progress(console=console, transient=True) as progress:
        fit = fit_bank(
            responses,
            bank,
            progress,
            nodes=options.nodes,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
        )
    save(out, bank, fit, _provenance(options, recorded, bank, fit, len(responses)))
    console.print(_summary(bank, fit))
    console.print(f"Wrote {out} and {_beside(out)}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; errors in the data or the arguments end it with one line and status 2."""
    parser = argparse.ArgumentParser(prog="python -m train.fit_items", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="respondents: .csv, .gz or .zip")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write, e.g. mine.csv")
    parser.add_argument("--questionnaire", default="ipip50", help="default: %(default)s")
    parser.add_argument(
        "--split", choices=tuple(SPLITS), default="train", help="which rows; default: %(default)s"
    )
    parser.add_argument("--nodes", type=int, default=NODES, help="grid points (%(default)s)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="largest last change (%(default)s)"
    )
    parser.add_argument(
        "--max-iterations", type=int, default=MAX_ITERATIONS, help="of EM (%(default)s)"
    )
    parser.add_argument(
        "--credit", action="append", default=[], help="line for the files' heads: whose data"
    )
    options = parser.parse_args(arguments)
    try:
        _run(options, Console())
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
