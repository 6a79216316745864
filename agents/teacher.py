"""The Bayesian teacher: knows the model, not the person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.core import Agent, Decision, best, decide
from envs.core import UserTask
from envs.transcript import Observation, present_stimulus, stimuli_of
from envs.users.response_models import Floats, Ints


class BayesTeacher(Agent):
    """Exact posterior over all hypotheses, posterior predictive of the next answer, best action.

    Args:
        task: the model and its hypotheses.
        discount: forgetting factor in (0, 1]. Before each answer the belief is raised to this power
            and the prior to the rest, so old answers fade towards the prior (stabilised
            exponential forgetting; Kulhavy & Zarrop, 1993, Int. J. Control 58). 1 is Bayes' rule.
        point: predict from the most probable hypothesis alone instead of the whole posterior.

    Raises:
        ValueError: a discount outside (0, 1].
    """

    def __init__(self, task: UserTask, discount: float = 1.0, point: bool = False) -> None:
        """Builds the engine of inference."""
        super().__init__(task)
        if not 0 < discount <= 1:
            raise ValueError(f"discount={discount}; expected a number in (0, 1].")
        self._inference = task.inference()
        self._discount = discount
        self._point = point
        self._known: tuple[Observation, Floats | Ints, Floats] | None = None

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`: the posterior predictive, and its most probable answer."""
        stimulus, turn = present_stimulus(observation), observation["turn"][:, 0]
        predictions, beliefs, scores = [], [], []
        for rows, weights in self._posterior(observation):
            beliefs.append(self._inference.marginals(weights))
            if self._point:
                likely = best(weights)[..., None]
                weights = np.zeros_like(weights)
                np.put_along_axis(weights, likely, 1.0, axis=2)
            predictive = self._inference.predict(weights, stimulus[rows], turn[rows])
            predictions.append(predictive)
            scores.append(self.task.scores(weights, stimulus[rows], predictive))
        predicted, scored = np.concatenate(predictions), np.concatenate(scores)
        return decide(self.task, observation, predicted, _joined(beliefs), scored)

    def believe(self, observation: Observation) -> Floats | None:
        """See `Agent.believe`: the exact marginal posterior of each trait."""
        beliefs = (self._inference.marginals(w) for _, w in self._posterior(observation))
        return _joined(list(beliefs))

    def _posterior(self, observation: Observation) -> Iterator[tuple[slice, Floats]]:
        """`[b, F, H]` belief after these transcripts, block of rows by block of rows.

        Like the prefix cache of an inference server: transcripts that begin with those of the last
        call continue from its result. Whether they do is compared, never assumed.
        """
        turn = observation["turn"][:, 0].astype(np.int64)
        shown = {"answers": observation["answers"], "stimuli": stimuli_of(observation)}
        if self.task.accepts:
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
            weights = self._inference.start(len(turn))
        for rows in self._inference.blocks(len(turn)):
            part = {key: value[rows] for key, value in observation.items()}
            if fresh:
                weights[rows] = self._inference.begin(part)
            yield rows, self._inference.condition(part, weights[rows], since, self._discount)
        # Kept only once every block has been reached: an interrupted call leaves no half-truth.
        turns = int(turn[0])
        if (turn == turns).all():
            prefix = {key: value[:, :turns].copy() for key, value in shown.items()}
            self._known = prefix, context.copy(), weights


def _joined(beliefs: list[Floats | None]) -> Floats | None:
    """The blocks' beliefs as one, None where the hypotheses have no ordered levels."""
    known = [belief for belief in beliefs if belief is not None]
    return np.concatenate(known) if known else None
