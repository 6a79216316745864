"""Builds the embedded model from nothing: `python -m train.micro --help`.

A tokenizer, a small Llama of random weights, and a corpus that is generated on the way, see
`train.micro_corpus`. Interrupted, the same command goes on; the same seed gives the same model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

OUT = Path("agents/models/micro")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m train.micro", description=__doc__)
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
        told = f"{text} (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=default, help=told)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="default: %(default)s")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; settings that do not fit end it with one line and status 2."""
    cli = parser()
    options = cli.parse_args(arguments)
    try:
        from train.micro_build import build
    except ModuleNotFoundError as error:
        cli.error(f"{error}; language models need the extra llm (pip install -e '.[llm]').")
    try:
        build(options, vars(cli.parse_args([])), Console())
    except ValueError as error:
        cli.error(str(error))


if __name__ == "__main__":
    main()
