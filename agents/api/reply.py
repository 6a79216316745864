"""What a chat completion says, and what that says about the task's replies."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.response_models import Floats


class RefusedError(ValueError):
    """A request that the server will not answer, however often it is asked."""


class Message(NamedTuple):
    """A chat completion.

    Attributes:
        text: what the assistant wrote.
        openings: text without white space around it, and probability, of the tokens with which it
            could have begun; None where the server gives no alternatives.
        tokens: how many the prompt and the message had; None where the server does not count.
    """

    text: str
    openings: list[tuple[str, float]] | None
    tokens: tuple[int, int] | None


class Reading(NamedTuple):
    """What one person's messages of one turn say.

    Attributes:
        weights: `[A]` of the actions, not normalised, zero where illegal.
        mass: of legal replies: probability of the listed openings, or share of the messages.
        unparsed: messages that are no legal reply.
    """

    weights: Floats
    mass: float
    unparsed: int


def read_message(response: Any) -> Message:
    """Reads a completion as OpenAI-compatible servers write it.

    White space may be a token of its own: SentencePiece models write a blank before a digit. It is
    followed as far as it was written; what comes next has the product of the probabilities.

    Raises:
        ValueError: it is none.
    """
    try:
        choice, usage = response["choices"][0], response.get("usage") or {}
        text = str(choice["message"].get("content") or "")
        steps = (choice.get("logprobs") or {}).get("content")
        openings, path = [], 1.0
        for step in steps or []:
            openings += [(word, path * p) for word, p in map(_token, step["top_logprobs"]) if word]
            word, p = _token(step)
            if word:
                break
            path *= p
        prompt, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        tokens = None if prompt is None or written is None else (int(prompt), int(written))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no chat completion ({type(error).__name__}: {error})") from error
    # An empty message has no first token, and so no alternatives to it.
    has_openings = steps is not None and (not steps or steps[0]["top_logprobs"])
    return Message(text, openings if has_openings else None, tokens)


def _token(entry: Any) -> tuple[str, float]:
    """A token's text without white space around it, and its probability."""
    logprob = float(entry["logprob"])
    if not logprob < 0.01:  # a rounding error above 0 passes, NaN does not
        raise ValueError(f"a log-probability of {logprob}")
    return str(entry["token"]).strip(), min(math.exp(logprob), 1.0)


def by_opening(
    messages: list[Message], replies: tuple[str, ...], legal: npt.NDArray[np.bool_]
) -> Reading:
    """Probabilities of replies `[A]`, no two of which begin alike, from the one message's opening.

    A reply has the probability of all tokens with which it begins: `1`, ` 1`. Legal replies that
    are not listed share what the list leaves, and none gets more than the least of the list. A
    list without any legal reply is unparsed.
    """
    listed, weights = messages[0].openings or [], np.zeros(len(replies))
    for word, p in listed:
        weights[[reply.startswith(word) for reply in replies]] += p
    weights *= legal
    mass = float(weights.sum())
    if mass == 0:
        return Reading(legal.astype(np.float64), 0.0, 1)
    probabilities = [p for _, p in listed]
    missing = legal & (weights == 0)
    rest = max(1 - sum(probabilities), 0.0)
    weights[missing] = min(min(probabilities), rest / max(missing.sum(), 1))
    return Reading(weights, mass, 0)


def by_text(
    messages: list[Message], replies: tuple[str, ...], legal: npt.NDArray[np.bool_]
) -> Reading:
    """Frequencies of replies `[A]` among messages, after one more of each if there are several.

    A message is a reply if it is the reply's text, but for thoughts up to `</think>`, white space
    around it and a full stop; if it is no legal one, all legal ones have an equal share of it.
    """
    weights, unparsed = np.zeros(len(replies)), 0
    for message in messages:
        words = message.text.rpartition("</think>")[2].strip()
        meant = legal & [reply in (words, words.removesuffix(".")) for reply in replies]
        weights += meant if meant.any() else legal / legal.sum()
        unparsed += not meant.any()
    if len(messages) > 1:
        weights += legal
    return Reading(weights, 1 - unparsed / len(messages), unparsed)
