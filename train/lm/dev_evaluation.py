"""A student in the environments' own loop, while it is being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer
from acquaint_gym.envs.registration import import_package, task_class
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.eval.metrics.prediction import PREDICTION_METRICS
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.eval.trace import Trace
from acquaint_gym.train.lm.batches import ByLength
from acquaint_gym.train.recipes.language_model import Recipe
from acquaint_gym.train.sources import Source

SHOWN = (
    "accuracy",
    "teacher_agreement",
    "predictive_entropy",
    "nll",
    "kl_from_teacher",
    "belief_correlation",
)


class DevEvaluator:
    """Meets people who are not among the taught ones, in every environment of the traces.

    Args:
        recipe: says how many, and of which split.
        found: the traces that are taught.
        dialogue: of the student's tokenizer.

    Raises:
        ValueError: an environment or people that are not here.
    """

    def __init__(self, recipe: Recipe, found: Sequence[Source], dialogue: Dialogue) -> None:
        """Builds environments and teachers once."""
        self._recipe, self._dialogue = recipe, dialogue
        self._rooms: list[tuple[str, Any, Any, Any, Any]] = []
        person = np.arange(recipe.eval_users)
        for source in found:
            job = _job(recipe, source)
            env, (_, teacher) = job.environment(len(person)), job.agents()
            streams = PersonStreams(job.people.suite_seed, "agents", env.task.num_turns)
            uniform = streams.uniform(person)
            name = source.run.env.rpartition("/")[2]
            again = sum(known.partition("#")[0] == name for known, *_ in self._rooms)
            name += f"#{again + 1}" if again else ""
            self._rooms.append((name, env, teacher, person, uniform))

    def __call__(self, model: Any) -> dict[str, float]:
        """Metrics by name; with several environments, by environment and name."""
        found: dict[str, float] = {}
        for name, env, teacher, person, uniform in self._rooms:
            scorer = HuggingFaceScorer(model, self._recipe.eval_batch_size)
            agent = ChoiceAgent(teacher.task, self._dialogue, scorer, self._recipe.eval_probe)
            metrics = summary(rollout(env, agent, teacher, person, uniform))
            of = f"{name}_" if len(self._rooms) > 1 else ""
            found |= {f"{of}{key}": value for key, value in metrics.items()}
        return found


class RolloutEvaluation:
    """Goes before a class of trainers: evaluates in the environments' loop, not on a data set.

    Args:
        examine: gives metrics of a model by name; None where `evaluate` is never called.
        lengths: tokens of each example, for `train_sampling_strategy="group_by_length"`.
        **arguments: of the trainer.
    """

    def __init__(
        self,
        *,
        examine: Callable[[Any], dict[str, float]] | None,
        lengths: Sequence[int],
        **arguments: Any,
    ) -> None:
        """Keeps what the trainer does not know."""
        self._examine, self._lengths = examine, lengths
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
            found = self._examine(model.eval())
        finally:
            model.train(training)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
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


def summary(trace: Trace) -> dict[str, float]:
    """Means over people of the metrics that tell how training goes; what is unknown is left out."""
    found = {}
    for name in SHOWN:
        metric = PREDICTION_METRICS[name]
        if not metric.applies(trace.agent_asks):
            continue
        statistics = metric.statistics(trace)
        known = statistics[np.isfinite(statistics).all(axis=1)]
        if len(known):
            mean = known.mean(axis=0)
            value = mean[0] if metric.combine is None else metric.combine(mean)
            if np.isfinite(value):
                found[name] = float(value)
    return found


def _job(recipe: Recipe, source: Source) -> Evaluation:
    """The teacher on the source's environment, with the people of an evaluation."""
    config = source.run.config
    import_package(config["env_spec"]["task"].partition(":")[0])
    people = People(recipe.eval_split, config["people"]["suite_seed"], recipe.eval_data)
    [job] = plan(
        source.run.env, [task_class(source.run.env).teacher], people, config["env_settings"]
    )
    return job
