"""Paired differences between agents that met the same people, over several runs.

python -m eval.compare DIR... [--reference AGENT] [--metric NAME...] [--out DIR]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.files import FileError, write_json, write_text
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics import Metric, all_metrics, metric_named
from acquaint_gym.eval.metrics.stats import paired_difference
from acquaint_gym.eval.report.tables import (
    DASH,
    markdown_table,
    numbers,
    same_people,
    screen_table,
    spread,
)
from acquaint_gym.eval.runs.command import command_line, print_error
from acquaint_gym.eval.runs.store import Run, load_runs
from acquaint_gym.eval.trace import DifferentPeopleError

POINT = 0.01  # the difference that a reader would care to see, in the metric's unit
_HEADER = (
    *("metric", "agent", "difference [95 %]", "people"),
    *("failed", "w/t/l", "detect", "for 0.01"),
)
_LEGEND = (
    "w/t/l: people in whom the agent is better, equal, worse. detect: smallest difference that as "
    "many people show with 80 % power. for 0.01: people needed to show a difference of 0.01."
)


class NothingToCompareError(ValueError):
    """The folders hold no two agents on one environment, or not the reference."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 where runs cannot be compared."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    output = screen()
    console = Console(stderr=True)
    rows = []
    try:
        for env, runs in collect(options.runs).items():
            if len(runs) == 1:
                console.print(f"Left out {env}: met by {', '.join(runs)} only.", markup=False)
                continue
            rows += compare(env, runs, options.reference or next(iter(runs)), options.metric)
    except (DifferentPeopleError, FileError, NothingToCompareError) as error:
        return print_error(error, console)
    parts = []
    for env, reference in dict.fromkeys((row["env"], row["reference"]) for row in rows):
        lines = [_line(row) for row in rows if row["env"] == env]
        title = f"{env}: difference to {reference}"
        output.print(screen_table(title, _HEADER, lines, text_columns=2, caption=_LEGEND))
        parts += [f"## {title}", markdown_table(_HEADER, lines, text_columns=2), _LEGEND]
    if options.out:
        command = command_line("eval.compare", given)
        text = "\n\n".join(["# Comparison", f"```\n{command}\n```", *parts])
        try:
            write_json(options.out / "compare.json", {"meta": {"command": command}, "rows": rows})
            write_text(options.out / "compare.md", text)
        except FileError as error:
            return print_error(error, console)
    return 0


def collect(folders: Sequence[Path]) -> dict[str, dict[str, Run]]:
    """Environment -> label -> run.

    The label is the agent's name, with the folder's name (or path) where several have that name.

    Raises:
        NothingToCompareError: a folder has no complete traces, or no environment has two agents.
    """
    try:
        by_env = gather(folders)
    except ValueError as error:
        raise NothingToCompareError(str(error)) from error
    if all(len(runs) == 1 for runs in by_env.values()):
        raise NothingToCompareError(
            f"Nothing to compare: one agent only met {', '.join(by_env)}. Name more folders."
        )
    return by_env


def gather(folders: Sequence[Path]) -> dict[str, dict[str, Run]]:
    """Environment -> label -> run, see `collect`.

    Raises:
        ValueError: a folder has no complete traces.
    """
    by_env: dict[str, list[tuple[Path, Run]]] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        for run in load_runs(folder):
            by_env.setdefault(run.env, []).append((folder, run))
    return {env: _label(runs) for env, runs in by_env.items()}


def compare(
    env: str, runs: Mapping[str, Run], reference: str, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Differences of every other agent to the reference, on the same people.

    Args:
        env: environment id.
        runs: label -> run of one environment.
        reference: a label.
        metrics: names.

    Returns:
        Rows with env, agent, reference, metric, mean, low, high, users, failed, wins, ties, losses
        (None where people have no value of their own), detectable, people_for_a_point.

    Raises:
        NothingToCompareError: no such reference.
        DifferentPeopleError: the agents met different people or settings.
    """
    if reference not in runs:
        raise NothingToCompareError(
            f"No agent {reference!r} on {env}. Available for --reference: {', '.join(runs)}."
        )
    for label, run in runs.items():
        difference = _settings_difference(runs[reference].config, run.config)
        if difference:
            raise DifferentPeopleError(
                f"Cannot compare {reference!r} and {label!r} on {env}: {difference}. "
                "Run both again with the same people and settings."
            )
    traces = same_people(env, {label: run.trace for label, run in runs.items()})
    rows = []
    for name in metrics:
        metric = metric_named(name)
        if not metric.applies(traces[reference].agent_asks):
            continue
        statistics = {label: metric.statistics(trace) for label, trace in traces.items()}
        for label in runs:
            if label != reference:
                key = {"env": env, "agent": label, "reference": reference, "metric": name}
                rows.append(key | _numbers(metric, statistics[label], statistics[reference]))
    return rows


def _numbers(metric: Metric, agent: Floats, reference: Floats) -> dict[str, Any]:
    estimate = paired_difference(agent, reference, metric.combine)
    detectable = float(estimate.detectable())
    needed = math.ceil(estimate.users * (detectable / POINT) ** 2) if detectable > 0 else None
    wins = ties = losses = None
    if metric.combine is None and metric.better != "teacher":
        gain = (agent - reference) * (1 if metric.better == "higher" else -1)
        wins, ties, losses = (int(n.sum()) for n in (gain > 0, gain == 0, gain < 0))
    return numbers(estimate) | {
        "wins": wins,
        "ties": ties,
        "losses": losses,
        "detectable": detectable,
        "people_for_a_point": needed,
    }


def _settings_difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """What two configurations say differently about people, task and teacher; "" where nothing."""
    for part in ("people", "environment", "teacher_spec"):
        x, y = (_part(config, part) for config in (a, b))
        for key in sorted({*x, *y}):
            if x.get(key) != y.get(key):
                return f"{part} {key} is {x.get(key)!r} and {y.get(key)!r}"
    return ""


def _part(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    # A setting given by hand and the same one registered are the same environment.
    environment = {**config["env_spec"], **config["env_settings"]}
    return environment if part == "environment" else dict(config[part])


def _label(runs: Sequence[tuple[Path, Run]]) -> dict[str, Run]:
    names = Counter(run.agent for _, run in runs)
    short = Counter((run.agent, folder.name) for folder, run in runs)
    labels = {}
    for folder, run in runs:
        place = folder.name if short[run.agent, folder.name] == 1 else str(folder)
        labels[run.agent if names[run.agent] == 1 else f"{run.agent}@{place}"] = run
    return labels


def _line(row: Mapping[str, Any]) -> list[str]:
    """The cells of `_HEADER`."""
    wins = DASH if row["wins"] is None else f"{row['wins']}/{row['ties']}/{row['losses']}"
    detectable = DASH if np.isnan(row["detectable"]) else f"{row['detectable']:.3f}"
    needed = DASH if row["people_for_a_point"] is None else str(row["people_for_a_point"])
    people = [str(row["users"]), str(row["failed"])]
    return [row["metric"], row["agent"], spread(row), *people, wins, detectable, needed]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = list(all_metrics())
    cli = argparse.ArgumentParser(
        prog=program("eval.compare"),
        description="Paired differences between agents that met the same people.",
    )
    cli.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="what eval.run --out got")
    cli.add_argument("--reference", metavar="AGENT", help="subtracted; default: the first")
    cli.add_argument(
        "--metric",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"default: all of {', '.join(names)}",
    )
    cli.add_argument("--out", type=Path, metavar="DIR", help="write compare.json and compare.md")
    return cli


if __name__ == "__main__":
    raise SystemExit(main())
