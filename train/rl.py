"""Reinforcement learning of small policies with Stable-Baselines3: `python -m train.rl --help`.

    python -m train.rl --config configs/train/ppo-questionnaire.yaml
    python -m train.rl --env acquaint/FlightChoice-v0 --algo ppo --out runs/mine --n-steps 12

Trained with training people, chosen among checkpoints with development people. Interrupted, the
same command goes on after the last checkpoint. The keys are those of `train.sb3.recipe.RLRecipe`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from acquaint_gym.train.recipes.command import Command, Plan
from acquaint_gym.train.sb3.recipe import RLRecipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return Command(
        module="train.rl",
        about="Trains a small policy by reinforcement learning.",
        recipe=RLRecipe,
        library="; and every argument of the algorithm, e.g. learning_rate, n_steps, batch_size, "
        "gamma",
        manual="acquaint_gym.train.sb3.recipe",
        plan=plan,
    ).main(arguments)


def plan(recipe: RLRecipe, fresh: bool, console: Console) -> Plan:
    """Checks a recipe and all it names, and prepares the training.

    Args:
        recipe: the settings.
        fresh: replace what lies in `recipe.out`.
        console: where progress is shown.

    Raises:
        ValueError: input that cannot be used; one line. Nothing was written or removed.
    """
    from acquaint_gym.train.sb3 import training

    return training.plan(recipe, fresh, console)


if __name__ == "__main__":
    sys.exit(main())
