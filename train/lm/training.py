"""A language model's training, ready to run: it goes on from a checkpoint and leaves a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerState
from transformers.trainer_utils import get_last_checkpoint

from acquaint_gym.agents.llm.adapter import FILE
from acquaint_gym.envs.files import write_json
from acquaint_gym.eval.runs.command import InputError
from acquaint_gym.train.lm.base_models import quiet
from acquaint_gym.train.recipes.folders import RunFolder

# Lines of the log that are kept: those with a key that begins so.
KEPT = ("eval_", "loss", "kl", "elsewhere")


class Training:
    """A training whose input was checked; `Session.training` makes it.

    Args:
        folder: of the run.
        trainer: with model and data.
        card: what `adapter.json` is to say, but for the steps and the history.
        tokenizer: to be saved beside the weights, None beside an adapter.

    Attributes:
        trainer: the same.
    """

    def __init__(
        self, folder: RunFolder, trainer: Any, card: dict[str, Any], tokenizer: Any
    ) -> None:
        self.trainer = trainer
        self._folder, self._card, self._tokenizer = folder, card, tokenizer

    def run(self) -> dict[str, Any]:
        """Trains, from the last checkpoint where there is one; gives what `adapter.json` says.

        All processes of a training run this; the first one writes.

        Raises:
            InputError: weights that are no finite numbers.
        """
        state, trainer, out = PartialState(), self.trainer, self._folder.path
        state.wait_for_everyone()  # all have seen what was there
        if trainer.args.process_index == 0:
            self._folder.start()
        state.wait_for_everyone()
        last: str | None = get_last_checkpoint(str(out))  # type: ignore[no-untyped-call]
        with quiet():
            if not _load_if_complete(trainer, last):
                trainer.train(resume_from_checkpoint=last)
            self._check_weights()
            trainer.save_model(str(out))
        card = self._card | {"steps": _steps(trainer), "history": _history(trainer)}
        if trainer.args.process_index == 0:
            (out / "training_args.bin").unlink(missing_ok=True)  # of this machine
            if self._tokenizer is not None:
                self._tokenizer.save_pretrained(str(out))
            write_json(out / FILE, card)
            self._folder.say("done.")
        state.wait_for_everyone()
        return card

    def _check_weights(self) -> None:
        """Refuses to leave weights that are not finite as a result."""
        trained = (w for w in self.trainer.model.parameters() if w.requires_grad)
        if not all(bool(w.isfinite().all()) for w in trained):
            raise InputError(
                f"{self._folder.path}: training diverged, weights are not finite. Try --fresh with "
                "a lower learning_rate, or bf16 in place of fp16."
            )


def _load_if_complete(trainer: Any, last: str | None) -> bool:
    """Loads the last checkpoint if it is of the last step; trainers would make another step.

    The model is then that of the checkpoint, or of the one that did best with development people.
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


def _steps(trainer: Any) -> int:
    """Steps behind the weights that are left."""
    state = trainer.state
    steps: int = (
        state.best_global_step if trainer.args.load_best_model_at_end else state.global_step
    )
    return steps


def _history(trainer: Any) -> list[dict[str, Any]]:
    """The lines of the log that say how the training went."""
    return [line for line in trainer.state.log_history if any(key.startswith(KEPT) for key in line)]


class CardBesideCheckpoints(TrainerCallback):
    """Puts `adapter.json` beside every checkpoint, so that it can be scored as well."""

    def __init__(self, card: dict[str, Any]) -> None:
        self._card = card

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when a checkpoint is complete."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / FILE, {**self._card, "steps": state.global_step})
