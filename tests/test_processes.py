"""Two processes, as `accelerate launch` starts them, train what one trains."""

from __future__ import annotations

import json

import pytest
import torch
from kit import ROOT, call
from safetensors.torch import load_file
from tiny_llm import base
from tiny_train import traces

from acquaint_gym.train.distill import main

SETTINGS = {
    "objective": "kl+belief",
    "max_steps": 3,
    "learning_rate": 1e-2,
    "lora_r": 4,
    "logging_steps": 1,
    "disable_tqdm": True,
    "use_cpu": True,
    "eval_strategy": "steps",
    "eval_steps": 3,
    "eval_users": 3,
}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The words of the command, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("one")
    words = [f"--{key}={value}" for key, value in SETTINGS.items()]
    words += ["--traces", str(traces(folder / "traces")), "--model", str(base(folder / "m"))]
    out = ["--out", str(folder / "out"), "--per-device-train-batch-size", "4"]
    assert main([*words, *out]) == 0
    return words, folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_two_processes_train_what_one_trains(how, one, tmp_path):
    words, alone = one
    config = ROOT / "configs" / "train" / f"accelerate_{how}.yaml"
    launch = "-m accelerate.commands.launch --num_processes 2 --main_process_port 0 --config_file"
    out = ["--out", tmp_path, "--per-device-train-batch-size", "2"]
    call("python", *launch.split(), config, "-m", "train.distill", *words, *out)
    made = [json.loads((out / "adapter.json").read_text()) for out in (alone, tmp_path)]
    for ours, theirs in zip(*(m["history"] for m in made), strict=True):
        for key in set(ours) - {"tokens_per_second"}:
            assert ours[key] == pytest.approx(theirs[key], abs=2e-4), key
    weights = [load_file(out / "adapter_model.safetensors") for out in (alone, tmp_path)]
    assert set(weights[0]) == set(weights[1])
    for key, value in weights[0].items():
        assert torch.allclose(value, weights[1][key].float(), atol=1e-5), key
