"""Trains small recurrent networks: `python -m train.gru --config configs/train/gru.yaml`.

They learn from the traces of `train.collect` what the exact teacher would say (`kl`), or what
people themselves answered (`answers`), and are the agent `gru`. While they learn they play in the
environments' loop, and the weights that did best there are kept. The keys are those of
`train.networks.recipe.Gru`. The result is `gru.safetensors` and `gru.json`, which says how they
were made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from rich.console import Console

from acquaint_gym.eval.runs.command import exit_code, input_errors
from acquaint_gym.train.networks.recipe import Gru, parse
from acquaint_gym.train.recipes import language_model as recipes


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = ", ".join(f.name for f in fields(Gru))
    about = "Trains small recurrent networks on the teacher's, or people's, answers."
    cli = recipes.parser(
        "train.gru",
        about,
        f"{own}. `pydoc acquaint_gym.train.networks.recipe` says what they mean.",
    )
    options, words = cli.parse_known_args(given)

    def body(errors: Console) -> None:
        with input_errors():
            table = recipes.read(options.config) if options.config else {}
            recipe = parse(table | recipes.overrides(words), options.config or "command line")
            carry_out = prepare(recipe, options.fresh, errors)
        carry_out()

    return exit_code(body, "`out`")


def prepare(recipe: Gru, fresh: bool, errors: Console) -> Callable[[], dict[str, Any]]:
    """Finds what is wrong with a recipe; what it gives carries it out and tells `gru.json`.

    A run that was interrupted goes on, a finished one stays.

    Args:
        recipe: the settings.
        fresh: replace what lies in `recipe.out`.
        errors: where progress is shown.

    Raises:
        ValueError: input that cannot be used; one line.
    """
    try:
        from acquaint_gym.train.networks.training import Training
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: pip install -e '.[llm]'") from error
    return Training(recipe, fresh, errors).carry_out


if __name__ == "__main__":
    sys.exit(main())
