"""The floor: agents that learn nothing from a person's answers."""

from __future__ import annotations

import numpy as np

from acquaint_gym.agents.core import Agent, Decision, decide, require_predictions
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints


class RandomAgent(Agent):
    """Any legal action, each as likely as the others."""

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal = self.task.legal(observation).astype(float)
        probs = legal / legal.sum(axis=1, keepdims=True)
        return Decision(sample(probs, uniform), probs)


class PriorAgent(Agent):
    """The marginal answer to each stimulus: what the teacher says before it has seen anything."""

    def __init__(self, task: UserTask) -> None:
        super().__init__(require_predictions(task))
        self._posterior = task.make_posterior()

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        stimulus = observation.present_stimulus
        prior = self._posterior.start(len(stimulus))
        turn = observation.turn
        predictive = self._posterior.predict(prior, stimulus, turn)
        legal = self.task.legal(observation)
        return decide(legal, predictive, self._posterior.marginals(prior))

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`."""
        return self._posterior.marginals(self._posterior.start(observation.num_people))


class HeuristicAgent(Agent):
    """The legal option that has least, or most, of one feature, whoever asks; the first of equals.

    What language models that were not tuned fall back on when they recommend (Qiu et al., 2026).

    A rule states certainty, and certainty that fails once is infinitely wrong: negative
    log-likelihood and divergence from the teacher would be infinite, hence failed, in nearly
    everybody. What is stated is therefore the rule as followed by somebody who slips: with
    probability `slip` any legal option, each as likely as the others. The action is always the
    rule's, so accuracy and regret do not depend on `slip`; log-likelihoods do, and measure little
    else.

    Args:
        task: a task whose options have the feature, see `UserTask.feature`.
        feature: as the task calls it, e.g. `price`.
        direction: `lowest` or `highest`.
        slip: share of the stated probability, in [0, 1), that is spread over all legal options; 0
            states certainty.

    Raises:
        ValueError: an unknown direction, a slip outside [0, 1), or a task without that feature.
    """

    def __init__(
        self, task: UserTask, feature: str, direction: str = "lowest", slip: float = 0.01
    ) -> None:
        super().__init__(require_predictions(task))
        if direction not in ("lowest", "highest"):
            raise ValueError(f"Unknown direction {closest(direction, ('lowest', 'highest'))}")
        if not 0 <= slip < 1:
            raise ValueError(f"slip={slip}; expected a number in [0, 1).")
        self._feature, self._sign, self._slip = feature, 1 if direction == "lowest" else -1, slip
        try:  # of one stimulus: what does not fit is an error now, not in the first turn
            task.feature(feature, task.stimulus_low[None])
        except ValueError as error:
            raise ValueError(
                f"{error} An agent that takes the option of {direction} {feature} needs them; "
                "leave it out here."
            ) from error

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal = self.task.legal(observation)
        values = self._sign * self.task.feature(self._feature, observation.present_stimulus)
        chosen = np.where(legal, values, np.inf).argmin(axis=1)
        probs = self._slip * legal / legal.sum(axis=1, keepdims=True)
        probs[np.arange(len(chosen)), chosen] += 1 - self._slip
        return Decision(chosen, probs)


def sample(action_probs: Floats, uniform: Floats) -> Ints:
    """`[B]` actions by inverse transform of `[B, A]` probabilities at `[B]` uniforms."""
    cumulative = np.cumsum(action_probs, axis=1)
    # The last action of positive probability catches what rounding leaves above the sum.
    last = action_probs.shape[1] - 1 - np.argmax(action_probs[:, ::-1] > 0, axis=1)
    return np.minimum((uniform[:, None] >= cumulative).sum(axis=1), last)
