"""What a training of a language model stands on: its folder, traces, base and development people.

`train.distill`, `train.sft` and `train.dpo` open a `Session`, make their data from its traces, and
ask it for the `Training`, which is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import TrainerCallback

from acquaint_gym.agents.llm.adapter import FILE, read_adapter, weights_digest
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.length import check_length
from acquaint_gym.agents.llm.limits import limits_of
from acquaint_gym.agents.llm.probe import PROBES
from acquaint_gym.agents.weights import model_folder
from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.train.lm.base_models import adapter_card, load_base, quiet, with_adapter
from acquaint_gym.train.lm.dev_evaluation import ModelEvaluator
from acquaint_gym.train.lm.training import CardBesideCheckpoints, Training
from acquaint_gym.train.recipes.checks import at_least
from acquaint_gym.train.recipes.folders import Finished, RunFolder
from acquaint_gym.train.recipes.language_model import LanguageModelRecipe
from acquaint_gym.train.sources import check_people, load_sources

METHODS = ("distill", "sft", "dpo")
# What a run leaves beside its recipe, all that `--fresh` removes.
WEIGHTS = ("adapter_model.*", "model*.safetensors")
MODEL = ("adapter_config.json", "config.json", "generation_config.json", "model.*.index.json")
TOKENIZER = ("tokenizer.*", "tokenizer_config.json", "vocab.*", "merges.txt", "chat_template.*")
RECORDS = (FILE, "README.md", "training_args.bin", "checkpoint-*", "runs/*/events.out.*")
DEFAULTS: dict[str, Any] = {
    "average_tokens_across_devices": True,
    "bf16": False,
    "ddp_find_unused_parameters": False,
    "gradient_checkpointing": False,
    "logging_steps": 10,
    "report_to": "none",
    "save_total_limit": 2,
    "train_sampling_strategy": "group_by_length",
}


class Session:
    """A run of training in `recipe.out`; an unfinished one of the same recipe is taken up.

    Opening it reads what is there and writes nothing.

    Args:
        method: its name in `adapter.json`.
        recipe: the settings.
        fresh: replace what lies in `out`.
        console: where progress is shown.
        trainer_adapts: whether the trainer itself puts the adapter on the model.

    Attributes:
        recipe: the settings.
        folder: of the run.
        arguments: of the trainer.
        sources: the traces.
        finished: the run if it is finished already, else None; then what follows is there.
        tokenizer: the base's.
        dialogue: how it writes conversations.

    Raises:
        ValueError: input that cannot be used, or another run in `out`.
    """

    def __init__(
        self,
        method: str,
        recipe: LanguageModelRecipe,
        fresh: bool,
        console: Console,
        trainer_adapts: bool = False,
    ) -> None:
        self.recipe = recipe
        self.folder = RunFolder(
            recipe.out,
            {"method": method, **recipe.plain()},
            fresh,
            console,
            inputs=[*recipe.traces, model_folder(recipe.model)],
            leaves=(*RECORDS, *WEIGHTS, *MODEL, *TOKENIZER),
            ours=lambda before: before.get("method") in METHODS,
        )
        self.arguments = trainer_arguments(recipe)
        self.sources = load_sources(recipe.traces, recipe.max_people, recipe.imitate)
        check_people(self.sources)
        self.finished = None if fresh else self._finished()
        if self.finished is not None:
            return
        model, self.tokenizer = load_base(recipe)
        self.dialogue = Dialogue(
            self.tokenizer,
            recipe.model,
            recipe.template,
            recipe.template_arguments,
            limits_of(model.config),
        )
        if recipe.template is not None:
            self.tokenizer.chat_template = self.dialogue.template.text
        for source in self.sources:
            check_length(source.task, self.dialogue, recipe.eval_probe)
        self._card = adapter_card(method, recipe, self.sources, self.dialogue, model)
        self._card["seed"] = self.arguments.seed
        if not fresh:
            self._compare_checkpoints()
        self._evaluator = self._dev_evaluator()
        seed = self.arguments.seed
        self._model = model if trainer_adapts else with_adapter(model, recipe, seed)

    def _finished(self) -> Finished | None:
        """The result that lies in the folder, if it is of the same base and traces."""
        if not any(file for name in WEIGHTS for file in self.folder.path.glob(name)):
            return None
        card = read_adapter(self.folder.path)
        if card is None:  # the weights were written, and then it was interrupted
            return None
        self._compare_inputs(
            card, weights_digest(model_folder(self.recipe.model), self.recipe.revision)
        )
        return Finished(self.folder, card)

    def _compare_checkpoints(self) -> None:
        """Refuses to go on from checkpoints of another base or other traces."""
        for file in list(self.folder.path.glob(f"checkpoint-*/{FILE}"))[:1]:  # all are of one run
            card = read_adapter(file.parent)
            assert card is not None  # it is there
            self._compare_inputs(card, self._card["base"]["weights"])
            tokens = [
                (f"tokens of {env['env']}", env["tokens"]) for env in self._card["environments"]
            ]
            before = [env["tokens"] for env in card["environments"]]
            self.folder.compare_inputs(before, tokens, "prompts that were written otherwise")

    def _compare_inputs(self, card: dict[str, Any], weights: str) -> None:
        """Refuses what was made, as `adapter.json` says, of another base or of other traces."""
        before = [card["base"]["weights"], *(env["traces"] for env in card["environments"])]
        traces = [(f"traces of {source.run.env}", source.digest) for source in self.sources]
        now = [("the base's weights", weights), *traces]
        self.folder.compare_inputs(before, now, "something else")

    def _dev_evaluator(self) -> ModelEvaluator | None:
        """Who meets development people when the trainer evaluates; None where it never does."""
        if self.arguments.eval_strategy == "no":
            return None
        if self.recipe.eval_probe is not None:
            for source in self.sources:
                PROBES[self.recipe.eval_probe](source.task)  # says where it makes no sense
        return ModelEvaluator(self.recipe, self.sources, self.dialogue)

    @property
    def num_people(self) -> int:
        """People in all traces."""
        return sum(len(source.run.trace.person) for source in self.sources)

    @property
    def pad(self) -> int:
        """Token to pad with; no position that counts sees it."""
        return int(self.tokenizer.pad_token_id or 0)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """How far something is, on the error stream."""
        hidden = self.arguments.process_index > 0
        with ProgressBars(self.folder.console, disable=hidden) as bar:
            row = bar.add_task(what, total=total)
            yield lambda: bar.advance(row)

    def training(
        self,
        trainer: Any,
        data: Any,
        lengths: Sequence[int],
        callbacks: Sequence[TrainerCallback] = (),
        **settings: Any,
    ) -> Training:
        """The training, ready to run. The trainer is built, and says what it cannot do.

        Args:
            trainer: its class, which is `RolloutEvaluation`.
            data: to train on.
            lengths: tokens of each example.
            callbacks: further ones of the trainer.
            **settings: further arguments of the trainer.

        Raises:
            ValueError: arguments that it does not take; nothing was written or removed.
        """
        torch.manual_seed(self.arguments.seed)  # of an adapter that the trainer makes
        with quiet(), _one_line(), _no_new_folders(self.folder.path):
            built = trainer(
                model=self._model,
                args=self.arguments,
                train_dataset=data,
                # Never looked at: `evaluate` meets people.
                eval_dataset=None if self._evaluator is None else data,
                evaluator=self._evaluator,
                lengths=lengths,
                callbacks=[CardBesideCheckpoints(self._card), *callbacks],
                **settings,
            )
            optimizer, given = built.get_optimizer_cls_and_kwargs(self.arguments, built.model)
            if not {"params", "model", "optimizer_dict"} & set(given):  # what brings its own
                optimizer([torch.zeros(1, requires_grad=True)], **given)
        words = self.tokenizer if self.recipe.tuning == "full" else None
        return Training(self.folder, built, self._card, words)


def trainer_arguments(recipe: LanguageModelRecipe) -> Any:
    """The trainer's arguments, as the recipe has them.

    Raises:
        ValueError: arguments that do not fit; one line.
    """
    kind = recipe.arguments()
    on_gpu, known = torch.cuda.is_available(), {f.name for f in fields(kind)}
    given = {**DEFAULTS, "dataloader_pin_memory": on_gpu, **recipe.trainer}
    for name in ("gradient_checkpointing", "gradient_checkpointing_kwargs"):
        new = name.replace("gradient", "activation")
        if name in given and new in known:  # the name since transformers 5.20
            given.setdefault(new, given.pop(name))
    with _one_line():
        for name in ("max_steps", "num_train_epochs"):
            # -1 steps are what the trainers call "as many as the epochs have".
            if given.get(name, 1) <= 0 and (name, given[name]) != ("max_steps", -1):
                raise ValueError(f"{name}={given[name]}: nothing to train; expected more.")
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
            at_least(name, given.get(name, 1), 1)
        return kind(
            output_dir=str(Path(recipe.out)),
            run_name=Path(recipe.out).name,
            remove_unused_columns=False,
            **given,
        )


@contextmanager
def _one_line() -> Iterator[None]:
    """Turns what trainers and optimizers refuse into a `ValueError` of one line."""
    try:
        yield
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


@contextmanager
def _no_new_folders(path: Path) -> Iterator[None]:
    """Removes the empty folders that building a trainer makes; they come back when it trains."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):  # another process was first
                folder.rmdir()
