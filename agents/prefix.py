"""What was worked out of conversations that go on; no result depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acquaint_gym.envs.users.response_models import Floats, Ints


class PrefixCache:
    """Something kept of transcripts, for the next call, whose transcripts begin with them.

    Like the prefix cache of an inference server. Whether they do is compared, never assumed.
    """

    def __init__(self) -> None:
        """Keeps nothing yet."""
        self._kept: tuple[list[Floats], Floats | Ints, Any] | None = None

    def take(self, turn: Ints, told: Sequence[Floats], beside: Floats | Ints) -> tuple[int, Any]:
        """How many turns of these transcripts are known, and what was kept; 0 and None if none are.

        It is no longer kept then, so that it may be overwritten.

        Args:
            turn: `[B]` turns that are over.
            told: `[B, T, ...]` each, what was told turn by turn.
            beside: `[B, ...]` what was known before.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            return 0, None
        prefix, before, state = kept
        turns = prefix[0].shape[1]
        begins = (
            bool((turn >= turns).all())
            and _equal(before, beside)
            and all(_equal(old, new[:, :turns]) for old, new in zip(prefix, told, strict=True))
        )
        return (turns, state) if begins else (0, None)

    def keep(self, turn: Ints, told: Sequence[Floats], beside: Floats | Ints, state: Any) -> None:
        """Keeps something of transcripts, where all of them are equally long; see `take`."""
        turns = int(turn[0])
        if (turn == turns).all():
            self._kept = [part[:, :turns].copy() for part in told], beside.copy(), state


def _equal(old: Floats | Ints, new: Floats | Ints) -> bool:
    """Whether two arrays are; what `numpy.array_equal` checks besides costs a short step's time."""
    return old.shape == new.shape and bool((old == new).all())
