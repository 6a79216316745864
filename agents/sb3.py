"""Policies that somebody trained with plain Stable-Baselines3, as agents."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from acquaint_gym.agents.core import Agent, Decision, decide
from acquaint_gym.agents.networks.forms import form_read_by
from acquaint_gym.agents.networks.policy_net import action_probs, replay
from acquaint_gym.agents.networks.sb3_zip import ZippedPolicy
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class SB3Agent(Agent):
    """The zip that `model.save("my.zip")` of Stable-Baselines3, or of sb3-contrib, wrote.

    The stated probabilities are the policy's own distribution over the legal actions (PPO, A2C,
    TRPO, MaskablePPO, RecurrentPPO). DQN and QR-DQN have values and no distribution: theirs is that
    of the epsilon-greedy policy with `exploration_final_eps` of the training. Where actions were a
    `Box` (`reward="log_score"`; SAC and TD3 too) the policy's deterministic action states them.
    The action taken is the most probable one. What a recurrent policy remembers is worked out from
    the transcript, from its first turn.

    Loading a zip executes code in it, as everywhere in Stable-Baselines3: load what you trust.

    Args:
        task: one of the shape that the policy was trained on.
        path: of the zip.
        observation: what it was trained on, see `agents.networks.forms.forms_of`; by default found
            by its size.

    Raises:
        ValueError: no such zip, or one that reads or does something else than there is here.
    """

    tolerance = 1e-5  # float32, whose sums depend on the size of the batch

    def __init__(self, task: UserTask, path: str, observation: str | None = None) -> None:
        super().__init__(task)
        self._policy = policy = ZippedPolicy(path)
        whose, size = f"{path} ({policy.name})", len(task.actions)
        self._show = form_read_by(policy.observation_space, task, observation, whose).show
        self._chooses = policy.action_space == spaces.Discrete(size)
        if not self._chooses and policy.action_space != spaces.Box(-1, 1, (size,), np.float32):
            raise ValueError(
                f"{whose}: acts in {policy.action_space}, here are {size} actions. Score it on the "
                "environment that it was trained on (--env, --set)."
            )

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal = self.task.legal(observation)
        start = self._policy.start(observation.num_people)
        if self._policy.remembers:
            numbers = replay(observation, self.task, self._read, start)
        else:
            numbers, _ = self._read(observation, start)
        if self._chooses:
            return decide(legal, action_probs(numbers, legal, self._policy.greedy))
        return decide(legal, self.task.probs_of_box(numbers))

    def _read(self, observation: Transcript, state: Any) -> tuple[Floats, Any]:
        return self._policy.read(self._show(observation), state)
