"""Speed of a language model in the loop, with random weights: they take as long as any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from rich.table import Table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer
from acquaint_gym.envs.console import track
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.files import find_folder
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.envs.transcript import Transcript

# The embedded model is measured as it is shipped, but for its weights.
EMBEDDED, FOLDER = "micro", "agents/models/micro"
ARCHS: dict[str, dict[str, Any]] = {
    "llama-100m": {
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 32000,
        "tie_word_embeddings": True,
    },
    "llama-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
}
# Larger ones are not begun without an accelerator, where one person would take an hour.
MOST_WEIGHTS = 1e9
SPECIAL = ["<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "<|begin|>{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Act = Callable[[Transcript], int]


def train_tokenizer(texts: Sequence[str], template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of these texts, with a chat template."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, pad_token="<|end|>", padding_side="left"
    )
    tokenizer.chat_template = template
    return tokenizer


def config_and_tokenizer(
    arch: str, texts: Sequence[str]
) -> tuple[LlamaConfig, PreTrainedTokenizerFast]:
    """Sizes and tokenizer, the latter trained on these texts where no model brings its own.

    Raises:
        ValueError: an unknown one.
    """
    if arch == EMBEDDED:
        kept: Any = AutoTokenizer
        own = find_folder(FOLDER)
        return LlamaConfig.from_pretrained(own), kept.from_pretrained(own, padding_side="left")
    if arch not in ARCHS:
        raise ValueError(f"Unknown arch {closest(arch, (EMBEDDED, *ARCHS))}")
    tokenizer = train_tokenizer(texts)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 8192, **ARCHS[arch]}
    return LlamaConfig(**sizes), tokenizer


def random_llama(arch: str, config: LlamaConfig) -> Any:
    """A Llama with random weights, on the accelerator where there is one.

    Raises:
        ValueError: one that this machine is too slow for.
    """
    with torch.device("meta"):
        weights = LlamaForCausalLM(config).num_parameters()
    on_gpu = torch.cuda.is_available()
    if weights > MOST_WEIGHTS and not on_gpu:
        raise ValueError(f"{arch} needs an accelerator, and PyTorch finds none on this machine.")
    with torch.random.fork_rng(), torch.device("cuda" if on_gpu else "cpu"):
        torch.manual_seed(0)
        dtype = torch.bfloat16 if on_gpu else torch.float32
        model: Any = AutoModelForCausalLM
        return model.from_config(config, dtype=dtype).train(False)


def bench_llm(task: UserTask, arch: str, people: int | None, batch_size: int) -> Table:
    """Some people's conversations, turn after turn, by our loop and by two that keep nothing.

    Args:
        task: what the conversations are about.
        arch: `micro`, or one of `ARCHS`.
        people: how many; None for 16, or the one with whom a larger model takes some minutes where
            there is no accelerator.
        batch_size: conversations in a forward pass.

    Raises:
        ValueError: an unknown architecture, or one that this machine is too slow for.
    """
    people = people or (16 if arch == EMBEDDED or torch.cuda.is_available() else 1)
    users = Simulator(task, "test", 0).draw(np.arange(people))
    last = example_transcripts(task, users, np.full(people, task.num_turns - 1))
    chats = [task.prompt(last.person(row)) for row in range(people)]
    config, tokenizer = config_and_tokenizer(
        arch, [message["content"] for chat in chats for message in chat]
    )
    model = random_llama(arch, config)
    dialogue = Dialogue(tokenizer, arch)
    in_transcripts = sum(len(dialogue.encode(chat).ids) for chat in chats)
    ways: dict[str, Act] = {
        "keys and values kept": step_by_scores(
            task, dialogue, HuggingFaceScorer(model, batch_size)
        ),
        "encoded anew each turn": step_by_scores(
            task, dialogue, HuggingFaceScorer(model, batch_size, cache=False)
        ),
        "generate(), one token": step_by_generation(task, tokenizer, model, batch_size),
    }
    seconds, tokens, memory = np.zeros(len(ways)), np.zeros(len(ways), dtype=np.int64), 0
    on_gpu = model.device.type == "cuda"
    for turn in track(range(task.num_turns), arch, "turns"):
        transcripts = example_transcripts(task, users, np.full(people, turn))
        for way, act in enumerate(ways.values()):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            tokens[way] += act(transcripts)
            seconds[way] += time.perf_counter() - start
            if on_gpu and way == 0:
                memory = max(memory, torch.cuda.max_memory_allocated())
    blocks = sum(weight.numel() for weight in model.model.layers.parameters())
    share = 2 * blocks * tokens / seconds / matmul_speed(model.device, model.dtype)
    held = f"; at most {memory / 2**30:.1f} GiB in our loop" if memory else ""
    table = Table(
        title=f"{arch}: {blocks / 1e6:,.1f} M weights in blocks, people: {people}, "
        f"{task.num_turns} turns, {in_transcripts:,} tokens in all transcripts",
        title_justify="left",
        caption=f"{model.device}, {model.dtype}{held}; share: two operations per weight and token "
        "that go through the blocks, of the speed of a large matrix product in this run",
    )
    for column in (
        "way",
        "seconds",
        "of ours",
        "tokens/transcripts",
        "transcript tokens/s",
        "share",
    ):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way, name in enumerate(ways):
        table.add_row(
            name,
            f"{seconds[way]:.2f}",
            f"{seconds[way] / seconds[0]:.1f}",
            f"{tokens[way] / in_transcripts:.3f}",
            f"{in_transcripts / seconds[way]:,.0f}",
            f"{share[way]:.0%}",
        )
    return table


def step_by_scores(task: UserTask, dialogue: Dialogue, scorer: HuggingFaceScorer) -> Act:
    """Our agent; an act returns the tokens that it computed."""
    agent = ChoiceAgent(task, dialogue, scorer)

    def act(transcripts: Transcript) -> int:
        before = scorer.tokens_computed
        agent.act(transcripts, np.zeros(transcripts.num_people))
        return scorer.tokens_computed - before

    return act


def step_by_generation(task: UserTask, tokenizer: Any, model: Any, batch_size: int) -> Act:
    """The usual loop: chats as text, padded to the left, and one token generated."""

    def act(transcripts: Transcript) -> int:
        rows = range(transcripts.num_people)
        chats = [task.prompt(transcripts.person(row)) for row in rows]
        tokens = 0
        for first in range(0, len(chats), batch_size):
            inputs = tokenizer.apply_chat_template(
                chats[first : first + batch_size],
                add_generation_prompt=True,
                padding=True,
                return_tensors="pt",
                return_dict=True,
            ).to(model.device)
            model.generate(**inputs, max_new_tokens=1, do_sample=False).cpu()
            tokens += inputs["input_ids"].numel()
        return tokens

    return act


def matmul_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, the best of five."""
    size = 8192 if device.type == "cuda" else 2048
    one = torch.ones(size, size, device=device, dtype=dtype)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        (one @ one)[0, 0].cpu()
        best = min(best, time.perf_counter() - start)
    return float(2 * size**3 / best)
