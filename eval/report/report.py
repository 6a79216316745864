"""From traces to a report: tidy rows, numbers, a table for the screen, Markdown and plots."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from acquaint_gym.envs.files import write_json, write_text
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics import metric_named, metrics_of
from acquaint_gym.eval.metrics.stats import interval, paired_difference
from acquaint_gym.eval.report.tables import (
    DASH,
    curve_rows,
    markdown_table,
    numbers,
    same_people,
    screen_table,
    spread,
    write_people,
)
from acquaint_gym.eval.runs.store import slug
from acquaint_gym.eval.trace import Trace

NORMALISED = "normalised_score"
FLOOR = "random"
"""The agent that scores 0, where it was run."""
_SUMMARY = {  # metric -> heading, narrow enough for all of them within 120 columns
    "accuracy": "accuracy",
    "teacher_agreement": "agree",
    "predictive_entropy": "entropy",
    "nll": "NLL",
    "ece": "ECE",
    "kl_from_teacher": "KL",
    "belief_correlation": "belief r",
    "answer_mass": "mass",
    "unparsed": "unread",
    "log_score": "log score",
    "rmse": "RMSE",
    "theta_correlation": "r",
    "unasked_accuracy": "unasked",
    "unasked_nll": "NLL",
    "identified": "found",
    "questions": "asked",
    NORMALISED: "norm.",
}
_ARROWS = {"higher": "↑", "lower": "↓", "teacher": "≈"}
_LEGEND = (
    "↑ higher is better, ↓ lower, ≈ close to the teacher. ± and [ ] are 95 % intervals over "
    "people; * leaves out failed people."
)
_ABOVE_ONE = (
    "norm. above 1: earned more than the teacher, who knows the model and not the person. Oracles "
    "can, who see the person; so can a better model of real people; others by chance."
)
_METHOD = (
    "People are the unit of independence. Means have Student's t intervals; correlation, "
    "calibration error and normalised score have percentile bootstrap intervals over people. "
    "The expected calibration error and its interval are biased upwards: compare agents with "
    "one another, not with zero. Normalised score: 0 is the floor, 1 the teacher, on reward. "
    "Failed people have a number that is undefined or infinite; what an agent has of nobody, as a "
    "belief, is a dash and no failure. Answer mass: probability that a "
    "language model gives one of the legal replies at all; where its messages are read as text, "
    "the share of them that were one. Unread: messages, all people's together, that nobody could "
    "read as a legal reply; they decided nothing."
)


@dataclass(frozen=True)
class Report:
    """What agents did in environments; `dataclasses.asdict` of it is `report.json`.

    Attributes:
        meta: how it was made; `meta["command"]` is printed in `report.md`.
        rows: env, agent, metric, mean, low, high, users, failed.
        curves: env, agent, metric, turn (1..T), mean, low, high, users (who had that turn).
        paired: env, agent, reference, metric, mean, low, high, users, failed; agent minus
            reference on the same people.
    """

    meta: dict[str, Any]
    rows: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    paired: list[dict[str, Any]]


def build_report(
    meta: dict[str, Any],
    traces: Mapping[str, Mapping[str, Trace]],
    teacher: str = "bayes",
    floor: str = FLOOR,
) -> Report:
    """Every metric of every agent, turn by turn, and against the teacher on the same people.

    Args:
        meta: how the traces were made, copied into the report.
        traces: environment id -> agent name -> trace.
        teacher: the agent that scores 1 and is subtracted in `paired`.
        floor: the agent that scores 0.

    Raises:
        DifferentPeopleError: the agents of an environment met different people.
    """
    report = Report(meta, [], [], [])
    for env, by_agent in traces.items():
        people = same_people(env, by_agent)
        asks = next(iter(people.values())).agent_asks
        for metric in metrics_of(asks).values():
            statistics = {agent: metric.statistics(trace) for agent, trace in people.items()}
            applies = {agent: metric.is_defined(trace) for agent, trace in people.items()}
            for agent, trace in people.items():
                key = {"env": env, "agent": agent, "metric": metric.name}
                estimate = interval(statistics[agent], metric.combine)
                report.rows.append(key | numbers(estimate, applies[agent]))
                if metric.curve:
                    curve = interval(metric.by_turn(trace), metric.combine)
                    report.curves.extend(key | row for row in curve_rows(curve))
                if teacher in people and agent != teacher:
                    estimate = paired_difference(
                        statistics[agent], statistics[teacher], metric.combine
                    )
                    key = {"env": env, "agent": agent, "reference": teacher, "metric": metric.name}
                    both = applies[agent] and applies[teacher]
                    report.paired.append(key | numbers(estimate, both))
        reward = {name: metric_named("reward").statistics(trace) for name, trace in people.items()}
        for agent, score in reward.items():
            unknown = np.full_like(score, np.nan)
            three = [score, reward.get(floor, unknown), reward.get(teacher, unknown)]
            estimate = interval(np.concatenate(three, axis=1), _normalise)
            key = {"env": env, "agent": agent, "metric": NORMALISED}
            report.rows.append(key | numbers(estimate, {floor, teacher} <= reward.keys()))
    return report


def _normalise(means: Floats) -> Floats:
    """(agent - floor) / (teacher - floor) of mean rewards `[..., 3]` in that order."""
    agent, floor, teacher = np.moveaxis(means, -1, 0)
    return (agent - floor) / (teacher - floor)


def table(report: Report, env: str) -> Table:
    """One row an agent, at most 120 columns wide, without the metrics nobody has."""
    header, lines = _summary(report, env)
    alarms = [n for n, name in enumerate(_columns(report, env), start=1) if _is_count(name)]
    return screen_table(env, header, lines, caption=_legend(report, env), alarms=alarms)


def write_report(
    report: Report,
    traces: Mapping[str, Mapping[str, Trace]],
    out_dir: Path,
    bounds: Collection[str] = (),
) -> None:
    """Writes report.json, people.csv, report.md and the plots into `out_dir`.

    The plots are learning_curve*.png and calibration*.png; `bounds` are agents that are drawn as
    floor or ceiling.

    Where agents ask nothing is predicted, and there is no calibration.

    With several environments the names of the plots end in `_<environment>`.
    """
    from acquaint_gym.eval.report import (
        plots,  # here, so that `--help` need not wait for matplotlib
    )

    write_json(out_dir / "report.json", asdict(report))
    write_people(out_dir / "people.csv", traces)
    command = report.meta.get("command", "unknown")
    parts = ["# Report", f"```\n{command}\n```"]
    for env, by_agent in traces.items():
        suffix = f"_{slug(env)}" if len(traces) > 1 else ""
        people = max(len(trace.person) for trace in by_agent.values())
        title = f"{env}: {people} people"
        curve, calibration = f"learning_curve{suffix}.png", f"calibration{suffix}.png"
        curves = [row for row in report.curves if row["env"] == env]
        plots.save(plots.learning_curves(curves, title, bounds), out_dir / curve)
        drawn = " and ".join(text.partition(" (")[0] for text in plots.panels_of(curves).values())
        parts += [f"## {env}", markdown_table(*_summary(report, env)), _legend(report, env)]
        parts.append(f"![{drawn} by turn]({curve})")
        if not next(iter(by_agent.values())).agent_asks:
            plots.save(plots.calibration(by_agent, title), out_dir / calibration)
            parts.append(f"![Confidence against frequency of hits]({calibration})")
        parts += ["### Every metric", markdown_table(*_details(report, env), text_columns=2)]
    parts.append(_METHOD)
    write_text(out_dir / "report.md", "\n\n".join(parts))


def _legend(report: Report, env: str) -> str:
    """What stands below the table, with a sentence about what surprises in it."""
    scores = [rows[NORMALISED]["mean"] for rows in _by_agent(report, env).values()]
    return f"{_LEGEND} {_ABOVE_ONE}" if any(score >= 1.0005 for score in scores) else _LEGEND


def _by_agent(report: Report, env: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Agent -> metric -> row."""
    agents: dict[str, dict[str, dict[str, Any]]] = {}
    for row in report.rows:
        if row["env"] == env:
            agents.setdefault(row["agent"], {})[row["metric"]] = row
    return agents


def _columns(report: Report, env: str) -> list[str]:
    """The metrics of that table: those that somebody has."""
    agents = _by_agent(report, env).values()
    return [
        name
        for name in _SUMMARY
        if any(name in rows and not np.isnan(rows[name]["mean"]) for rows in agents)
    ]


def _summary(report: Report, env: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table with one row an agent."""
    agents, columns = _by_agent(report, env), _columns(report, env)
    header = ["agent", *(f"{_SUMMARY[name]}{_arrow(name)}" for name in columns), "people", "failed"]
    lines = []
    for agent, rows in agents.items():
        values = [_cell(name, rows[name]) for name in columns]
        failed = max((rows[name]["failed"] for name in columns), default=0)
        people = rows["reward"]["users"] + rows["reward"]["failed"]
        lines.append([agent, *values, str(people), str(failed)])
    return header, lines


def _cell(metric: str, row: Mapping[str, Any]) -> str:
    if np.isnan(row["mean"]):
        return DASH
    if _is_count(metric):
        return str(round(row["mean"] * row["users"]))
    half = (row["high"] - row["low"]) / 2
    margin = f" ±{half:.3f}" if metric == "accuracy" and np.isfinite(half) else ""
    return f"{row['mean']:.3f}{margin}{'*' if row['failed'] else ''}"


def _is_count(metric: str) -> bool:
    return metric != NORMALISED and metric_named(metric).total


def _arrow(metric: str) -> str:
    return _ARROWS["higher" if metric == NORMALISED else metric_named(metric).better]


def _details(report: Report, env: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table with one row for every metric and agent."""
    differences = {(row["agent"], row["metric"]): row for row in report.paired if row["env"] == env}
    references = sorted({row["reference"] for row in differences.values()})
    header = ["metric", "agent", "mean [95 %]", "people", "failed"]
    header += [f"minus {name} [95 %]" for name in references]
    agents = _by_agent(report, env)
    lines = []
    for metric in dict.fromkeys(row["metric"] for row in report.rows if row["env"] == env):
        for agent, rows in agents.items():
            if metric not in rows:
                continue
            row = rows[metric]
            line = [f"{metric}{_arrow(metric)}", agent, spread(row)]
            line += [str(row["users"]), str(row["failed"])]
            if references:
                difference = differences.get((agent, metric))
                line.append(spread(difference) if difference else DASH)
            lines.append(line)
    return header, lines
