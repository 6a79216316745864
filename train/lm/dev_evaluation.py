"""A student in the environments' own loop, while it is being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer
from acquaint_gym.eval.runs.evaluation import People
from acquaint_gym.train.dev_evaluation import DevEvaluator, dev_evaluator
from acquaint_gym.train.lm.batches import ByLength
from acquaint_gym.train.recipes.language_model import LanguageModelRecipe
from acquaint_gym.train.sources import TraceSource


class ModelEvaluator:
    """Lets a language model meet development people in every environment of its traces.

    Args:
        recipe: says how many people, and of which split.
        sources: the traces that are learned from.
        dialogue: of the student's tokenizer.

    Raises:
        ValueError: an environment or people that are not here.
    """

    def __init__(
        self, recipe: LanguageModelRecipe, sources: Sequence[TraceSource], dialogue: Dialogue
    ) -> None:
        self._recipe, self._dialogue = recipe, dialogue
        self._evaluators: dict[str, DevEvaluator] = {}
        for source in sources:
            suite_seed = source.run.config["people"]["suite_seed"]
            people = People(recipe.eval_split, suite_seed, recipe.eval_data)
            name = source.run.env.rpartition("/")[2]
            again = sum(known.partition("#")[0] == name for known in self._evaluators)
            name += f"#{again + 1}" if again else ""
            self._evaluators[name] = dev_evaluator(source, people, np.arange(recipe.eval_users))

    def __call__(self, model: Any) -> dict[str, float]:
        """Metrics by name; with several environments, by environment and name."""
        metrics: dict[str, float] = {}
        for name, evaluator in self._evaluators.items():
            scorer = HuggingFaceScorer(model, self._recipe.eval_batch_size)
            task = evaluator.teacher.task
            agent = ChoiceAgent(task, self._dialogue, scorer, self._recipe.eval_probe)
            of = f"{name}_" if len(self._evaluators) > 1 else ""
            metrics |= {f"{of}{key}": value for key, value in evaluator.metrics(agent).items()}
        return metrics


class RolloutEvaluation:
    """Goes before a class of trainers: evaluates in the environments' loop, not on a data set.

    Args:
        evaluator: gives metrics of a model by name; None where `evaluate` is never called.
        lengths: tokens of each example, for `train_sampling_strategy="group_by_length"`.
        **arguments: of the trainer.
    """

    def __init__(
        self,
        *,
        evaluator: Callable[[Any], dict[str, float]] | None,
        lengths: Sequence[int],
        **arguments: Any,
    ) -> None:
        self._evaluator, self._lengths = evaluator, lengths
        super().__init__(**arguments)

    def evaluate(
        self: Any,
        eval_dataset: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Meets people; every process meets all of them.

        Where a model's weights are spread over processes, each pass needs all processes.
        """
        model = self.model  # without DDP's wrapper; FSDP changes the model itself
        training = model.training
        try:
            values = self._evaluator(model.eval())
        finally:
            model.train(training)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _get_train_sampler(self: Any, train_dataset: Any = None) -> Any:
        """Ours for `group_by_length`: that of transformers depends on where training began."""
        args = self.args
        if args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        between = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return ByLength(
            self._lengths, between, args.seed if args.data_seed is None else args.data_seed
        )
