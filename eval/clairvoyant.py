"""The ceiling: predicts from the person's true levels, which the evaluator alone can see."""

from __future__ import annotations

from agents.core import Agent, Decision, best
from agents.teacher import present_stimulus
from envs.core import Observation, Users, UserTask
from envs.users.response_models import Floats, Ints


class Clairvoyant(Agent):
    """p(answer | true levels). No agent can do better on average; no agent is allowed to do this.

    It lives on the evaluator's side of the wall: `eval.rollout` hands it the people, nobody else.
    """

    def __init__(self, task: UserTask) -> None:
        """Starts without people."""
        super().__init__(task)
        self._levels: Ints | None = None

    def look_at(self, users: Users) -> None:
        """Takes the truth about the people whose transcripts come next, row by row.

        Raises:
            ValueError: people whose levels nobody knows, or of another population.
        """
        if (users.levels < 0).any():
            raise ValueError(
                "Agent 'clairvoyant' needs people whose true levels are known; recorded "
                "respondents have none. Leave it out, or drop --data."
            )
        expected = len(self.task.population.factors), self.task.population.num_levels
        if users.levels.shape[1] != expected[0] or users.levels.max() >= expected[1]:
            raise ValueError(
                f"Agent 'clairvoyant' was told of {expected[0]} factors with {expected[1]} levels, "
                "the people have others; give it no task settings of its own."
            )
        self._levels = users.levels

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        if self._levels is None:
            raise ValueError("Clairvoyant.act needs look_at(users) first.")
        probs = self.task.model.probs(self._levels, present_stimulus(observation))
        return Decision(best(probs), probs)
