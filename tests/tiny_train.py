"""Traces of a few people and a base of random weights, for whatever trains on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_llm import tokenizer

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.train.collect import main as collect
from acquaint_gym.train.lm.examples import training_examples
from acquaint_gym.train.lm.token_choices import TrainingExample
from acquaint_gym.train.sources import load_sources

TURNS = 5
# In another order for everybody, so that some are soon asked about one trait twice.
SETTINGS = {"num_turns": TURNS, "order": "shuffled"}


def traces(folder: Path, *arguments: str, users: int = 8) -> Path:
    """Traces of the training people."""
    settings = [*arguments, "--users", str(users), "--split", "train", "--out", str(folder)]
    if "--env" not in arguments:
        settings += [f"--set={key}={value}" for key, value in SETTINGS.items()]
    assert collect(settings) == 0
    return folder


def examples_of(folder: Path, **settings: Any) -> list[TrainingExample]:
    """The training examples of a folder of traces."""
    dialogue = Dialogue(tokenizer(), "tiny")
    return [
        example
        for source in load_sources([str(folder)], **settings)
        for example in training_examples(source, dialogue)
    ]


def recipe(kind: Any, **given: Any) -> Any:
    """A short recipe: six updates of four people each."""
    settings = {
        "per_device_train_batch_size": 4,
        "max_steps": 6,
        "learning_rate": 1e-2,
        "lora_r": 4,
        "lora_alpha": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return kind.parse(settings | given, "test")
