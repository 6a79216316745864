"""The environment contract, for everything registered, in several settings."""

from __future__ import annotations

import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from broken import Masked, Toy
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from kit import generator, respondents
from registered import ENVIRONMENTS, cases, ids, words

from acquaint_gym.envs.contract import CHECKS, RESPONDENT_CHECKS
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.interviews.task import GOALS
from acquaint_gym.envs.registration import task_class

QUESTIONNAIRE = "acquaint/Questionnaire-v0"
OPTIONS = "acquaint/FlightChoice-v0"
FLIGHTS = "acquaint/Flights-v0"
INTERVIEW = "acquaint/Interview-v0"

# Beside the defaults, which every environment is checked with.
SETTINGS: dict[str, list[dict[str, object]]] = {
    FLIGHTS: [
        {"feedback": "choice", "context": "traits"},
        {"context": "answers:10", "parameters": "human", "num_turns": 3},
        {
            "quirks": "skepticism:0.3+careless:0.1",
            "context": "acquaint/ForcedChoice-v0:3",
            "levels": 3,
        },
        {"mapping": {"everyone": {"price": -1.0}, "Openness": {"price": 0.5}}, "levels": 3},
    ],
    "acquaint/ForcedChoice-v0": [
        {"parameters": "human", "reward": "log_score", "num_turns": 4},
        {"context": "acquaint/Flights-v0:2", "num_turns": 4},
    ],
    "acquaint/ShopChoice-v0": [{"feedback": "accept", "num_options": 2}],
    "acquaint/SingleTraitOpenness-v0": [{"feedback": "choice", "context": "answers:5"}],
    OPTIONS: [
        {"feedback": "accept"},
        {"quirks": "careless:0.2+impatience:0.2"},
        {"features": 2, "num_turns": 3},
        {"features": 8, "num_turns": 2, "num_options": 4},
        {"likelihood": "softmax", "rule": "vote", "reward": "log_score", "num_turns": 3},
    ],
    "acquaint/Identify-v0": [{"num_raters": 60, "width": 0.7, "reward": "unasked", "num_turns": 4}],
    INTERVIEW: [
        {"parameters": "human", "num_turns": 4},
        {"allow_stop": True, "cost": 0.02, "reward": "unasked", "num_turns": 5},
        {"questionnaire": "bfi25", "parameters": "human", "reward": "traits", "num_turns": 25},
    ],
    QUESTIONNAIRE: [
        {"reward": "log_score", "num_turns": 7},
        {"order": "shuffled", "num_turns": 7},
        {"order": "shuffled", "reward": "log_score", "posterior": "joint", "num_turns": 3},
        {"num_turns": 1},
        {"levels": 3},
        {"levels": 2, "num_turns": 5},
        {"posterior": "joint", "num_turns": 10},
        {"parameters": "human", "num_turns": 10},
        {"questionnaire": "bfi25", "parameters": "human"},
        {"population": "classes", "num_turns": 6},
        {"split": "test", "suite_seed": 7, "num_turns": 5},
        {"context": "traits", "num_turns": 5},
        {"quirks": "acquiescence:1+extremity:-0.5", "num_turns": 5, "wording": 1},
        {"quirks": "impatience:0.2", "num_turns": 6},
        {"option_order": "reversed", "labels": "letters", "wording": 2, "num_turns": 3},
    ],
}


def test_nothing_vanished():
    assert len(ids()) == ENVIRONMENTS
    assert set(SETTINGS) <= set(ids())
    assert len(cases(SETTINGS)) == ENVIRONMENTS + sum(map(len, SETTINGS.values()))
    assert {env_id for env_id, _ in cases(SETTINGS)} == set(ids())


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize(("env_id", "settings"), cases(SETTINGS), ids=words)
def test_contract(check, env_id, settings):
    check(env_id, **settings)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Nine people, of whom most left out some items and one answered a single one."""
    answers = generator(5).integers(1, 6, (9, 50))
    for row in range(8):
        answers[row, :: row + 3] = 0
    answers[3] = 0
    answers[3, 17] = 4
    return respondents(tmp_path_factory.mktemp("respondents") / "people.csv", answers)


@pytest.mark.parametrize("check", RESPONDENT_CHECKS, ids=words)
@pytest.mark.parametrize(
    "settings", [{"split": "all"}, {"split": "all", "order": "shuffled", "num_turns": 6}], ids=words
)
def test_contract_with_respondents(check, settings, ragged):
    check(QUESTIONNAIRE, respondents=ragged, **settings)


def test_respondents_are_ragged(ragged):
    env = gym.make_vec(QUESTIONNAIRE, num_envs=9, respondents=ragged, split="all")
    env.reset(options={"person": np.arange(9)})
    assert env.unwrapped.users.length.tolist() == [33, 37, 40, 1, 42, 43, 44, 45, 50]


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """Nine people, of whom one left out an item: nobody can ask them everything."""
    answers = generator(6).integers(1, 6, (9, 50))
    answers[4, 20] = 0
    return respondents(tmp_path_factory.mktemp("complete") / "people.csv", answers)


@pytest.mark.parametrize("check", RESPONDENT_CHECKS, ids=words)
@pytest.mark.parametrize("reward", GOALS)
def test_contract_of_interviews_with_respondents(check, reward, complete):
    check(INTERVIEW, respondents=complete, split="all", num_turns=4, reward=reward)


def test_only_who_answered_all_can_be_interviewed(complete, tmp_path):
    env = gym.make_vec(INTERVIEW, num_envs=2, respondents=complete, split="all")
    assert env.unwrapped.num_people == 8
    env.reset(seed=0)
    assert (env.unwrapped.users.answers >= 0).all()
    nobody, lines = tmp_path / "nobody.csv", Path(complete).read_text().splitlines()
    nobody.write_text("\n".join([lines[0], lines[5]]))
    with pytest.raises(ValueError, match="no respondent in split 'all' who answered every item"):
        gym.make_vec(INTERVIEW, num_envs=2, respondents=str(nobody), split="all")


def forms() -> list[tuple[str, dict[str, str]]]:
    """Every environment with both forms of observation and all kinds of reward."""
    return [
        (env_id, {"observation": observation, "reward": reward})
        for env_id in ids()
        for observation in ("transcript", "turn")
        for reward in rewards(env_id)
    ]


def rewards(env_id: str) -> tuple[str, ...]:
    """What an environment can be asked to pay for; without traits there is no error in theta."""
    if not task_class(env_id).agent_asks:
        return ("accuracy", "log_score")
    task = gym.make_vec(env_id, num_envs=1).unwrapped.task
    return GOALS if task.population.grid is not None else GOALS[:2]


@pytest.mark.parametrize(("env_id", "settings"), forms(), ids=words)
def test_stable_baselines_checker(env_id, settings):
    from stable_baselines3.common.env_checker import check_env

    env = gym.make(env_id, disable_env_checker=True, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize(("env_id", "settings"), forms(), ids=words)
def test_ppo_learns_a_little(env_id, settings):
    from stable_baselines3 import PPO

    env = gym.make(env_id, **settings)
    model = PPO("MultiInputPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0)
    before = [weights.detach().clone() for weights in model.policy.parameters()]
    model.learn(total_timesteps=128)
    assert model.num_timesteps == 128
    assert model.ep_info_buffer
    moved = zip(before, model.policy.parameters(), strict=True)
    assert all(weights.isfinite().all() for weights in model.policy.parameters())
    assert any((old != new).any() for old, new in moved)


@pytest.mark.parametrize("env_id", ids())
def test_episode_statistics(env_id):
    env = RecordEpisodeStatistics(gym.make_vec(env_id, num_envs=3))
    env.reset(seed=0)
    turns, asks = env.unwrapped.task.num_turns, env.unwrapped.task.agent_asks
    first, earned = env.unwrapped.interview_stats(), np.zeros(3)
    for _ in range(turns):
        _, reward, over, _, info = env.step(np.ones(3, dtype=np.int64))
        earned += reward
    assert over.all()
    assert info["episode"]["l"].tolist() == [turns] * 3
    np.testing.assert_allclose(info["episode"]["r"], earned)
    if asks:  # the log score is the first of what was found
        expected = (env.unwrapped.interview_stats() - first)[:, 0]
    else:
        expected = (env.unwrapped.users.answers == 1).sum(axis=1)
    np.testing.assert_allclose(earned, expected, rtol=0, atol=1e-7)


def test_a_task_with_a_rule_of_its_own_restricts_actions_and_says_so():
    """Whoever overrides `legal` has nothing to declare, and cannot forget to."""
    classes = {task_class(env_id) for env_id in ids()} | {Toy, Masked}
    for one in classes:
        assert one.restricts_actions == (one.legal is not UserTask.legal), one
    assert Masked.restricts_actions
    assert not Toy.restricts_actions
    assert {one.__name__ for one in classes if one.agent_asks} == {"Interview", "Identify"}
    assert all(one.restricts_actions for one in classes if one.agent_asks)
