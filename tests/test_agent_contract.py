"""The agent contract, for every agent of `configs/agents` on everything registered."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from registered import cases, ids, words

from agents.contract import CHECKS
from agents.core import Agent
from agents.registry import agent_names, parse_agent
from envs.core import Users, UserTask
from eval.clairvoyant import Clairvoyant

AGENTS = 6
ENVIRONMENTS = 3

# Beside the defaults, on the environments that take these arguments.
SETTINGS = {
    "acquaint/Questionnaire-v0": [
        {"order": "shuffled", "num_turns": 8},
        {"form": "joint", "num_turns": 6},
        {"reward": "log_score", "num_turns": 3},
        {"population": "classes", "num_turns": 6},
        {"num_turns": 1},
    ]
}


class ToldTheSame(Clairvoyant):
    """Told that everybody is of the first type: then it is a function of transcripts too."""

    def act(self, observation, uniform):
        num, turns = observation["answers"].shape
        levels = np.repeat(self.task.population.levels[:1], num, axis=0)
        empty = np.zeros((num, turns))
        users = Users(np.arange(num), levels, empty[..., None], empty, empty[:, 0])
        self.look_at(users, self.task)
        return super().act(observation, uniform)


def build(name: str, task: UserTask) -> Agent:
    """The agent of a config, on this very task."""
    agent = parse_agent(name, []).build(lambda: task, {})
    return ToldTheSame(task) if isinstance(agent, Clairvoyant) else agent


def test_nothing_vanished():
    assert len(agent_names()) == AGENTS
    assert len(ids()) == ENVIRONMENTS
    assert set(SETTINGS) <= set(ids())


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize(("env_id", "settings"), cases(SETTINGS), ids=words)
@pytest.mark.parametrize("name", agent_names())
def test_contract(name, check, env_id, settings):
    check(lambda task: build(name, task), env_id, **settings)


@pytest.mark.parametrize("env_id", ids())
def test_clairvoyant_goes_by_the_person(env_id):
    """The one agent that may: its decision follows the levels it was told, row by row."""
    env = gym.make_vec(env_id, num_envs=6).unwrapped
    shown, _ = env.reset(seed=0)
    agent = Clairvoyant(env.task)
    agent.look_at(env.users, env.task)
    decision = agent.act(shown, np.zeros(6))
    order = np.array([3, 1, 5, 0, 4, 2])
    known = env.task.model.probs(env.users.levels, env.users.stimuli[:, 0])
    np.testing.assert_allclose(decision.action_probs, known, rtol=1e-12)
    agent.look_at(Users(*(part[order] for part in env.users)), env.task)
    moved = agent.act({key: value[order] for key, value in shown.items()}, np.zeros(6))
    np.testing.assert_array_equal(moved.action_probs, decision.action_probs[order])
    np.testing.assert_array_equal(moved.action, decision.action[order])
    assert len(np.unique(decision.action_probs, axis=0)) > 1
    assert decision.belief is None
    assert agent.believe(shown) is None
