"""Rows laid out: tables of a screen and of Markdown, and a row a person in `people.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich import box
from rich.table import Table

from acquaint_gym.envs.files import atomic
from acquaint_gym.eval.metrics import metrics_of
from acquaint_gym.eval.metrics.stats import Estimate
from acquaint_gym.eval.trace import DifferentPeopleError, Trace

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


def same_people(env: str, traces: Mapping[str, Trace]) -> dict[str, Trace]:
    """The traces in one order of people, so that row n is the same person in all.

    Args:
        env: for the message.
        traces: agent name -> trace.

    Raises:
        DifferentPeopleError: the people, their hidden levels, the number of turns or the answers
            to the same stimulus at the same turn differ.
    """
    ordered = {name: trace.select(np.argsort(trace.person)) for name, trace in traces.items()}
    first_name, first = next(iter(ordered.items()))
    for name, trace in ordered.items():
        difference = _difference(first, trace)
        if difference:
            raise DifferentPeopleError(
                f"Cannot compare {first_name!r} and {name!r} on {env}: {difference}. "
                "Run both again with the same people and settings."
            )
    return ordered


def _difference(a: Trace, b: Trace) -> str:
    """What shows that two traces, in order of people, are not about the same people; or ""."""
    if not np.array_equal(a.person, b.person):
        common = len(np.intersect1d(a.person, b.person))
        return f"{len(a.person)} and {len(b.person)} people, {common} of them the same"
    if not np.array_equal(a.levels, b.levels):
        return "people of the same number have other hidden levels"
    if a.answers.shape != b.answers.shape:
        return f"{a.answers.shape[1]} and {b.answers.shape[1]} turns"
    # An agent may choose the stimulus; only the answers to the same one must agree.
    same_stimulus = (a.stimuli == b.stimuli).all(axis=-1)
    rows, turns = np.nonzero(same_stimulus & (a.answers != b.answers))
    if rows.size:
        people = len(np.unique(rows))
        first = f"person {a.person[rows[0]]} at turn {turns[0] + 1}"
        return f"{people} of {len(a.person)} people answer otherwise, first {first}"
    return ""


def write_people(path: Path, traces: Mapping[str, Mapping[str, Trace]]) -> None:
    """Writes a row for each environment, agent and person.

    Columns: `env`, `agent`, `person` (the number that joins agents), `turns`, then every metric
    that is a number of one person, in its unit: those of the report but for correlations and the
    like. A cell is empty where the number is undefined or infinite, or does not apply.

    Args:
        path: of the file.
        traces: environment id -> agent name -> trace.
    """
    metrics = {
        metric.name: metric
        for by_agent in traces.values()
        for trace in by_agent.values()
        for metric in metrics_of(trace.agent_asks).values()
        if metric.combine is None
    }
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["env", "agent", "person", "turns", *metrics])
        for env, by_agent in traces.items():
            for agent, trace in by_agent.items():
                numbers = np.full((len(trace.person), len(metrics)), np.nan)
                for column, metric in enumerate(metrics.values()):
                    if metric.applies(trace.agent_asks):
                        numbers[:, column] = metric.statistics(trace)[:, 0]
                for person, length, row in zip(trace.person, trace.length, numbers, strict=True):
                    cells = ["" if np.isnan(number) else repr(float(number)) for number in row]
                    writer.writerow([env, agent, person, length, *cells])
