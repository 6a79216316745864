"""Builds the embedded model from nothing: `python -m train.micro --help`.

A tokenizer, a small Llama of random weights, and a corpus that is generated on the way, see
`train.embedded.corpus`. Interrupted, the same command goes on; the same seed gives the same model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.eval.runs.command import InputError, exit_code, input_errors

OUT = Path("agents/models/micro")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog=program("train.micro"), description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    for name, default, text in (
        ("steps", 2600, "of training"),
        ("documents", 16, "a step"),
        ("layers", 3, "of the model"),
        ("width", 128, "of the model"),
        ("heads", 4, "of attention"),
        ("vocab", 2048, "tokens at most"),
        ("sampled", 640, "documents from which the tokenizer learns what is frequent"),
        ("examined", 320, "documents about development people, for the model card"),
        ("save-every", 50, "steps between checkpoints"),
        ("seed", 0, "of weights and documents"),
    ):
        words = f"{text} (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=default, help=words)
    parser.add_argument(
        "--fresh", action="store_true", help="replace the finished model that lies in --out, if any"
    )
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="default: %(default)s")
    return parser


def check(options: argparse.Namespace) -> None:
    """Finds what is wrong with the options before anything is computed, and makes the folder.

    Raises:
        ValueError: a number that is too small, sizes that do not fit, or a folder that cannot be
            made.
    """
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if type(value) is int and value < least:
            raise ValueError(f"--{name.replace('_', '-')} {value}: expected at least {least}.")
    if not options.learning_rate > 0:
        raise ValueError(f"--learning-rate {options.learning_rate}: expected more than 0.")
    # Rotary positions turn the numbers of a head in pairs.
    if options.width % (2 * options.heads):
        raise ValueError(
            f"--width {options.width}: expected a multiple of {2 * options.heads}, so that each of "
            f"--heads {options.heads} has an even width."
        )
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {options.out}: no folder can be made there ({error}).") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    cli = parser()
    options = cli.parse_args(arguments)
    return exit_code(partial(_run, options, cli.parse_args([])), lambda: str(options.out))


def _run(options: argparse.Namespace, defaults: argparse.Namespace, errors: Console) -> None:
    try:
        from acquaint_gym.train.embedded.build import build
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error}; language models need the extra llm (pip install -e '.[llm]')."
        ) from error
    with input_errors():
        check(options)
        build(options, vars(defaults), errors)


if __name__ == "__main__":
    sys.exit(main())
