"""Fits a finite population to real people's answers: `python -m train.fit_population --help`.

Writes what `envs.users.classes.load_classes` reads: a minute of one core for 11,000 people.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.users.classes import CLASS, LocatedClasses, category_names
from acquaint_gym.envs.users.coding import MISSING
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Ints
from acquaint_gym.train.psychometrics import common
from acquaint_gym.train.psychometrics.classes import (
    COARSE,
    DIMENSIONS,
    ITERATIONS,
    RIDGE,
    fit_classes,
    log_likelihood,
    sequential_scores,
)

MODULE = "train.fit_population"
CLASSES = 8192
VALIDATION = 0.15


def save(path: Path, bank: ItemBank, classes: LocatedClasses, provenance: Sequence[str]) -> None:
    """Writes what `load_classes` reads; an interrupt leaves whatever file was there before."""
    size = bank.num_items * bank.num_categories
    offset = [f"{value:.3f}" for value in classes.intercepts.ravel()]
    offset += [f"{value:.3g}" for value in classes.log_prior]
    columns: dict[str, Sequence[object]] = {
        "row": category_names(bank) + [CLASS] * len(classes.log_prior),
        "offset": offset,
    }
    for d, weights in enumerate(classes.weights.reshape(size, -1).T):
        places = [f"{value:.2f}" for value in classes.positions[:, d]]
        columns[f"d{d + 1}"] = [f"{value:.3f}" for value in weights] + places
    common.write_all({path: (provenance, columns)})


def _provenance(options: argparse.Namespace, people: common.Respondents, result: str) -> list[str]:
    """Lines for the top of the file: what it is, whose answers, how it was made."""
    settings = ("classes", "dimensions", "ridge", "iterations", "validation", "seed")
    return [
        f"A finite population for {people.bank.name}, fitted to the answers of "
        f"{len(people.answers):,} people: {options.classes:,} equally probable classes.",
        "p(category | class) = softmax, over the categories of an item, of the category's offset "
        "plus the sum of the products of its d1, d2... with those of the class. The offset of a "
        "class is its log prior.",
        *common.data_lines(options, people),
        f"Method: multidimensional nominal model, places of the classes fixed, weights by EM, "
        f"{options.iterations} iterations a round.",
        result,
        common.provenance_line(MODULE, options, people, *settings),
    ]


def _fit(
    options: argparse.Namespace, answers: Ints, categories: int, bar: ProgressBars, label: str
) -> LocatedClasses:
    """One fit with a line of its own in the progress display."""
    rounds = 1 + (options.classes > COARSE)
    task = bar.add_task(label, total=rounds * options.iterations)

    def show(count: int, iteration: int, value: float) -> None:
        text = f"{label}: {count} classes, iteration {iteration}, penalised {value:,.0f} nats"
        bar.update(task, advance=1, description=text)

    return fit_classes(
        answers,
        categories,
        options.classes,
        np.random.Generator(np.random.Philox(options.seed)),
        dimensions=options.dimensions,
        ridge=options.ridge,
        iterations=options.iterations,
        report=show,
    )


def _run(options: argparse.Namespace, people: common.Respondents, console: Console) -> None:
    """Fits, writes and shows."""
    if not 0 <= options.validation < 1:
        raise ValueError(f"--validation {options.validation}: expected a share from 0 to below 1.")
    bank, answers = people.bank, people.answers
    # A stream of its own, so that another number of classes is judged on the same people.
    shuffled = np.random.Generator(np.random.Philox([options.seed, 1])).permutation(len(answers))
    held, rest = np.split(answers[shuffled], [round(options.validation * len(answers))])
    table = Table("people", "number", "accuracy", "nll, nats", title=f"Population of {bank.name}")
    result = "Held-out scores were not computed."
    with ProgressBars(unit="iterations") as bar:
        if len(held):
            trial = _fit(options, rest, bank.num_categories, bar, "without validation people")
            accuracy, nll = sequential_scores(held, trial.prior(), trial.probs())
            table.add_row("held out", f"{len(held):,}", f"{accuracy:.4f}", f"{nll:.4f}")
            result = (
                f"Sequential prediction of {len(held):,} people who were held out of a first fit: "
                f"accuracy {accuracy:.4f}, {nll:.4f} nats an answer."
            )
        classes = _fit(options, answers, bank.num_categories, bar, "all people")
    likelihood = log_likelihood(answers, classes)
    nll = -likelihood / (answers != MISSING).sum()
    table.add_row("fitted", f"{len(answers):,}", "", f"{nll:.4f}")
    result += f" Log-likelihood of the people fitted {likelihood:,.1f} nats."
    save(options.out, bank, classes, _provenance(options, people, result))
    console.print(table)
    console.print(
        f"Log-likelihood of the people fitted {likelihood:,.1f} nats. Wrote {options.out}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; errors in the data or the arguments end it with one line and status 2."""
    parser = common.options(MODULE, __doc__)
    parser.add_argument("--classes", type=int, default=CLASSES, help="default: %(default)s")
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS, help="default: %(default)s")
    parser.add_argument("--ridge", type=float, default=RIDGE, help="on weights (%(default)s)")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="a round (%(default)s)")
    parser.add_argument(
        "--validation", type=float, default=VALIDATION, help="share held out first (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    common.run(parser, _run, arguments)


if __name__ == "__main__":
    main()
