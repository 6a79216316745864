"""Contract checks about people."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.contract.play import (
    batch,
    meet,
    scalar,
    twins,
    watch,
)
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.population import SPLITS


def check_same_person(env_id: str, **settings: Any) -> None:
    """A person is the same alone, in a batch, at any place in it and however it is cut."""
    env = batch(env_id, 6, **settings)
    person = np.array([0, 1, 2, 9, 3, 40]) % (env.num_people or 2**20)

    def draw(lanes: UserVectorEnv, order: list[int]) -> list[npt.NDArray[Any]]:
        lanes.reset(options={"person": person[order]})
        return _copy(lanes.users)

    whole = draw(env, list(range(6)))
    cuts = {
        "the same batch again": (env, [0, 1, 2, 3, 4, 5]),
        "another order": (env, [5, 2, 3, 0, 1, 4]),
        "the first half": (batch(env_id, 3, **settings), [0, 1, 2]),
        "the second half": (batch(env_id, 3, **settings), [3, 4, 5]),
        **{f"person {person[i]} alone": (batch(env_id, 1, **settings), [i]) for i in (0, 3)},
    }
    for words, (lanes, order) in cuts.items():
        for name, field, all_of_it in zip(Users._fields, draw(lanes, order), whole, strict=True):
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
            for field, all_of_it in zip(_copy(alone.users), whole, strict=True):
                assert np.array_equal(field, all_of_it[[row]]), (
                    f"{env_id}: reset({those}) of the scalar environment meets {alone.users}, not "
                    "the same person as in a batch."
                )


def _copy(users: Users) -> list[npt.NDArray[Any]]:
    """The fields of `Users`, free of the environment that goes on using them."""
    return [np.array(field) for field in users]


def check_splits(env_id: str, **settings: Any) -> None:
    """People of different splits, and of different suite seeds, are different people."""

    def draw(**those: Any) -> list[npt.NDArray[Any]]:
        env = batch(env_id, 64, **{**settings, **those})
        meet(env)
        return _copy(env.users)[1:]

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
        if (
            env.task.agent_asks
        ):  # what was learned is judged, and paid, by somebody who knows the person
            one = one._replace(reward=two.reward)
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
        coming = (seen.stimuli[unasked], seen["actions"][turns >= turn])
        assert all((cells == -1).all() for cells in (*coming, seen["answers"][turns >= turn])), (
            f"{env_id}: at turn {number} the observation shows what is still to come; it must hold "
            "-1 there."
        )
        taken, users = seen["actions"].astype(np.int64), env.users
        given = users.answers
        if env.task.agent_asks:
            given = np.take_along_axis(given, np.maximum(taken, 0), axis=1)
        past = env.task.feedback_of(taken, given, users.would_accept)
        assert np.array_equal(seen["answers"], np.where(turns < turn, past, -1)), (
            f"{env_id}: at turn {number} the observation does not show the answers given so far."
        )
    half = env.task.num_turns // 2
    beginning = meet(other)
    answers = other.users.answers
    places = np.arange(answers.shape[1])
    early = places < half
    if env.task.agent_asks:
        actions = moments[-1].observation["actions"][:, :half]
        early = (places[:, None] == actions[:, None, :]).any(axis=2)
    later = (answers >= 0) & ~early
    answers[later] = (answers[later] + 1) % len(env.task.categories)
    for number, (one, two) in enumerate(zip(moments, watch(other, beginning), strict=True)):
        part = one.difference(two)
        assert number > half or not part, (
            f"{env_id}: {part} at turn {number} depends on answers that are given later."
        )
