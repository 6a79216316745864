"""The benchmark of distillation runs, and measures what it says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_llm import random_model, tokenizer

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.eval.metrics.stats import Floats
from acquaint_gym.train import distill_bench
from acquaint_gym.train.distill_bench import (
    OURS,
    PLAIN,
    main,
    memory_of,
    next_tokens,
    record_source,
)
from acquaint_gym.train.lm.examples import training_examples


def test_both_ways_are_timed_and_weighed(monkeypatch, capsys):
    monkeypatch.setattr(distill_bench, "one_core", lambda: "On any core.")
    assert main(["--turns", "4", "--rounds", "1", "--steps", "1", "--batch-size", "2"]) == 0
    told = capsys.readouterr().out
    assert "micro: 0.7 M weights, 1 updates of 2 conversations of 4 turns" in told
    rows = [line.split("│")[1:-1] for line in told.splitlines() if "│" in line]
    assert [row[0].strip() for row in rows] == [OURS, PLAIN]
    ours, plain = ([float(cell.replace(",", "")) for cell in row[1:]] for row in rows)
    assert min(ours[0], plain[0]) > 0
    assert plain[1] == plain[3] == 1
    assert 0.3 < ours[3] < 1  # fewer logits, the same blocks


def test_what_cannot_be_measured_is_said_in_one_line(capsys):
    assert main(["--turns", "0"]) == 2
    assert capsys.readouterr().err == "turns=0; expected at least 1.\n"
    assert main(["--arch", "mirco"]) == 2
    assert "Did you mean 'micro'?" in capsys.readouterr().err


PARTS = ("given", "legal", "target", "action", "answer")


def test_plain_tuning_learns_every_next_token_but_the_padding():
    source = record_source(3, 3)
    found = [[example] for example in training_examples(source, Dialogue(tokenizer(), "tiny"))]
    shorter = found[1][0]  # one ends a turn earlier than the others
    cut = {name: getattr(shorter, name)[:2] for name in PARTS}
    end = shorter.positions[1] + 1
    found[1] = [shorter._replace(ids=shorter.ids[:end], positions=shorter.positions[:2], **cut)]
    model = random_model()
    with torch.no_grad():
        loss = model(**next_tokens(found)).loss.item()
    losses: list[Floats] = []
    for (example,) in found:
        with torch.no_grad():
            logs = model(torch.tensor(example.ids[None].astype(np.int64))).logits[0].log_softmax(-1)
        losses += [-logs[n, b].item() for n, (_, b) in enumerate(pairwise(example.ids.tolist()))]
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_memory_is_what_is_kept_beside_the_weights():
    layers = torch.nn.Sequential(torch.nn.Linear(100, 50), torch.nn.Tanh(), torch.nn.Linear(50, 1))
    layers.device = torch.device("cpu")  # as language models have it
    given = torch.ones(8, 100)

    def train(steps: int) -> None:
        for _ in range(steps):
            layers(given).sum().backward()

    # The input of the first layer and the outputs of the hyperbolic tangent, in float32.
    assert memory_of(train, layers) == 4 * 8 * (100 + 50)
