"""Which cached conversation each of a call's conversations goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from acquaint_gym.agents.llm.dialogue import common
from acquaint_gym.agents.llm.scorer import Ids


def align(sequences: Sequence[Ids], cached: Sequence[Ids]) -> tuple[list[int], list[int]]:
    """Gives each conversation a slot of its own, in the same order: a greedy monotone alignment.

    People keep their order from call to call, but some may have left. So conversation n may skip
    slots, yet only so many that every later one still finds a slot. Among the slots within reach it
    takes the one whose tokens it shares most of, the first of equals.

    Three people were cached, the first left, the two others said one word more::

        cached     slot 0: a b    slot 1: x y    slot 2: p q
        sequences  x y z,  p q r                  3 slots - 2 conversations = 1 may be skipped

        x y z      within reach: slots 0 and 1, which share 0 and 2 tokens -> slot 1; 0 left to skip
        p q r      within reach: slot 2, which shares 2 tokens             -> slot 2

    Args:
        sequences: `B` conversations as token ids.
        cached: tokens whose keys and values each slot holds, at least `B` slots.

    Returns:
        `[B]` the slots, rising, and `[B]` with how many tokens slot and conversation both begin.
    """
    slots: list[int] = []
    shared: list[int] = []
    skippable, first = len(cached) - len(sequences), 0
    for ids in sequences:
        begins = [common_prefix(ids, cached[slot]) for slot in range(first, first + skippable + 1)]
        skipped = begins.index(max(begins))
        slots.append(first + skipped)
        shared.append(begins[skipped])
        first, skippable = slots[-1] + 1, skippable - skipped
    return slots, shared


def common_prefix(one: Ids, other: Ids) -> int:
    """Number of tokens with which both begin."""
    # Mostly a conversation goes on: lists are compared much faster than tokens one by one.
    if one[: len(other)] == other:
        return len(other)
    return common(one, other)
