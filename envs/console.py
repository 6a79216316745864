"""How a command was started, and where its results are printed."""

from __future__ import annotations

import io
import sys

from rich.console import Console


def program(module: str) -> str:
    """A command's name as it was typed: `python -m eval.run`, or `acquaint run`.

    Args:
        module: what follows `python -m` in the checkout, e.g. `eval.run`.
    """
    if sys.argv[0].startswith("acquaint "):  # written there by `acquaint_gym.__main__`
        return sys.argv[0]
    started = getattr(sys.modules["__main__"], "__spec__", None)
    long_name = f"acquaint_gym.{module}"  # in a folder other than the checkout
    return f"python -m {long_name if started and started.name == long_name else module}"


def screen() -> Console:
    """Where tables are printed; a pipe has no width, and may know no arrows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(width=None if sys.stdout.isatty() else 120)
