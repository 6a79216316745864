"""Our vector environments as Stable-Baselines3's: one adaptor, in arrays.

UserVecEnv(gym.make_vec("acquaint/Questionnaire-v0", num_envs=64, autoreset_mode="Disabled"))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from acquaint_gym.agents.networks.features import Features
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import Transcript

# Of every lane whose episode goes on: Stable-Baselines3 reads these and never writes.
_NOTHING: dict[str, Any] = {}


class UserVecEnv(VecEnv):
    """People side by side, as Stable-Baselines3 wants to meet them.

    A lane whose episode ended shows its next person at once; what was seen last of the former is in
    the lane's info, with the return and length of the episode, as `VecMonitor` puts it there.

    Args:
        env: what `gym.make_vec` returns with `autoreset_mode="Disabled"`: ended lanes are reset
            here in one call, which gives both the last and the first observations as arrays.
        view: what of the transcripts is shown; by default the environment's own observations,
            dicts of arrays for SB3's `MultiInputPolicy`.

    Raises:
        ValueError: another environment, or one that resets its lanes itself.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], view: Features | None = None) -> None:
        people = env.unwrapped
        if not isinstance(people, UserVectorEnv):
            raise ValueError(
                f"UserVecEnv takes an environment of Acquaint from gym.make_vec, got {people}; for "
                "others Stable-Baselines3 has make_vec_env."
            )
        if people.metadata["autoreset_mode"] is not AutoresetMode.DISABLED:
            raise ValueError(
                "UserVecEnv resets ended lanes itself: "
                'gym.make_vec(..., autoreset_mode="Disabled").'
            )
        self._env, self.render_mode = people, None
        self._show: Callable[[Transcript], Any] = dict if view is None else view.observe
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)
        self._since = time.perf_counter()
        space = people.single_observation_space if view is None else view.space
        super().__init__(env.num_envs, space, env.single_action_space)

    def reset(self) -> Any:
        """Lane i meets person `seed + i` after `seed(seed)`, otherwise its next person."""
        observation, _ = self._env.reset(seed=self._seeds[0])
        self._reset_seeds()
        self._returns[:], self._lengths[:] = 0, 0
        return self._show(Transcript(observation))

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keeps the actions until `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """One turn on every lane."""
        observation, reward, terminated, truncated, _ = self._env.step(self._actions)
        over = terminated | truncated
        self._returns += reward
        self._lengths += 1
        infos, view = [_NOTHING] * self.num_envs, self._show(Transcript(observation))
        if over.any():
            now = round(time.perf_counter() - self._since, 6)
            for lane in np.flatnonzero(over).tolist():
                length = int(self._lengths[lane])
                infos[lane] = {
                    "episode": {"r": float(self._returns[lane]), "l": length, "t": now},
                    "terminal_observation": _row(view, lane),
                    "TimeLimit.truncated": bool(truncated[lane]),
                }
            self._returns[over], self._lengths[over] = 0, 0
            observation, _ = self._env.reset(options={"reset_mask": over})
            view = self._show(Transcript(observation))
        return view, reward.astype(np.float32), over, infos

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the environment, which all lanes share."""
        value = getattr(self if attr_name == "render_mode" else self._env, attr_name)
        return [value] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuses: an attribute belongs to all lanes, and is an argument of the environment."""
        raise AttributeError(f"{attr_name} cannot be set; it is an argument of the environment.")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """A method of the environment that gives a row a lane, e.g. `action_masks`."""
        rows = getattr(self._env, method_name)(*method_args, **method_kwargs)
        return list(rows) if indices is None else [rows[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """No lane has a wrapper of its own."""
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """People are not to be seen."""
        return [None] * self.num_envs


def _row(view: Any, lane: int) -> Any:
    """What one lane shows."""
    if isinstance(view, dict):
        return {key: value[lane] for key, value in view.items()}
    return view[lane]
