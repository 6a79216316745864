"""Estimates as tidy rows, and rows as tables: for the screen and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from rich import box
from rich.table import Table

from acquaint_gym.eval.metrics.stats import Estimate

DASH = "–"


def numbers(estimate: Estimate, applies: bool = True) -> dict[str, Any]:
    """Mean, low, high, users and failed of one estimate, as plain numbers.

    Nobody failed to have what does not apply, as a belief to agents that have none.
    """
    return {
        "mean": float(estimate.mean),
        "low": float(estimate.low),
        "high": float(estimate.high),
        "users": int(estimate.users),
        "failed": int(estimate.failed) if applies else 0,
    }


def curve_rows(curve: Estimate) -> list[dict[str, Any]]:
    """Turn (1..T), mean, low, high and users of estimates `[T]`, as plain numbers."""
    columns = (curve.mean, curve.low, curve.high, curve.users)
    names = ("mean", "low", "high", "users")
    return [
        {"turn": turn} | dict(zip(names, values, strict=True))
        for turn, values in enumerate(zip(*(c.tolist() for c in columns), strict=True), start=1)
    ]


def spread(row: Mapping[str, Any]) -> str:
    """`0.512 [0.498, 0.526]` of a row's mean, low and high; a dash where undefined."""
    if np.isnan(row["mean"]):
        return DASH
    if np.isnan(row["low"]):
        return f"{row['mean']:z.3f}"
    return f"{row['mean']:z.3f} [{row['low']:z.3f}, {row['high']:z.3f}]"


def screen_table(
    title: str,
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    text_columns: int = 1,
    caption: str | None = None,
    alarms: Sequence[int] = (),
) -> Table:
    """A table for the screen; the first `text_columns` are left-aligned, the others right-aligned.

    Where it would be too wide, texts are folded rather than numbers. Of the columns `alarms` every
    number but 0 is red.
    """
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for index, name in enumerate(header):
        justify: Literal["left", "right"] = "left" if index < text_columns else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=index >= text_columns)
    for line in lines:
        red = {n for n in alarms if line[n] not in ("0", DASH)}
        table.add_row(*(f"[red]{cell}[/red]" if n in red else cell for n, cell in enumerate(line)))
    return table


def markdown_table(
    header: Sequence[str], lines: Sequence[Sequence[str]], text_columns: int = 1
) -> str:
    """A Markdown table; the first `text_columns` are left-aligned, the others right-aligned."""
    rule = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))
