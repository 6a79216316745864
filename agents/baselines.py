"""The floor: agents that learn nothing from a person's answers."""

from __future__ import annotations

from agents.core import Agent, Decision, decide, sample
from envs.core import UserTask
from envs.transcript import Observation, present_stimulus
from envs.users.response_models import Floats


class RandomAgent(Agent):
    """Any legal action, each as likely as the others."""

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal = self.task.legal(observation).astype(float)
        probs = legal / legal.sum(axis=1, keepdims=True)
        return Decision(sample(probs, uniform), probs)


class PriorAgent(Agent):
    """The marginal answer to each stimulus: what the teacher says before it has seen anything."""

    def __init__(self, task: UserTask) -> None:
        """Prepares the prior predictive."""
        super().__init__(task)
        self._inference = task.inference()

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        stimulus = present_stimulus(observation)
        prior = self._inference.start(len(stimulus))
        predictive = self._inference.predict(prior, stimulus)
        return decide(self.task, observation, predictive, self._inference.marginals(prior))

    def believe(self, observation: Observation) -> Floats | None:
        """See `Agent.believe`."""
        return self._inference.marginals(self._inference.start(len(observation["turn"])))
