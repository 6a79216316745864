"""Contract checks about people, and how the checks of all `contract` modules play environments."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from envs.adaptors import UserEnv, UserVectorEnv
from envs.core import Users, UserTask
from envs.transcript import Observation, stimuli_of
from envs.users.population import SPLITS
from envs.users.response_models import Ints

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


def meet(env: UserVectorEnv, first: int = 0) -> Observation:
    """Resets to consecutive people, of whom recorded respondents may be few."""
    person = first + np.arange(env.num_envs)
    observation, _ = env.reset(options={"person": person % (env.num_people or 2**20)})
    shown: Observation = observation
    return shown


def choose(
    task: UserTask, legal: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[Any]:
    """`[B]` random legal actions, or `[B, A]` what states no weight where an action is illegal."""
    weights = rng.random(legal.shape, dtype=np.float32) * legal
    return task.stated(weights) if task.states_distribution else weights.argmax(axis=1)


def row_of(observation: Observation, row: int) -> Observation:
    """One transcript of a batch, without the batch axis; read-only, so that nobody writes on it."""
    one = {key: value[row].copy() for key, value in observation.items()}
    for value in one.values():
        value.flags.writeable = False
    return one


def prompts_of(task: UserTask, observation: Observation) -> Prompts:
    """The chat messages of B transcripts."""
    return [task.prompt(row_of(observation, row)) for row in range(len(observation["turn"]))]


def transcript(task: UserTask, users: Users, turn: Ints) -> dict[str, npt.NDArray[np.float32]]:
    """Transcripts after `turn` `[B]` turns of right actions; every other one where one may fail."""
    turn = np.minimum(turn, users.length)
    column = np.arange(users.answers.shape[1])
    over = column < turn[:, None]
    action = (users.answers + task.accepts * (column % 2)) % len(task.actions)
    stimuli = np.where((column <= turn[:, None])[..., None], users.stimuli, -1).astype(np.float32)
    shown = task.shown(action, users.answers, users.willing)
    told = {
        "turn": turn[:, None].astype(np.float32),
        "stimuli": stimuli.reshape(len(turn), -1),
        "actions": np.where(over, action, -1).astype(np.float32),
        "answers": np.where(over, shown, -1).astype(np.float32),
    }
    return told if task.context is None else {**told, "context": users.context.copy()}


class Moment(NamedTuple):
    """All that agents are shown between two turns, of a batch of people."""

    observation: Observation
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


def watch(env: UserVectorEnv, observation: Observation) -> list[Moment]:
    """Plays the episodes that begin with this observation to their end, with random actions."""
    task, rng = env.task, generator()
    reward, over = np.zeros(env.num_envs), np.zeros(env.num_envs, dtype=bool)
    moments = []
    while True:
        legal, prompts = env.action_masks(), prompts_of(task, observation)
        moments.append(Moment(observation, reward, over, legal, prompts))
        if over.all():
            return moments
        observation, reward, terminated, truncated, _ = env.step(choose(task, legal, rng))
        over = terminated | truncated


def twins(
    env_id: str, num: int, **settings: Any
) -> tuple[UserVectorEnv, UserVectorEnv, Observation, Observation]:
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
        second = {**second, "context": first["context"]}
    return env, other, first, second


def pickled(thing: object, owner: str) -> bytes:
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


def check_same_person(env_id: str, **settings: Any) -> None:
    """A person is the same alone, in a batch, at any place in it and however it is cut."""
    env = batch(env_id, 6, **settings)
    person = np.array([0, 1, 2, 9, 3, 40]) % (env.num_people or 2**20)

    def draw(some: UserVectorEnv, order: list[int]) -> list[npt.NDArray[Any]]:
        some.reset(options={"person": person[order]})
        return _copied(some.users)

    whole = draw(env, list(range(6)))
    cuts = {
        "the same batch again": (env, [0, 1, 2, 3, 4, 5]),
        "another order": (env, [5, 2, 3, 0, 1, 4]),
        "the first half": (batch(env_id, 3, **settings), [0, 1, 2]),
        "the second half": (batch(env_id, 3, **settings), [3, 4, 5]),
        **{f"person {person[i]} alone": (batch(env_id, 1, **settings), [i]) for i in (0, 3)},
    }
    for words, (some, order) in cuts.items():
        for name, field, all_of_it in zip(Users._fields, draw(some, order), whole, strict=True):
            assert np.array_equal(field, all_of_it[order]), (
                f"{env_id}: users.{name} of the same people differ ({words}). Take all chance "
                "from the numbers `uniform` that draw_stimuli() and sample() are given, row by "
                "row; hold no generator and use no global one."
            )
    alone = scalar(env_id, **settings)
    for row in (1, 5):
        number = int(person[row])
        arguments: tuple[dict[str, Any], ...] = ({"seed": number}, {"options": {"person": number}})
        for those in arguments:
            alone.reset(**those)
            for field, all_of_it in zip(_copied(alone.users), whole, strict=True):
                assert np.array_equal(field, all_of_it[[row]]), (
                    f"{env_id}: reset({those}) of the scalar environment meets {alone.users}, not "
                    "the same person as in a batch."
                )


def _copied(users: Users) -> list[npt.NDArray[Any]]:
    """The fields of `Users`, free of the environment that goes on using them."""
    return [np.array(field) for field in users]


def check_splits(env_id: str, **settings: Any) -> None:
    """People of different splits, and of different suite seeds, are different people."""

    def draw(**those: Any) -> list[npt.NDArray[Any]]:
        env = batch(env_id, 64, **{**settings, **those})
        meet(env)
        return _copied(env.users)[1:]

    worlds: dict[str, dict[str, Any]] = {f"split {name!r}": {"split": name} for name in SPLITS}
    worlds |= {f"suite seed {seed}": {"suite_seed": seed} for seed in (11, 12)}
    drawn = {words: draw(**those) for words, those in worlds.items()}
    for words, people in drawn.items():
        for others, strangers in drawn.items():
            same = all(map(np.array_equal, people, strangers))
            assert not same or words == others, (
                f"{env_id}: the people of {words} and of {others} are the same. Make stimuli and "
                "answers follow from the numbers `uniform`."
            )
    population = scalar(env_id, **settings).task.population
    if not population.split_by_type:
        return
    types = [{tuple(row) for row in drawn[f"split {name!r}"][0].tolist()} for name in SPLITS]
    members = [set(population.splits[name].tolist()) for name in SPLITS]
    for parts in (types, members):
        assert len(set.union(*parts)) == sum(map(len, parts)), (
            f"{env_id}: a type of people belongs to two splits, so that a score on `test` counts "
            "people seen in `train`. Let population.splits cut the types into disjoint parts, or "
            "say split_by_type=False."
        )


def check_no_leak(env_id: str, **settings: Any) -> None:
    """Nothing an agent sees depends on hidden levels, or on answers not yet given."""
    env, other, first, second = twins(env_id, 3, **settings)
    for turn, (one, two) in enumerate(zip(watch(env, first), watch(other, second), strict=True)):
        part = one.difference(two)
        assert not part, (
            f"{env_id}: at turn {turn} {part} differs between two people who said the same: their "
            "hidden levels leak. Let draw_stimuli() use its `uniform` only, prompt() and legal() "
            "the observation only, and let the response model neither keep nor change anything."
        )


def check_future_hidden(env_id: str, **settings: Any) -> None:
    """An observation shows no stimulus beyond the present turn, and no answer from it on."""
    env, other = batch(env_id, 3, **settings), batch(env_id, 3, **settings)
    moments, turns = watch(env, meet(env)), np.arange(env.task.num_turns)
    for number, moment in enumerate(moments):
        turn, seen = moment.observation["turn"], moment.observation
        assert np.array_equal(turn[:, 0], np.minimum(number, env.users.length)), (
            f"{env_id}: `turn` is {turn[:, 0]} after {number} turns; count the answers seen."
        )
        unasked = (turns > turn) | (turns == turn) & moment.over[:, None]
        coming = (stimuli_of(seen)[unasked], seen["actions"][turns >= turn])
        assert all((cells == -1).all() for cells in (*coming, seen["answers"][turns >= turn])), (
            f"{env_id}: at turn {number} the observation shows what is still to come; it must hold "
            "-1 there."
        )
        taken, users = seen["actions"].astype(np.int64), env.users
        past = env.task.shown(taken, users.answers, users.willing)
        assert np.array_equal(seen["answers"], np.where(turns < turn, past, -1)), (
            f"{env_id}: at turn {number} the observation does not show the answers given so far."
        )
    half = env.task.num_turns // 2
    beginning = meet(other)
    future = other.users.answers[:, half:]
    future[future >= 0] = (future[future >= 0] + 1) % len(env.task.actions)
    for number, (one, two) in enumerate(zip(moments, watch(other, beginning), strict=True)):
        part = one.difference(two)
        assert number > half or not part, (
            f"{env_id}: {part} at turn {number} depends on answers that are given later."
        )
