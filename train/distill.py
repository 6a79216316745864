"""Distils the teacher into a language model: `python -m train.distill --config X.yaml`.

The student reads whole conversations in one forward pass and is compared with the teacher's
distribution wherever a reply is due; see `train.lm.trainer` for the loss, and for the keys
`train.recipes.language_model` and `Distill`. The result is an adapter (or a model) as safetensors
and `adapter.json`, which says how it was made.
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

OBJECTIVES = ("kl", "ce-teacher", "ce-user", "reverse-kl", "kl+belief")


@dataclass(frozen=True)
class Distill(Recipe):
    """A recipe of distillation.

    Attributes:
        objective: `kl`, to the teacher's distribution; `ce-teacher`, the teacher's choice as a
            hard label; `ce-user`, the person's own answer; `reverse-kl`; or `kl+belief`, `kl`
            with questions about traits whose target is the teacher's belief.
        mass_weight: of minus the logarithm of the probability of any legal reply.
        choice_weight: of the cross-entropy to the teacher's choice, which is added. Where two
            answers are exactly as probable the teacher takes the first; the student learns to from
            a little of this, 0.005 say, which moves the optimum off the teacher by as little.
        belief_questions: a person, with `kl+belief`.
        belief_weight: of a person's questions, beside their replies, which weigh 1 together.
    """

    objective: str = "kl"
    mass_weight: float = 1.0
    choice_weight: float = 0.0
    belief_questions: int = 1
    belief_weight: float = 1.0

    def __post_init__(self) -> None:
        """Checks words and numbers."""
        super().__post_init__()
        checks.one_of("objective", self.objective, OBJECTIVES)
        checks.at_least("belief_questions", self.belief_questions, 1)
        for name in ("mass_weight", "choice_weight", "belief_weight"):
            checks.at_least(name, getattr(self, name), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    about = "Distils the exact Bayesian teacher into a language model."
    return recipes.command("train.distill", about, Distill, _arguments, prepare, arguments)


def _arguments() -> type[Any]:
    from transformers import TrainingArguments

    return TrainingArguments


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
    return prepare(recipe, fresh, Console(stderr=True))()


def prepare(recipe: Distill, fresh: bool, errors: Console) -> Callable[[], dict[str, Any]]:
    """Finds what is wrong with a recipe; what it gives carries it out.

    Raises:
        ValueError: input that cannot be used; one line.
    """
    from acquaint_gym.train.lm.batches import Collator, Lessons, generator
    from acquaint_gym.train.lm.examples import lessons, reports
    from acquaint_gym.train.lm.session import Session
    from acquaint_gym.train.lm.trainer import DistillTrainer
    from acquaint_gym.train.sources import check_answers

    session = Session("distill", recipe, fresh, errors)
    if session.done is not None:
        return partial(dict, session.done)
    if recipe.objective == "ce-user":
        check_answers(session.sources)
    groups: list[list[Any]] = []
    with session.progress("reading traces", session.num_people) as advance:
        for number, source in enumerate(session.sources):
            rng = generator(session.arguments.seed, number)
            asked = reports(source, session.dialogue, recipe.belief_questions, rng)
            for lesson in lessons(source, session.dialogue):
                more = next(asked) if recipe.objective == "kl+belief" else []
                groups.append([lesson, *more])
                advance()
    tokens = max(len(reply) for group in groups for one in group for reply in one.replies.tokens)
    if recipe.objective == "reverse-kl" and tokens > 1:
        raise ValueError(
            f"objective: reverse-kl needs replies of one token, with this tokenizer some have "
            f"{tokens}; take kl, or other labels (train.collect --set labels=letters)."
        )
    return session.ready(
        DistillTrainer,
        data=Lessons(groups),
        lengths=[sum(len(lesson.ids) for lesson in group) for group in groups],
        data_collator=Collator(session.pad, recipe.belief_weight),
        objective=recipe.objective,
        mass_weight=recipe.mass_weight,
        choice_weight=recipe.choice_weight,
    )


if __name__ == "__main__":
    sys.exit(main())
