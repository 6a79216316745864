"""The Bayesian teacher: knows the model, not the person."""

from __future__ import annotations

import numpy as np

from acquaint_gym.agents.core import Agent, Decision, decide, predicting
from acquaint_gym.agents.posterior import Posterior, joined
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class BayesTeacher(Agent):
    """Exact posterior over all hypotheses, posterior predictive of the next answer, best action.

    Args:
        task: the model and its hypotheses.
        discount: forgetting factor in (0, 1]. Before each answer the belief is raised to this power
            and the prior to the rest, so old answers fade towards the prior (stabilised
            exponential forgetting; Kulhavy & Zarrop, 1993, Int. J. Control 58). 1 is Bayes' rule.
        point: predict from the most probable hypothesis alone instead of the whole posterior.

    Raises:
        ValueError: a discount outside (0, 1], or a task in which agents ask.
    """

    def __init__(self, task: UserTask, discount: float = 1.0, point: bool = False) -> None:
        """Builds the engine of inference."""
        super().__init__(predicting(task))
        if not 0 < discount <= 1:
            raise ValueError(f"discount={discount}; expected a number in (0, 1].")
        self._posterior = Posterior(task, discount)
        self._point = point

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`: the posterior predictive, and its most probable answer."""
        stimulus, turn = observation.present_stimulus, observation.turn
        predictions, beliefs, scores, engine = [], [], [], self._posterior.engine
        for rows, weights in self._posterior.after(observation):
            beliefs.append(engine.marginals(weights))
            if self._point:
                likely = best(weights)[..., None]
                weights = np.zeros_like(weights)
                np.put_along_axis(weights, likely, 1.0, axis=2)
            predictive = engine.predict(weights, stimulus[rows], turn[rows])
            predictions.append(predictive)
            scores.append(self.task.scores(weights, stimulus[rows], predictive))
        predicted, scored = np.concatenate(predictions), np.concatenate(scores)
        legal = self.task.legal(observation)
        return decide(legal, predicted, joined(beliefs), scored)

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: the exact marginal posterior of each trait."""
        return self._posterior.marginals(observation)
