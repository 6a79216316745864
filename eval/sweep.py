"""One number of each agent over combinations of settings, with the same people throughout.

python -m eval.sweep --agent prior bayes --env acquaint/Flights-v0 --vary context=none,traits
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquaint_gym.agents.registry import agent_names
from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.files import write_json, write_text
from acquaint_gym.envs.names import closest, parse_settings
from acquaint_gym.envs.registration import environments
from acquaint_gym.eval.metrics import all_metrics, metric_named
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.report.tables import DASH, curve_rows, markdown_table, numbers, screen_table
from acquaint_gym.eval.runs.command import (
    DEFAULT_USERS,
    add_options,
    add_people,
    check_options,
    in_own_folder,
    input_errors,
    run_command,
)
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.execution import PlannedRun, run_all
from acquaint_gym.eval.runs.provenance import provenance


@dataclass(frozen=True)
class Point:
    """An agent at one combination of settings."""

    run: PlannedRun
    settings: dict[str, Any]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("eval.sweep"),
        description="Scores agents at every combination of some settings of the environments, "
        "always with the same people, and prints one number of each, with 95 % intervals.",
        epilog=f"Agents: {', '.join(agent_names())}. Environments: {', '.join(environments())}. "
        "Traces lie in DIR/KEY=VALUE,..., each a folder as eval.run leaves it.",
    )
    cli.add_argument(
        "--agent",
        nargs="+",
        required=True,
        metavar="NAME[:key=value,...]",
        help="agents, as in eval.run",
    )
    cli.add_argument("--env", nargs="+", required=True, metavar="ID", help="environments")
    cli.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="KEY=VALUE,VALUE,...",
        help="a setting of the environments and its values; several make all combinations",
    )
    cli.add_argument(
        "--metric",
        default="accuracy",
        metavar="NAME",
        help=f"{', '.join(all_metrics())} (accuracy)",
    )
    cli.add_argument(
        "--by-turn",
        action="store_true",
        help="a column for each turn, and a row for each agent, instead of the mean over turns",
    )
    add_people(cli, "train, dev or test (the default)", str(DEFAULT_USERS), synthetic_only=True)
    cli.set_defaults(split="test", users=DEFAULT_USERS)
    add_options(cli, "runs/sweep")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("eval.sweep", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, console: Console) -> None:
    with input_errors():
        points = in_own_folder(prepare, options, console)
    if not run_all([point.run for point in points], options.users, options, console):
        return
    metric = metric_named(options.metric)
    rows: list[dict[str, Any]] = []
    for point in points:
        evaluation, trace = point.run.evaluation, point.run.trace(options.users)
        key = {"env": evaluation.env, "settings": point.settings}
        key["agent"] = evaluation.agent.label
        key["metric"] = metric.name
        if options.by_turn:
            curve = interval(metric.by_turn(trace), metric.combine)
            rows += [key | row for row in curve_rows(curve)]
        else:
            estimate = interval(metric.statistics(trace), metric.combine)
            rows.append(key | numbers(estimate))
    meta = provenance(command, options, options.users, [point.run for point in points])
    out = Path(options.out)
    write_json(out / "report.json", {"meta": meta, "rows": rows})
    header, lines = _table(rows)
    words = 1 + len(points[0].settings) + options.by_turn
    title = f"{metric.name}, {metric.unit}, {options.users} people, ± 95 %"
    text = [f"# {title}", f"```\n{command}\n```", markdown_table(header, lines, words)]
    write_text(out / "report.md", "\n\n".join(text))
    screen().print(screen_table(title, header, lines, words))
    screen().print(f"Report and traces: {out}", highlight=False, soft_wrap=True)


def prepare(options: argparse.Namespace) -> list[Point]:
    """Checks all of the input before anything is computed.

    Raises:
        ValueError: one line that says what is wrong and what to do.
    """
    check_options(options)
    if options.metric not in (known := all_metrics()):
        raise ValueError(f"Unknown metric {closest(options.metric, known)}")
    common, people = parse_settings(options.settings), People(options.split, options.seed, None)
    varied: dict[str, list[Any]] = {}
    for text in options.vary:
        key, _, values = text.partition("=")
        texts = [value for value in values.split(",") if value]
        parsed = [parse_settings([f"{key}={value}"])[key] for value in texts]
        taken = key in varied or key in common
        if taken or not parsed or len(set(map(str, parsed))) < len(parsed):
            raise ValueError(f"--vary {text}: expected KEY=VALUE,VALUE,..., each once.")
        varied[key] = parsed
    points = []
    for env_id, values in product(options.env, product(*varied.values())):
        settings = dict(zip(varied, values, strict=True))
        folder = Path(options.out) / ",".join(f"{k}={v}" for k, v in settings.items()).replace(
            "/", "-"
        )
        packages = tuple(options.packages)
        for evaluation in plan(env_id, options.agent, people, {**common, **settings}, packages):
            points.append(Point(PlannedRun(evaluation, folder, options.fresh), settings))
            points[-1].run.dry_run(options.users)
    return points


def _table(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: a row an environment and combination, a column an agent or a turn."""
    by_turn = "turn" in rows[0]
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        place = (row["env"], *map(str, row["settings"].values()))
        column = str(row["turn"]) if by_turn else row["agent"]
        place += (row["agent"],) * by_turn
        half = (row["high"] - row["low"]) / 2
        cell = DASH if np.isnan(row["mean"]) else f"{row['mean']:.3f} ±{half:.3f}"
        lines.setdefault(place, {})[column] = cell + "*" * bool(row.get("failed"))
    columns = list(dict.fromkeys(column for cells in lines.values() for column in cells))
    header = ["environment", *rows[0]["settings"], *["agent"] * by_turn, *columns]
    return header, [[*place, *(of.get(c, DASH) for c in columns)] for place, of in lines.items()]


if __name__ == "__main__":
    sys.exit(main())
