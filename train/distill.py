"""Distils the teacher into a language model: `python -m train.distill --config X.yaml`.

The student reads whole conversations in one forward pass and is compared with the teacher's
distribution wherever a reply is due; see `train.lm.trainer` for the loss. The keys are those of
`train.recipes.language_model.Distill`. The result is an adapter (or a model) as safetensors and
`adapter.json`, which says how it was made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from acquaint_gym.train.recipes.command import TRAINER_KEYS, Command, Plan
from acquaint_gym.train.recipes.language_model import Distill

if TYPE_CHECKING:  # transformers is imported when a recipe is read, not for `--help`
    from transformers import TrainerCallback

    from acquaint_gym.train.lm.session import Session
    from acquaint_gym.train.lm.token_choices import TrainingExample


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    return Command(
        module="train.distill",
        about="Distils the exact Bayesian teacher into a language model.",
        recipe=Distill,
        library=TRAINER_KEYS,
        manual="acquaint_gym.train.recipes.language_model",
        plan=plan,
    ).main(arguments)


def distill(recipe: Distill, fresh: bool = False) -> dict[str, Any]:
    """Carries a recipe out; a run that was interrupted goes on, a finished one stays.

    Args:
        recipe: the settings.
        fresh: replace what lies in `recipe.out`.

    Returns:
        What stands in `adapter.json`.

    Raises:
        ValueError: input that cannot be used; one line.
    """
    result: dict[str, Any] = plan(recipe, fresh, Console(stderr=True)).run()
    return result


def plan(
    recipe: Distill, fresh: bool, console: Console, callbacks: Sequence[TrainerCallback] = ()
) -> Plan:
    """Checks a recipe and all it names, and prepares the training.

    Args:
        recipe: the settings.
        fresh: replace what lies in `recipe.out`.
        console: where progress is shown.
        callbacks: of one's own, for the trainer.

    Raises:
        ValueError: input that cannot be used; one line. Nothing was written or removed.
    """
    from acquaint_gym.train.lm.batches import Collator, Examples
    from acquaint_gym.train.lm.session import Session
    from acquaint_gym.train.lm.trainer import DistillTrainer
    from acquaint_gym.train.sources import check_answers

    session = Session("distill", recipe, fresh, console)
    if session.finished is not None:
        return session.finished
    if recipe.objective == "ce-user":
        check_answers(session.sources)
    groups = _groups(session, recipe)
    tokens = max(len(reply) for group in groups for one in group for reply in one.replies.tokens)
    if recipe.objective == "reverse-kl" and tokens > 1:
        raise ValueError(
            f"objective: reverse-kl needs replies of one token, with this tokenizer some have "
            f"{tokens}; take kl, or other labels (train.collect --set labels=letters)."
        )
    return session.training(
        DistillTrainer,
        data=Examples(groups),
        lengths=[sum(len(example.ids) for example in group) for group in groups],
        callbacks=callbacks,
        data_collator=Collator(session.pad, recipe.belief_weight),
        objective=recipe.objective,
        mass_weight=recipe.mass_weight,
        choice_weight=recipe.choice_weight,
    )


def _groups(session: Session, recipe: Distill) -> list[list[TrainingExample]]:
    """For each person the conversation and, with `kl+belief`, the questions about traits."""
    from acquaint_gym.train.lm.batches import generator
    from acquaint_gym.train.lm.examples import belief_examples, training_examples

    groups: list[list[TrainingExample]] = []
    with session.progress("reading traces", session.num_people) as advance:
        for number, source in enumerate(session.sources):
            rng = generator(session.arguments.seed, number)
            questions = belief_examples(source, session.dialogue, recipe.belief_questions, rng)
            for example in training_examples(source, session.dialogue):
                more = next(questions) if recipe.objective == "kl+belief" else []
                groups.append([example, *more])
                advance()
    return groups


if __name__ == "__main__":
    sys.exit(main())
