"""Prefers the teacher's choice to other replies, with TRL: `python -m train.dpo --config X.yaml`.

Direct preference optimisation (Rafailov et al., 2023) under TRL's `DPOTrainer`, with the tokens and
adapter of `train.distill`. A pair is one reply in one conversation: the transcript up to there, the
teacher's choice, and another legal reply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console

from acquaint_gym.train.recipes import checks
from acquaint_gym.train.recipes import language_model as recipes
from acquaint_gym.train.recipes.language_model import Recipe


@dataclass(frozen=True)
class Dpo(Recipe):
    """A recipe of preference optimisation.

    Attributes:
        pairs: of each person: at so many turns, drawn evenly, the teacher's choice and one of the
            other legal replies, drawn evenly.
    """

    pairs: int = 4

    def __post_init__(self) -> None:
        """Checks the numbers."""
        super().__post_init__()
        checks.at_least("pairs", self.pairs, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    about = "Teaches a language model to prefer the teacher's choices."
    return recipes.command("train.dpo", about, Dpo, _arguments, prepare, arguments)


def _arguments() -> type[Any]:
    import trl

    config: type[Any] = trl.DPOConfig  # type: ignore[attr-defined]
    return config


def prepare(recipe: Dpo, fresh: bool, errors: Console) -> Callable[[], dict[str, Any]]:
    """See `train.distill.prepare`."""
    import numpy as np
    import trl
    from datasets import Dataset

    from acquaint_gym.train.lm.base_models import lora_config
    from acquaint_gym.train.lm.batches import generator
    from acquaint_gym.train.lm.dev_evaluation import RolloutEvaluation
    from acquaint_gym.train.lm.examples import lessons
    from acquaint_gym.train.lm.session import Session

    class Trainer(RolloutEvaluation, trl.DPOTrainer):  # type: ignore[misc, name-defined]
        """TRL's, in our loop, on tokens."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    session = Session("dpo", recipe, fresh, errors, _arguments(), adapts=True)
    if session.done is not None:
        return partial(dict, session.done)
    rows = []
    rng = generator(session.arguments.seed, len(session.sources))
    for source in session.sources:
        for lesson in lessons(source, session.dialogue):
            others = lesson.legal.copy()
            others[np.arange(len(others)), lesson.action] = False
            open_turns = np.flatnonzero(others.any(axis=1))
            for turn in rng.permutation(open_turns)[: recipe.pairs]:
                end = lesson.positions[turn] + 1
                worse = rng.choice(np.flatnonzero(others[turn]))
                rows.append(
                    {
                        "prompt_ids": lesson.ids[:end].tolist(),
                        "chosen_ids": lesson.replies.tokens[lesson.action[turn]],
                        "rejected_ids": lesson.replies.tokens[worse],
                    }
                )
    session.arguments.max_length = None
    return session.ready(
        Trainer,
        data=Dataset.from_list(rows),
        lengths=[len(row["prompt_ids"]) for row in rows],
        processing_class=session.tokenizer,
        peft_config=lora_config(recipe),
    )


if __name__ == "__main__":
    sys.exit(main())
