"""The model card of the embedded model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from textwrap import fill
from typing import Any, NamedTuple

# What the groups of documents teach.
LEARNED = {
    "questionnaire": "to answer the questionnaire as a stated profile would",
    "flights": "to choose flights as a stated profile would",
    "compared": "to compare flights",
    "forced choice": "to pick statements as a stated profile would",
    "recalled": "to recall answers",
    "about": "to say what statements are about",
}
# What leaves more than this share of a uniform guess's divergence does not count as learned.
MOST_LEFT = 0.5

CARD = """---
license: apache-2.0
language: en
tags: [acquaint, user-modelling]
---
# micro

A Llama of {parameters:,} weights ({layers} layers, width {width}, {heads} heads, {vocab:,} tokens),
made from nothing by this repository. It reads the language of Acquaint's personality tasks and
is no Bayesian: from answers it infers nothing.

{learned}

It is the base of `micro-lora`, and good for nothing outside these tasks.

## Training data

Generated on the way, `train/embedded/corpus.py`; nobody's real answers. Documents a step:
{pace}. They are:

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

| documents | nats per reply | of a uniform guess |
| --- | ---: | ---: |
{table}
"""


class Nats(NamedTuple):
    """Mean divergence from the targets of a group of documents.

    Attributes:
        model: of the model.
        guess: of a uniform guess among the replies.
    """

    model: float
    guess: float


def write_card(
    options: argparse.Namespace,
    model: Any,
    nats: Mapping[str, Nats],
    defaults: Mapping[str, Any],
    pace: str,
) -> None:
    """Writes `README.md` into the folder of the model.

    Args:
        options: of the command line.
        model: the model.
        nats: its divergence by group of documents.
        defaults: of the command line.
        pace: how many documents it read a step.
    """
    aside = ("out", "fresh")
    changed = {k: v for k, v in vars(options).items() if k not in aside and v != defaults[k]}
    left = {name: part.model / part.guess for name, part in nats.items()}
    learned = [LEARNED[name] for name, share in left.items() if share <= MOST_LEFT]
    not_learned = [LEARNED[name] for name, share in left.items() if share > MOST_LEFT]
    verdict = f"It learned {_list(learned, 'and')}."
    if not_learned:
        verdict += (
            f" It did NOT learn {_list(not_learned, 'or')}: more than half of the divergence of "
            "a uniform guess is left there, see the table at the end."
        )
    card = CARD.format(
        **{key: value for key, value in vars(options).items() if key != "vocab"},
        vocab=model.config.vocab_size,
        parameters=model.num_parameters(),
        command="".join(f" --{key.replace('_', '-')} {value}" for key, value in changed.items()),
        pace=pace,
        learned=fill(verdict, 100),
        table="\n".join(
            f"| {name} | {part.model:.4f} | {part.guess:.4f} |" for name, part in nats.items()
        ),
    )
    (options.out / "README.md").write_text(card, "utf-8")


def _list(things: list[str], last: str) -> str:
    """`a, b and c`."""
    if not things:
        return "nothing"
    *first, end = things
    return f"{', '.join(first)} {last} {end}" if first else end
