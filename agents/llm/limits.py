"""How much a model can read: tokens of a conversation, and which tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

# What configurations call the number of positions; the first is that of nearly all.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


class Limits(NamedTuple):
    """What does not fit into a model; None where nothing is known of a limit.

    Attributes:
        tokens: that it reads at most, conversation and reply together.
        vocabulary: number of its input embeddings; token ids are below it.
    """

    tokens: int | None = None
    vocabulary: int | None = None


def limits_of(config: Any) -> Limits:
    """The limits that a configuration of `transformers` states.

    Where rotary positions are stretched, the number of positions may be that before or after:
    the larger reading counts, so that nothing is refused which might be read. A sliding window is
    no limit: the model goes on, and what is further back reaches it through its layers only.
    """
    text = config.get_text_config(decoder=True)
    values = (getattr(text, name, None) for name in _POSITIONS)
    tokens = next((number for number in values if isinstance(number, int) and number > 0), None)
    rope = getattr(text, "rope_parameters", None) or {}
    factors = [part.get("factor") for part in (rope, *rope.values()) if isinstance(part, dict)]
    factor = max(1.0, *(float(one) for one in factors if one), 1.0)
    vocabulary = getattr(text, "vocab_size", None)
    return Limits(None if tokens is None else int(tokens * factor), vocabulary)
