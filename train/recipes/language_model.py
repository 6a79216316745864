"""Recipes of language models: what `train.distill`, `train.sft` and `train.dpo` take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, get_args, get_type_hints

from acquaint_gym.agents.llm.probe import PROBES
from acquaint_gym.train.recipes.base import LibraryArguments, Recipe
from acquaint_gym.train.recipes.checks import at_least, one_of, require_extra

# Arguments of the trainers that a recipe sets itself, and where it does.
REFUSED = {
    "output_dir": "`out`",
    "run_name": "`out`",
    "resume_from_checkpoint": "nothing: the same command goes on, `--fresh` starts over",
    "remove_unused_columns": "nothing: the columns are our own",
    "push_to_hub": "`hf upload`, afterwards",
    "max_length": "nothing: conversations are read whole",
    "dataset_kwargs": "nothing: the data is tokens already",
    "label_smoothing_factor": "nothing: targets are the teacher's distributions or choices",
}
OBJECTIVES = ("kl", "ce-teacher", "ce-user", "reverse-kl", "kl+belief")


@dataclass(frozen=True)
class LanguageModelRecipe(Recipe):
    """The keys that all ways of training a language model have in common.

    Attributes:
        traces: folders that `train.collect` wrote, or one of the splits in them; of several, all
            their traces are used together.
        model: the base, a hub id or a folder with safetensors and a chat template.
        out: folder of the result.
        revision: commit of a hub model.
        dtype: of the base's weights in memory: `float32`, `bfloat16`, `float16`, or `auto`.
        attention: implementation, e.g. `sdpa` or `flash_attention_2`; by default the model's own.
        template, template_arguments: see `agents.llm.agent.LLMAgent`; who plays with the result
            needs the same. A model that is tuned in full keeps the template as its own.
        tuning: `lora`, an adapter on all linear layers, or `full`, all weights.
        lora_r: rank of the adapter.
        lora_alpha: its scale; the update is multiplied by alpha / r.
        lora_targets: the layers it is on: all linear ones, or those whose names match this regular
            expression; of a model that sees as well, those that read.
        lora_dropout: share of the adapter's inputs left out at random.
        use_rslora: alpha / sqrt(r) instead (Kalajdzievski, 2023).
        use_dora: directions and magnitudes apart (Liu et al., 2024).
        imitate: whose distribution is the target: `teacher`, the exact one, or `agent`, the one of
            the traces, e.g. `bayes:population=classes` (collected with `--agent`).
        max_people: use the first so many people of each trace only.
        eval_users: people met when the trainer evaluates (`eval_strategy`, `eval_steps`).
        eval_split: their split.
        eval_data: file of respondents to meet instead of synthetic people.
        eval_batch_size: conversations in a forward pass of an evaluation.
        eval_probe: also ask for beliefs then, see `agents.llm.choice`; `levels` or `items`.
    """

    LIBRARY: ClassVar[str] = "trainer"

    traces: list[str] = field(metadata={"expected": "folders of train.collect"})
    model: str
    out: str
    revision: str | None = None
    dtype: str = "float32"
    attention: str | None = None
    template: str | None = None
    template_arguments: Mapping[str, Any] | None = None
    tuning: str = "lora"
    lora_r: int = 32
    lora_alpha: float = 32
    lora_targets: str = "all-linear"
    lora_dropout: float = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    imitate: str = "teacher"
    max_people: int | None = None
    eval_users: int = 200
    eval_split: str = "dev"
    eval_data: str | None = None
    eval_batch_size: int = 32
    eval_probe: str | None = None
    trainer: dict[str, Any] = field(default_factory=dict)
    """Arguments of the trainer, as `transformers.TrainingArguments` or TRL's own name them."""

    def __post_init__(self) -> None:
        """Checks the words and numbers that nobody else checks."""
        one_of("tuning", self.tuning, ("lora", "full"))
        one_of("imitate", self.imitate, ("teacher", "agent"))
        for name in ("lora_r", "eval_users", "eval_batch_size"):
            at_least(name, getattr(self, name), 1)
        if self.max_people is not None:
            at_least("max_people", self.max_people, 1)
        if self.eval_probe is not None:
            one_of("eval_probe", self.eval_probe, tuple(PROBES))
        if not self.traces:
            raise ValueError("traces: expected at least one folder of train.collect.")

    @classmethod
    def arguments(cls) -> type[Any]:
        """The class of the trainer's arguments; only now, as its import takes seconds."""
        from transformers import TrainingArguments

        return TrainingArguments

    @classmethod
    def library(cls, given: Mapping[str, Any]) -> LibraryArguments:
        """The trainer's arguments."""
        with require_extra("llm"):
            kind = cls.arguments()
        return LibraryArguments(
            names=[f.name for f in fields(kind) if f.init],
            words=f", and the arguments of {kind.__name__}",
            refused=REFUSED,
            check=partial(_check_arguments, kind),
        )


def _check_arguments(kind: type[Any], source: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The trainer's arguments, compared with the annotations of their class."""
    hints = get_type_hints(kind)
    checked = dict(arguments)
    for key, value in arguments.items():
        kinds = get_args(hints[key]) or (hints[key],)
        if value is False and bool not in kinds and str in kinds:
            checked[key] = "no"  # a word of the trainers, which YAML reads as false
        if isinstance(value, str) and {int, float, bool} & set(kinds) and str not in kinds:
            raise ValueError(f"{source}: {key}={value!r} is text, expected a number or true/false.")
        if isinstance(value, float) and int in kinds and float not in kinds:
            raise ValueError(f"{source}: {key}={value!r}; expected a whole number.")
    return checked


@dataclass(frozen=True)
class Distill(LanguageModelRecipe):
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
        one_of("objective", self.objective, OBJECTIVES)
        at_least("belief_questions", self.belief_questions, 1)
        for name in ("mass_weight", "choice_weight", "belief_weight"):
            at_least(name, getattr(self, name), 0)


@dataclass(frozen=True)
class Sft(LanguageModelRecipe):
    """A recipe of supervised fine-tuning.

    Attributes:
        target: `teacher`, the teacher's choice, or `user`, the person's own answer.
    """

    target: str = "teacher"

    def __post_init__(self) -> None:
        """Checks the words."""
        super().__post_init__()
        one_of("target", self.target, ("teacher", "user"))

    @classmethod
    def arguments(cls) -> type[Any]:
        """TRL's for supervised fine-tuning."""
        import trl

        kind: type[Any] = trl.SFTConfig  # type: ignore[attr-defined]
        return kind


@dataclass(frozen=True)
class Dpo(LanguageModelRecipe):
    """A recipe of preference optimisation.

    Attributes:
        pairs: of each person: at so many turns, drawn evenly, the teacher's choice and one of the
            other legal replies, drawn evenly.
    """

    pairs: int = 4

    def __post_init__(self) -> None:
        """Checks the numbers."""
        super().__post_init__()
        at_least("pairs", self.pairs, 1)

    @classmethod
    def arguments(cls) -> type[Any]:
        """TRL's for preference optimisation."""
        import trl

        kind: type[Any] = trl.DPOConfig  # type: ignore[attr-defined]
        return kind
