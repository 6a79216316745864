"""The ceiling: predicts from the person's true levels, which the evaluator alone can see."""

from __future__ import annotations

import numpy as np

from acquaint_gym.agents.core import Agent, Decision, decide, require_predictions
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats, Ints


class Clairvoyant(Agent):
    """p(answer | true levels). No agent can do better on average; no agent is allowed to do this.

    It lives on the evaluator's side of the wall: `eval.rollout` hands it the people, nobody else.
    """

    def __init__(self, task: UserTask) -> None:
        super().__init__(require_predictions(task))
        self._levels: Ints | None = None

    def observe_truth(self, users: Users, task: UserTask) -> None:
        """See `Agent.observe_truth`.

        Raises:
            ValueError: people whose levels nobody knows, or settings of a task of its own.
        """
        if (users.levels < 0).any():
            raise ValueError(
                "Agent 'clairvoyant' needs people whose true levels are known; recorded "
                "respondents have none. Leave it out, or drop --data."
            )
        if task.quirks.drift:
            raise ValueError("Agent 'clairvoyant' knows one profile of a person; these drift.")
        if not np.array_equal(self.task.population.levels, task.population.levels):
            raise ValueError(
                "Agent 'clairvoyant' goes by the environment's own task; give it no task settings "
                "of its own."
            )
        self.task, self._levels = task, users.levels

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        if self._levels is None:
            raise ValueError("Clairvoyant.act needs observe_truth(users, task) first.")
        model, stimulus = self.task.model, observation.present_stimulus
        probs = model.probs(self._levels, model.at_turn(stimulus, observation.turn))
        return decide(self.task.legal(observation), probs)
