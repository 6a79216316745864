"""The language-model agent on a tiny Llama with random weights and a byte-level tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agents.llm import LLMAgent
from envs.contract_people import transcript
from envs.core import make_task
from envs.simulator import Simulator
from eval.run import main

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
TASK = "envs.tasks.questionnaire:Questionnaire"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as `save_pretrained` leaves it, made in a second."""
    out = tmp_path_factory.mktemp("tiny-llama")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(out)
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(out, safe_serialization=True)
    return out


def observed(turn: int, people: int = 3) -> dict[str, np.ndarray]:
    task = make_task(TASK, num_turns=4)
    users = Simulator(task, "test", 0).draw(np.arange(people))
    return transcript(task, users, np.full(people, turn))


@torch.inference_mode()
def naive_probs(agent: LLMAgent, row: dict[str, np.ndarray]) -> np.ndarray:
    """One reply at a time, one token at a time, no padding."""
    chat = agent._tokenizer.apply_chat_template(
        agent.task.prompt(row), tokenize=False, add_generation_prompt=True
    )
    scores = []
    for reply in agent.task.replies:
        ids = agent._tokenizer(chat, add_special_tokens=False)["input_ids"]
        score = 0.0
        for token in agent._tokenizer(reply, add_special_tokens=False)["input_ids"]:
            logits = agent._model(torch.tensor([ids])).logits[0, -1].float()
            score += float(logits.log_softmax(-1)[token])
            ids = [*ids, token]
        scores.append(score)
    weights = np.exp(np.array(scores) - max(scores))
    return weights / weights.sum()


@pytest.mark.parametrize("replies", [("1", "2", "3", "4", "5"), ("one", "2", "a b", "no", "yes")])
def test_replies_are_scored_as_a_naive_loop_scores_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, replies: tuple[str, ...]
) -> None:
    agent = LLMAgent(make_task(TASK, num_turns=4), model=str(folder), device="cpu", batch_size=4)
    monkeypatch.setattr(type(agent.task), "replies", replies)
    observation = observed(2)
    decision = agent.act(observation, np.zeros(3))
    for row in range(3):
        expected = naive_probs(agent, {key: value[row] for key, value in observation.items()})
        np.testing.assert_allclose(decision.action_probs[row], expected, atol=1e-5)
    assert (decision.action == decision.action_probs.argmax(axis=1)).all()
    assert np.ptp(decision.action_probs) > 0.01  # the model does prefer something


def test_batch_size_does_not_matter(folder: Path) -> None:
    observation = observed(1)
    one, many = (
        LLMAgent(make_task(TASK, num_turns=4), str(folder), device="cpu", batch_size=size)
        for size in (1, 64)
    )
    a, b = (agent.act(observation, np.zeros(3)).action_probs for agent in (one, many))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_model_without_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="no chat template"):
        LLMAgent(make_task(TASK), str(tmp_path), device="cpu")


def test_a_new_base_model_is_one_yaml(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "tiny.yaml"
    own.write_text(f"agent: agents.llm:LLMAgent\nmodel: {folder}\ndevice: cpu\n", "utf-8")
    out = tmp_path / "out"
    arguments = ["--agent", "random", "bayes", str(own), "--users", "3", "--set", "num_turns=3"]
    assert main([*arguments, "--out", str(out)]) == 0
    rows = json.loads((out / "report.json").read_text("utf-8"))["rows"]
    nll = {row["agent"]: row["mean"] for row in rows if row["metric"] == "nll"}
    assert set(nll) == {"random", "bayes", str(own)}
    assert nll[str(own)] > 0
