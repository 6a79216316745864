"""What chooses: a model that gives probabilities of whole replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from acquaint_gym.envs.users.response_models import Floats

Ids = list[int]


class ChoiceScorer(Protocol):
    """A language model, asked for nothing but the probabilities of given replies."""

    def score(self, conversations: Sequence[Ids], replies: Sequence[Ids]) -> Floats:
        """`[B, A]` log-probability in nats of each reply after each conversation, float64.

        They are the model's own, over everything it might have said, so `exp(...).sum(axis=1)` is
        the probability that it gives one of these replies at all.

        Args:
            conversations: B transcripts that wait for a reply, as token ids.
            replies: A replies as token ids, one or more each; none begins another.
        """
