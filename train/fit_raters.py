"""Finds the width of the raters' kernel: `python -m train.fit_raters --help`.

Most people of the training split are the raters. The answers of the others are predicted one after
the other, each from the raters who resemble the person in the answers before. The width that
predicts them best is `envs.users.raters.WIDTH`, or goes to `--set width=`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from acquaint_gym.envs.console import program, screen, track
from acquaint_gym.envs.users.coding import Coding
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.raters import kernel, load_raters
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train.psychometrics.classes import sequential_scores
from acquaint_gym.train.psychometrics.common import add_coding

WIDTHS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0)


def scores(
    raters: Ints, others: Ints, num_categories: int, width: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Accuracy and NLL in nats of others' answers `[N, I]`, from raters `[R, I]`.

    Args:
        raters: zero-based raw answers.
        others: of people who are not among them.
        num_categories: K.
        width: of the kernel.
        rng: decides in which order the items are asked, everybody in the same.
    """
    order = rng.permutation(raters.shape[1])
    probs: Floats = kernel(num_categories, width)[raters[:, order]]
    prior = np.full(len(raters), 1.0 / len(raters))
    return sequential_scores(others[:, order], prior, probs)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("train.fit_raters"), description="Finds the width of the raters' kernel."
    )
    cli.add_argument("--data", required=True, metavar="PATH", help="respondents, see eval.run")
    cli.add_argument("--questionnaire", default="ipip50", help="default: %(default)s")
    add_coding(cli)
    cli.add_argument(
        "--others", type=int, default=1000, help="people to predict (%(default)s); the rest rate"
    )
    cli.add_argument(
        "--width",
        type=float,
        nargs="+",
        default=WIDTHS,
        help=f"to try ({', '.join(map(str, WIDTHS))})",
    )
    cli.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table of widths; bad input ends it with one line and status 2."""
    cli = parser()
    options = cli.parse_args(arguments)
    try:
        bank = ItemBank.load(options.questionnaire)
        if options.seed < 0:
            raise ValueError(f"--seed {options.seed}: expected at least 0.")
        coding = Coding.parse(bank, options.codes, options.missing)
        everybody = load_raters(bank, options.data, 0, coding)
        if not 0 < options.others < len(everybody.row) - 1:
            raise ValueError(
                f"--others {options.others}: expected 1..{len(everybody.row) - 2}, of "
                f"{len(everybody.row)} people."
            )
        for width in options.width:
            kernel(bank.num_categories, width)
    except ValueError as error:
        cli.error(str(error))
    shuffled = np.random.Generator(np.random.Philox(options.seed)).permutation(len(everybody.row))
    others, raters = np.split(everybody.answers[shuffled], [options.others])
    table = Table("width", "accuracy", "nll, nats", title=f"{len(raters):,} raters of {bank.name}")
    for width in track(options.width, f"{len(others):,} other people", "widths"):
        rng = np.random.Generator(np.random.Philox([options.seed, 1]))
        accuracy, nll = scores(raters, others, bank.num_categories, width, rng)
        table.add_row(f"{width:g}", f"{accuracy:.4f}", f"{nll:.4f}")
    screen().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
