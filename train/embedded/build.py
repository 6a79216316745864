"""The embedded model: tokenizer, a small Llama of random weights, and its training."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.special import xlogy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.files import FileError, atomic
from acquaint_gym.train.embedded.card import Nats, write_card
from acquaint_gym.train.embedded.corpus import GROUPS, Document, Example, Stage, encode, texts
from acquaint_gym.train.embedded.tokenizer import END, build_tokenizer

WARM_UP = 50
# With the customary 0.02 so narrow a model stands still for hundreds of steps.
INITIALIZER_RANGE = 0.09
# Until which share of the steps, how many times the documents, and how hard they are.
STAGES = (
    (0.2, 2, Stage(longest=0.12, varied=0.0)),
    (0.6, 2, Stage(longest=0.25, varied=0.2)),
    (0.8, 1, Stage(longest=0.5)),
    (1.0, 1, Stage()),
)
CHECKPOINT, WEIGHTS = "checkpoint.pt", "model.safetensors"


def new_model(options: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama with random weights, input and output embeddings the same."""
    end = tokenizer.vocab[END]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.width,
        intermediate_size=2 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        max_position_embeddings=4096,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return LlamaForCausalLM(config)


def documents(seed: int, step: int, number: int, stage: Stage) -> dict[str, list[Document]]:
    """The documents of a step, by group: about `number`, at least one of each."""
    rng = np.random.Generator(np.random.Philox([seed, step]))
    return {
        name: [write(rng, stage) for _ in range(max(1, round(share * number)))]
        for name, (write, share) in GROUPS.items()
    }


def curriculum(options: argparse.Namespace, step: int) -> dict[str, list[Document]]:
    """The documents of a step: short ones as printed at first, and more of them."""
    times, stage = next(
        (times, stage) for until, times, stage in STAGES if step < until * options.steps
    )
    return documents(options.seed, step, times * options.documents, stage)


def divergence(model: Any, examples: Sequence[Example]) -> torch.Tensor:
    """`[m]` nats by which predictions depart from the targets, over the whole vocabulary."""
    width = max(len(example.ids) for example in examples)
    # Causal attention never looks at what is filled up on the right.
    ids = np.stack([np.pad(example.ids, (0, width - len(example.ids))) for example in examples])
    rows = np.repeat(np.arange(len(examples)), [len(e.positions) for e in examples])
    places = torch.from_numpy(np.concatenate([e.positions for e in examples]))
    tokens = torch.from_numpy(np.concatenate([e.tokens for e in examples]))
    probs = torch.from_numpy(np.concatenate([e.probs for e in examples]))
    hidden = model.model(input_ids=torch.from_numpy(ids), use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[torch.from_numpy(rows), places])
    scores = logits.log_softmax(-1).gather(1, tokens)
    return (torch.xlogy(probs, probs) - probs * scores).sum(1)


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: a linear warm-up, then half a cosine to a hundredth."""
    warm = min(1.0, (step + 1) / min(WARM_UP, steps))
    return warm * (0.505 + 0.495 * math.cos(math.pi * step / steps))


def train(options: argparse.Namespace, model: Any, dialogue: Dialogue, console: Console) -> None:
    """Trains in place, with a checkpoint every `options.save_every` steps.

    Raises:
        ValueError: the checkpoint found is of other settings.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), options.learning_rate, (0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, options.steps))
    parts: Mapping[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    saved, since = options.out / CHECKPOINT, 0
    aside = ("out", "fresh")  # say nothing of what is computed
    settings = {key: str(value) for key, value in vars(options).items() if key not in aside}
    if saved.exists():
        try:
            state = torch.load(saved, weights_only=True)
        except (EOFError, KeyError, RuntimeError, UnpicklingError, ValueError) as error:
            raise FileError.unreadable(saved, error) from error
        if state["settings"] != settings:
            raise ValueError(f"{saved} is of a run with other settings; delete it to begin anew.")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        since = int(state["step"])
        console.print(f"Going on after step {since:,}.")
    smoothed: dict[str, float] = {}
    with ProgressBars(console, "steps") as bar:
        row = bar.add_task("", total=options.steps, completed=since)
        for step in range(since, options.steps):
            optimizer.zero_grad()
            for name, written in curriculum(options, step).items():
                loss = divergence(model, [encode(d, dialogue) for d in written]).mean()
                torch.autograd.backward(loss * GROUPS[name][1])
                value = float(loss.detach())
                smoothed[name] = value + 0.95 * (smoothed.get(name, value) - value)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            text = ", ".join(f"{name} {value:.4f}" for name, value in smoothed.items())
            bar.update(row, advance=1, description=f"KL in nats: {text}")
            if (step + 1) % options.save_every == 0:
                console.print(f"step {step + 1}: {text}", soft_wrap=True)
                now = {name: part.state_dict() for name, part in parts.items()}
                with atomic(saved) as partial:
                    torch.save({**now, "settings": settings, "step": step + 1}, partial)


@torch.no_grad()
def evaluate(model: Any, dialogue: Dialogue, seed: int, number: int) -> dict[str, Nats]:
    """Mean divergence in nats by group, of about `number` documents about development people."""
    groups = documents(seed, 2**33, number, Stage("dev")).items()
    return {
        name: Nats(
            float(torch.cat([divergence(model, [encode(d, dialogue)]) for d in part]).mean()),
            float(np.mean([nats for document in part for nats in uniform_nats(document)])),
        )
        for name, part in groups
    }


def uniform_nats(document: Document) -> list[float]:
    """Nats by which a uniform guess among the replies departs from each of the targets."""
    targets = [one for one in document.targets if one is not None]
    return [float(xlogy(one.probs, one.probs * len(one.texts)).sum()) for one in targets]


def pace(number: int) -> str:
    """How many documents are read a step, in words."""
    until = {times: share for share, times, _ in STAGES}
    parts = [f"{times * number} up to {share:.0%} of the steps" for times, share in until.items()]
    return f"about {', then '.join(parts)}"


def build(options: argparse.Namespace, defaults: Mapping[str, Any], console: Console) -> None:
    """Tokenizer, weights, training, and a folder that `from_pretrained` reads.

    Args:
        options: of the command line.
        defaults: what they are where nothing is typed.
        console: for progress.

    Raises:
        ValueError: see `train`; a finished model is there, and `options.fresh` is not set.
    """
    # Until the checkpoint is gone the model beside it is about to be replaced, and was to be.
    finished = (options.out / WEIGHTS).exists() and not (options.out / CHECKPOINT).exists()
    if finished and not options.fresh:
        raise ValueError(
            f"--out {options.out}: a finished model lies there; name another folder, or replace it "
            "with --fresh."
        )
    first: Iterable[list[Document]] = documents(
        options.seed, 2**32, options.sampled, Stage()
    ).values()
    tokenizer = build_tokenizer(texts(d for part in first for d in part), options.vocab)
    model: Any = new_model(options, tokenizer)
    dialogue = Dialogue(tokenizer, "micro")
    train(options, model, dialogue, console)
    tokenizer.save_pretrained(options.out)
    model.save_pretrained(options.out)
    nats = evaluate(model, dialogue, options.seed, options.examined)
    write_card(options, model, nats, defaults, pace(options.documents))
    (options.out / CHECKPOINT).unlink(missing_ok=True)
    console.print(f"Wrote {options.out}.")
