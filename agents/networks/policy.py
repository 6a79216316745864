"""Policies that `train.rl` trained, as agents."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acquaint_gym.agents.core import Agent, Decision, decide
from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.agents.networks.policy_net import PolicyNet, read_policy
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.files import find_folder
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

# Where the folders lie that this project ships.


class PolicyAgent(Agent):
    """The most probable action of a trained policy, with the policy's distribution.

    What a policy with a memory remembers is worked out from the transcript, from its first turn.

    Args:
        task: one of the shape that the policy was trained on; a `belief` that it reads is the
            posterior under this task's model.
        path: folder with `policy.safetensors` and `policy.json`, as named or as shipped.
        made_by: the command that makes it, for the message where it is missing.

    Raises:
        ValueError: no policy there, or one for a task of another shape.
    """

    def __init__(
        self, task: UserTask, path: str, made_by: str = "python -m train.rl --help"
    ) -> None:
        super().__init__(task)
        card, weights = read_policy(Path(find_folder(path)), task, made_by)
        self._view = make_features(card["view"], task)
        self._net = PolicyNet(weights, card["activation"])
        self._greedy: float | None = card["greedy"]

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal = self.task.legal(observation)
        read = self._remembered if self._net.remembers else self._view.numbers
        scores = np.where(legal, self._net.scores(read(observation)), -np.inf)
        if self._greedy is None:
            probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        else:  # values of actions: the best, or now and then any
            highest = np.arange(scores.shape[1]) == best(scores)[:, None]
            free = legal / legal.sum(axis=1, keepdims=True)
            probs = self._greedy * highest + (1 - self._greedy) * free
        return decide(legal, probs / probs.sum(axis=1, keepdims=True))

    def _remembered(self, observation: Transcript) -> Floats:
        """`[B, M]` what is remembered at each person's present turn."""
        turn = observation.turn
        state = self._net.start(len(turn))
        remembered = state[0]
        for then in range(int(turn.max()) + 1):
            past = observation.at(np.minimum(then, turn), self.task)
            state = self._net.remember(self._view.numbers(past), state)
            remembered = np.where((turn == then)[:, None], state[0], remembered)
        return remembered
