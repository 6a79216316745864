"""Reinforcement learning of small policies with Stable-Baselines3: `python -m train.rl --help`.

    python -m train.rl --config configs/train/ppo-questionnaire.yaml
    python -m train.rl --env acquaint/FlightChoice-v0 --algo ppo --out runs/mine --n-steps 12

Trained with training people, chosen among checkpoints with development people. Interrupted, the
same command goes on after the last checkpoint. The keys are those of `train.sb3.recipe.RLRecipe`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields

from rich.console import Console

from acquaint_gym.eval.runs.command import exit_code, input_errors
from acquaint_gym.train.recipes.language_model import overrides, parser, read
from acquaint_gym.train.sb3.recipe import RLRecipe, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = ", ".join(f.name for f in fields(RLRecipe) if f.name != "algorithm")
    keys = (
        f"{own}; and every argument of the algorithm, e.g. learning_rate, n_steps, batch_size, "
        "gamma. `pydoc acquaint_gym.train.sb3.recipe` says what they mean."
    )
    cli = parser("train.rl", "Trains a small policy by reinforcement learning.", keys)
    options, words = cli.parse_known_args(given)

    def body(errors: Console) -> None:
        with input_errors():
            table = (read(options.config) if options.config else {}) | overrides(words)
            recipe = parse(table, options.config or "command line")
            carry_out = prepare(recipe, options.fresh, errors)
        carry_out()

    return exit_code(body, "`out`")


def prepare(recipe: RLRecipe, fresh: bool, errors: Console) -> Callable[[], object]:
    """Finds what is wrong with a recipe; what it gives carries it out.

    Raises:
        ValueError: input that cannot be used; one line.
    """
    from acquaint_gym.train.sb3.run import Run

    return Run(recipe, fresh, errors).carry_out


if __name__ == "__main__":
    sys.exit(main())
