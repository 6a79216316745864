"""The Bayesian teacher: knows the model, not the person."""

from __future__ import annotations

import numpy as np

from acquaint_gym.agents.core import Agent, Decision, decide, require_predictions
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.inference.exact import exact
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior, join_blocks
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class BayesTeacher(Agent):
    """The task's posterior, by default exact; posterior predictive of the next answer, best action.

    Args:
        task: the model and its hypotheses.
        discount: forgetting factor in (0, 1]. Before each answer the belief is raised to this power
            and the prior to the rest, so old answers fade towards the prior (stabilised
            exponential forgetting; Kulhavy & Zarrop, 1993, Int. J. Control 58). 1 is Bayes' rule.
        point: predict from the most probable hypothesis alone instead of the whole posterior.

    Raises:
        ValueError: a discount outside (0, 1], a task in which agents ask, or a discount below 1 or
            `point` with a posterior that is not exact.
    """

    def __init__(self, task: UserTask, discount: float = 1.0, point: bool = False) -> None:
        super().__init__(require_predictions(task))
        if not 0 < discount <= 1:
            raise ValueError(f"discount={discount}; expected a number in (0, 1].")
        self._posterior = TranscriptPosterior(task, discount)
        self._point = exact(self._posterior.posterior, "point=True") if point else None

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`: the posterior predictive, and its most probable answer."""
        stimulus, turn = observation.present_stimulus, observation.turn
        predictions, beliefs, scores = [], [], []
        posterior, point = self._posterior.posterior, self._point
        for rows, belief in self._posterior.after(observation):
            marginals = posterior.marginals(belief)
            beliefs.append(marginals)
            if point is not None:
                belief = point.certain(point.levels(best(belief)))
                marginals = point.marginals(belief)
            predictive = posterior.predict(belief, stimulus[rows], turn[rows])
            predictions.append(predictive)
            scores.append(self.task.scores(marginals, stimulus[rows], predictive))
        predicted, scored = np.concatenate(predictions), np.concatenate(scores)
        legal = self.task.legal(observation)
        return decide(legal, predicted, join_blocks(beliefs), scored)

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: the marginal posterior of each trait."""
        return self._posterior.marginals(observation)
