"""What a chat completion says: its text, its log-probabilities, its model; or its error."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from acquaint_gym.agents.core import OutsideError

# Around words: white space as text and as tokenizers write it, and what sets a text off.
_AROUND = " \t\r\n\u2581\u0120\u010a*_`\"'\u201c\u201d(["
_TOKEN_ID = re.compile(r"token_id:\d+")


class RefusedError(OutsideError):
    """A request that the server will not answer, however often it is asked.

    Attributes:
        status: of HTTP; 200 where an answer came without what was asked for.
        words: the server's own.
    """

    def __init__(self, message: str, status: int = 0, words: str = "") -> None:
        # The defaults are for pickle, which brings it from other processes: it fills them in.
        super().__init__(message)
        self.status, self.words = status, words


class Message(NamedTuple):
    """A chat completion.

    Attributes:
        text: what the assistant wrote.
        openings: text without white space or markup around it, and probability, of the tokens with
            which it could have begun; None where the server gives no alternatives that can be read.
        tokens: how many the prompt and the message had; None where the server does not count.
        identity: `model` and `system_fingerprint`, as far as the server says them.
    """

    text: str
    openings: list[tuple[str, float]] | None
    tokens: tuple[int, int] | None
    identity: dict[str, str]


def read_completion(response: Any) -> Message:
    """Reads a completion as OpenAI-compatible servers write it.

    Content is a text, null, or a list of parts, of which those of type `text` count: thoughts and
    refusals are none. Log-probabilities of any other form than `content: [{token, logprob,
    top_logprobs: [...]}]` are none.

    Raises:
        ValueError: it is no completion.
    """
    try:
        choice, usage = response["choices"][0], response.get("usage") or {}
        text = _text(choice["message"].get("content"))
        names = ("model", "system_fingerprint")
        identity = {name: str(response[name]) for name in names if response.get(name)}
        prompt, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        tokens = None if prompt is None or written is None else (int(prompt), int(written))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no chat completion ({type(error).__name__}: {error})") from error
    try:
        openings = _openings(choice["logprobs"]["content"])
    except (AttributeError, KeyError, TypeError, ValueError):
        openings = None
    return Message(text, openings, tokens, identity)


def _text(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list | dict):
        parts = content if isinstance(content, list) else [content]
        return "".join(part if isinstance(part, str) else _of_part(part) for part in parts)
    return str(content or "")


def _of_part(part: dict[str, Any]) -> str:
    """The text of a part; nothing of a thought, a refusal or a picture."""
    return str(part.get("text") or "") if part.get("type", "text") in _TEXTS else ""


_TEXTS = ("text", "output_text")


def _openings(steps: list[dict[str, Any]]) -> list[tuple[str, float]] | None:
    """Tokens with which a message could have begun; None without alternatives.

    White space and markup may be tokens of their own: SentencePiece models write a blank before a
    digit, others `**`. They are followed as far as they were written; what comes next has the
    product of the probabilities: after ` ` of 0.8, `2` of 0.5 has 0.4.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: another form, or an impossible number.
    """
    openings, path = [], 1.0
    # An empty message has no first token, and so no alternatives to it.
    if steps and not steps[0]["top_logprobs"]:
        return None
    for step in steps:
        openings += [(word, path * p) for word, p in map(_token, step["top_logprobs"]) if word]
        word, p = _token(step)
        if word:
            break
        path *= p
    return openings


def _token(entry: dict[str, Any]) -> tuple[str, float]:
    """A token's text without what stands around it, and its probability.

    Raises:
        ValueError: the text or the probability cannot be told.
    """
    logprob = float(entry["logprob"])
    if not logprob < 0.01:  # a rounding error above 0 passes, NaN does not
        raise ValueError(f"a log-probability of {logprob}")
    text, raw = entry.get("token"), entry.get("bytes")
    if (not isinstance(text, str) or _TOKEN_ID.fullmatch(text)) and raw is not None:
        text = bytes(raw).decode("utf-8", "replace")
    if not isinstance(text, str) or _TOKEN_ID.fullmatch(text):
        raise ValueError(f"a token without its text, {entry}")
    return text.strip(_AROUND), min(math.exp(logprob), 1.0)


def error_inside(response: Any) -> int:
    """Status of the error that came in place of a completion; 0 if there is none.

    Gateways answer HTTP 200 before they know whether the model will: the error then stands beside
    or in `choices`, or these are empty. One that names no status is taken for 500.
    """
    if not isinstance(response, dict):
        return 0
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = response.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if response.get("object") == "error":
        error = error or response
    if not error:
        return 500 if "choices" in response and not choices else 0
    fields = error if isinstance(error, dict) else {}
    numbers = (str(fields.get(name)) for name in ("code", "status", "status_code"))
    return next((int(n) for n in numbers if re.fullmatch("[45][0-9][0-9]", n)), 500)
