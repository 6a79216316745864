"""Where results are printed."""

from __future__ import annotations

import io
import sys

from rich.console import Console


def screen() -> Console:
    """Where tables are printed; a pipe has no width, and may know no arrows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(width=None if sys.stdout.isatty() else 120)
