"""Checks of the environment itself: spaces, lanes, seeds, masks, pickling, rendering."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from acquaint_gym.envs.contract.play import batch, choose, generator, meet, scalar, to_pickle
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserEnv

# What reset and step return, by how many things they return.
RETURNED = {
    2: ("the observation", "info"),
    5: ("the observation", "the reward", "terminated", "truncated", "info"),
}


def check_gymnasium(env_id: str, **settings: Any) -> None:
    """Gymnasium's own checker is content with the environment, warnings included."""
    for form in ("transcript", "turn"):
        env = scalar(env_id, observation=form, **settings)
        with warnings.catch_warnings(record=True) as caught, redirect_stdout(StringIO()):
            warnings.simplefilter("always")
            check_env(env)
        assert not caught, (
            f"{env_id}, observation={form!r}: Gymnasium's check_env warns: {caught[0].message}"
        )


def check_vector(env_id: str, **settings: Any) -> None:
    """The native vector environment is exactly its lanes as scalar environments, in every mode."""
    for mode in AutoresetMode:
        env = batch(env_id, 3, mode, **settings)
        lanes = SyncVectorEnv([lambda: scalar(env_id, **settings)] * 3, autoreset_mode=mode)
        rng, turns, over = generator(), env.task.num_turns, np.zeros(3, dtype=bool)
        one: tuple[Any, ...] = lanes.reset(seed=5)
        many: tuple[Any, ...] = env.reset(seed=5)
        for number in range(2 * turns + turns // 2 + 3):
            for name, lane_by_lane, at_once in zip(RETURNED[len(one)], one, many, strict=True):
                assert data_equivalence(lane_by_lane, at_once, exact=True), (
                    f"{env_id}: after {number} steps in mode {mode.value} {name} of the vector "
                    f"environment is {at_once}, of its lanes as scalar environments {lane_by_lane}."
                    " Let reward(), chosen() and draw_stimuli() work row by row, without state."
                )
            if mode is AutoresetMode.DISABLED and (over.any() or number == turns // 2):
                # Half-way one lane starts over alone: from then on lanes end at different times.
                mask = over if over.any() else np.array([False, True, False])
                one = lanes.reset(options={"reset_mask": mask.copy()})
                many = env.reset(options={"reset_mask": mask.copy()})
                over = np.zeros(3, dtype=bool)
            else:
                action = choose(env.task, env.action_masks(), rng)
                one, many = lanes.step(action), env.step(action)
                over = many[2] | many[3]


def check_seeds(env_id: str, **settings: Any) -> None:
    """A seed is a person: the same again with the same seed, another one after a plain reset."""
    env = scalar(env_id, **settings)
    first = _episode(env, seed=3)
    met = [env.reset()[1]["person"], env.reset()[1]["person"]]
    assert len({3, *met}) == 3, f"{env_id}: after person 3, reset() met {met}; expected new people."
    assert data_equivalence(_episode(env, seed=3), first, exact=True), (
        f"{env_id}: reset(seed=3) met two different people; take all chance from `uniform`."
    )
    person = _episode(env, options={"person": 1})
    assert person[0][1] == {"person": 1}, f"{env_id}: asked for person 1, met {person[0][1]}."
    assert data_equivalence(person, _episode(env, seed=1), exact=True), (
        f"{env_id}: person 1 by options and by seed are not the same."
    )


def _episode(env: UserEnv, turns: float = np.inf, **arguments: Any) -> list[tuple[Any, ...]]:
    """What reset and every step return; without arguments, of the rest of an episode."""
    returned: list[tuple[Any, ...]] = [env.reset(**arguments)] if arguments else []
    rng, over = generator(), False
    while not over and len(returned) <= turns:
        returned.append(env.step(choose(env.task, env.action_masks()[None], rng)[0]))
        over = returned[-1][2] or returned[-1][3]
    return returned


def check_masks(env_id: str, **settings: Any) -> None:
    """In every turn at least one action is legal, and legal() answers in the right form."""
    env = batch(env_id, 2, **settings)
    alone, size = scalar(env_id, **settings), len(env.task.actions)
    meet(env)
    alone.reset(options={"person": 0})
    over, rng = False, generator()
    while not over:
        masks, own = env.action_masks(), alone.action_masks()
        came = f"{masks.dtype} {list(masks.shape)}"
        assert came == f"bool [2, {size}]", (
            f"{env_id}: legal() returns {came}; expected bool [B, A]."
        )
        assert own.any(), f"{env_id}: legal() leaves no action; allow at least one in every turn."
        action = choose(env.task, masks, rng)
        env.step(action)
        over = any(alone.step(action[0])[2:4])


def check_actions(env_id: str, **settings: Any) -> None:
    """An action outside the space is refused with a ValueError and changes nothing."""
    env, twin = scalar(env_id, **settings), scalar(env_id, **settings)
    right = choose(env.task, np.ones((3, len(env.task.actions)), dtype=bool), generator())
    env.reset(options={"person": 0})
    twin.reset(options={"person": 0})
    for wrong in _wrong_actions(env.task):
        assert _raises(ValueError, env.step, wrong), (
            f"{env_id}: step({wrong!r}) was accepted; only members of {env.action_space} are."
        )
    assert data_equivalence(env.step(right[0]), twin.step(right[0]), exact=True), (
        f"{env_id}: a refused action moved the episode; check actions before anything changes."
    )
    many, same = batch(env_id, 3, **settings), batch(env_id, 3, **settings)
    meet(many)
    meet(same)
    odd = np.zeros_like(right)
    odd[1] = len(env.task.actions) + 1
    for lanes in (right[:-1], right + odd, right - odd, np.where(odd, np.nan, right)):
        assert _raises(ValueError, many.step, lanes), (
            f"{env_id}: the vector environment accepted actions {lanes.tolist()}."
        )
    assert data_equivalence(many.step(right), same.step(right), exact=True), (
        f"{env_id}: actions that were refused on one lane moved the others."
    )


def _wrong_actions(task: UserTask) -> list[Any]:
    """Actions of another range, shape or type than the space's."""
    size = len(task.actions)
    even = np.full(size, 1 / size, dtype=np.float32)
    if task.states_distribution:
        return [even[:-1], even - 2, even + 1, even * np.nan, np.ones(size, int), 0, "0", None]
    return [-1, size, 0.5, np.nan, [0], even, "0", None]


def _raises(error: type[Exception], function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a call raises this error."""
    try:
        function(*arguments)
    except error:
        return True
    return False


def check_resets(env_id: str, **settings: Any) -> None:
    """Stepping before a reset, or after the end, raises Gymnasium's ResetNeeded."""
    env = scalar(env_id, **settings)
    action = choose(env.task, np.ones((1, len(env.task.actions)), dtype=bool), generator())[0]
    assert _raises(gym.error.ResetNeeded, env.step, action), (
        f"{env_id}: step() before reset() must raise gymnasium.error.ResetNeeded."
    )
    assert _raises(gym.error.ResetNeeded, batch(env_id, 2, **settings).step, action), (
        f"{env_id}: the vector environment's step() before reset() must raise it as well."
    )
    _episode(env, seed=0)
    assert _raises(gym.error.ResetNeeded, env.step, action), (
        f"{env_id}: step() after the end must raise gymnasium.error.ResetNeeded."
    )


def check_spec(env_id: str, **settings: Any) -> None:
    """The environment's spec survives JSON: what is made of it meets the same people."""
    env = scalar(env_id, **settings)
    assert env.spec is not None  # gym.make sets it
    try:
        spec = EnvSpec.from_json(env.spec.to_json())
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"{env_id}: the spec is no JSON ({error}). Register with register_task, and let the "
            "task's arguments be numbers, words and lists."
        ) from error
    made = gym.make(spec, disable_env_checker=True).unwrapped
    assert isinstance(made, UserEnv), f"{env_id}: JSON makes another class, {type(made)}."
    assert spec.kwargs == env.spec.kwargs, (
        f"{env_id}: arguments {env.spec.kwargs} come back from JSON as {spec.kwargs}."
    )
    assert data_equivalence(_episode(made, seed=2), _episode(env, seed=2), exact=True), (
        f"{env_id}: the environment made from the spec's JSON plays another episode."
    )


def check_pickle(env_id: str, **settings: Any) -> None:
    """An environment pickled in the middle of an episode goes on as if nothing had happened."""
    env = scalar(env_id, **settings)
    env.reset(seed=4)
    _episode(env, turns=int(env.users.length[0]) // 2, seed=4)
    copy = pickle.loads(to_pickle(env, f"{env_id}: the environment"))
    assert data_equivalence(_episode(copy), _episode(env), exact=True), (
        f"{env_id}: a pickled copy continues otherwise; let attributes survive pickling."
    )


def check_render(env_id: str, **settings: Any) -> None:
    """Both render modes work: `ansi` returns text, `human` prints and returns None."""
    out = StringIO()
    with redirect_stdout(out):
        for mode in ("ansi", "human"):
            env = scalar(env_id, render_mode=mode, **settings)
            env.reset(options={"person": 0})
            before = env.render()
            _episode(env, turns=1)
            frames = [before, env.render()]
            kind = str if mode == "ansi" else type(None)
            assert all(isinstance(frame, kind) for frame in frames), (
                f"{env_id}: render() in mode {mode!r} returns {frames}; expected {kind.__name__}."
            )
            assert mode == "human" or frames[0] != frames[1], (
                f"{env_id}: render() in mode 'ansi' does not change when an answer is revealed."
            )
        many = batch(env_id, 2, render_mode="ansi", **settings)
        meet(many)
        lanes = many.render()
        assert len(lanes or ()) == 2, (
            f"{env_id}: the vector environment must render one text per lane, got {lanes}."
        )
    assert out.getvalue(), f"{env_id}: render() in mode 'human' printed nothing."
