"""The exact posterior after transcripts, with a cache that no result depends on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from acquaint_gym.agents.prefix import PrefixCache
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class Posterior:
    """Beliefs after transcripts; those that begin with the last call's continue from its result.

    Args:
        task: the model and its hypotheses.
        discount: see `envs.inference.posterior.Inference.condition`.

    Attributes:
        engine: the task's exact inference.
    """

    def __init__(self, task: UserTask, discount: float = 1.0) -> None:
        """Builds the engine of inference."""
        self.engine = task.inference()
        self._accepts, self._discount = task.binary_feedback, discount
        self._cache = PrefixCache()

    def after(self, observation: Transcript) -> Iterator[tuple[slice, Floats]]:
        """`[b, F, H]` belief after these transcripts, block of rows by block of rows."""
        turn = observation.turn
        told = [observation["answers"], observation.stimuli]
        if self._accepts:
            told.append(observation["actions"])
        context = observation.get("context", turn[:, None][:, :0])  # no numbers without one
        since, weights = self._cache.take(turn, told, context)
        if fresh := weights is None:
            weights = np.empty((len(turn), *self.engine.prior.shape))
        for rows in self.engine.blocks(len(turn)):
            part = observation.rows(rows)
            if fresh:
                weights[rows] = self.engine.begin(part)
            yield rows, self.engine.condition(part, weights[rows], since, self._discount)
        # Kept only once every block has been reached: an interrupted call leaves no half-truth.
        self._cache.keep(turn, told, context, weights)

    def marginals(self, observation: Transcript) -> Floats | None:
        """`[B, F, L]` belief about each trait; None where levels are unordered."""
        return joined([self.engine.marginals(weights) for _, weights in self.after(observation)])


def joined(blocks: list[Floats | None]) -> Floats | None:
    """The blocks' beliefs as one, None where the hypotheses have no ordered levels."""
    known = [block for block in blocks if block is not None]
    return np.concatenate(known) if known else None
