"""The zip in which Stable-Baselines3 saves what it trained, and the policy in it."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.save_util import load_from_zip_file

from acquaint_gym.envs.users.response_models import Floats

# What acting needs no more, and what another version of Python cannot always read.
_UNREAD = dict.fromkeys(("learning_rate", "lr_schedule", "clip_range", "clip_range_vf"))


class ZippedPolicy:
    """A policy of Stable-Baselines3 or sb3-contrib that acts, and learns no more.

    Args:
        path: of the zip that `model.save(path)` wrote.

    Attributes:
        name: of its class.
        observation_space: of the environment it was trained on.
        action_space: the same.
        greedy: how often an agent that has values of actions takes the best, `1 -
            exploration_final_eps`; None for one that has a distribution.
        remembers: whether it is recurrent.

    Raises:
        ValueError: no zip of Stable-Baselines3, or a policy without values or a distribution.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file; write it with model.save({path!r}).")
        try:
            with warnings.catch_warnings():  # about what is not needed here
                warnings.simplefilter("ignore")
                data, weights, _ = load_from_zip_file(path, custom_objects=_UNREAD, device="cpu")
            assert data is not None
            self.observation_space: spaces.Space[Any] = data["observation_space"]
            self.action_space: spaces.Space[Any] = data["action_space"]
            kind, arguments = data["policy_class"], dict(data["policy_kwargs"])
            if "use_sde" in inspect.signature(kind).parameters:
                arguments.setdefault("use_sde", data.get("use_sde", False))
            self._policy = kind(
                self.observation_space, self.action_space, lambda _: 0.0, **arguments
            )
            self._policy.load_state_dict(weights["policy"])
        except (
            *(AssertionError, AttributeError, ImportError, KeyError, OSError, RuntimeError),
            *(EOFError, TypeError, UnpicklingError, ValueError),
        ) as error:
            raise ValueError(
                f"{path}: no zip of Stable-Baselines3 that can be read here "
                f"({type(error).__name__}: {' '.join(str(error).split())}). Modules that the "
                "policy's own classes are defined in must be importable."
            ) from error
        self._policy.set_training_mode(False)
        self.name: str = type(self._policy).__name__
        self._states = isinstance(self.action_space, spaces.Box)
        self.remembers = hasattr(self._policy, "lstm_actor")
        values = hasattr(self._policy, "q_net") or hasattr(self._policy, "quantile_net")
        self.greedy = 1 - float(data["exploration_final_eps"]) if values else None
        if not (self._states or values or hasattr(self._policy, "get_distribution")):
            raise ValueError(
                f"{path}: {self.name} states neither a distribution nor values of actions; train "
                "with PPO, A2C, TRPO, MaskablePPO, RecurrentPPO, DQN or QR-DQN."
            )

    def start(self, people: int) -> Any:
        """What is remembered of B people before the first turn; None without a memory."""
        if not self.remembers:
            return None
        layers, _, width = self._policy.lstm_hidden_state_shape
        return (np.zeros((layers, people, width), np.float32),) * 2

    @torch.no_grad()
    def read(self, shown: Any, state: Any) -> tuple[Floats, Any]:
        """`[B, A]` for B people, and what is remembered afterwards.

        Logits or values of discrete actions; for a `Box` the deterministic action, in [-1, 1].

        Args:
            shown: observations of the policy's own space, with a batch axis.
            state: what is remembered.
        """
        if self._states:
            action, state = self._policy.predict(shown, state, deterministic=True)
            return action.astype(np.float64), state
        tensor, _ = self._policy.obs_to_tensor(shown)
        if self.remembers:
            pair = torch.from_numpy(state[0]), torch.from_numpy(state[1])
            starts = torch.zeros(pair[0].shape[1])
            distribution, pair = self._policy.get_distribution(tensor, pair, starts)
            scores, state = distribution.distribution.logits, tuple(part.numpy() for part in pair)
        elif hasattr(self._policy, "q_net"):
            scores = self._policy.q_net(tensor)
        elif hasattr(self._policy, "quantile_net"):
            scores = self._policy.quantile_net(tensor).mean(dim=1)
        else:
            scores = self._policy.get_distribution(tensor).distribution.logits
        return scores.numpy().astype(np.float64), state
