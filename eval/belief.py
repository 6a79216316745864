"""How fast agents learn what people are like: correlation of belief and truth, trait by trait.

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

from envs.console import screen
from envs.registration import make_task
from eval.compare import gather
from eval.metric import correlation
from eval.metrics import trait_moments
from eval.stats import interval
from eval.store import Run
from eval.tables import DASH, markdown_table, screen_table, spread
from eval.trace import write_json
from eval.work import command_line, say_no

COLUMNS = 10  # turns that a table has room for
_LEGEND = (
    "Correlation over people, -1..1, of the mean of the belief about a trait after each turn with "
    "the true trait level. A dash: the belief is the same about everybody, as where nothing that "
    "is said tells of a trait. [ ] 95 % bootstrap interval over people. Where people drift, the "
    "truth is their level in the last turn."
)


class NoBeliefError(ValueError):
    """No agent in the folders has a belief that can be compared with the truth."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 where there is nothing to report."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    errors = Console(stderr=True)
    try:
        runs = gather(options.runs)
        rows, left_out = [], []
        for env, by_label in runs.items():
            for label, run in by_label.items():
                reason = _unfit(run)
                if reason:
                    left_out.append(f"Left out {label} on {env}: {reason}.")
                else:
                    rows += curves(env, label, run)
        if not rows:
            raise NoBeliefError(" ".join(["Nothing to report.", *left_out]))
    except ValueError as error:
        return say_no(error, errors)
    for line in left_out:
        errors.print(line, markup=False, highlight=False, soft_wrap=True)
    header, lines = table(rows)
    console = screen()
    console.print(screen_table("Belief and truth", header, lines, text_columns=3, caption=_LEGEND))
    if options.out:
        _write(rows, left_out, command_line("eval.belief", given), options.out)
        console.print(f"Report and plot: {options.out}", highlight=False, soft_wrap=True)
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
    happened = run.trace.happened[..., None, None]
    moments = np.where(happened, trait_moments(run.trace), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = interval(moments, correlation)
    numbers = ("mean", "low", "high", "users")
    return [
        {"env": env, "agent": agent, "trait": trait, "turn": turn + 1}
        | {name: getattr(estimate, name)[turn, index].item() for name in numbers}
        for index, trait in enumerate(task.population.factors)
        for turn in range(run.trace.answers.shape[1])
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: trait by trait, so that environments stand side by side.

    Traits that an agent believes the same of everybody about share a line at the end. Columns are
    turns; of more than ten, ten from the first to the last.
    """
    last = max(row["turn"] for row in rows)
    shown = np.unique(np.linspace(1, last, min(last, COLUMNS)).round().astype(int)).tolist()[:-1]
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["trait"], row["env"], row["agent"]), []).append(row)
    order = list(dict.fromkeys(trait for trait, _, _ in found))
    lines = []
    constant: dict[tuple[str, str], list[str]] = {}
    for trait, env, agent in sorted(found, key=lambda key: order.index(key[0])):
        curve = found[trait, env, agent]
        if all(np.isnan(row["mean"]) for row in curve):
            constant.setdefault((env, agent), []).append(trait)
            continue
        values = {row["turn"]: row["mean"] for row in curve}
        cells = [_cell(values[turn]) if turn in values else "" for turn in shown]
        end = [spread(curve[-1]), str(curve[-1]["users"])]
        lines.append([trait, env, agent, *cells, *end])
    for env, agent in dict.fromkeys((row["env"], row["agent"]) for row in rows):
        if (env, agent) in constant:
            traits = constant[env, agent]
            users = str(found[traits[0], env, agent][-1]["users"])
            name = traits[0] if len(traits) == 1 else f"{len(traits)} traits"
            lines.append([name, env, agent, *[DASH] * len(shown), DASH, users])
    return ["trait", "environment", "agent", *map(str, shown), "last turn [95 %]", "people"], lines


def _cell(mean: float) -> str:
    """A correlation, or a dash."""
    return DASH if np.isnan(mean) else f"{mean:z.3f}"


def _write(
    rows: Sequence[dict[str, Any]], left_out: Sequence[str], command: str, out_dir: Path
) -> None:
    """Writes belief.json, belief.md and belief.png into `out_dir`."""
    from eval import plots  # here, so that `--help` need not wait for matplotlib

    meta = {"command": command, "left_out": list(left_out)}
    write_json(out_dir / "belief.json", {"meta": meta, "rows": list(rows)})
    plots.belief_curves(rows, out_dir / "belief.png")
    parts = ["# Belief and truth", f"```\n{command}\n```"]
    parts += [markdown_table(*table(rows), text_columns=3), _LEGEND, *left_out]
    parts.append("![Correlation of belief and truth by turn](belief.png)")
    (out_dir / "belief.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog="python -m eval.belief",
        description="How fast agents learn what people are like: the correlation, over people, of "
        "the mean of an agent's belief about each trait with the true trait, after each turn; side "
        "by side for all environments and agents in the folders. Needs people whose traits are "
        "known, and agents that report beliefs.",
    )
    cli.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="what eval.run --out got")
    cli.add_argument(
        "--out", type=Path, metavar="DIR", help="write belief.json, belief.md and belief.png"
    )
    return cli


if __name__ == "__main__":
    raise SystemExit(main())
