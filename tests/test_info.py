"""What `reset` and `step` tell beside the observation, alone and side by side."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from kit import QUESTIONNAIRE

from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.contract import check_vector
from acquaint_gym.envs.transcript import Transcript

FLIGHTS, ASKING = "acquaint/FlightChoice-v0", "acquaint/Interview-v0"


def test_a_step_tells_the_person_and_the_hit():
    env = gym.make(QUESTIONNAIRE, num_turns=3)
    _, info = env.reset(seed=5)
    assert info == {"person": 5}
    answers = env.unwrapped.users.answers[0]
    for turn, wrong in enumerate((0, 1, 0)):
        *_, info = env.step(int((answers[turn] + wrong) % 5))
        assert info == {"person": 5, "hit": not wrong}
        assert [type(value) for value in info.values()] == [int, bool]


def test_a_hit_is_the_persons_own_answer_whatever_is_revealed():
    env = gym.make(FLIGHTS, feedback="accept", quirks="skepticism:1", num_turns=2)
    env.reset(seed=1)
    seen, *_, info = env.step(int(env.unwrapped.users.answers[0, 0]))
    assert info["hit"]
    assert seen["answers"][0] == 0  # who accepts nothing


@pytest.mark.parametrize("env_id", [QUESTIONNAIRE, FLIGHTS])
@pytest.mark.parametrize("observation", ["transcript", "turn"])
def test_the_teacher_is_the_agent_bayes_at_every_turn(env_id, observation):
    arguments = {"num_turns": 3, "observation": observation, "teacher_info": True}
    env, whole = gym.make(env_id, **arguments), gym.make_vec(env_id, num_envs=1, num_turns=3)
    bayes = BayesTeacher(env.unwrapped.task)
    _, info = env.reset(seed=2)
    seen, _ = whole.reset(seed=2)
    for turn in range(3):
        expected = bayes.act(Transcript(seen), np.zeros(1)).action_probs[0]
        np.testing.assert_allclose(info["teacher"], expected, atol=1e-12)
        seen = whole.step(np.array([turn % 3]))[0]
        *_, info = env.step(turn % 3)
    assert "teacher" not in info  # nothing is left to predict


@pytest.mark.parametrize("mode", AutoresetMode)
def test_lanes_tell_what_they_tell_alone(mode):
    """In Gymnasium's layout, when they end at different times too."""
    arguments = {"num_turns": 4, "quirks": "impatience:0.4", "teacher_info": True}
    lanes = SyncVectorEnv([lambda: gym.make(QUESTIONNAIRE, **arguments)] * 3, autoreset_mode=mode)
    env = gym.make_vec(QUESTIONNAIRE, num_envs=3, autoreset_mode=mode, **arguments)
    one, many = lanes.reset(seed=7)[1], env.reset(seed=7)[1]
    kinds = set()
    for turn in range(9):
        teachers = [info.pop("teacher", np.zeros(1)) for info in (one, many)]
        np.testing.assert_allclose(*teachers, atol=1e-12)
        for info in (one, many):
            info.get("final_info", {}).pop("teacher", None)
        assert data_equivalence(one, many, exact=True), (turn, one, many)
        kinds |= {key for key in many if not key.startswith("_")}
        action = np.full(3, turn % 5)
        *_, ended, left, one = lanes.step(action)
        many = env.step(action)[-1]
        over = ended | left
        if mode is AutoresetMode.DISABLED and over.any():
            lanes.reset(options={"reset_mask": over.copy()})
            env.reset(options={"reset_mask": over.copy()})
    assert {"person", "hit"} <= kinds
    assert ("final_info" in kinds) == (mode is AutoresetMode.SAME_STEP)


def test_the_contract_holds_with_the_teacher_off_and_where_agents_ask():
    check_vector(QUESTIONNAIRE, num_turns=3)
    env = gym.make(ASKING, num_turns=2)
    env.reset(seed=0)
    assert env.step(3)[-1] == {"person": 0}
    with pytest.raises(ValueError, match="agents ask here, so that the teacher predicts no answer"):
        gym.make(ASKING, teacher_info=True)
