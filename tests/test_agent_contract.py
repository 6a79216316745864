"""The agent contract, for every agent of `configs/agents` on everything registered."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from registered import (
    AGENTS,
    ENVIRONMENTS,
    at_hand,
    cases,
    from_the_hub,
    ids,
    to_be_trained,
    words,
)

from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.registry import agent_names, parse_agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import task_class
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.eval.oracles.clairvoyant import Clairvoyant
from acquaint_gym.eval.oracles.hindsight import Hindsight

# The six models of the study and their adapters: their weights are on the hub, or to be trained.
FROM_THE_HUB = 13
TO_BE_TRAINED = 4  # gru, ppo-flightchoice, ppo-interview, ppo-questionnaire
# Agents that cannot be had on an environment: `cheapest` where nothing has a price (three
# environments and five settings of one of them), `shortest` where nothing takes time (and one);
# who predicts (7 agents) where agents ask (4 cases), and who asks (6) where they predict (16);
# `fisher`, and the short form of another questionnaire, where raters are the hypotheses.
REFUSED = 8 + 9 + 7 * 4 + 6 * 16 + 1
# The agents of the shipped language models, two and the teacher's, are slow and meet one
# environment here.
LANGUAGE_MODELS = 3
FOR_LANGUAGE_MODELS: list[tuple[str, dict[str, object]]] = [
    ("acquaint/Questionnaire-v0", {"reward": "log_score", "num_turns": 3}),
]

# Beside the defaults, on the environments that take these arguments.
SETTINGS = {
    "acquaint/Questionnaire-v0": [
        {"order": "shuffled", "num_turns": 8},
        {"posterior": "joint", "num_turns": 6},
        {"reward": "log_score", "num_turns": 3},
        {"population": "classes", "num_turns": 6},
        {"num_turns": 1},
    ],
    "acquaint/Interview-v0": [
        {"parameters": "human", "num_turns": 4},
        {"allow_stop": True, "cost": 0.3, "num_turns": 4},
    ],
}


class ToldTheSame(Clairvoyant):
    """Told that everybody is of the first type: then it is a function of transcripts too."""

    def act(self, observation, uniform):
        num = len(observation["answers"])
        nothing = dict.fromkeys(Users._fields, np.zeros((num, 0)))
        levels = np.repeat(self.task.population.levels[:1], num, axis=0)
        self.observe_truth(Users(**{**nothing, "levels": levels}), self.task)
        return super().act(observation, uniform)


class PlannedTheSame(Hindsight):
    """Told that everybody is of the first type and gives the lowest answer to everything."""

    def act(self, observation, uniform):
        num, task = len(observation["answers"]), self.task
        known = dict.fromkeys(Users._fields, np.zeros((num, 0)))
        known |= {
            "person": np.arange(num),
            "levels": np.repeat(task.population.levels[:1], num, axis=0),
            "answers": np.zeros((num, task.num_stimuli), dtype=np.int8),
            "length": np.full(num, task.num_turns),
        }
        self.observe_truth(Users(**known), task)
        return super().act(observation, uniform)


STUBS = {Clairvoyant: ToldTheSame, Hindsight: PlannedTheSame}


def build(name: str, task: UserTask) -> Agent:
    """The agent of a config, on this very task; networks in as many digits as everything else."""
    exact = f"{name}:dtype=float64" if is_language_model(name) else name
    agent = parse_agent(exact, []).build(lambda **_: task, {})
    return STUBS[type(agent)](task) if type(agent) in STUBS else agent


def is_language_model(name: str) -> bool:
    return "model" in parse_agent(name, []).arguments


def sorted_out() -> tuple[list[tuple[Any, ...]], dict[tuple[Any, ...], str]]:
    """Agents with the environments they can be had on, and the others with what they say."""
    fit, refused = [], {}
    for env_id, settings in cases(SETTINGS):
        task = gym.make_vec(env_id, num_envs=1, **settings).unwrapped.task
        for name in at_hand():
            if is_language_model(name) and (env_id, settings) not in FOR_LANGUAGE_MODELS:
                continue
            try:
                build(name, task)
            except ValueError as error:
                refused[name, env_id, words(settings)] = str(error)
            else:
                fit.append((name, env_id, settings))
    return fit, refused


FIT, NOT_FIT = sorted_out()


def test_nothing_vanished():
    assert len(at_hand()) == AGENTS
    assert len(agent_names()) == AGENTS + FROM_THE_HUB + TO_BE_TRAINED
    assert len(ids()) == ENVIRONMENTS
    assert set(SETTINGS) <= set(ids())
    assert len(NOT_FIT) == REFUSED
    assert [is_language_model(name) for name in at_hand()].count(True) == LANGUAGE_MODELS
    everywhere = (AGENTS - LANGUAGE_MODELS) * len(cases(SETTINGS)) - REFUSED
    assert len(FIT) == everywhere + LANGUAGE_MODELS * len(FOR_LANGUAGE_MODELS)


def test_who_is_refused_is_told_why_in_a_line():
    asking = {env_id for env_id in ids() if task_class(env_id).agent_asks}
    for (name, env_id, _), message in NOT_FIT.items():
        assert "\n" not in message
        if env_id not in asking and name in ("cheapest", "shortest"):
            assert "has no options with a '" in message
            assert message.endswith("leave it out here.")
        elif name == "fisher" and env_id in asking:
            assert message == "fisher: Identify: no graded items here; take infomax."
        elif env_id in asking:
            assert "agents ask here, this one predicts" in message
            assert message.endswith("take another, e.g. infomax.")
        else:
            assert "agents predict answers here, this one chooses" in message
            assert message.endswith("take another, e.g. bayes.")
    assert {env_id for name, env_id, _ in NOT_FIT if name == "infomax"} == set(ids()) - asking
    assert not [name for name, *_ in NOT_FIT if name == "random"]


@pytest.mark.parametrize("name", [*from_the_hub(), *to_be_trained()])
def test_who_has_no_weights_is_told_how_to_get_them(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("acquaint_gym.envs.files.SHIPPED", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    task = gym.make_vec("acquaint/Questionnaire-v0", num_envs=1).unwrapped.task
    with pytest.raises(ValueError, match=r"hf download|(it|them) with: python -m") as refused:
        build(name, task)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize(("name", "env_id", "settings"), FIT, ids=words)
def test_contract(name, check, env_id, settings):
    check(lambda task: build(name, task), env_id, **settings)


@pytest.mark.parametrize("env_id", [key for key in ids() if not task_class(key).agent_asks])
def test_clairvoyant_goes_by_the_person(env_id):
    """The one agent that may: its decision follows the levels it was told, row by row."""
    env = gym.make_vec(env_id, num_envs=6).unwrapped
    shown = Transcript(env.reset(seed=0)[0])
    agent = Clairvoyant(env.task)
    agent.observe_truth(env.users, env.task)
    decision = agent.act(shown, np.zeros(6))
    order = np.array([3, 1, 5, 0, 4, 2])
    known = env.task.model.probs(env.users.levels, env.users.stimuli[:, 0])
    np.testing.assert_allclose(decision.action_probs, known, rtol=1e-12)
    agent.observe_truth(Users(*(part[order] for part in env.users)), env.task)
    moved = agent.act(shown.rows(order), np.zeros(6))
    np.testing.assert_array_equal(moved.action_probs, decision.action_probs[order])
    np.testing.assert_array_equal(moved.action, decision.action[order])
    assert len(np.unique(decision.action_probs, axis=0)) > 1
    assert decision.belief is None
    assert agent.believe(shown) is None
