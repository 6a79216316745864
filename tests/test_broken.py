"""The testers tested: both contracts let the innocent pass, and each check catches its culprits."""

from __future__ import annotations

import gymnasium as gym
import pytest
from broken import CULPRITS, Culprit, Masked, Timed, Toy, Varying
from broken_agents import BAD_AGENTS, BadAgent

import acquaint_gym.agents.contract as agent_contract
import acquaint_gym.envs.contract as contract
from acquaint_gym.agents.baselines import PriorAgent, RandomAgent
from acquaint_gym.agents.teacher import BayesTeacher

INNOCENT = {
    "toy": (Toy, {}),
    "stated": (Toy, {"reward": "log_score"}),
    "one-turn": (Toy, {"num_turns": 1}),
    "masked": (Masked, {}),
    "masked-stated": (Masked, {"reward": "log_score"}),
    "timed": (Timed, {}),
    "varying": (Varying, {}),
    "varying-stated": (Varying, {"reward": "log_score"}),
}


def innocent(task: type) -> Culprit:
    return Culprit(contract.check_manual, "", task)


@pytest.mark.parametrize(("task", "settings"), INNOCENT.values(), ids=INNOCENT.keys())
def test_innocent_tasks_pass(task, settings):
    with innocent(task).registered() as env_id:
        for check in contract.CHECKS:
            check(env_id, **settings)


@pytest.mark.parametrize(("task", "settings"), INNOCENT.values(), ids=INNOCENT.keys())
def test_innocent_agents_pass(task, settings):
    # Who predicts answers knows nothing of actions that are ruled out.
    innocents = [RandomAgent] if task is Masked else [RandomAgent, PriorAgent, BayesTeacher]
    with innocent(task).registered() as env_id:
        for agent in innocents:
            for check in agent_contract.CHECKS:
                check(agent, env_id, **settings)


@pytest.mark.parametrize("culprit", CULPRITS, ids=lambda c: f"{c.check.__name__}-{c.name}")
def test_culprit_is_caught(culprit: Culprit):
    with culprit.registered() as env_id, pytest.raises(AssertionError) as caught:
        culprit.check(env_id)
    assert culprit.words in str(caught.value)


@pytest.mark.parametrize(
    "culprit", BAD_AGENTS, ids=lambda c: f"{c.check.__name__}-{c.agent.__name__}"
)
def test_bad_agent_is_caught(culprit: BadAgent):
    with (
        innocent(culprit.task).registered() as env_id,
        pytest.raises(AssertionError, match=f"^{culprit.agent.__name__}: ") as caught,
    ):
        culprit.check(culprit.agent, env_id)
    assert culprit.words in str(caught.value)


def test_no_check_without_culprit():
    assert {culprit.check for culprit in CULPRITS} == set(contract.CHECKS)
    assert {culprit.check for culprit in BAD_AGENTS} == set(agent_contract.CHECKS)
    assert (len(CULPRITS), len(BAD_AGENTS)) == (70, 23)


def test_culprits_leave_no_trace():
    assert not [env_id for env_id in gym.registry if env_id.startswith("broken/")]
