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
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.train.sb3.recipe import RLRecipe

SPLIT = "dev"
Score = dict[str, float]


class DevEvaluator:
    """Meets the same development people again and again, in the environments' own loop.

    Args:
        recipe: says where, and how many.

    Attributes:
        beside: what the agents of the recipe earn there.

    Raises:
        ValueError: agents that cannot be had in this environment.
    """

    def __init__(self, recipe: RLRecipe) -> None:
        """Builds the environment and lets the other agents act."""
        self._recipe, self._person = recipe, np.arange(recipe.eval_users)
        self._env = self._jobs(["random"])[0].environment(recipe.eval_users)
        streams = PersonStreams(recipe.suite_seed, "agents", self._env.task.num_turns)
        self._uniform = streams.uniform(self._person)
        jobs = self._jobs(recipe.beside or ["random", self._env.task.teacher])
        self.beside = {job.agent.label: self._score(job.agents()[0]) for job in jobs}

    def _jobs(self, agents: list[str]) -> list[Evaluation]:
        """Agents in the recipe's environment, with development people."""
        recipe, people = self._recipe, People(SPLIT, self._recipe.suite_seed, None)
        return plan(recipe.env, agents, people, recipe.settings, tuple(recipe.packages))

    def __call__(self, folder: Path) -> Score:
        """What the policy in a folder earns."""
        spec = AgentSpec(
            "policy", "acquaint_gym.agents.networks.policy:PolicyAgent", {"path": str(folder)}
        )
        return self._score(spec.build(lambda **_: self._env.task, {}))

    def _score(self, agent: Agent) -> Score:
        """Sum of a person's rewards: the mean over people, and its 95 % interval."""
        trace = rollout(self._env, agent, agent, self._person, self._uniform)
        total = trace.rewards.sum(axis=1)
        found = interval(total[:, None])
        return {part: float(getattr(found, part).squeeze()) for part in ("mean", "low", "high")} | {
            "turns": float(trace.length.mean())
        }


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
