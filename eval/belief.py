"""How fast agents learn what people are like: their beliefs beside the truth and the teacher's.

python -m eval.belief DIR... [--out DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquaint_gym.envs.console import program, screen, track
from acquaint_gym.envs.files import FileError, write_json, write_text
from acquaint_gym.envs.registration import make_task
from acquaint_gym.eval.compare import gather
from acquaint_gym.eval.metrics import metric_named
from acquaint_gym.eval.metrics.base import correlation
from acquaint_gym.eval.metrics.belief import divergence
from acquaint_gym.eval.metrics.prediction import trait_moments
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.report.tables import (
    DASH,
    curve_rows,
    markdown_table,
    numbers,
    screen_table,
    spread,
)
from acquaint_gym.eval.runs.command import command_line, print_error
from acquaint_gym.eval.runs.store import Run

COLUMNS = 6  # turns that a table has room for
_LEGEND = (
    "Correlation over people, -1..1, of the mean of the belief about a trait after each turn with "
    "the true trait level. A dash: the belief is the same about everybody, as where nothing that "
    "is said tells of a trait. [ ] 95 % bootstrap interval over people. Where people drift, the "
    "truth is their level in the last turn."
)
_OVERALL = {"belief_correlation": "r", "belief_nll": "NLL", "belief_kl": "KL"}
_OVERALL_LEGEND = (
    "Means over traits. r: correlation of belief and truth, of the traits that were learned about. "
    "NLL: minus the logarithm of the belief in the true level, nats. KL: divergence of the belief "
    "from what the exact teacher believes after the same conversation, nats. After each turn of "
    "those who had it; at the end after everybody's last answer. [ ] 95 % interval over people."
)


class NoBeliefError(ValueError):
    """No agent in the folders has a belief that can be compared with the truth."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 where there is nothing to report."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    console = Console(stderr=True)
    try:
        runs = gather(options.runs)
        rows, overall, left_out = [], [], []
        named = [(env, *one) for env, by_label in runs.items() for one in by_label.items()]
        for env, label, run in track(named, "beliefs", "runs"):
            reason = _unfit(run)
            if reason:
                left_out.append(f"Left out {label} on {env}: {reason}.")
            else:
                rows += curves(env, label, run)
                overall += overall_curves(env, label, run)
        if not rows:
            raise NoBeliefError(" ".join(["Nothing to report.", *left_out]))
    except ValueError as error:
        return print_error(error, console)
    for line in left_out:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    header, lines = table(rows)
    output = screen()
    output.print(screen_table("Belief and truth", header, lines, text_columns=3, caption=_LEGEND))
    header, lines = overall_table(overall)
    title = "Belief, truth and the teacher"
    output.print(screen_table(title, header, lines, text_columns=3, caption=_OVERALL_LEGEND))
    if options.out:
        command = command_line("eval.belief", given)
        try:
            _write(rows, overall, {"command": command, "left_out": left_out}, options.out)
        except FileError as error:
            return print_error(error, console)
        output.print(f"Report and plot: {options.out}", highlight=False, soft_wrap=True)
    return 0


def _unfit(run: Run) -> str:
    """Why a run has no correlation of belief and truth; "" where it has."""
    if not run.trace.belief.size:
        return "the agent reports no belief about these people's traits"
    if (run.trace.levels < 0).all():
        return "nobody knows the true traits of these people"
    return ""


def curves(env: str, agent: str, run: Run) -> list[dict[str, Any]]:
    """The correlation of every trait after every turn.

    Args:
        env: environment id, copied.
        agent: label, copied.
        run: its traces; the agent has a belief.

    Returns:
        Rows with env, agent, trait, turn (1..T), mean, low, high, users (who had that turn); NaN
        where the belief, or the truth, is the same in everybody.

    Raises:
        ValueError: the environment's task cannot be had again.
    """
    fixed = dict(run.config["env_spec"])
    task = make_task(fixed.pop("task"), **{**fixed, **run.config["env_settings"]})
    turn_mask = run.trace.turn_mask[..., None, None]
    moments = np.where(turn_mask, trait_moments(run.trace), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = interval(moments, correlation)
    numbers = ("mean", "low", "high", "users")
    return [
        {"env": env, "agent": agent, "trait": trait, "turn": turn + 1}
        | {name: getattr(estimate, name)[turn, index].item() for name in numbers}
        for index, trait in enumerate(task.population.factors)
        for turn in range(run.trace.answers.shape[1])
    ]


def overall_curves(env: str, agent: str, run: Run) -> list[dict[str, Any]]:
    """Correlation, negative log-likelihood and divergence from the teacher, over all traits.

    Args:
        env: environment id, copied.
        agent: label, copied.
        run: see `curves`.

    Returns:
        Rows with env, agent, metric, turn (1..T, and None for after a person's last answer), mean,
        low, high, users.

    Raises:
        ValueError: see `curves`; or people answer otherwise by now.
    """
    rows = []
    of_truth = [metric_named(name) for name in ("belief_correlation", "belief_nll")]
    for metric in (*of_truth, divergence(run)):
        key = {"env": env, "agent": agent, "metric": metric.name}
        with np.errstate(invalid="ignore", divide="ignore"):
            by_turn = interval(metric.by_turn(run.trace), metric.combine)
            end = numbers(interval(metric.statistics(run.trace), metric.combine))
        del end["failed"]
        rows += [key | row for row in [*curve_rows(by_turn), {"turn": None} | end]]
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: trait by trait, so that environments stand side by side.

    Traits that an agent believes the same of everybody about share a line at the end. Columns are
    turns; of more than six, six from the first to the last.
    """
    turns = _columns(max(row["turn"] for row in rows))
    by_curve: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_curve.setdefault((row["trait"], row["env"], row["agent"]), []).append(row)
    order = list(dict.fromkeys(trait for trait, _, _ in by_curve))
    lines = []
    constant: dict[tuple[str, str], list[str]] = {}
    for trait, env, agent in sorted(by_curve, key=lambda key: order.index(key[0])):
        curve = by_curve[trait, env, agent]
        if all(np.isnan(row["mean"]) for row in curve):
            constant.setdefault((env, agent), []).append(trait)
            continue
        lines.append([trait, env, agent, *_cells(curve, turns)])
    for env, agent in dict.fromkeys((row["env"], row["agent"]) for row in rows):
        if (env, agent) in constant:
            traits = constant[env, agent]
            users = str(by_curve[traits[0], env, agent][-1]["users"])
            name = traits[0] if len(traits) == 1 else f"{len(traits)} traits"
            lines.append([name, env, agent, *[DASH] * len(turns), DASH, users])
    return ["trait", "environment", "agent", *map(str, turns), "last turn [95 %]", "people"], lines


def overall_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of `overall_curves`: measure by measure, columns as in `table`."""
    turns = _columns(max(row["turn"] or 0 for row in rows))
    by_curve: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_curve.setdefault((row["metric"], row["env"], row["agent"]), []).append(row)
    lines = [
        [words, env, agent, *_cells(curve, turns)]
        for name, words in _OVERALL.items()
        for (metric, env, agent), curve in by_curve.items()
        if metric == name
    ]
    names = ("mean of", "environment", "agent")
    return [*names, *map(str, turns), "last answer [95 %]", "people"], lines


def _columns(last: int) -> list[int]:
    """The turns that are columns; the end, which has one of its own, is not among them."""
    return np.unique(np.linspace(1, last, min(last, COLUMNS)).round().astype(int)).tolist()[:-1]


def _cells(curve: Sequence[Mapping[str, Any]], turns: Sequence[int]) -> list[str]:
    """Some turns of a curve, its last row with the interval, and how many people that rests on."""
    values = {row["turn"]: row["mean"] for row in curve}
    cells = ["" if turn not in values else _cell(values[turn]) for turn in turns]
    return [*cells, spread(curve[-1]), str(curve[-1]["users"])]


def _cell(mean: float) -> str:
    """A number, or a dash."""
    return DASH if np.isnan(mean) else f"{mean:z.3f}"


def _write(
    rows: Sequence[dict[str, Any]],
    overall: Sequence[dict[str, Any]],
    meta: dict[str, Any],
    out_dir: Path,
) -> None:
    """Writes belief.json, belief.md and belief.png into `out_dir`."""
    from acquaint_gym.eval.report import (
        plots,  # here, so that `--help` need not wait for matplotlib
    )

    write_json(out_dir / "belief.json", {"meta": meta, "rows": rows, "overall": overall})
    plots.save(plots.belief_curves(rows), out_dir / "belief.png")
    parts = ["# Belief and truth", f"```\n{meta['command']}\n```"]
    parts += [markdown_table(*table(rows), text_columns=3), _LEGEND]
    parts += [markdown_table(*overall_table(overall), text_columns=3), _OVERALL_LEGEND]
    parts += meta["left_out"]
    parts.append("![Correlation of belief and truth by turn](belief.png)")
    write_text(out_dir / "belief.md", "\n\n".join(parts))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("eval.belief"),
        description="How fast agents learn what people are like: the correlation, over people, of "
        "the mean of an agent's belief about each trait with the true trait, after each turn; and, "
        "over all traits, its negative log-likelihood and its divergence from the exact teacher's; "
        "side by side for all environments and agents in the folders. Needs people whose traits "
        "are known, and agents that report beliefs.",
    )
    cli.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="what eval.run --out got")
    cli.add_argument(
        "--out", type=Path, metavar="DIR", help="write belief.json, belief.md and belief.png"
    )
    return cli


if __name__ == "__main__":
    raise SystemExit(main())
