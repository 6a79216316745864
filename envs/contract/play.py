"""How the checks of all `contract` modules play environments."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserEnv, UserVectorEnv
from acquaint_gym.envs.transcript import Transcript

Prompts = list[list[dict[str, str]]]


def scalar(env_id: str, **settings: Any) -> UserEnv:
    """The environment of one person, without Gymnasium's wrappers."""
    env = gym.make(env_id, disable_env_checker=True, **settings).unwrapped
    assert isinstance(env, UserEnv), (
        f"{env_id} is no UserTask; use envs.registration.register_task."
    )
    return env


def batch(
    env_id: str, num: int, mode: AutoresetMode = AutoresetMode.DISABLED, **settings: Any
) -> UserVectorEnv:
    """The native vector environment of `num` people."""
    env = gym.make_vec(env_id, num_envs=num, autoreset_mode=mode, **settings).unwrapped
    assert isinstance(env, UserVectorEnv), (
        f"{env_id} is no UserTask; use envs.registration.register_task."
    )
    return env


def generator(seed: int = 0) -> np.random.Generator:
    """The checks' own random numbers: the same in every run."""
    return np.random.Generator(np.random.Philox(seed))


def meet(env: UserVectorEnv, first: int = 0) -> Transcript:
    """Resets to consecutive people, of whom recorded respondents may be few."""
    person = first + np.arange(env.num_envs)
    observation, _ = env.reset(options={"person": person % (env.num_people or 2**20)})
    return Transcript(observation)


def choose(
    task: UserTask, legal: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[Any]:
    """`[B]` random legal actions, or `[B, A]` what states no weight where an action is illegal."""
    weights = rng.random(legal.shape, dtype=np.float32) * legal
    return task.to_box(weights) if task.states_distribution else weights.argmax(axis=1)


def row_of(observation: Transcript, row: int) -> Transcript:
    """One transcript of a batch, without the batch axis; read-only, so that nobody writes on it."""
    one = deepcopy(observation.person(row))
    for value in one.values():
        value.flags.writeable = False
    return one


def prompts_of(task: UserTask, observation: Transcript) -> Prompts:
    """The chat messages of B transcripts."""
    return [task.prompt(row_of(observation, row)) for row in range(observation.num_people)]


class Moment(NamedTuple):
    """All that agents are shown between two turns, of a batch of people."""

    observation: Transcript
    reward: npt.NDArray[np.float64]
    over: npt.NDArray[np.bool_]
    legal: npt.NDArray[np.bool_]
    prompts: Prompts

    def difference(self, other: Moment) -> str:
        """What differs from another moment, in words; empty if nothing does."""
        for key, value in self.observation.items():
            if not np.array_equal(value, other.observation[key]):
                return f"observation[{key!r}]"
        for name, mine, yours in (
            ("the reward", self.reward, other.reward),
            ("the end", self.over, other.over),
            ("legal()", self.legal, other.legal),
        ):
            if not np.array_equal(mine, yours, equal_nan=True):
                return name
        return "prompt()" if self.prompts != other.prompts else ""


def watch(env: UserVectorEnv, observation: Transcript) -> list[Moment]:
    """Plays the episodes that begin with this observation to their end, with random actions."""
    task, rng = env.task, generator()
    reward, over = np.zeros(env.num_envs), np.zeros(env.num_envs, dtype=bool)
    moments = []
    while True:
        legal, prompts = env.action_masks(), prompts_of(task, observation)
        moments.append(Moment(observation, reward, over, legal, prompts))
        if over.all():
            return moments
        seen, reward, terminated, truncated, _ = env.step(choose(task, legal, rng))
        observation = Transcript(seen)
        over = terminated | truncated


def twins(
    env_id: str, num: int, **settings: Any
) -> tuple[UserVectorEnv, UserVectorEnv, Transcript, Transcript]:
    """Two environments whose people say the same but are of different types, and what both show.

    When the second task draws its people, every type has the next level on each factor; then they
    get the first people's answers. Whoever tells the two apart has seen hidden levels, or an answer
    before its time.
    """
    env, other = batch(env_id, num, **settings), batch(env_id, num, **settings)
    population = other.task.population
    next_levels = (population.levels + 1) % (population.levels.max(axis=0) + 1)
    swapped = replace(population, levels=next_levels)
    # A cached property of a frozen class: the same types stay in the same splits.
    vars(swapped)["splits"] = population.splits
    other.task.population = swapped
    first, second = meet(env), meet(other)
    other.users.answers[:] = env.users.answers
    if "context" in first:  # what people said before is said as well
        other.users.context[:] = env.users.context
        second["context"] = first["context"]
    return env, other, first, second


def to_pickle(thing: object, owner: str) -> bytes:
    """A pickle of something.

    Raises:
        AssertionError: it cannot be pickled.
    """
    try:
        return pickle.dumps(thing)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise AssertionError(
            f"{owner} cannot be pickled ({error}), so other processes cannot have it. Keep "
            "lambdas, local classes and open files out of its attributes."
        ) from error
