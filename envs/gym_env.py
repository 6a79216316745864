"""The two generic adaptors that turn any `UserTask` into a `gym.Env` and a native `VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from acquaint_gym.envs.episodes import (
    EVERYONE,
    Episodes,
    Rows,
    check_action,
    next_people,
    observation_space,
)
from acquaint_gym.envs.registration import make_episodes
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats


class UserEnv(gym.Env[Any, Any]):
    """One person at a time. The task's docstring is the manual.

    Args:
        task: `module:Class` of the `UserTask`.
        split: `train`, `dev` or `test` people; of respondents `train`, `dev` or `all`.
        suite_seed: >= 0; another number is another world of people.
        respondents: file of recorded answers to replay instead of simulating people.
        people: another source of people than the simulator, `module:Class`, see
            `envs.users.people.UserSource`.
        observation: `transcript`, or `turn` for this turn's stimulus and the last answer only.
        render_mode: None, `ansi` (text) or `human` (a panel with the teacher's belief).
        teacher_info: whether `info["teacher"]` tells the exact predictive of the coming answer.
        **arguments: the task's own, and those of every task, see `UserTask.configure`: `quirks`,
            `wording`, `option_order`, `labels`.
    """

    # Gymnasium declares it as an attribute of the instance.
    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        split: str = "train",
        suite_seed: int = 0,
        respondents: str | None = None,
        people: str | None = None,
        observation: str = "transcript",
        render_mode: str | None = None,
        teacher_info: bool = False,
        **arguments: Any,
    ) -> None:
        self.render_mode = render_mode
        source = split, suite_seed, respondents, people
        self._episodes = make_episodes(
            1, task, *source, observation, render_mode, teacher_info, arguments
        )
        self.task = self._episodes.task
        self.action_space = self.task.action_space
        self.observation_space = observation_space(self.task, observation)
        self._started = False

    @property
    def users(self) -> Users:
        """Who is behind the screen, `B` = 1: for evaluators, never for agents."""
        return self._episodes.users

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """`[A]` which actions are legal now, as sb3-contrib's MaskablePPO asks for them."""
        return self._episodes.legal()[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Any]]:
        """Meets person `options["person"]`, else person `seed`, else the next person."""
        super().reset(seed=seed)
        person = next_people(self._episodes, seed, options, self._started, self.np_random)
        self._started = True
        self._episodes.begin(EVERYONE, person)
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._info(stepped=False)

    def step(
        self, action: Any
    ) -> tuple[dict[str, npt.NDArray[np.float32]], float, bool, bool, dict[str, Any]]:
        """Predicts; the answer is revealed."""
        if not self._started:
            raise gym.error.ResetNeeded("Call reset() before step().")
        if self._episodes.over()[0]:
            raise gym.error.ResetNeeded("The episode has ended; call reset() to meet someone else.")
        action = check_action(self._episodes, np.asarray(action)[None])
        reward = self._episodes.advance(EVERYONE, action)
        if self.render_mode == "human":
            self.render()
        over, leaves = bool(self._episodes.over()[0]), bool(self._episodes.leaves[0])
        return (
            self._observation(),
            float(reward[0]),
            over and not leaves,
            over and leaves,
            self._info(),
        )

    def render(self) -> str | None:
        """The transcript as text (`ansi`), or a panel on the terminal (`human`)."""
        from acquaint_gym.envs.render import as_text, show_panel  # most runs show nothing

        if self.render_mode == "ansi":
            return as_text(self.task, self._episodes.transcript())[0]
        if self.render_mode == "human":
            show_panel(self.task, self._episodes.transcript())
        return None

    def _info(self, stepped: bool = True) -> dict[str, Any]:
        everyone = np.ones(1, dtype=bool)
        info = _make_info(self._episodes, everyone, everyone & stepped)
        mine = {key: value[0] for key, value in info.items() if not key.startswith("_")}
        return {key: value if value.ndim else value.item() for key, value in mine.items()}

    def _observation(self) -> dict[str, npt.NDArray[np.float32]]:
        return {key: value[0] for key, value in self._episodes.observe().items()}


class UserVectorEnv(VectorEnv[Any, Any, npt.NDArray[Any]]):
    """B people side by side; lane i is exactly the scalar environment with lane i's seed.

    Args:
        num_envs: B.
        autoreset_mode: when a lane whose episode ended meets its next person.
        **arguments: as `UserEnv`.
    """

    def __init__(
        self,
        num_envs: int,
        task: str,
        split: str = "train",
        suite_seed: int = 0,
        respondents: str | None = None,
        people: str | None = None,
        observation: str = "transcript",
        render_mode: str | None = None,
        teacher_info: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._mode = AutoresetMode(autoreset_mode)
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode={render_mode!r}; a vector environment has 'ansi' only.")
        self.metadata = {"render_modes": ["ansi"], "autoreset_mode": self._mode}
        source = split, suite_seed, respondents, people
        self._episodes = make_episodes(
            num_envs, task, *source, observation, render_mode, teacher_info, arguments
        )
        self.task = self._episodes.task
        self.single_action_space = self.task.action_space
        self.single_observation_space = observation_space(self.task, observation)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._started = False
        self._over = np.zeros(num_envs, dtype=bool)

    @property
    def users(self) -> Users:
        """Who is behind the screens: for evaluators, never for agents."""
        return self._episodes.users

    def interview_stats(self) -> Floats:
        """`[B, D]` for evaluators: what interviews have revealed, see `envs.interviews.scoring`."""
        return self._episodes.interview_stats()

    @property
    def num_people(self) -> int | None:
        """How many people there are to meet; None for as many as one likes."""
        return self._episodes.source.num_people

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are legal now."""
        return self._episodes.legal()

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Any]]:
        """Lane i meets person `options["person"] + i` (or its i-th entry), else person `seed + i`.

        `options["reset_mask"]` `[B]` bool restricts the reset to some lanes.
        """
        super().reset(seed=None if seed is None else int(np.asarray(seed).flat[0]))
        person = next_people(self._episodes, seed, options, self._started, self.np_random)
        mask = (options or {}).get("reset_mask")
        rows: Rows = EVERYONE
        if mask is not None:
            mask = np.asarray(mask)
            if not self._started:
                raise gym.error.ResetNeeded("Reset all lanes before some of them.")
            if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
                raise ValueError(
                    f"reset_mask must be bool [{self.num_envs}] with a True, got {mask}."
                )
            rows = np.flatnonzero(mask)
        self._started = True
        self._episodes.begin(rows, person[rows])
        self._over = self._episodes.over()
        met = np.ones(self.num_envs, dtype=bool) if mask is None else mask.copy()
        return self._episodes.observe(), _make_info(self._episodes, met, ~np.ones_like(met))

    def _next_people(self, over: npt.NDArray[np.bool_]) -> None:
        """The next person on every lane whose episode is over."""
        rows: Rows = EVERYONE if over.all() else np.flatnonzero(over)
        self._episodes.begin(rows, self._episodes.next_person(rows))

    def step(
        self, actions: Any
    ) -> tuple[
        dict[str, npt.NDArray[np.float32]],
        npt.NDArray[np.float64],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
        dict[str, Any],
    ]:
        """One turn on every lane.

        A lane whose episode is over earns 0: under `NEXT_STEP` it meets its next person instead of
        stepping; under `DISABLED` it stands still until it is reset. For the info see `_make_info`.
        """
        if not self._started:
            raise gym.error.ResetNeeded("Call reset() before step().")
        episodes, over = self._episodes, self._over
        action = check_action(episodes, np.asarray(actions))
        stepped = lanes = ~over
        if not over.any():
            reward = episodes.advance(EVERYONE, action)
        else:
            reward, live = np.zeros(self.num_envs), np.flatnonzero(stepped)
            if len(live):
                reward[live] = episodes.advance(live, action[live])
            if self._mode is AutoresetMode.NEXT_STEP:
                self._next_people(over)
                lanes = stepped | over
        self._over = over = episodes.over()
        observation, truncated = episodes.observe(), over & episodes.leaves
        terminated = over & ~truncated
        if self._mode is AutoresetMode.SAME_STEP and over.any():
            final = np.full(self.num_envs, None, dtype=object)
            for lane in np.flatnonzero(over):
                final[lane] = {key: value[lane] for key, value in observation.items()}
            info: dict[str, Any] = {"final_obs": final, "_final_obs": over, "_final_info": over}
            info["final_info"] = _make_info(episodes, over, over)
            self._next_people(over)
            self._over, observation = episodes.over(), episodes.observe()
            info |= _make_info(episodes, lanes, stepped & ~over)
        else:
            info = _make_info(episodes, lanes, stepped)
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[str, ...] | None:
        """The transcripts as text (`ansi`)."""
        if self.render_mode is None:
            return None
        from acquaint_gym.envs.render import as_text

        return tuple(as_text(self.task, self._episodes.transcript()))


def _make_info(
    episodes: Episodes, lanes: npt.NDArray[np.bool_], stepped: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """The info of a vector environment, as Gymnasium lays it out: `_key` says who has `key`.

    `person` `[B]` int, the number; `hit` `[B]` bool, whether the action was the person's own
    answer, where agents predict; `teacher` `[B, A]` float, where somebody is to answer.

    Args:
        episodes: the conversations.
        lanes: `[B]` about whom something is told; goes into the info, as does the next.
        stepped: `[B]` who among them has just been predicted.
    """
    info: dict[str, Any] = {}
    if lanes.any():
        info["person"], info["_person"] = episodes.person * lanes, lanes
    if not episodes.task.agent_asks and stepped.any():
        info["hit"], info["_hit"] = episodes.hit & stepped, stepped
    if episodes.teacher is not None and (waiting := lanes & ~episodes.over()).any():
        probs = np.zeros((len(lanes), len(episodes.task.actions)))
        probs[waiting] = episodes.teacher.probs(episodes.transcript().rows(waiting))
        info |= {"teacher": probs, "_teacher": waiting}
    return info
