"""What is kept of transcripts: reused where they go on, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.contract.play import generator
from acquaint_gym.envs.inference.transcripts import PrefixCache
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts

ANSWERS = np.array([[0.0, 1, 2, 3], [4, 3, 2, 1], [2, 2, 0, 0]])
STIMULI = generator().random((3, 4, 2))
CONTEXT = np.array([[1.0, 0], [2, 0], [3, 1]])
STATE = np.zeros(3)


def kept(turn=2, told=(ANSWERS, STIMULI), beside=CONTEXT):
    """A cache that keeps `STATE` of three transcripts after so many turns."""
    cache = PrefixCache()
    cache.keep(np.resize(turn, len(told[0])), told, beside, STATE)
    return cache


def taken(cache, turn=3, told=(ANSWERS, STIMULI), beside=CONTEXT):
    """What the cache knows of these transcripts."""
    return cache.take(np.resize(turn, len(told[0])), told, beside)


def changed(numbers, *place):
    """A copy with another number at one place."""
    other = numbers.copy()
    other[place] += 1
    return other


@pytest.mark.parametrize("turn", [2, 3, [2, 4, 3]], ids=str)
def test_transcripts_that_go_on_are_known(turn):
    later = (changed(ANSWERS, 1, 2), changed(STIMULI, 0, 3))  # after what was kept
    turns, state = taken(kept(), turn, later)
    assert turns == 2
    assert state is STATE


@pytest.mark.parametrize(
    "call",
    [
        {"beside": changed(CONTEXT, 2, 0)},
        {"beside": CONTEXT[::-1]},
        {"beside": CONTEXT[:, :0]},
        {"told": (changed(ANSWERS, 2, 1), STIMULI)},
        {"told": (ANSWERS, changed(STIMULI, 0, 0, 1))},
        {"told": (ANSWERS[::-1], STIMULI[::-1])},
        {"told": (ANSWERS[:2], STIMULI[:2]), "beside": CONTEXT[:2]},
        {"told": (ANSWERS[[0, 1, 2, 0]], STIMULI[[0, 1, 2, 0]]), "beside": CONTEXT[[0, 1, 2, 0]]},
        {"turn": 1},
        {"turn": [3, 3, 1]},
        {"turn": 0},
    ],
    ids=[
        "one context",
        "all contexts",
        "no context",
        "a past answer",
        "a past stimulus",
        "another order",
        "fewer people",
        "more people",
        "fewer turns",
        "fewer turns of one",
        "the beginning",
    ],
)
def test_other_transcripts_are_not(call):
    assert taken(kept(), **call) == (0, None)


@pytest.mark.parametrize("size", [2, 4])
def test_people_of_whom_nothing_was_told_yet_are_as_many(size):
    rows = np.resize([0, 1, 2], size)
    told, beside = (ANSWERS[rows], STIMULI[rows]), CONTEXT[rows]
    assert taken(kept(turn=0), 0, told, beside) == (0, None)


def test_what_is_kept_is_handed_over_once():
    cache = kept()
    assert taken(cache)[1] is STATE
    assert taken(cache) == (0, None)
    cache = kept()
    assert taken(cache, turn=1) == (0, None)
    assert taken(cache) == (0, None)  # also where it was of no use


def test_of_transcripts_of_unequal_length_nothing_is_kept():
    assert taken(kept(turn=[2, 2, 1])) == (0, None)
    assert taken(PrefixCache()) == (0, None)


def test_what_was_told_may_be_overwritten():
    """Environments write on their arrays; what is compared is what was told then."""
    answers, context = ANSWERS.copy(), CONTEXT.copy()
    for array in (answers, context):
        cache = kept(told=(answers, STIMULI), beside=context)
        array[0, 0] += 1
        assert taken(cache, told=(answers, STIMULI), beside=context) == (0, None)


@pytest.mark.parametrize("whose", [[1, 2, 3, 0], [0, 1, 2, 0]], ids=["all", "one"])
def test_who_said_something_else_before_is_somebody_else(whose):
    """Equal turns after other contexts: who met the others says what a fresh teacher says."""
    task = make_task("acquaint_gym.envs.tasks.flights:Flights", levels=3, context="answers:3")
    users = Simulator(task, "test", 0).draw(np.arange(4))
    assert (users.context[[1, 2, 3, 0]] != users.context).any(axis=1).all()
    teacher, other = BayesTeacher(task), users._replace(context=users.context[whose])
    for turn in (2, 2, 3):
        said = []
        for people in (users, other):
            shown = example_transcripts(task, people, np.full(4, turn))
            mine, fresh = (who.act(shown, np.zeros(4)) for who in (teacher, BayesTeacher(task)))
            assert_array_equal(mine.action, fresh.action)
            assert_allclose(mine.action_probs, fresh.action_probs, rtol=0, atol=1e-12)
            assert_allclose(teacher.believe(shown), BayesTeacher(task).believe(shown), atol=1e-12)
            said.append(fresh.action_probs)
        assert abs(said[0][-1] - said[1][-1]).max() > 1e-3  # what was said before matters
