"""Fine-tunes a language model on hard labels, with TRL: `python -m train.sft --config X.yaml`.

The same conversations, tokens and adapter as `train.distill`, under TRL's `SFTTrainer`: the loss
is the cross-entropy of the reply, over the whole vocabulary, at the positions where one is due. The
reply is the teacher's choice (Bayesian teaching, Qiu et al. 2026) or the person's own answer, which
nobody could know ("oracle" teaching). The transcript is the teacher's in both cases. The keys are
those of `train.recipes.language_model.Sft`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from acquaint_gym.train.recipes.command import TRAINER_KEYS, Command, Plan
from acquaint_gym.train.recipes.language_model import Sft

if TYPE_CHECKING:  # torch is imported when a recipe is read, not for `--help`
    from acquaint_gym.train.lm.token_choices import TrainingExample

IGNORED = -100  # a label that trainers leave out


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return Command(
        module="train.sft",
        about="Fine-tunes a language model on the teacher's choices, or on people's answers.",
        recipe=Sft,
        library=TRAINER_KEYS,
        manual="acquaint_gym.train.recipes.language_model",
        plan=plan,
    ).main(arguments)


def plan(recipe: Sft, fresh: bool, console: Console) -> Plan:
    """Checks a recipe and all it names, and prepares the training; see `train.distill.plan`."""
    import trl
    from datasets import Dataset

    from acquaint_gym.train.lm.dev_evaluation import RolloutEvaluation
    from acquaint_gym.train.lm.examples import training_examples
    from acquaint_gym.train.lm.session import Session
    from acquaint_gym.train.sources import check_answers

    class Trainer(RolloutEvaluation, trl.SFTTrainer):  # type: ignore[misc, name-defined]
        """TRL's, in our loop."""

    session = Session("sft", recipe, fresh, console)
    if session.finished is not None:
        return session.finished
    if recipe.target == "user":
        check_answers(session.sources)
    rows = [
        mark_labels(example, recipe.target)
        for source in session.sources
        for example in training_examples(source, session.dialogue)
    ]
    session.arguments.max_length = None
    session.arguments.dataset_kwargs = {"skip_prepare_dataset": True}
    return session.training(
        Trainer,
        data=Dataset.from_list(rows),
        lengths=[len(row["input_ids"]) for row in rows],
        processing_class=session.tokenizer,
    )


def mark_labels(example: TrainingExample, target: str) -> dict[str, list[int]]:
    """`input_ids` and `labels` of a conversation, `IGNORED` where no token of a reply is due.

    Args:
        example: the conversation.
        target: `teacher` or `user`, whose reply is the label.
    """
    choices = example.replies.choices(example)
    index = choices.action if target == "teacher" else choices.answer
    # What stands at a position is the transcript's; what is wanted there may differ.
    wanted, labels = np.flatnonzero(index >= 0), np.full(len(example.ids) + 1, IGNORED)
    labels[choices.positions[wanted] + 1] = choices.options[wanted, index[wanted]]
    ids = [*example.ids.tolist(), max(int(labels[-1]), 0)]  # nothing is read after it
    return {"input_ids": ids, "labels": labels.tolist()}


if __name__ == "__main__":
    sys.exit(main())
