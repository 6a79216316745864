"""Policies of Stable-Baselines3: what they read, how they learn, what they are as agents."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from gymnasium.vector import AutoresetMode
from kit import ROOT, call
from rich.console import Console
from safetensors.numpy import load_file
from sb3_contrib.common.maskable.utils import get_action_masks

from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.networks.features import VIEWS, make_features
from acquaint_gym.agents.networks.policy import PolicyAgent
from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.run import main as evaluate
from acquaint_gym.eval.runs.command import InputError
from acquaint_gym.train import rl_bench
from acquaint_gym.train.rl import main, plan
from acquaint_gym.train.sb3.env import UserVecEnv
from acquaint_gym.train.sb3.recipe import RLRecipe
from acquaint_gym.train.sb3.training import Training

ITEMS, FLIGHTS = "acquaint/Questionnaire-v0", "acquaint/FlightChoice-v0"
ASKING = "acquaint/Interview-v0"
# Each way of learning, with each view somewhere.
WAYS = {
    "ppo": {"env": ITEMS, "view": "belief", "n_steps": 10, "batch_size": 20},
    "ppo-transcript": {"env": FLIGHTS, "view": "transcript", "n_steps": 6, "batch_size": 24},
    "recurrent_ppo": {"env": ITEMS, "view": "turn", "n_steps": 10, "batch_size": 20, "memory": 8},
    "maskable_ppo": {"env": ASKING, "view": "belief", "n_steps": 10, "batch_size": 20},
    "dqn": {"env": FLIGHTS, "view": "belief", "learning_starts": 8, "buffer_size": 64},
}
TURNS = {"settings": {"num_turns": 5}}
SMALL = {"num_envs": 4, "eval_steps": 40, "eval_users": 6, "net_arch": [8], "n_epochs": 1}


def recipe_of(way: str, out: Path, **changes):
    given = {**SMALL, **TURNS, "total_steps": 80, **WAYS[way], **changes}
    if way == "dqn":
        del given["n_epochs"]
    return RLRecipe.parse({"algo": way.partition("-")[0], "out": str(out), **given}, "a test")


def run_of(way: str, out: Path, **changes) -> Training:
    return plan(recipe_of(way, out, **changes), False, Console(quiet=True))


@pytest.fixture(scope="module", params=WAYS)
def trained(request, tmp_path_factory) -> Training:
    """A finished run of each way of learning, with its policy still in memory."""
    run = run_of(request.param, tmp_path_factory.mktemp(request.param))
    run.run()
    return run


def people(env_id: str, num: int, **settings):
    """A task, and people who are complete from the start."""
    env = gym.make_vec(env_id, num_envs=num, **settings).unwrapped
    env.reset(seed=3)
    return env.task, env.users


def lanes(env_id: str, view: str, num: int = 5, **settings):
    """Our environment, and Stable-Baselines3's on top of it."""
    env = gym.make_vec(
        env_id, num_envs=num, autoreset_mode=AutoresetMode.DISABLED, **settings
    ).unwrapped
    return env, UserVecEnv(env, make_features(view, env.task))


# Views.


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        (ITEMS, {"order": "shuffled", "num_turns": 8}),
        (ITEMS, {"parameters": "human", "num_turns": 4}),
        (FLIGHTS, {"feedback": "accept"}),
        ("acquaint/Flights-v0", {"context": "answers:3"}),
        ("acquaint/ForcedChoice-v0", {}),
    ],
)
def test_a_view_is_a_function_of_the_transcript(view, env_id, settings):
    task, users = people(env_id, 6, **settings)
    kept = make_features(view, task)
    order = np.array([4, 1, 5, 0, 3, 2])
    for turn in (0, 1, 2, 2, users.length - 1, users.length, np.array([0, 1, 2, 3, 1, 0]), 1):
        shown = example_transcripts(task, users, np.broadcast_to(turn, 6))
        numbers = kept.numbers(shown)
        fresh = make_features(view, task).numbers(shown.rows(order))
        np.testing.assert_allclose(numbers[order], fresh, rtol=0, atol=1e-12)
        assert gym.vector.utils.batch_space(kept.space, 6).contains(kept.observe(shown))


def test_belief_is_the_teachers_beside_the_item_and_the_share_of_turns():
    task, users = people(ITEMS, 6, order="shuffled", num_turns=8)
    view, teacher = make_features("belief", task), BayesTeacher(task)
    for turn in (0, 3, 7):
        shown = example_transcripts(task, users, np.full(6, turn))
        marginals, share, item = np.split(view.numbers(shown), [25, 26], axis=1)
        np.testing.assert_allclose(
            marginals.reshape(6, 5, 5), teacher.believe(shown), rtol=0, atol=1e-12
        )
        assert (share == turn / 8).all()
        np.testing.assert_array_equal(item.argmax(axis=1), shown.present_stimulus[:, 0])
        assert (item.sum(axis=1) == 1).all()
    over = view.numbers(example_transcripts(task, users, np.full(6, 8)))
    assert not over[:, 26:].any()
    assert (over[:, 25] == 1).all()


def test_this_turn_shows_the_last_action_and_answer_and_scaled_options():
    task, users = people(FLIGHTS, 6)
    shown = example_transcripts(task, users, np.full(6, 2))
    numbers = make_features("turn", task).numbers(shown)
    np.testing.assert_array_equal(numbers[:, :3].argmax(axis=1), shown["actions"][:, 1])
    np.testing.assert_array_equal(numbers[:, 3:6].argmax(axis=1), shown["answers"][:, 1])
    assert (numbers[:, :6].sum(axis=1) == 2).all()
    np.testing.assert_allclose(numbers[:, 7:], shown.present_stimulus)
    first = make_features("turn", task).numbers(
        example_transcripts(task, users, np.zeros(6, dtype=int))
    )
    assert not first[:, :6].any()


def test_where_the_agent_asks_it_sees_what_is_left():
    _, sb3 = lanes(ASKING, "belief")
    sb3.reset()
    shown, *_ = sb3.step(np.array([7, 3, 0, 49, 7]))
    assert (shown[:, 25] == np.float32(0.1)).all()
    left = shown[:, 26:]
    np.testing.assert_array_equal(left.argmin(axis=1), [7, 3, 0, 49, 7])
    assert (left.sum(axis=1) == 49).all()
    np.testing.assert_array_equal(left, get_action_masks(sb3))
    assert np.ptp(shown[[0, 4], :25]) > 0


def test_earlier_turns_are_what_was_shown_then():
    for env_id in (ITEMS, FLIGHTS):
        task, users = people(env_id, 6)
        late, turn = example_transcripts(task, users, users.length), np.array([0, 1, 2, 3, 4, 5])
        then = example_transcripts(task, users, turn)
        for key, value in late.at(turn, task).items():
            np.testing.assert_array_equal(value, then[key], err_msg=key)


def test_thousands_of_unordered_types_are_refused():
    task, _ = people(ITEMS, 1, population="classes", num_turns=2)
    with pytest.raises(ValueError, match=r"view=belief: .* view=turn or view=transcript"):
        make_features("belief", task)
    assert make_features("turn", task).space.shape == (5 + 5 + 1 + 50,)


# Our environments as Stable-Baselines3's.


@pytest.mark.parametrize("view", VIEWS)
def test_lanes_are_the_scalar_environments_and_reset_at_once(view):
    _, sb3 = lanes(FLIGHTS, view, 3, quirks="impatience:0.4")
    sb3.seed(11)
    shown = sb3.reset()
    single = [gym.make(FLIGHTS, quirks="impatience:0.4") for _ in range(3)]
    task = single[0].unwrapped.task
    alone = [env.reset(seed=11 + lane)[0] for lane, env in enumerate(single)]
    earned, ended, left = np.zeros(3), 0, 0

    def seen(observation):
        return make_features(view, task).observe(Transcript(as_batch(observation)))

    def as_batch(observation):
        return {key: part[None] for key, part in observation.items()}

    def same(ours, lane, theirs):
        if isinstance(ours, dict):
            return all(np.array_equal(ours[key][lane], theirs[key][0]) for key in theirs)
        return np.allclose(ours[lane], theirs[0], rtol=0, atol=1e-6)

    for step in range(14):
        assert all(same(shown, lane, seen(alone[lane])) for lane in range(3))
        shown, reward, over, infos = sb3.step(np.full(3, step % 3))
        for lane, env in enumerate(single):
            alone[lane], gain, terminated, truncated, _ = env.step(step % 3)
            earned[lane] += gain
            assert (reward[lane], over[lane]) == (gain, terminated or truncated)
            if not over[lane]:
                assert infos[lane] == {}
                continue
            last = infos[lane].pop("terminal_observation")
            batched = as_batch(last) if view == "transcript" else last[None]
            assert same(batched, 0, seen(alone[lane]))
            assert infos[lane]["episode"]["r"] == earned[lane]
            assert infos[lane]["episode"]["l"] == alone[lane]["turn"][0]
            assert infos[lane]["TimeLimit.truncated"] == truncated
            ended, left, earned[lane] = ended + 1, left + truncated, 0
            alone[lane], _ = env.reset()
    assert 0 < left < ended


def test_attributes_are_read_for_all_lanes_and_not_set():
    env, sb3 = lanes(ITEMS, "turn")
    assert sb3.get_attr("num_people", [0, 2]) == [None, None]
    assert sb3.env_is_wrapped(gym.Wrapper) == [False] * 5
    np.testing.assert_array_equal(sb3.env_method("action_masks", indices=1), [[True] * 5])
    with pytest.raises(AttributeError, match="argument of the environment"):
        sb3.set_attr("task", None)
    with pytest.raises(ValueError, match='autoreset_mode="Disabled"'):
        UserVecEnv(gym.make_vec(ITEMS, num_envs=2).unwrapped, make_features("turn", env.task))


# Training.


def test_a_run_leaves_the_best_policy_and_its_curve(trained):
    out, recipe = trained.folder.path, trained.recipe
    made = json.loads((out / "policy.json").read_text())
    assert made["recipe"] == recipe.plain() == yaml.safe_load((out / "recipe.yaml").read_text())
    with (out / "learning_curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["agent"] for row in rows[:2]] == ["random", trained.task.teacher]
    ours = {int(row["steps"]): float(row["mean"]) for row in rows if row["agent"] == "policy"}
    assert next(iter(ours)) == 0
    assert len(ours) == 3
    assert max(ours) >= 80
    assert made["dev"]["mean"] == ours[made["steps"]] == max(ours.values())
    assert (out / "learning_curve.png").stat().st_size > 5000
    figures = (out / "progress-0.csv").read_text()
    assert "dev/mean" in figures
    assert "rollout/ep_rew_mean" in figures
    # Nothing that would have to be unpickled.
    assert not list(out.rglob("*.zip"))
    assert all(torch.load(file, weights_only=True) for file in out.rglob("state.pt"))


def test_the_agent_is_the_policy(trained):
    """Stable-Baselines3's own network, stepped through conversations, against ours."""
    run, task = trained, trained.task
    last = run.checkpoints()[-1]
    agent, policy = PolicyAgent(task, str(last)), run.model.policy
    env, view = gym.make_vec(run.recipe.env, num_envs=6, **run.recipe.settings), None
    observation, _ = env.reset(seed=5)
    view, state = make_features(run.recipe.view, task), None
    for turn in range(task.num_turns):
        transcript = Transcript(observation)
        legal = task.legal(transcript)
        decision = agent.act(transcript, np.zeros(6))
        shown, _ = policy.obs_to_tensor(view.observe(transcript))
        with torch.no_grad():
            if hasattr(policy, "q_net"):
                values = policy.q_net(shown).numpy()
                np.testing.assert_array_equal(decision.action, values.argmax(axis=1))
                greedy = 1 - run.model.exploration_final_eps
                expected = np.full_like(values, (1 - greedy) / 3)
                expected[np.arange(6), values.argmax(axis=1)] += greedy
            elif hasattr(policy, "lstm_actor"):
                if state is None:
                    state = tuple(torch.zeros(1, 6, 8) for _ in range(2))
                begins = torch.zeros(6)
                found, state = policy.get_distribution(shown, state, begins)
                expected = found.distribution.probs.numpy()
            elif run.recipe.algo == "maskable_ppo":
                expected = policy.get_distribution(shown, legal).distribution.probs.numpy()
            else:
                expected = policy.get_distribution(shown).distribution.probs.numpy()
        np.testing.assert_allclose(decision.action_probs, expected, rtol=0, atol=2e-6)
        observation, *_ = env.step((np.arange(6) + turn) % len(task.actions))
    assert load_file(last / "policy.safetensors")["layer0.weight"].dtype == np.float32


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, trained):
    path = str(trained.folder.path)
    check(lambda task: PolicyAgent(task, path), trained.recipe.env, **trained.recipe.settings)


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    changes = {"total_steps": 120, "learning_rate": "lin_1e-2", "clip_range": 0.3}
    whole = run_of("ppo", tmp_path / "whole", **changes)
    whole.run()
    broken = run_of("ppo", tmp_path / "broken", **changes)
    evaluated = broken.evaluator

    def interrupted(folder):
        if folder.name == "checkpoint-80":
            raise KeyboardInterrupt
        return evaluated(folder)

    monkeypatch.setattr(broken, "evaluator", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    assert [folder.name for folder in broken.checkpoints()] == ["checkpoint-0", "checkpoint-40"]
    assert not (tmp_path / "broken" / "policy.json").exists()
    run_of("ppo", tmp_path / "broken", **changes).run()
    for name in ("checkpoint-80", "checkpoint-120"):
        ours, theirs = (
            load_file(tmp_path / way / name / "policy.safetensors") for way in ("broken", "whole")
        )
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value, err_msg=f"{name} {key}")
    moved = load_file(tmp_path / "whole" / "checkpoint-40" / "policy.safetensors")
    assert not np.array_equal(moved["layer0.weight"], theirs["layer0.weight"])
    curves = [(tmp_path / way / "learning_curve.csv").read_text() for way in ("broken", "whole")]
    assert curves[0] == curves[1]


def test_it_learns(tmp_path):
    """From five answers at random to well beyond, in seconds."""
    run = run_of(
        "ppo",
        tmp_path,
        env=ITEMS,
        settings={"num_turns": 10, "parameters": "study"},
        num_envs=64,
        total_steps=12_800,
        eval_steps=12_800,
        eval_users=400,
        n_steps=10,
        batch_size=64,
        n_epochs=4,
        net_arch=[32],
        learning_rate=5e-3,
        gamma=0.0,
        gae_lambda=0.0,
        ent_coef=0.02,
    )
    run.run()
    made = json.loads((tmp_path / "policy.json").read_text())["dev"]
    assert made["low"] > run.evaluator.beside["random"]["high"] + 0.5


def test_wandb_is_written_to_offline_when_asked(tmp_path, monkeypatch):
    # It remembers the folder of an earlier run in this process.
    pytest.importorskip("wandb").teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_of("ppo", tmp_path / "out", report_to="wandb").run()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_training_is_timed_beside_cartpole(monkeypatch, capsys):
    monkeypatch.setattr(rl_bench, "one_core", lambda: "On any core.")
    small = "--sizes 2 --rounds 1 --iterations 1 --n-steps 8 --batch-size 8 --n-epochs 1"
    assert rl_bench.main([*small.split(), "--net-arch", "[4]"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert rows[0][:2] == ["│", "CartPole-v1"]
    assert len(rows) == 1 + 3 * 2
    assert all(float(row[-2]) > 0 for row in rows)


# The command, and the agents it makes.


def test_the_command_trains_an_agent_that_eval_run_scores(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = {**SMALL, **TURNS, **WAYS["ppo"], "algo": "ppo", "out": "mine", "total_steps": 40}
    Path("tiny.yaml").write_text(yaml.safe_dump(table) + "learning_rate: 1e-3\n")
    assert main(["--config", "tiny.yaml", "--gamma", "0.5", "--net-arch", "4", "4"]) == 0
    assert "mine: done. Rewards of ppo on" in capsys.readouterr().err.replace("\n", " ")
    made = json.loads(Path("mine/policy.json").read_text())["recipe"]
    assert (made["gamma"], made["net_arch"], made["learning_rate"]) == (0.5, [4, 4], 1e-3)
    assert main(["--config", "tiny.yaml", "--gamma", "0.5", "--net-arch", "4", "4"]) == 0
    assert "finished already" in capsys.readouterr().err
    assert main(["--config", "tiny.yaml", "--gamma", "0.9", "--net-arch", "4", "4"]) == 2
    assert "another recipe: gamma was 0.5, is 0.9." in capsys.readouterr().err
    Path("mine.yaml").write_text(
        "agent: acquaint_gym.agents.networks.policy:PolicyAgent\npath: mine\n"
    )
    command = ["--agent", "random", "mine.yaml", "--users", "8", "--set", "num_turns=5"]
    assert evaluate([*command, "--out", "scored"]) == 0
    rows = json.loads(Path("scored/report.json").read_text())["rows"]
    assert {row["agent"] for row in rows} == {"random", "mine.yaml"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--algo", "pppo"], "Unknown algo 'pppo'. Did you mean 'ppo'?"),
        (["--gama", "0"], "unknown key 'gama'. Did you mean 'gamma'?"),
        (["--policy-kwargs", "{}"], "unknown key 'policy_kwargs'."),
        (["--view", "beliefs"], "Unknown view 'beliefs'. Did you mean 'belief'?"),
        (["--env", "acquaint/Questionaire-v0"], "Did you mean 'acquaint/Questionnaire-v0'?"),
        (["--settings", "{num_turn: 3}"], "Did you mean 'num_turns'?"),
        (["--settings", "3"], "settings=3; expected {key: value, ...}."),
        (["--settings", "{reward: log_score}"], "take reward=accuracy"),
        (["--learning-rate", "fast"], "learning_rate='fast' is text, expected a number"),
        (["--learning-rate", "lin_fast"], "learning_rate='lin_fast' is text"),
        (["--net-arch", "wide"], "net_arch='wide'; expected ints."),
        (["--num-envs", "0"], "num_envs=0; expected at least 1."),
        (["--batch-size", "1"], "batch_size=1; expected at least 2"),
        (["--gamma", ".nan"], "gamma=nan; expected at least 0"),
        (["--beside", "bays"], "Unknown agent 'bays'. Did you mean 'bayes'?"),
        (["--env", ASKING], "rules actions out, which only maskable_ppo heeds"),
        (["--packages", "nowhere"], "Package 'nowhere' cannot be imported"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["ppo"], "Expected --key value, got 'ppo'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words, message, tmp_path, capsys):
    given = {"--env": ITEMS, "--algo": "ppo", "--out": str(tmp_path / "out")}
    settings = [word for pair in given.items() if pair[0] not in words for word in pair]
    # What comes first is not `--key`, so that a bare word is not taken for a value.
    assert main([*words, *settings]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")  # that may be so
@pytest.mark.parametrize("way", ["ppo", "maskable_ppo", "recurrent_ppo"])
def test_a_batch_of_a_single_step_is_refused(way, tmp_path):
    """Its advantage would be divided by a deviation that is not there: weights of NaN."""
    run_of(way, tmp_path / "two", n_steps=5, batch_size=9)  # 20 steps, two of them left
    with pytest.raises(ValueError, match=r"= 20 steps leave a single one for .*batch_size=19"):
        run_of(way, tmp_path / "one", n_steps=5, batch_size=19)


def test_what_is_missing_is_named(capsys):
    assert main(["--algo", "ppo", "--out", "x"]) == 2
    assert "`env` is missing; say --env VALUE" in capsys.readouterr().err


def test_help_comes_without_stable_baselines():
    heavy = {"torch", "stable_baselines3", "sb3_contrib", "safetensors"}
    code = "import sys\nfrom acquaint_gym.train.rl import main\ntry:\n    main(['--help'])\n"
    code += f"finally:\n    print(sorted({heavy} & set(sys.modules)))"
    done = call("python", "-c", code)
    assert "--config FILE" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


SHIPPED = {"questionnaire": ITEMS, "flightchoice": FLIGHTS, "interview": ASKING}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_make_the_shipped_agents(name, tmp_path, monkeypatch):
    arguments = parse_agent(f"ppo-{name}", []).arguments
    command, _, config = arguments["made_by"].rpartition(" ")
    assert command == "python -m train.rl --config"
    recipe = RLRecipe.parse(yaml.safe_load((ROOT / config).read_text()), config)
    assert (recipe.env, recipe.out) == (SHIPPED[name], arguments["path"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("acquaint_gym.envs.files.SHIPPED", tmp_path)
    task, _ = people(recipe.env, 1, **recipe.settings)
    with pytest.raises(ValueError, match=r"There is no policy in .* make it with: python -m train"):
        PolicyAgent(task, **arguments)


def test_a_policy_for_a_task_of_another_shape_is_refused(tmp_path):
    run_of("ppo", tmp_path, total_steps=40).run()
    for env_id, settings, part in (
        (ITEMS, {"num_turns": 6}, "turns are 5; here they are 6"),
        (FLIGHTS, {"num_turns": 5}, "actions are 5: ['Very Inaccurate'"),
        (ITEMS, {"num_turns": 5, "levels": 7}, "levels are 5; here they are 7"),
    ):
        task, _ = people(env_id, 1, **settings)
        with pytest.raises(
            ValueError, match=r"trained on acquaint/Questionnaire-v0 num_turns=5"
        ) as e:
            PolicyAgent(task, str(tmp_path))
        assert part in str(e.value)
        assert "\n" not in str(e.value)


def test_fresh_replaces_nothing_that_is_not_a_run_of_its_own(tmp_path, capsys):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    words = ["--config", "configs/train/ppo-questionnaire.yaml", "--out", str(out), "--fresh"]
    assert main(words) == 2
    assert "holds something else than a run of this command" in capsys.readouterr().err
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_folder_that_is_somebody_elses_is_left_alone(fresh, tmp_path, capsys):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "learning_curve.png").write_text("years of work")
    words = ["--config", "configs/train/ppo-questionnaire.yaml", "--out", str(out), *fresh]
    assert main(words) == 2
    assert "precious" in capsys.readouterr().err
    assert [file.read_text() for file in out.iterdir()] == ["years of work"]


def test_a_file_is_no_folder_of_results(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    words = ["--config", "configs/train/ppo-questionnaire.yaml", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_fresh_removes_what_a_run_left_and_nothing_else(tmp_path):
    run_of("ppo", tmp_path, total_steps=40).run()
    before = {file.name for file in tmp_path.iterdir()}
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "checkpoint-9999").mkdir()
    recipe = recipe_of("ppo", tmp_path, total_steps=80)
    plan(recipe, True, Console(quiet=True)).run()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    left = {file.name for file in tmp_path.iterdir()}
    assert left == before | {"notes.txt", "checkpoint-80"}  # of the new run, and not the empty one


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("policy.json", "{}"),
        ("policy.json", "[]"),
        ("policy.json", "{"),
        ("policy.safetensors", "x"),
    ],
)
def test_a_damaged_policy_is_refused_in_one_line(name, text, tmp_path):
    run_of("ppo", tmp_path, total_steps=40).run()
    (tmp_path / name).write_text(text)
    task, _ = people(ITEMS, 1, num_turns=5)
    with pytest.raises(ValueError, match=r"no policy of train\.rl .*train again\.$"):
        PolicyAgent(task, str(tmp_path))


def test_a_damaged_checkpoint_is_named_and_one_of_another_name_is_passed_over(tmp_path):
    run_of("ppo", tmp_path, total_steps=40).run()
    (tmp_path / "policy.json").unlink()
    (tmp_path / "checkpoint-old").mkdir()
    (tmp_path / "checkpoint-old" / "state.pt").write_text("x")
    run_of("ppo", tmp_path, total_steps=40).run()
    (tmp_path / "policy.json").unlink()
    (tmp_path / "checkpoint-40" / "state.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match="checkpoint-40: a damaged checkpoint"):
        run_of("ppo", tmp_path, total_steps=40).run()
