"""Trains small recurrent networks: `python -m train.gru --config configs/train/gru.yaml`.

They learn from the traces of `train.collect` what the exact teacher would say (`kl`), or what
people themselves answered (`answers`), and are the agent `gru`. While they learn they play in the
environments' loop, and the weights that did best there are kept. The keys are those of
`train.networks.recipe.GruRecipe`. The result is `gru.safetensors` and `gru.json`, which says how
they were made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from acquaint_gym.train.networks.recipe import GruRecipe
from acquaint_gym.train.recipes.checks import require_extra
from acquaint_gym.train.recipes.command import Command, Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return Command(
        module="train.gru",
        about="Trains small recurrent networks on the teacher's, or people's, answers.",
        recipe=GruRecipe,
        manual="acquaint_gym.train.networks.recipe",
        plan=plan,
    ).main(arguments)


def plan(recipe: GruRecipe, fresh: bool, console: Console) -> Plan:
    """Checks a recipe and all it names, and prepares the training; it gives what `gru.json` says.

    A run that was interrupted goes on, a finished one stays.

    Args:
        recipe: the settings.
        fresh: replace what lies in `recipe.out`.
        console: where progress is shown.

    Raises:
        ValueError: input that cannot be used; one line. Nothing was written or removed.
    """
    with require_extra("llm"):
        from acquaint_gym.train.networks import training
    return training.plan(recipe, fresh, console)


if __name__ == "__main__":
    sys.exit(main())
