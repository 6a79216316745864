"""Prefers the teacher's choice to other replies, with TRL: `python -m train.dpo --config X.yaml`.

Direct preference optimisation (Rafailov et al., 2023) under TRL's `DPOTrainer`, with the tokens and
adapter of `train.distill`. A pair is one reply in one conversation: the transcript up to there, the
teacher's choice, and another legal reply. The keys are those of `train.recipes.language_model.Dpo`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from acquaint_gym.train.recipes.command import TRAINER_KEYS, Command, Plan
from acquaint_gym.train.recipes.language_model import Dpo

if TYPE_CHECKING:  # torch is imported when a recipe is read, not for `--help`
    from acquaint_gym.train.lm.token_choices import TrainingExample


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return Command(
        module="train.dpo",
        about="Teaches a language model to prefer the teacher's choices.",
        recipe=Dpo,
        library=TRAINER_KEYS,
        manual="acquaint_gym.train.recipes.language_model",
        plan=plan,
    ).main(arguments)


def plan(recipe: Dpo, fresh: bool, console: Console) -> Plan:
    """Checks a recipe and all it names, and prepares the training; see `train.distill.plan`."""
    import trl
    from datasets import Dataset

    from acquaint_gym.train.lm.base_models import lora_config
    from acquaint_gym.train.lm.batches import generator
    from acquaint_gym.train.lm.dev_evaluation import RolloutEvaluation
    from acquaint_gym.train.lm.examples import training_examples
    from acquaint_gym.train.lm.session import Session

    class Trainer(RolloutEvaluation, trl.DPOTrainer):  # type: ignore[misc, name-defined]
        """TRL's, in our loop, on tokens."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    session = Session("dpo", recipe, fresh, console, trainer_adapts=True)
    if session.finished is not None:
        return session.finished
    rng = generator(session.arguments.seed, len(session.sources))
    rows = [
        pair
        for source in session.sources
        for example in training_examples(source, session.dialogue)
        for pair in pairs(example, recipe.pairs, rng)
    ]
    session.arguments.max_length = None
    return session.training(
        Trainer,
        data=Dataset.from_list(rows),
        lengths=[len(row["prompt_ids"]) for row in rows],
        processing_class=session.tokenizer,
        peft_config=lora_config(recipe),
    )


def pairs(
    example: TrainingExample, number: int, rng: np.random.Generator
) -> Iterator[dict[str, list[int]]]:
    """At some turns of a conversation, the teacher's choice and another legal reply, as tokens.

    Args:
        example: the conversation.
        number: of turns at most, drawn evenly from those with another legal reply.
        rng: draws turns and replies.
    """
    others = example.legal.copy()
    others[np.arange(len(others)), example.action] = False
    open_turns = np.flatnonzero(others.any(axis=1))
    for turn in rng.permutation(open_turns)[:number]:
        worse = rng.choice(np.flatnonzero(others[turn]))
        yield {
            "prompt_ids": example.ids[: example.positions[turn] + 1].tolist(),
            "chosen_ids": example.replies.tokens[example.action[turn]],
            "rejected_ids": example.replies.tokens[worse],
        }


if __name__ == "__main__":
    sys.exit(main())
