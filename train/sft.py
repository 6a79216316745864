"""Fine-tunes a language model on hard labels, with TRL: `python -m train.sft --config X.yaml`.

The same conversations, tokens and adapter as `train.distill`, under TRL's `SFTTrainer`: the loss
is the cross-entropy of the reply, over the whole vocabulary, at the positions where one is due. The
reply is the teacher's choice (Bayesian teaching, Qiu et al. 2026) or the person's own answer, which
nobody could know ("oracle" teaching). The transcript is the teacher's in both cases.
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
class Sft(Recipe):
    """A recipe of supervised fine-tuning.

    Attributes:
        target: `teacher`, the teacher's choice, or `user`, the person's own answer.
    """

    target: str = "teacher"

    def __post_init__(self) -> None:
        """Checks the words."""
        super().__post_init__()
        checks.one_of("target", self.target, ("teacher", "user"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
    about = "Fine-tunes a language model on the teacher's choices, or on people's answers."
    return recipes.command("train.sft", about, Sft, _arguments, prepare, arguments)


def _arguments() -> type[Any]:
    import trl

    config: type[Any] = trl.SFTConfig  # type: ignore[attr-defined]
    return config


def prepare(recipe: Sft, fresh: bool, errors: Console) -> Callable[[], dict[str, Any]]:
    """See `train.distill.prepare`."""
    import numpy as np
    import trl
    from datasets import Dataset

    from acquaint_gym.train.lm.dev_evaluation import RolloutEvaluation
    from acquaint_gym.train.lm.examples import lessons
    from acquaint_gym.train.lm.session import Session
    from acquaint_gym.train.sources import check_answers

    class Trainer(RolloutEvaluation, trl.SFTTrainer):  # type: ignore[misc, name-defined]
        """TRL's, in our loop."""

    session = Session("sft", recipe, fresh, errors, _arguments())
    if session.done is not None:
        return partial(dict, session.done)
    if recipe.target == "user":
        check_answers(session.sources)
    rows = []
    for source in session.sources:
        for lesson in lessons(source, session.dialogue):
            steps = lesson.replies.steps(lesson)
            index = steps.action if recipe.target == "teacher" else steps.answer
            # What stands at a position is the transcript's; what is wanted there may differ.
            wanted, labels = np.flatnonzero(index >= 0), np.full(len(lesson.ids) + 1, -100)
            labels[steps.positions[wanted] + 1] = steps.options[wanted, index[wanted]]
            ids = [*lesson.ids.tolist(), max(int(labels[-1]), 0)]  # nothing is read after it
            rows.append({"input_ids": ids, "labels": labels.tolist()})
    session.arguments.max_length = None
    session.arguments.dataset_kwargs = {"skip_prepare_dataset": True}
    return session.ready(
        Trainer,
        data=Dataset.from_list(rows),
        lengths=[len(row["input_ids"]) for row in rows],
        processing_class=session.tokenizer,
    )


if __name__ == "__main__":
    sys.exit(main())
