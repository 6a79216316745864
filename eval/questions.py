"""What interviewers know after so many questions, and how many they need for as much.

python -m eval.questions --agent random short-form infomax --set num_turns=50 --need short-form:20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from acquaint_gym.envs.console import program, screen
from acquaint_gym.envs.files import write_json, write_text
from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.registration import import_package, task_class
from acquaint_gym.eval.metrics.interview import INTERVIEW_METRICS, by_trait
from acquaint_gym.eval.metrics.stats import Estimate, interval
from acquaint_gym.eval.report.tables import (
    DASH,
    curve_rows,
    markdown_table,
    same_people,
    screen_table,
)
from acquaint_gym.eval.run import parser as run_parser
from acquaint_gym.eval.run import prepare
from acquaint_gym.eval.runs.command import (
    DefaultFolder,
    in_own_folder,
    input_errors,
    run_command,
    same_people_errors,
)
from acquaint_gym.eval.runs.execution import run_all
from acquaint_gym.eval.runs.provenance import provenance
from acquaint_gym.eval.trace import Trace

SHOWN = (
    "log_score",
    "identified",
    "rmse",
    "theta_correlation",
    "unasked_accuracy",
    "unasked_nll",
)
AFTER = (1, 2, 5, 10, 15, 20, 30, 40, 50)
Needs = list[tuple[str, int]]
Curves = Mapping[str, Mapping[str, Estimate]]


class _Table(NamedTuple):
    """A table for the screen and the report, the first `texts` columns of which are texts."""

    title: str
    header: list[str]
    lines: list[list[str]]
    texts: int = 1


def parser() -> argparse.ArgumentParser:
    """The command line: that of eval.run, and which marks are to be reached."""
    cli = run_parser()
    cli.prog = program("eval.questions")
    cli.description = (
        "Lets agents interview the same people and prints what the exact posterior knows after so "
        "many questions, whoever asked."
    )
    cli.set_defaults(env=["acquaint/Interview-v0"], out=DefaultFolder("runs/questions"))
    cli.add_argument(
        "--need",
        nargs="+",
        default=[],
        metavar="AGENT:N",
        help="also print with how many questions each agent has gained in log score what AGENT "
        "has after N, or 95 %% of it",
    )
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return run_command("eval.questions", parser(), _run, arguments)


def _run(options: argparse.Namespace, command: str, console: Console) -> None:
    with input_errors():
        for package in options.packages:
            import_package(package)
        if len(options.env) > 1 or not task_class(options.env[0]).agent_asks:
            raise ValueError(
                f"--env {' '.join(options.env)}: expected exactly one, where agents ask."
            )
        needs = [_need(text, options.agent) for text in options.need]
        runs, users = in_own_folder(prepare, options, console)
        task = runs[0].evaluation.environment(1).task
        for agent, number in needs:
            if number > task.num_turns:
                raise ValueError(
                    f"--need {agent}:{number}: at most {task.num_turns} questions are asked."
                )
    if not run_all(runs, users, options, console):
        return
    traces = {run.evaluation.agent.label: run.trace(users) for run in runs}
    with same_people_errors(options.people):
        traces = same_people(options.env[0], traces)
    curves = {agent: learning_curve(trace) for agent, trace in traces.items()}
    factors = task.population.factors if task.population.grid is not None else ()
    by_agent = {agent: by_trait(trace, factors) for agent, trace in traces.items()}
    traits = {trait: {agent: of[trait] for agent, of in by_agent.items()} for trait in factors}
    meta = provenance(command, options, users, runs)
    about = {"env": options.env[0]}
    rows = _rows(about, curves)
    of_traits = [row for name, of in traits.items() for row in _rows(about | {"trait": name}, of)]
    out, output = Path(options.out), screen()
    text = [f"# {options.env[0]}: {users} people", f"```\n{command}\n```"]
    start = float(
        next(iter(traces.values())).interview_stats[:, 0, STATISTICS.index("log_score")].mean()
    )
    tables = _tables(curves, traits)
    tables += [_reached(curves, start, needs)] if needs else []
    for title, header, lines, texts in tables:
        text += [f"## {title}", markdown_table(header, lines, texts)]
    # Written before anything is printed, to what may have stopped listening.
    write_json(out / "report.json", {"meta": meta, "rows": rows, "traits": of_traits})
    write_text(out / "report.md", "\n\n".join(text))
    for title, header, lines, texts in tables:
        # Intervals are in the report: nine columns of them are too wide for a screen.
        plain = [[cell.partition(" ±")[0] for cell in line] for line in lines]
        output.print(screen_table(title, header, plain, texts))
    output.print(f"Report and traces: {out}", highlight=False, soft_wrap=True)


def _need(text: str, agents: Sequence[str]) -> tuple[str, int]:
    """`AGENT:N` as agent and number of questions."""
    agent, _, number = text.rpartition(":")
    if agent not in agents:
        raise ValueError(f"--need {text}: no agent {closest(agent, agents)}")
    if not (number.isascii() and number.isdigit()) or int(number) == 0:
        raise ValueError(f"--need {text}: expected AGENT:N, N questions.")
    return agent, int(number)


def learning_curve(trace: Trace) -> dict[str, Estimate]:
    """Metric -> its estimates `[T]` after 1..T questions, with 95 % intervals over people."""
    return {
        name: interval(INTERVIEW_METRICS[name].by_turn(trace), INTERVIEW_METRICS[name].combine)
        for name in SHOWN
        if np.isfinite(INTERVIEW_METRICS[name].by_turn(trace)).any()
    }


def questions_until(
    scores: Mapping[str, Estimate], start: float, need: tuple[str, int], share: float
) -> dict[str, int | None]:
    """Agent -> fewest questions with which it has gained a share of what another has after N.

    Args:
        scores: agent -> log scores `[T]` after 1..T questions.
        start: the log score before the first question.
        need: the other agent, and N.
        share: of the gain.

    Returns:
        None for an agent that never gains as much.
    """
    agent, number = need
    mark = start + share * (scores[agent].mean[number - 1] - start)
    reached = {name: np.flatnonzero(curve.mean >= mark - 1e-12) for name, curve in scores.items()}
    return {name: int(turns[0]) + 1 if len(turns) else None for name, turns in reached.items()}


def _rows(about: Mapping[str, str], curves: Curves) -> list[dict[str, Any]]:
    """Everything estimated of each agent, a row for each turn, with what it is about."""
    return [
        {**about, "agent": agent, "metric": name} | row
        for agent, of in curves.items()
        for name, curve in of.items()
        for row in curve_rows(curve)
    ]


def _reached(curves: Curves, start: float, needs: Needs) -> _Table:
    """How many questions are needed."""
    scores = {agent: of["log_score"] for agent, of in curves.items()}
    columns = {
        f"{share:.0%} of {need[0]}:{need[1]}": questions_until(scores, start, need, share)
        for need in needs
        for share in (1.0, 0.95)
    }
    lines = [[agent, *(str(of[agent] or DASH) for of in columns.values())] for agent in scores]
    title = "questions needed for a share of the gain in log score"
    return _Table(title, ["agent", *columns], lines)


def _tables(curves: Curves, traits: Mapping[str, Curves]) -> list[_Table]:
    """A table for each metric, and what is known of it trait by trait below it."""
    turns = max(len(of["log_score"].mean) for of in curves.values())
    after = [n for n in AFTER if n < turns] + [turns]
    columns, tables = [str(n) for n in after], []
    for name in SHOWN:
        what = f"{INTERVIEW_METRICS[name].unit}, after so many questions"
        lines = [
            [agent, *(_cell(of[name], n) for n in after)]
            for agent, of in curves.items()
            if name in of
        ]
        if lines:
            tables.append(_Table(f"{name}, {what}", ["agent", *columns], lines))
        lines = [
            [trait, agent, *(_cell(of[name], n) for n in after)]
            for trait, agents in traits.items()
            for agent, of in agents.items()
            if name in of
        ]
        if lines:
            title, header = f"{name} by trait, {what}", ["trait", "agent", *columns]
            tables.append(_Table(title, header, lines, texts=2))
    return tables


def _cell(curve: Estimate, number: int) -> str:
    mean, half = curve.mean[number - 1], (curve.high - curve.low)[number - 1] / 2
    return DASH if np.isnan(mean) else f"{mean:.3f} ±{half:.3f}"


if __name__ == "__main__":
    sys.exit(main())
