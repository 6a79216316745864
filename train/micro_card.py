"""The model card of the embedded model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

CARD = """---
license: apache-2.0
language: en
tags: [acquaint, user-modelling]
---
# micro

A Llama of {parameters:,} weights ({layers} layers, width {width}, {heads} heads, {vocab:,} tokens),
made from nothing by this repository. It knows the language of Acquaint's personality tasks and is
no Bayesian: told a person's profile it predicts how they answer, choose flights and pick
statements; from answers it infers nothing. It is the base of `micro-lora`, and good for nothing
outside these tasks.

## Training data

Generated on the way, `train/micro_corpus.py`; nobody's real answers. {documents} documents a step:

- conversations in the formats of Questionnaire, Flights and ForcedChoice (all
  wordings, orders and labels of the options) that begin with a stated profile of a training
  person. Soft targets: the exact probabilities of each answer given that profile;
- the belief probes' questions about such a person, answered by the stated profile;
- transcripts of answers drawn evenly at random, which say nothing about traits, and questions
  what some of them were;
- which trait a statement is about, and which way it is keyed; which of some flights has the lowest
  or highest price, duration, number of stops or departure time.

No document asks for a trait, or an answer, that would have to be inferred from answers.

## Tokenizer

Byte-level BPE whose pieces cross words: whole statements are single tokens, as are times, prices
and replies. A turn of the questionnaire takes eight tokens.

## Training

```bash
python -m train.micro{command}
```

AdamW, {steps:,} steps, learning rate {learning_rate:g} with a warm-up and half a cosine, float32,
seed {seed}. Kullback-Leibler divergence of the model from the exact answers, {examined} documents
about development people:

| documents | nats per reply |
| --- | ---: |
{table}
"""


def write_card(
    options: argparse.Namespace,
    model: Any,
    nats: Mapping[str, float],
    defaults: Mapping[str, Any],
) -> None:
    """Writes `README.md` into the folder of the model.

    Args:
        options: of the command line.
        model: the model.
        nats: its divergence by group of documents.
        defaults: of the command line.
    """
    told = {k: v for k, v in vars(options).items() if k != "out" and v != defaults[k]}
    card = CARD.format(
        **{key: value for key, value in vars(options).items() if key != "vocab"},
        vocab=model.config.vocab_size,
        parameters=model.num_parameters(),
        command="".join(f" --{key.replace('_', '-')} {value}" for key, value in told.items()),
        table="\n".join(f"| {name} | {value:.4f} |" for name, value in nats.items()),
    )
    (options.out / "README.md").write_text(card, "utf-8")
