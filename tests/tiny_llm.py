"""Language models that a test can make: random weights, and templates of three families."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.eval.speed.llm import train_tokenizer

QUESTIONNAIRE = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"

# Written after the families' published templates, shortened to what a conversation needs.
LLAMA3 = (
    "{{ '<|begin|>' }}{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] | trim %}{% set messages = messages[1:] %}"
    "{% else %}{% set system = '' %}{% endif %}"
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ '<|system|>\n\nToday Date: ' + date_string + '\n\n' + system + '<|end|>' }}"
    "{% for m in messages %}"
    "{{ '<|' + m['role'] + '|>\n\n' + m['content'] | trim + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n\n' }}{% endif %}"
)
QWEN = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ '<|system|>\n' + messages[0]['content'] + '<|end|>\n' }}"
    "{% else %}{{ '<|system|>\nYou are a helpful assistant.<|end|>\n' }}{% endif %}"
    "{% for m in messages %}{% if m['role'] != 'system' or not loop.first %}"
    "{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GEMMA_TURNS = (
    "{% for m in turns %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{{ '<|' + m['role'] + '|>\n' + (first if loop.first else '') + m['content'] | trim }}"
    "{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GEMMA3 = (
    "{{ '<|begin|>' }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}" + GEMMA_TURNS
)
GEMMA2 = (
    "{{ '<|begin|>' }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set first = '' %}{% set turns = messages %}" + GEMMA_TURNS
)
TEMPLATES = {"llama3": LLAMA3, "qwen": QWEN, "gemma2": GEMMA2, "gemma3": GEMMA3}
# Renders only the last two turns in full, as templates do that drop thoughts from history.
REWRITING = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{{ m['content'] if loop.revindex < 4 else m['content'] | upper }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def questionnaire(**arguments: Any) -> UserTask:
    return make_task(QUESTIONNAIRE, **arguments)


def seen(task: UserTask, turn: Any, people: int = 3, first: int = 0) -> dict[str, np.ndarray]:
    """Transcripts of some people after `turn` turns each."""
    users = Simulator(task, "test", 0).draw(np.arange(first, first + people))
    return example_transcripts(task, users, np.broadcast_to(turn, people).astype(np.int64))


@cache
def tokenizer(template: str = LLAMA3) -> PreTrainedTokenizerFast:
    """Trained on two conversations of the questionnaire: about thirty tokens a turn."""
    task = questionnaire()
    shown = seen(task, 49, people=2)
    chats = [task.prompt(shown.person(row)) for row in range(2)]
    return train_tokenizer([m["content"] for chat in chats for m in chat], template)


def random_model(config: Any = LlamaConfig, **sizes: Any) -> Any:
    """A model whose random weights are large enough to have preferences."""
    settings = config(
        **{
            "vocab_size": len(tokenizer()),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 8192,
            "initializer_range": 0.3,
            **sizes,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(settings).eval()


@torch.inference_mode()
def naive(model: Any, ids: Sequence[int], replies: Sequence[Sequence[int]]) -> np.ndarray:
    """`[A]` log-probabilities, one reply at a time, one token at a time, nothing kept."""
    scores = []
    for reply in replies:
        said, score = list(ids), 0.0
        for token in reply:
            logits = model(torch.tensor([said])).logits[0, -1].double()
            score += float(logits.log_softmax(-1)[token])
            said.append(token)
        scores.append(score)
    return np.array(scores)


def base(folder: Path, **sizes: Any) -> Path:
    """A tiny Llama of random weights, with its tokenizer."""
    random_model(**sizes).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
