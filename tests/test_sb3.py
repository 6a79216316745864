"""Policies that were trained with plain Stable-Baselines3, in its own words, as agents."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FlattenObservation
from kit import QUESTIONNAIRE, play
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO

from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.agents.networks.forms import form_read_by
from acquaint_gym.agents.sb3 import SB3Agent
from acquaint_gym.envs.contract.play import batch, meet, scalar
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.run import main
from acquaint_gym.train.sb3.env import UserVecEnv

ASKING = "acquaint/Interview-v0"
FEW = {"num_turns": 3}
SMALL = {"n_steps": 6, "batch_size": 6, "n_epochs": 1}
# How it learns, the policy, where, with which arguments of gym.make, and whether flattened.
WAYS: dict[str, tuple[Any, str, str, dict[str, Any], bool, dict[str, Any]]] = {
    "ppo": (PPO, "MultiInputPolicy", QUESTIONNAIRE, {}, False, SMALL),
    "ppo-turn": (PPO, "MultiInputPolicy", QUESTIONNAIRE, {"observation": "turn"}, False, SMALL),
    "a2c-flat": (A2C, "MlpPolicy", QUESTIONNAIRE, {"observation": "turn"}, True, {}),
    "dqn": (DQN, "MlpPolicy", QUESTIONNAIRE, {}, True, {"learning_starts": 4}),
    "qr-dqn": (QRDQN, "MlpPolicy", QUESTIONNAIRE, {}, True, {"learning_starts": 4}),
    "recurrent": (RecurrentPPO, "MlpLstmPolicy", QUESTIONNAIRE, {}, True, SMALL),
    "log-score": (PPO, "MlpPolicy", QUESTIONNAIRE, {"reward": "log_score"}, True, SMALL),
    "maskable": (MaskablePPO, "MultiInputPolicy", ASKING, {}, False, SMALL),
}


def task_arguments(name: str) -> dict[str, Any]:
    arguments = {**FEW, **WAYS[name][3]}
    arguments.pop("observation", None)
    return arguments


@pytest.fixture(scope="module")
def zips(tmp_path_factory) -> dict[str, tuple[str, Any]]:
    """Path of a zip, and the model it was saved from, of each way; trained as their manual says."""
    made = {}
    for name, (kind, policy, env_id, arguments, flat, options) in WAYS.items():
        env = gym.make(env_id, **FEW, **arguments)
        model = kind(policy, FlattenObservation(env) if flat else env, seed=1, **options)
        path = str(tmp_path_factory.mktemp("zips") / f"{name}.zip")
        model.learn(8)
        model.save(path)
        made[name] = path, model
    return made


@pytest.mark.parametrize("name", WAYS)
def test_a_zip_keeps_the_contract_of_agents(name, zips):
    for check in CHECKS:
        check(lambda task: SB3Agent(task, zips[name][0]), WAYS[name][2], **task_arguments(name))


@pytest.mark.parametrize("name", ["ppo", "ppo-turn", "a2c-flat", "log-score"])
def test_its_probabilities_are_those_of_stable_baselines(name, zips):
    path, model = zips[name]
    _, _, env_id, arguments, flat, _ = WAYS[name]
    env = scalar(env_id, **FEW, **arguments)
    agent, many = SB3Agent(env.task, path), batch(env_id, 1, **task_arguments(name))
    seen, transcript = env.reset(seed=4)[0], meet(many, 4)
    for action in (3, 1, 0):
        shown = gym.spaces.flatten(env.observation_space, seen) if flat else seen
        decision = agent.act(transcript, np.zeros(1))
        best, _ = model.predict(shown, deterministic=True)
        if name == "log-score":
            weights = np.maximum((best + 1) / 2, 1e-4)
            expected, best = weights / weights.sum(), int(weights.argmax())
            done = np.eye(5, dtype=np.float32)[action] * 2 - 1
        else:
            with torch.no_grad():
                tensor, _ = model.policy.obs_to_tensor(shown)
                expected = model.policy.get_distribution(tensor).distribution.probs[0].numpy()
            done = action
        np.testing.assert_allclose(decision.action_probs[0], expected, atol=1e-6)
        assert decision.action[0] == best
        seen = env.step(done)[0]
        transcript = Transcript(many.step(np.asarray(done)[None])[0])


def test_a_recurrent_policy_remembers_what_it_was_shown(zips):
    path, model = zips["recurrent"]
    env = batch(QUESTIONNAIRE, 2, **FEW)
    agent, transcript = SB3Agent(env.task, path), meet(env)
    state, space = None, env.single_observation_space
    for turn in range(3):
        shown = np.stack(
            [gym.spaces.flatten(space, dict(transcript.person(row))) for row in range(2)]
        )
        starts = np.full(2, turn == 0)
        best, state = model.predict(shown, state, starts, deterministic=True)
        assert (agent.act(transcript, np.zeros(2)).action == best).all()
        transcript = Transcript(env.step(best)[0])


def test_values_of_actions_state_what_the_training_did(zips):
    path, model = zips["dqn"]
    env = batch(QUESTIONNAIRE, 4, **FEW)
    transcript = meet(env)
    probs = SB3Agent(env.task, path).act(transcript, np.zeros(4)).action_probs
    epsilon = model.exploration_final_eps
    expected = np.sort([epsilon / 5] * 4 + [1 - epsilon + epsilon / 5])
    np.testing.assert_allclose(np.sort(probs, axis=1), np.tile(expected, (4, 1)), atol=1e-12)


def test_one_yaml_line_scores_a_zip(zips, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(f"agent: acquaint_gym.agents.sb3:SB3Agent\npath: {zips['ppo'][0]}\n", "utf-8")
    words = ["--agent", "random", str(file), "--users", "3", "--set", "num_turns=3"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["rows"]
    nll = {row["agent"]: row["mean"] for row in rows if row["metric"] == "nll"}
    trace = play(SB3Agent(scalar(QUESTIONNAIRE, **FEW).task, zips["ppo"][0]), 3, **FEW)
    stated = np.take_along_axis(trace.action_probs, trace.answers[..., None].astype(int), 2)
    assert nll[str(file)] == pytest.approx(-np.log(stated).mean(), abs=1e-6)
    assert main([*words, "--set", "num_turns=4", "--out", str(tmp_path / "other")]) == 2
    assert "conversations of 3 turns, here are 4: --set num_turns=3." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env_id", "arguments", "words"),
    [
        (QUESTIONNAIRE, {"num_turns": 7}, "--set num_turns=3"),
        ("acquaint/Flights-v0", FEW, "the id and the arguments of the training"),
        ("acquaint/Flights-v0", {"num_turns": 3, "context": "traits"}, "--set context=none"),
        ("acquaint/ForcedChoice-v0", FEW, "reads actions [3]"),
    ],
)
def test_another_task_is_refused_with_the_argument_to_set(env_id, arguments, words, zips):
    with pytest.raises(ValueError, match=r"ppo\.zip \(MultiInputActorCriticPolicy\)") as error:
        SB3Agent(scalar(env_id, **arguments).task, zips["ppo"][0])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_zip_is_refused(tmp_path, zips):
    task, broken = scalar(QUESTIONNAIRE, **FEW).task, tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="no zip of Stable-Baselines3"):
        SB3Agent(task, str(broken))
    with pytest.raises(ValueError, match="no such file"):
        SB3Agent(task, str(tmp_path / "nowhere.zip"))
    with pytest.raises(ValueError, match=r"unknown observation 'trun'\. Did you mean 'turn'"):
        SB3Agent(task, zips["ppo"][0], observation="trun")


def test_forms_of_the_same_size_have_to_be_named():
    task = scalar("acquaint/FlightChoice-v0", features=2, num_options=5).task
    space = make_features("turn", task).space
    assert space == make_features("belief", task).space
    with pytest.raises(ValueError, match="view-turn and view-belief are observations of the same"):
        form_read_by(space, task, None, "a.zip")
    assert form_read_by(space, task, "view-belief", "a.zip").space == space


# Many people at once.


def test_one_line_leads_from_make_vec_to_their_vector_environment(tmp_path):
    env = UserVecEnv(gym.make_vec(QUESTIONNAIRE, num_envs=4, autoreset_mode="Disabled", **FEW))
    model = PPO("MultiInputPolicy", env, seed=0, **SMALL)
    model.learn(24)
    assert np.isfinite([episode["r"] for episode in model.ep_info_buffer]).all()
    model.save(tmp_path / "many.zip")
    agent = SB3Agent(scalar(QUESTIONNAIRE, **FEW).task, str(tmp_path / "many.zip"))
    assert play(agent, 2, **FEW).action_probs.shape == (2, 3, 5)


def test_a_vector_environment_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='autoreset_mode="Disabled"'):
        UserVecEnv(gym.make_vec(QUESTIONNAIRE, num_envs=2))
    with pytest.raises(ValueError, match="takes an environment of Acquaint"):
        UserVecEnv(gym.make_vec("CartPole-v1", num_envs=2))
