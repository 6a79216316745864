"""Transcripts: their laws, and that nobody makes or cuts one by hand."""

from __future__ import annotations

import ast
import pickle
import re
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import ROOT
from numpy.testing import assert_array_equal

from acquaint_gym.envs.contract.play import batch, meet
from acquaint_gym.envs.episodes import observation_space
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.transcript import Transcript

TASKS = {
    "predicts": ("acquaint/Questionnaire-v0", {"num_turns": 5}),
    "context": ("acquaint/Flights-v0", {"context": "answers:3"}),
    "accept": ("acquaint/ShopChoice-v0", {"feedback": "accept"}),
    "asks": ("acquaint/Interview-v0", {"num_turns": 5, "levels": 2}),
}
PEOPLE = 4


def world(name: str):
    """A task, and people who are complete from the start."""
    env_id, arguments = TASKS[name]
    env = batch(env_id, PEOPLE, **arguments)
    meet(env)
    return env.task, env.users


WORLDS = {name: world(name) for name in TASKS}
names = st.sampled_from(sorted(TASKS))


@st.composite
def turns(draw, highest=5):
    """`[B]` turns."""
    return np.array(draw(st.lists(st.integers(0, highest), min_size=PEOPLE, max_size=PEOPLE)))


def same(one: Transcript, other: Transcript) -> None:
    assert type(one) is type(other) is Transcript
    assert list(one) == list(other)
    for key, part in one.items():
        assert part.dtype == other[key].dtype == np.float32
        assert_array_equal(part, other[key], err_msg=key)


@given(names, turns(), turns())
@settings(max_examples=60, deadline=None)
def test_an_earlier_turn_of_a_longer_transcript_is_the_shorter_transcript(name, one, two):
    task, users = WORLDS[name]
    early, late = np.minimum(one, two), np.maximum(one, two)
    longer = example_transcripts(task, users, late)
    same(longer.at(early, task), example_transcripts(task, users, early))
    same(longer.at(late, task), longer)


@given(names, turns(), st.lists(st.integers(0, PEOPLE - 1), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_some_people_then_one_of_them_is_that_person(name, turn, rows):
    whole = example_transcripts(*WORLDS[name], turn)
    some = whole.rows(np.array(rows))
    assert some.num_people == len(rows)
    for place, row in enumerate(rows):
        same(some.person(place), whole.person(row))
        assert int(some.person(place).turn) == whole.turn[row] == some.turn[place]
        assert_array_equal(some.person(place).stimuli, whole.stimuli[row])
    chosen = np.isin(np.arange(PEOPLE), rows)
    same(whole.rows(chosen), whole.rows(np.flatnonzero(chosen)))
    same(whole.rows(slice(1, 3)), whole.rows(np.array([1, 2])))


@given(names, turns())
@settings(max_examples=60, deadline=None)
def test_what_is_taken_apart_makes_the_same_transcript_again(name, turn):
    whole = example_transcripts(*WORLDS[name], turn)

    def again(one: Transcript) -> Transcript:
        extra = {key: one[key] for key in ("context", "action_mask") if key in one}
        return Transcript.of(one.turn, one.stimuli, one["actions"], one["answers"], **extra)

    same(again(whole), whole)
    same(again(whole.person(2)), whole.person(2))
    same(pickle.loads(pickle.dumps(whole)), whole)
    same(deepcopy(whole), whole)


@pytest.mark.parametrize("name", TASKS)
def test_it_is_the_environments_observation(name):
    env_id, arguments = TASKS[name]
    env = batch(env_id, PEOPLE, **arguments)
    observation, _ = env.reset(seed=0)
    assert type(observation) is dict  # Gymnasium's environments return plain ones
    begun = Transcript(observation)
    assert all(begun[key] is part for key, part in observation.items())
    same(begun, example_transcripts(env.task, env.users, np.zeros(PEOPLE, dtype=np.int64)))
    space = observation_space(env.task, "transcript")
    assert set(space) == set(begun)
    assert space.contains(dict(begun.person(0)))
    if not env.task.agent_asks:
        assert_array_equal(begun.present_stimulus, env.users.stimuli[:, 0])


def test_arrays_are_copied_on_the_way_in_and_seen_through_on_the_way_out():
    stimuli, answers = np.zeros((2, 3, 1), np.float32), np.full((2, 3), -1.0, np.float32)
    made = Transcript.of(np.zeros(2, dtype=np.int64), stimuli, answers, answers)
    stimuli[:], answers[:] = 7, 7
    assert made["stimuli"].max() == 0
    assert made["answers"].max() == -1
    assert not np.shares_memory(made["actions"], made["answers"])
    made.stimuli[1, 2] = 5
    assert made["stimuli"][1, 2] == made.person(1)["stimuli"][2] == 5


# Nobody makes or cuts a transcript by hand.


# What observations are called, as `OBSERVED.items()`.
NAMES = r"(observ\w*|shown|seen|told|past|transcripts?)"
OBSERVED = NAMES + r"(\(.*\))?\.items\(\)$"


def made_by_hand(module: ast.Module) -> list[int]:
    """Lines with a dict that has a transcript's keys, or that cuts every part of an observation."""
    lines = []
    for node in ast.walk(module):
        if isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            spread = [v for k, v in zip(node.keys, node.values, strict=True) if k is None]
            if any(re.fullmatch(NAMES, ast.unparse(value)) for value in spread):
                lines.append(node.lineno)
            if "turn" in keys and keys & {"stimuli", "answers", "actions"}:
                lines.append(node.lineno)
        elif isinstance(node, ast.DictComp):
            (*_, last) = node.generators
            if not (isinstance(last.target, ast.Tuple) and len(last.target.elts) == 2):
                continue
            part = ast.unparse(last.target.elts[1])
            cut = isinstance(node.value, ast.Subscript) and ast.unparse(node.value.value) == part
            text = ast.unparse(node.value)
            cut |= text == f"{part}.copy()" or text.startswith((f"np.repeat({part}", f"{part}["))
            if cut and re.search(OBSERVED, ast.unparse(last.iter)):
                lines.append(node.lineno)
    return lines


# Where Gymnasium's and Stable-Baselines3's plain dicts are cut: `Transcript` itself, and adaptors.
MAY_CUT = {
    "envs/transcript.py",
    "envs/gym_env.py",
    "train/sb3/env.py",
    "tests/broken.py",
    "tests/test_rl.py",
    "tests/test_transcript.py",
}
SOURCES = sorted(
    path
    for folder in ("envs", "agents", "eval", "train", "acquaint_gym", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


def test_no_transcript_is_made_or_cut_by_hand():
    places = {
        path.relative_to(ROOT).as_posix(): made_by_hand(ast.parse(path.read_text("utf-8")))
        for path in SOURCES
    }
    assert set(places) >= MAY_CUT
    assert {name: lines for name, lines in places.items() if lines and name not in MAY_CUT} == {}


@pytest.mark.parametrize(
    "text",
    [
        'seen = {"turn": turn, "stimuli": stimuli}',
        'seen = {"turn": turn, "answers": answers, **more}',
        "one = {key: value[row] for key, value in observation.items()}",
        'seen = {**observation, "answers": hidden}',
        "one = {k: v[row : row + 1] for k, v in shown.items()}",
        "one = {key: part[None] for key, part in told.items()}",
        "one = {key: value[rows].copy() for key, value in shown.items()}",
        "one = {key: value.copy() for key, value in self.seen.items()}",
        "one = {key: np.repeat(part[row : row + 1], 3, axis=0) for key, part in told.items()}",
    ],
)
def test_the_walk_finds_transcripts_made_by_hand(text):
    assert made_by_hand(ast.parse(text)) == [1]


@pytest.mark.parametrize(
    "text",
    [
        'row = {"turn": 3, "mean": 0.5}',
        "low = {key: value.lower() for key, value in words.items()}",
        "one = Transcript(observation).rows(live)",
    ],
)
def test_the_walk_lets_others_pass(text):
    assert made_by_hand(ast.parse(text)) == []
