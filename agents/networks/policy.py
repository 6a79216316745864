"""Policies that `train.rl` trained, as agents."""

from __future__ import annotations

from pathlib import Path

from acquaint_gym.agents.core import Agent, Decision, decide
from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.agents.networks.policy_net import (
    PolicyNet,
    State,
    action_probs,
    read_policy,
    replay,
)
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.files import find_folder
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


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
        scores = self._net.scores(read(observation))
        return decide(legal, action_probs(scores, legal, self._greedy))

    def _remembered(self, observation: Transcript) -> Floats:
        """`[B, M]` what is remembered at each person's present turn."""

        def step(past: Transcript, state: State) -> tuple[Floats, State]:
            state = self._net.remember(self._view.numbers(past), state)
            return state[0], state

        return replay(observation, self.task, step, self._net.start(observation.num_people))
