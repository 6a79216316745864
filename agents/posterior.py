"""The exact posterior after transcripts, with a cache that no result depends on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from envs.core import UserTask
from envs.transcript import Observation, stimuli_of
from envs.users.response_models import Floats, Ints


class Posterior:
    """Beliefs after transcripts.

    Like the prefix cache of an inference server: transcripts that begin with those of the last call
    continue from its result. Whether they do is compared, never assumed.

    Args:
        task: the model and its hypotheses.
        discount: see `envs.belief.Inference.condition`.

    Attributes:
        engine: the task's exact inference.
    """

    def __init__(self, task: UserTask, discount: float = 1.0) -> None:
        """Builds the engine of inference."""
        self.engine = task.inference()
        self._accepts, self._discount = task.accepts, discount
        self._known: tuple[Observation, Floats | Ints, Floats] | None = None

    def after(self, observation: Observation) -> Iterator[tuple[slice, Floats]]:
        """`[b, F, H]` belief after these transcripts, block of rows by block of rows."""
        turn = observation["turn"][:, 0].astype(np.int64)
        shown = {"answers": observation["answers"], "stimuli": stimuli_of(observation)}
        if self._accepts:
            shown["actions"] = observation["actions"]
        context = observation.get("context", turn[:, None][:, :0])  # no numbers without one
        since, weights = 0, None
        if self._known is not None:
            prefix, before, known = self._known
            turns = prefix["answers"].shape[1]
            if (
                len(prefix["answers"]) == len(turn)
                and (turn >= turns).all()
                and np.array_equal(context, before)
                and all(np.array_equal(prefix[key], shown[key][:, :turns]) for key in shown)
            ):
                since, weights = turns, known
        self._known = None
        if fresh := weights is None:
            weights = self.engine.start(len(turn))
        for rows in self.engine.blocks(len(turn)):
            part = {key: value[rows] for key, value in observation.items()}
            if fresh:
                weights[rows] = self.engine.begin(part)
            yield rows, self.engine.condition(part, weights[rows], since, self._discount)
        # Kept only once every block has been reached: an interrupted call leaves no half-truth.
        turns = int(turn[0])
        if (turn == turns).all():
            prefix = {key: value[:, :turns].copy() for key, value in shown.items()}
            self._known = prefix, context.copy(), weights

    def marginals(self, observation: Observation) -> Floats | None:
        """`[B, F, L]` belief about each trait; None where levels are unordered."""
        return joined([self.engine.marginals(weights) for _, weights in self.after(observation)])


def joined(blocks: list[Floats | None]) -> Floats | None:
    """The blocks' beliefs as one, None where the hypotheses have no ordered levels."""
    known = [block for block in blocks if block is not None]
    return np.concatenate(known) if known else None
