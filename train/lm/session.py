"""One run of training, whatever the method: what is read, where it stands, what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.progress import Progress
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from acquaint_gym.agents.llm.adapter import FILE, read_adapter, weights_digest
from acquaint_gym.agents.llm.agent import folder
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.probe import PROBES
from acquaint_gym.envs.files import write_json
from acquaint_gym.eval.runs.command import InputError
from acquaint_gym.train.lm.base_models import load_base, provenance, quiet, with_adapter
from acquaint_gym.train.lm.dev_evaluation import DevEvaluator
from acquaint_gym.train.recipes.checks import at_least
from acquaint_gym.train.recipes.folders import (
    check_out,
    check_recipe,
    check_replaceable,
    clear,
    keep_recipe,
)
from acquaint_gym.train.recipes.language_model import Recipe
from acquaint_gym.train.sources import check_people, sources

METHODS = ("distill", "sft", "dpo")
# What a run leaves, all that `--fresh` removes; the recipe stays until the new one replaces it, so
# that a folder which was being emptied is still known as a run's.
OURS = (FILE, "README.md", "training_args.bin", "checkpoint-*", "runs/*/events.out.*")
WEIGHTS = ("adapter_model.*", "model*.safetensors")
MODEL = ("adapter_config.json", "config.json", "generation_config.json", "model.*.index.json")
TOKENIZER = ("tokenizer.*", "tokenizer_config.json", "vocab.*", "merges.txt", "chat_template.*")
WRITTEN = (*OURS, *WEIGHTS, *MODEL, *TOKENIZER)
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

    Args:
        method: its name in `adapter.json`.
        recipe: the settings.
        fresh: replace what lies in `out`.
        errors: where progress is shown.
        kind: class of the trainer's arguments.
        adapts: whether the trainer itself puts the adapter on the model.

    Attributes:
        done: what `adapter.json` says if the run is finished, else None.
        arguments: of the trainer.
        sources: the traces.
        tokenizer: the base's.
        dialogue: how it writes conversations.

    Raises:
        ValueError: input that cannot be used, or another run in `out`.
    """

    def __init__(
        self,
        method: str,
        recipe: Recipe,
        fresh: bool,
        errors: Console,
        kind: type[TrainingArguments] = TrainingArguments,
        adapts: bool = False,
    ) -> None:
        """Reads what is there; writes nothing."""
        self.recipe, self._out, self._errors = recipe, Path(recipe.out), errors
        check_out(recipe.out, [*recipe.traces, folder(recipe.model)])
        if fresh:
            check_replaceable(self._out, lambda found: found.get("method") in METHODS)
        self.arguments, self._fresh = self._arguments(kind), fresh
        self._main = self.arguments.process_index == 0
        self._table = json.loads(json.dumps({"method": method, **recipe.plain()}))
        self.done = None
        if not fresh:
            check_recipe(self._out, self._table)
            weights = [f for name in WEIGHTS for f in self._out.glob(name)]
            self.done = read_adapter(self._out) if weights else None
        self.sources = sources(recipe.traces, recipe.max_people, recipe.imitate)
        check_people(self.sources)
        if self.done is not None:
            base = weights_digest(folder(recipe.model), recipe.revision)
            self._compare_inputs(self.done, base)
            errors.print(f"{self._out}: finished already; --fresh trains again.", highlight=False)
            return
        self._model, self.tokenizer = load_base(recipe)
        self.dialogue = Dialogue(self.tokenizer, recipe.model)
        self._made = provenance(method, recipe, self.sources, self.dialogue, self._model)
        self._made["seed"] = self.arguments.seed
        if not fresh:  # all checkpoints are of one run
            for file in list(self._out.glob(f"checkpoint-*/{FILE}"))[:1]:
                begun = read_adapter(file.parent)
                assert begun is not None  # it is there
                self._compare_inputs(begun, self._made["base"]["weights"])
        self._examine = None
        if self.arguments.eval_strategy != "no":
            for source in self.sources if recipe.eval_probe else ():
                PROBES[str(recipe.eval_probe)](source.task)  # says where it makes no sense
            self._examine = DevEvaluator(recipe, self.sources, self.dialogue)
        if not adapts:
            self._model = with_adapter(self._model, recipe, self.arguments.seed)

    def _arguments(self, kind: type[TrainingArguments]) -> Any:
        """The trainer's arguments, as the recipe has them."""
        on_gpu, known = torch.cuda.is_available(), {f.name for f in fields(kind)}
        given = {**DEFAULTS, "dataloader_pin_memory": on_gpu, **self.recipe.trainer}
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
                output_dir=str(self._out),
                run_name=self._out.name,
                remove_unused_columns=False,
                **given,
            )

    def _compare_inputs(self, made: dict[str, Any], weights: str) -> None:
        """Refuses what was made, as `adapter.json` says, of another base or of other traces."""
        was = [made["base"]["weights"], *(env["traces"] for env in made["environments"])]
        now = [weights, *(source.digest for source in self.sources)]
        names = ["the base's weights", *(f"traces of {source.run.env}" for source in self.sources)]
        differing = [
            f"{name or 'further traces'} were {before}, are {after}"
            for name, before, after in zip_longest(names, was, now)
            if before != after
        ]
        if differing:
            raise ValueError(
                f"{self._out} holds a run on something else: {'; '.join(differing)}. Choose "
                "another --out, or --fresh to replace it."
            )

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
        """A bar on the error stream."""
        with Progress(console=self._errors, transient=True, disable=not self._main) as bar:
            row = bar.add_task(what, total=total)
            yield lambda: bar.advance(row)

    def ready(self, kind: Any, data: Any, **settings: Any) -> Callable[[], dict[str, Any]]:
        """Builds the trainer, which says what it cannot do; what is given lets it train.

        Args:
            kind: class of the trainer, which is `RolloutEvaluation`.
            data: to train on.
            **settings: further arguments of the trainer.

        Raises:
            ValueError: arguments that it does not take; nothing was written or removed.
        """
        torch.manual_seed(self.arguments.seed)  # of an adapter that the trainer makes
        with quiet(), _one_line(), _without_trace(self._out):
            trainer = kind(
                model=self._model,
                args=self.arguments,
                train_dataset=data,
                # Never looked at: `evaluate` meets people.
                eval_dataset=None if self._examine is None else data,
                examine=self._examine,
                callbacks=[_Beside(self._made)],
                **settings,
            )
            optimizer, given = trainer.get_optimizer_cls_and_kwargs(self.arguments, trainer.model)
            if not {"params", "model", "optimizer_dict"} & set(given):  # what brings its own
                optimizer([torch.zeros(1, requires_grad=True)], **given)
        return partial(self._carry_out, trainer)

    def _carry_out(self, trainer: Any) -> dict[str, Any]:
        """Trains, from the last checkpoint where there is one, and leaves the result in `out`."""
        state = PartialState()
        state.wait_for_everyone()  # all have seen what was there
        if self._main:
            if self._fresh:
                clear(self._out, WRITTEN)
            keep_recipe(self._out, self._table)
        state.wait_for_everyone()
        last: str | None = get_last_checkpoint(str(self._out))  # type: ignore[no-untyped-call]
        with quiet():
            if not _taken_up(trainer, last):
                trainer.train(resume_from_checkpoint=last)
            trained = (w for w in trainer.model.parameters() if w.requires_grad)
            if not all(bool(w.isfinite().all()) for w in trained):
                raise InputError(
                    f"{self._out}: training diverged, weights are not finite. Try --fresh with a "
                    "lower learning_rate, or bf16 in place of fp16."
                )
            trainer.save_model(str(self._out))
        kept = ("eval_", "loss", "kl", "elsewhere")
        made = self._made | {
            "steps": trainer.state.best_global_step
            if self.arguments.load_best_model_at_end
            else trainer.state.global_step,
            "history": [
                line
                for line in trainer.state.log_history
                if any(key.startswith(kept) for key in line)
            ],
        }
        if self._main:
            (self._out / "training_args.bin").unlink(missing_ok=True)  # of this machine
            if self.recipe.tuning == "full":
                self.tokenizer.save_pretrained(str(self._out))
            write_json(self._out / FILE, made)
            self._errors.print(f"{self._out}: done.", highlight=False)
        state.wait_for_everyone()
        return made


def _taken_up(trainer: Any, last: str | None) -> bool:
    """Whether the last checkpoint is of the last step; trainers would make another one.

    Then the model is that of the checkpoint, or of the one that examined best.
    """
    if last is None:
        return False
    state = TrainerState.load_from_json(str(Path(last) / "trainer_state.json"))
    if state.global_step < state.max_steps:
        return False
    best = state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
    trainer._load_from_checkpoint(best or last)
    trainer.state = state
    return True


@contextmanager
def _one_line() -> Iterator[None]:
    """Turns what trainers and optimizers refuse into a `ValueError` of one line."""
    try:
        yield
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


@contextmanager
def _without_trace(folder: Path) -> Iterator[None]:
    """Removes the empty folders that building a trainer makes; they come back when it trains."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # another process was first
                path.rmdir()


class _Beside(TrainerCallback):
    """Puts `adapter.json` beside every checkpoint, so that it can be scored as well."""

    def __init__(self, made: dict[str, Any]) -> None:
        self._made = made

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when a checkpoint is complete."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / FILE, {**self._made, "steps": state.global_step})
