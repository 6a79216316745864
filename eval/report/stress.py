"""The numbers of a stress table, and how they are shown: on the screen, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquaint_gym.envs.files import write_json, write_text
from acquaint_gym.envs.users.quirks import NONE
from acquaint_gym.eval.metrics.prediction import PREDICTION_METRICS
from acquaint_gym.eval.metrics.stats import Estimate, interval, paired_difference
from acquaint_gym.eval.report.tables import DASH, markdown_table, numbers, screen_table
from acquaint_gym.eval.trace import DifferentPeopleError, Trace

SHOWN = ("accuracy", "nll")
TURNS = "turns"
LOSS = "_loss"
_LEGEND = (
    "In a cell: the number with the quirk, then the loss against the same people without it, "
    "positive is worse, ± its paired 95 % interval over people. Both are over the turns that took "
    "place in both; turns: how many those are per person. * leaves out failed people."
)
_METHOD = (
    "People are the unit of independence; intervals are Student's t of the differences person by "
    "person. A person's number is the mean over the turns that took place with and without the "
    "quirk. Who leaves early gives the same answers until then, so impatience alone costs nothing "
    "on those turns: what it takes away are the later ones, as `turns` shows. Failed people have a "
    "number that is infinite."
)


@dataclass(frozen=True)
class Note:
    """Why an agent cannot be had on an environment with a quirk.

    Attributes:
        env: environment id.
        quirk: `NAME:STRENGTH`.
        agent: as named.
        words: the error's own.
    """

    env: str
    quirk: str
    agent: str
    words: str


@dataclass(frozen=True)
class StressReport:
    """What quirks cost; `dataclasses.asdict` of it is `report.json`.

    Attributes:
        meta: how it was made; `strengths` holds the quirks in the table's order.
        rows: env, quirk (`none` without one), strength (None without one), agent, metric, mean,
            low, high, users, failed; metrics are accuracy, nll and turns, and with a quirk
            accuracy_loss and nll_loss.
        notes: what is missing, and why.
    """

    meta: dict[str, Any]
    rows: list[dict[str, Any]]
    notes: list[Note]


def rows_of(without: Trace, quirky: Trace) -> list[dict[str, Any]]:
    """Metric, mean, low, high, users and failed: with the quirk, and the loss.

    Args:
        without: people without the quirk.
        quirky: the same people with it; the very same trace for numbers without a loss.

    Raises:
        DifferentPeopleError: they are not the same people.
    """
    if not np.array_equal(without.person, quirky.person):
        raise DifferentPeopleError(
            f"Cannot compare {len(without.person)} people without a quirk and "
            f"{len(quirky.person)} with it: their numbers differ. Run both again with --fresh."
        )
    length = np.minimum(without.length, quirky.length)
    plain, hard = replace(without, length=length), replace(quirky, length=length)
    estimates: dict[str, Estimate] = {TURNS: interval(length[:, None].astype(np.float64))}
    for name in SHOWN:
        metric = PREDICTION_METRICS[name]
        if not metric.applies(without.agent_asks):
            continue
        before, after = metric.statistics(plain), metric.statistics(hard)
        estimates[name] = interval(after)
        if quirky is not without:
            worse, better = (before, after) if metric.better == "higher" else (after, before)
            estimates[name + LOSS] = paired_difference(worse, better)
    return [{"metric": name} | numbers(estimate) for name, estimate in estimates.items()]


def print_report(report: StressReport, console: Console, out: str) -> None:
    """All tables, and what is missing from them, within 120 columns."""
    for env in _environments(report):
        for metric in SHOWN:
            title = f"{env}: {metric}, {PREDICTION_METRICS[metric].unit}"
            console.print(screen_table(title, *_table(report, env, metric)))
        for words in _missing(report, env):
            console.print(words, markup=False, highlight=False)
    console.print(_LEGEND, style="italic", markup=False, highlight=False)
    console.print(f"Report and traces: {out}", highlight=False, soft_wrap=True)


def write_report(report: StressReport, out_dir: Path) -> None:
    """Writes report.json and report.md into `out_dir`."""
    write_json(out_dir / "report.json", asdict(report))
    parts = ["# Stress table", f"```\n{report.meta['command']}\n```", _LEGEND]
    for env in _environments(report):
        parts.append(f"## {env}")
        for metric in SHOWN:
            parts.append(f"### {metric}, {PREDICTION_METRICS[metric].unit}")
            parts.append(markdown_table(*_table(report, env, metric)))
        parts += _missing(report, env)
    reasons = [[_text(strength), strength["reason"]] for strength in report.meta["strengths"]]
    parts += ["## Strengths", markdown_table(["quirk", "why"], reasons, text_columns=2), _METHOD]
    write_text(out_dir / "report.md", "\n\n".join(parts))


def _environments(report: StressReport) -> list[str]:
    return list(dict.fromkeys(row["env"] for row in report.rows))


def _text(of: dict[str, Any]) -> str:
    """`NAME:STRENGTH` of a row or a strength; `none` without a quirk."""
    quirk: str = of["quirk"]
    return quirk if of["strength"] is None else f"{quirk}:{of['strength']:g}"


def _table(report: StressReport, env: str, metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines: a row a quirk, a column an agent."""
    rows = {
        (_text(row), row["agent"], row["metric"]): row for row in report.rows if row["env"] == env
    }
    agents = list(dict.fromkeys(agent for _, agent, _ in rows))
    lines = []
    for text in [NONE, *map(_text, report.meta["strengths"])]:
        turns = [rows[text, agent, TURNS] for agent in agents if (text, agent, TURNS) in rows]
        cells = [
            _cell([rows.get((text, agent, name)) for name in (metric, metric + LOSS)])
            for agent in agents
        ]
        lines.append([text, f"{turns[0]['mean']:.1f}" if turns else DASH, *cells])
    return ["quirk", TURNS, *agents], lines


def _cell(pair: Sequence[dict[str, Any] | None]) -> str:
    """`0.480, 0.054 ±0.004`: the number, the loss and half its interval; a dash for neither."""
    number, loss = pair
    if number is None or np.isnan(number["mean"]):
        return DASH
    failed = number["failed"] or (loss is not None and loss["failed"])
    cell = f"{number['mean']:.3f}{'*' if failed else ''}"
    if loss is None or np.isnan(loss["mean"]):
        return cell
    half = (loss["high"] - loss["low"]) / 2
    return f"{cell}, {loss['mean']:z.3f}" + (f" ±{half:.3f}" if np.isfinite(half) else "")


def _missing(report: StressReport, env: str) -> list[str]:
    """A line for each reason why cells are dashes."""
    agents = {row["agent"] for row in report.rows if row["env"] == env}
    by_reason: dict[str, dict[str, list[str]]] = {}
    for note in report.notes:
        if note.env == env:
            by_reason.setdefault(note.words, {}).setdefault(note.quirk, []).append(note.agent)
    lines = []
    for words, quirks in by_reason.items():
        whose = sorted({name for names in quirks.values() for name in names})
        of = "" if {*whose} == agents else f" ({', '.join(whose)})"
        lines.append(f"{DASH} {', '.join(quirks)}{of}: {words}")
    return lines
