"""The Bayesian teacher: knows the model, not the person."""

from __future__ import annotations

import numpy as np

from agents.core import Agent, Decision, best
from envs.core import Observation, UserTask
from envs.users.response_models import Floats


def present_stimulus(observation: Observation) -> Floats:
    """`[B, S]` the stimulus to which each person's answer is due."""
    turn = observation["turn"][:, 0].astype(np.int64)
    return observation["stimuli"][np.arange(len(turn)), turn]


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
        self._known: tuple[Observation, Floats] | None = None

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`: the posterior predictive, and its most probable answer."""
        weights = self._posterior(observation)
        seen = weights
        if self._point:
            seen = np.zeros_like(weights)
            np.put_along_axis(seen, best(weights)[..., None], 1.0, axis=2)
        predictive = self._inference.predict(seen, present_stimulus(observation))
        return Decision(best(predictive), predictive, self._inference.marginals(weights))

    def believe(self, observation: Observation) -> Floats | None:
        """See `Agent.believe`: the exact marginal posterior of each trait."""
        return self._inference.marginals(self._posterior(observation))

    def _posterior(self, observation: Observation) -> Floats:
        """`[B, F, H]` belief after these transcripts; continues from the last call's if it can.

        Like the prefix cache of an inference server: transcripts that begin with those of the last
        call start from its result. Whether they do is compared, never assumed.
        """
        turn = observation["turn"][:, 0].astype(np.int64)
        since, weights = 0, None
        if self._known is not None:
            prefix, known = self._known
            turns = prefix["answers"].shape[1]
            if (
                prefix["answers"].shape[0] == len(turn)
                and (turn >= turns).all()
                and np.array_equal(prefix["answers"], observation["answers"][:, :turns])
                and np.array_equal(prefix["stimuli"], observation["stimuli"][:, :turns])
            ):
                since, weights = turns, known
        weights = self._inference.condition(observation, weights, since, self._discount)
        turns = int(turn[0])
        self._known = None
        if (turn == turns).all():
            prefix = {key: observation[key][:, :turns].copy() for key in ("answers", "stimuli")}
            self._known = prefix, weights
        return weights
