"""Speed and memory of distillation, beside plain tuning: `python -m train.distill_bench`.

Both train the same adapter on the same model (random weights, as slow as any) and the same whole
conversations, in turns, by trainers of transformers. Ours takes the teacher's distributions at the
answer positions and computes logits there only; plain tuning is transformers' own loss of the next
token, with logits everywhere. Seconds of updates, with whatever the trainers do around them. Memory
is what an update takes at most beside the weights, as the accelerator counts it; the processor does
not, and there it is what the forward pass keeps for the backward pass.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch.autograd.graph import saved_tensors_hooks
from transformers import PrinterCallback, Trainer, TrainingArguments

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.console import program, screen, track
from acquaint_gym.eval.bench import ENV, TURNS_OF_STUDY, one_core, ratio
from acquaint_gym.eval.runs.evaluation import People, Player, plan
from acquaint_gym.eval.runs.store import Run
from acquaint_gym.eval.speed.llm import EMBEDDED, config_and_tokenizer, random_llama
from acquaint_gym.train.lm.base_models import quiet, with_adapter
from acquaint_gym.train.lm.batches import Collator, Examples, Group
from acquaint_gym.train.lm.examples import training_examples
from acquaint_gym.train.lm.trainer import DistillTrainer
from acquaint_gym.train.recipes.checks import at_least
from acquaint_gym.train.recipes.language_model import LanguageModelRecipe
from acquaint_gym.train.sources import TraceSource, transcripts

OURS, PLAIN = "distillation, logits at answers", "plain tuning, all logits"
IGNORED = -100  # a label that transformers' loss leaves out


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 2 for bad input."""
    cli = argparse.ArgumentParser(prog=program("train.distill_bench"), description=__doc__)
    cli.add_argument("--arch", default=EMBEDDED, metavar="NAME", help="micro, llama-100m, llama-8b")
    for name, default, words in (
        ("rounds", 5, "times each is measured"),
        ("steps", 2, "updates in one measurement"),
        ("batch-size", 8, "conversations in an update"),
        ("turns", TURNS_OF_STUDY, "of a conversation"),
    ):
        cli.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{words} ({default})"
        )
    options = cli.parse_args(arguments)
    console = screen()
    try:
        for name in ("rounds", "steps", "batch_size", "turns"):
            at_least(name, getattr(options, name), 1)
        console.print(one_core(), highlight=False)
        console.print(bench(**vars(options)))
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201 - one line instead of a table
        return 2
    return 0


def bench(arch: str, rounds: int, steps: int, batch_size: int, turns: int) -> Table:
    """Both ways of training in turns: tokens a second, and the most memory of an update.

    Raises:
        ValueError: an unknown architecture, or one that this machine is too slow for.
    """
    source = record_source(steps * batch_size, turns)
    transcript = transcripts(source)
    rows = range(transcript.num_people)
    chats = [source.task.prompt(transcript.person(row)) for row in rows]
    config, tokenizer = config_and_tokenizer(
        arch, [message["content"] for chat in chats for message in chat]
    )
    groups = [[one] for one in training_examples(source, Dialogue(tokenizer, arch))]
    base = random_llama(arch, config)
    weights = base.num_parameters()
    recipe = LanguageModelRecipe(traces=["none"], model=arch, out="none")
    model = with_adapter(base, recipe, seed=0)
    tokens = sum(len(example.ids) for group in groups for example in group)
    with TemporaryDirectory() as folder, quiet():
        ways = trainers(model, groups, batch_size, Path(folder))
        # The first update, which is not timed.
        memory = {name: memory_of(way, model) for name, way in ways.items()}
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in track(range(rounds), arch, "rounds"):
            for name, way in ways.items():
                start = time.perf_counter()
                way(steps)
                speeds[name].append(tokens / (time.perf_counter() - start))
    table = Table(
        title=f"{arch}: {weights / 1e6:,.1f} M weights, {steps} updates of "
        f"{batch_size} conversations of {turns} turns, {tokens / len(groups):,.0f} tokens each, "
        f"vocabulary {config.vocab_size:,}: median of {rounds} rounds",
        title_justify="left",
        caption=f"{base.device}, {base.dtype}",
    )
    for column in ("way", "tokens/s", "of plain tuning", "memory, MiB", "of plain tuning"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, speed in speeds.items():
        table.add_row(
            name,
            f"{statistics.median(speed):,.0f}",
            f"{ratio(speed, speeds[PLAIN]):.2f}",
            f"{memory[name] / 2**20:,.0f}",
            f"{memory[name] / memory[PLAIN]:.2f}",
        )
    return table


def record_source(people: int, turns: int) -> TraceSource:
    """Conversations of a random agent with training people, and what the teacher thinks of them."""
    (evaluation,) = plan(ENV, ["random"], People("train", 0, None), {"num_turns": turns})
    player = Player(evaluation)
    trace = player.play(np.arange(people))
    run = Run(ENV, "random", evaluation.config(), trace)
    return TraceSource(Path(), run, player.environment(people).task)


def trainers(
    model: Any, groups: Sequence[Group], batch_size: int, folder: Path
) -> dict[str, Callable[[int], None]]:
    """Both ways of training a model, by name: functions that make so many updates."""

    def build(kind: Any, collate: Any, **settings: Any) -> Callable[[int], None]:
        def train(steps: int) -> None:
            arguments = TrainingArguments(
                output_dir=str(folder),
                max_steps=steps,
                per_device_train_batch_size=batch_size,
                learning_rate=1e-4,
                logging_strategy="no",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                remove_unused_columns=False,
                dataloader_pin_memory=False,
                use_cpu=model.device.type == "cpu",
            )
            data = Examples(groups)
            trainer = kind(
                model=model, args=arguments, train_dataset=data, data_collator=collate, **settings
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()

        return train

    lengths = [len(example.ids) for (example,) in groups]
    ours = {"objective": "kl", "mass_weight": 1.0, "choice_weight": 0.0}
    return {
        OURS: build(DistillTrainer, Collator(pad=0), evaluator=None, lengths=lengths, **ours),
        PLAIN: build(Trainer, next_tokens),
    }


def next_tokens(groups: Sequence[Group]) -> dict[str, torch.Tensor]:
    """For transformers' own loss: `input_ids` and `labels` `[R, L]`, padded to the right."""
    batch = Collator(pad=0)(groups)
    ids = batch["input_ids"]
    beyond = torch.arange(ids.shape[1]) >= batch["tokens"][:, None]
    return {"input_ids": ids, "labels": ids.masked_fill(beyond, IGNORED)}


def memory_of(train: Callable[[int], None], model: Any) -> int:
    """Bytes that one update takes beside the weights; on the processor, see above."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        train(1)
        return torch.cuda.max_memory_allocated() - before
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}  # by storage: views of one are kept once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        train(1)
    return sum(kept.values())


if __name__ == "__main__":
    sys.exit(main())
