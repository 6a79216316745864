"""What chooses: a model that gives probabilities of whole replies, in whatever engine."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.envs.names import name_outsider, resolve
from acquaint_gym.envs.users.response_models import Floats

Ids = list[int]


class ChoiceScorer(Protocol):
    """A language model, asked for nothing but the probabilities of given replies.

    The tokenizer is not its business: it gets token ids. `tests/outsider/scorer.py` is a whole
    engine in NumPy. Engines for serving have the numbers at hand:

    - vLLM: a request for one token, with the conversation and a reply but for its last token as
      `prompt_token_ids`. `SamplingParams(logprob_token_ids=...)` gives the log-probabilities of
      given tokens at the end, `prompt_logprob_token_ids` and `prompt_logprob_start` inside the
      prompt, e.g. those of a reply's earlier tokens; versions without them have `prompt_logprobs`.
    - SGLang: `Engine.generate(input_ids=..., return_logprob=True, token_ids_logprob=...,
      logprob_start_len=...)`; the numbers are in `meta_info`.

    Both keep the keys and values of conversations that go on (prefix caching) by themselves. Take
    care that they report the model's own log-probabilities, before temperature or penalties.
    """

    def score(self, conversations: Sequence[Ids], replies: Sequence[Ids]) -> Floats:
        """`[B, A]` log-probability in nats of each reply after each conversation, float64.

        They are the model's own, over everything it might have said, so `exp(...).sum(axis=1)` is
        the probability that it gives one of these replies at all. The score of a reply of several
        tokens is the sum of theirs, each given those before it.

        A person's numbers depend neither on the other conversations of the call nor on earlier
        calls. What cannot be computed is a `ValueError` that says what to do, never NaN.

        Args:
            conversations: B transcripts that wait for a reply, as token ids.
            replies: A replies as token ids, one or more each; none begins another.
        """


class ScorerClass(Protocol):
    """What `scorer: module:Class` in an agent's file names: a class, or a function that builds one.

    It is called once, with everything by name, before the first score.
    """

    def __call__(
        self,
        *,
        model: str,
        adapter: str | None,
        revision: str | None,
        dtype: str,
        device: str | None,
        batch_size: int,
        **options: Any,
    ) -> ChoiceScorer:
        """A scorer of these weights.

        Args:
            model: folder of the weights, or an id on the hub, which the engine fetches itself.
            adapter: folder of a LoRA adapter to add; an engine that cannot raises.
            revision: commit of a model on the hub.
            dtype: `auto` (as stored), `float32`, `float64`, `bfloat16` or `float16`.
            device: `cpu`, `cuda`, `cuda:1`, ...; None for the engine's own choice.
            batch_size: conversations at a time that fit into memory.
            **options: `scorer_options` of the agent's file, the engine's own settings.

        Raises:
            ValueError: what is not there or does not fit, and what to do.
        """


def make_scorer(scorer: str, **arguments: Any) -> ChoiceScorer:
    """The engine of an agent's file.

    Args:
        scorer: `module:Class`.
        **arguments: see `ScorerClass`.

    Raises:
        ValueError: there is none, it takes other arguments, or it cannot be made.
    """
    build: ScorerClass = resolve(scorer, "Scorer")
    try:
        inspect.signature(build).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"Scorer {scorer!r}: {error}.") from error
    with _named(f"Scorer {scorer!r}", scorer, ValueError):
        return build(**arguments)


def check_scores(
    scorer: ChoiceScorer, conversations: Sequence[Ids], replies: Sequence[Ids]
) -> Floats:
    """`[B, A]` what a scorer gives, if it keeps what `ChoiceScorer` promises.

    Raises:
        OutsideError: no method `score`, what somebody else's raises, another shape, or numbers
            that are no log-probabilities.
    """
    expected, name = (len(conversations), len(replies)), type(scorer).__name__
    if not hasattr(scorer, "score"):
        raise OutsideError(f"Scorer {name} has no method score(); see agents.llm.scorer.")
    with _named(f"Scorer {name}", type(scorer).__module__, OutsideError):
        scores = np.asarray(scorer.score(conversations, replies))
    if scores.shape != expected:
        raise OutsideError(
            f"Scorer {name} gave {list(scores.shape)}, expected {list(expected)}: a "
            "log-probability of each reply after each conversation."
        )
    # Sums of float32 logarithms may end a little above the largest possible value, 0.
    if not (scores <= 1e-3).all():
        raise OutsideError(
            f"Scorer {name} gave log-probabilities up to {scores.max()}, expected numbers of at "
            "most 0 (nats), none of them NaN."
        )
    return scores


def _named(whose: str, module: str, kind: type[ValueError]) -> AbstractContextManager[None]:
    """Names somebody else's engine in what it raises; a fault of ours keeps its traceback."""
    return nullcontext() if module.startswith("acquaint_gym.") else name_outsider(whose, kind)
