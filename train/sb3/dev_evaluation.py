"""How a policy does with development people while it is being trained."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import AgentSpec
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.train.dev_evaluation import DevEvaluator
from acquaint_gym.train.sb3.recipe import RLRecipe

SPLIT = "dev"
Score = dict[str, float]


class PolicyEvaluator:
    """What policies earn from development people, and what other agents earn from the same.

    Args:
        recipe: says where, and from how many.

    Attributes:
        beside: what the agents of the recipe earn there, by name.

    Raises:
        ValueError: agents that do not exist, or do not fit this environment.
    """

    def __init__(self, recipe: RLRecipe) -> None:
        people = People(SPLIT, recipe.suite_seed, None)
        settings, packages = recipe.settings, tuple(recipe.packages)
        [random] = plan(recipe.env, ["random"], people, settings, packages)
        self._evaluator = DevEvaluator(random, np.arange(recipe.eval_users))
        names = recipe.beside or ["random", self._evaluator.task.teacher]
        evaluations = plan(recipe.env, names, people, settings, packages)
        self.beside = {one.agent.label: self._score(one.agents()[0]) for one in evaluations}

    def __call__(self, folder: Path) -> Score:
        """What the policy in a folder earns."""
        spec = AgentSpec(
            "policy", "acquaint_gym.agents.networks.policy:PolicyAgent", {"path": str(folder)}
        )
        return self._score(spec.build(lambda **_: self._evaluator.task, {}))

    def _score(self, agent: Agent) -> Score:
        """Sum of a person's rewards: the mean over people, and its 95 % interval."""
        trace = self._evaluator.play(agent, agent)
        reward = interval(trace.rewards.sum(axis=1)[:, None])
        parts = {part: float(getattr(reward, part).squeeze()) for part in ("mean", "low", "high")}
        return {**parts, "turns": float(trace.length.mean())}


def write_curve(
    out: Path,
    title: str,
    steps: Sequence[int],
    scores: Sequence[Score],
    beside: Mapping[str, Score],
) -> None:
    """`learning_curve.csv` and `learning_curve.png`: what was earned after so many turns."""
    with (out / "learning_curve.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["agent", "steps", *scores[0]])
        lines.writerows([name, "", *score.values()] for name, score in beside.items())
        lines.writerows(["policy", at, *s.values()] for at, s in zip(steps, scores, strict=True))
    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis: Any = figure.subplots()
    mean, low, high = (
        np.array([score[part] for score in scores]) for part in ("mean", "low", "high")
    )
    axis.plot(steps, mean, marker="o", markersize=4, color="#0072B2", label="policy")
    axis.fill_between(steps, low, high, color="#0072B2", alpha=0.18, linewidth=0)
    for (name, score), style in zip(
        beside.items(), ("--", ":", "-.", "-") * len(beside), strict=False
    ):
        axis.axhline(score["mean"], color="0.3", linestyle=style, linewidth=1.2, label=name)
    axis.set(title=title, xlabel="turns of training", ylabel="rewards of a development person")
    axis.grid(color="0.92")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(out / "learning_curve.png")
