"""Small recurrent networks: what they learn from, what they keep, and when they are refused."""

from __future__ import annotations

import json
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
import torch
from kit import respondents
from registered import words
from rich.console import Console
from scipy.special import rel_entr
from tiny_train import SETTINGS, TURNS, traces

from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.networks.gru import MEMORIES, GruAgent, NetworkAgent
from acquaint_gym.agents.networks.recurrent import (
    WEIGHTS,
    Ensemble,
    events,
    load,
    polynomials,
    reads,
)
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.run import main as run
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.train.dev_evaluation import summary
from acquaint_gym.train.gru import main
from acquaint_gym.train.gru import plan as plan_training
from acquaint_gym.train.networks.dataset import batch_of, holdout_split, loss, shuffle
from acquaint_gym.train.networks.recipe import GruRecipe
from acquaint_gym.train.sources import load_sources, transcripts

QUESTIONNAIRE, FLIGHTS = "acquaint/Questionnaire-v0", "acquaint/FlightChoice-v0"
TINY = {"width": 8, "epochs": 4, "batch_size": 4, "eval_users": 4, "learning_rate": 0.02}
BFI = {"questionnaire": "bfi25", "parameters": "human"}
ROOMS = [
    (QUESTIONNAIRE, SETTINGS),
    (FLIGHTS, {"num_turns": 4}),
    (FLIGHTS, {"num_turns": 4, "feedback": "accept"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return traces(tmp_path_factory.mktemp("traces"))


def recipe(folder, out, **given):
    return GruRecipe.parse({"traces": [str(folder)], "out": str(out), **TINY, **given}, "test")


def trained(folder, out, fresh=False, **given):
    return plan_training(recipe(folder, out, **given), fresh, Console(quiet=True)).run()


def random_networks(task, **sizes):
    """Networks of random weights, so wide apart that everything they read moves them."""
    settings = {"networks": 2, "memory": "gru", "width": 8, "blocks": 1, "dropout": 0.5}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = Ensemble(reads(task), **{**settings, **sizes})
        for weights in networks.parameters():
            weights.data += 0.3 * torch.randn_like(weights)
    return networks.double().eval()


def task_of(env_id, settings):
    return gym.make_vec(env_id, num_envs=1, **settings).unwrapped.task


def weights(out):
    from safetensors.torch import load_file

    return load_file(out / WEIGHTS)


# What a network keeps of a conversation.


@pytest.mark.parametrize("check", CHECKS, ids=words)
@pytest.mark.parametrize(("env_id", "settings"), ROOMS, ids=words)
def test_contract(check, env_id, settings):
    check(lambda task: NetworkAgent(task, random_networks(task)), env_id, **settings)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("ordinal", [False, True])
def test_the_memory_from_turn_to_turn_is_that_of_the_whole_conversation(memory, ordinal, folder):
    [source] = load_sources([str(folder)])
    told = transcripts(source)
    networks = random_networks(source.task, memory=memory, ordinal=ordinal)
    agent, form = NetworkAgent(source.task, networks), reads(source.task)
    every = torch.as_tensor(events(told, form), dtype=torch.float64)
    with torch.no_grad():
        whole = []
        for member in networks.each:
            begin = member.start.expand(8, -1)
            after = torch.cat([begin[:, None], member.follow(every, begin)], dim=1)
            asked = torch.as_tensor(told["stimuli"])[..., None]
            whole.append([member(after[:, t], asked[:, t : t + 1])[:, 0] for t in range(TURNS)])
    for turn in [*range(TURNS), 1]:
        seen = told.at(np.full(8, turn), source.task)
        said = agent.act(seen, np.zeros(8)).action_probs
        mean = (whole[0][turn].exp() + whole[1][turn].exp()) / 2
        assert np.allclose(said, mean.numpy(), atol=1e-12)
    assert (whole[0][1].exp() - whole[1][1].exp()).abs().max() > 0.01  # the two differ


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(("env_id", "settings"), ROOMS, ids=words)
def test_the_memory_before_a_turn_is_what_was_followed_so_far(memory, env_id, settings):
    network = random_networks(task_of(env_id, settings), memory=memory).each[0]
    one = torch.ones(1, 1, len(network.low) + 1, dtype=torch.float64)
    told = torch.cat([one, one, 1 - one, one], dim=1)  # the same may be told several times
    with torch.no_grad():
        begin = network.start[None]
        after = torch.cat([begin[:, None], network.follow(told, begin)], dim=1)
        found = network.before(told, torch.tensor([[3, 0, 2, 4]]))
    assert torch.allclose(found, after[:, [3, 0, 2, 4]], atol=1e-12)


def test_a_sum_forgets_the_order_and_gated_units_do_not(folder):
    [source] = load_sources([str(folder)])
    told = transcripts(source)
    back = deepcopy(told)
    for key in ("stimuli", "answers"):
        back[key][:, :3] = told[key][:, 2::-1]
    for memory, same in (("sum", True), ("gru", False)):
        agent = NetworkAgent(source.task, random_networks(source.task, memory=memory))
        one, other = (
            agent.act(t.at(np.full(8, 3), source.task), np.zeros(8)).action_probs
            for t in (told, back)
        )
        assert np.allclose(one, other, atol=1e-12) == same


def test_its_own_actions_are_read_only_where_acceptance_depends_on_them():
    for (env_id, settings), matters in zip(ROOMS, (False, False, True), strict=True):
        env = gym.make_vec(env_id, num_envs=6, **settings).unwrapped
        env.reset(seed=0)
        for _ in range(2):
            observation, *_ = env.step(np.zeros(6, dtype=np.int64))
        shown = Transcript(observation)
        agent = NetworkAgent(env.task, random_networks(env.task))
        first = agent.act(shown, np.zeros(6)).action_probs
        other = deepcopy(shown)
        other["actions"][:, :2] = 1
        same = np.allclose(agent.act(other, np.zeros(6)).action_probs, first, atol=1e-12)
        assert same != matters


def test_polynomials_are_orthogonal_and_each_of_its_degree():
    basis = polynomials(5).double()
    scale = torch.tensor([1, 1, 1 / 2, 1 / 3, 1 / 4], dtype=torch.float64)
    assert torch.allclose(basis.T @ basis / 5, torch.diag(scale**2), atol=1e-6)
    assert (basis[-1] > 0).all()
    for degree in range(5):
        rest = np.diff(basis[:, degree].numpy(), n=degree)
        assert np.ptp(rest) < 1e-5 < np.abs(rest).min()


def test_answers_in_order_are_read_and_said_as_polynomials(folder):
    [source] = load_sources([str(folder)])
    network = random_networks(source.task, networks=1, memory="sum", ordinal=True).each[0]
    for degree in reversed(range(5)):
        for weight in (network.event.weight, network.say.weight, network.say.bias):
            weight.data.view(50, 5, -1)[:, degree + 1 :] = 0
        told = torch.tensor([[[7.0, k]] for k in range(5)], dtype=torch.float64)
        with torch.no_grad():
            read = network.follow(told, network.start.expand(5, -1))[:, 0]
            said = network(read, torch.full((5, 1, 1), 3.0))[:, 0].T  # up to a constant
        for curve in (read, said):
            assert np.abs(np.diff(curve.numpy(), n=degree + 1, axis=0)).max(initial=0) < 1e-5
            assert np.abs(np.diff(curve.numpy(), n=degree, axis=0)).max() > 1e-3


# What is learned from.


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("ordinal", [False, True])
def test_the_loss_is_the_divergence_in_the_loop(memory, ordinal, folder, tmp_path):
    [source] = load_sources([str(folder)])
    told, teacher = transcripts(source), source.run.trace.teacher_probs
    networks = random_networks(source.task, networks=1, memory=memory, ordinal=ordinal)
    agent, batch = NetworkAgent(source.task, networks), batch_of([source], [np.arange(8)])
    task = source.task
    decisions = [agent.act(told.at(np.full(8, t), task), np.zeros(8)) for t in range(TURNS)]
    cells = [rel_entr(teacher[:, t], d.action_probs).sum(1) for t, d in enumerate(decisions)]
    chosen = [
        -np.log(d.action_probs[np.arange(8), source.run.trace.teacher_actions[:, t]])
        for t, d in enumerate(decisions)
    ]
    at = torch.arange(TURNS).expand(8, -1)
    for weight in (0.0, 0.5):
        found = loss(networks.each[0], batch, at, recipe(folder, tmp_path, choice_weight=weight))
        wanted = np.mean(cells) + weight * np.mean(chosen)
        assert found.item() == pytest.approx(wanted, abs=1e-6)


def test_people_themselves_teach_all_their_later_answers(folder, tmp_path):
    [source] = load_sources([str(folder)])
    network = random_networks(source.task, networks=1).each[0]
    batch = batch_of([source], [np.arange(8)])
    batch = batch._replace(length=torch.tensor([5, 3, 5, 1, 0, 5, 5, 2]))
    at = (torch.arange(8)[:, None] * 2 % 5).expand(-1, 1)
    rows = []
    with torch.no_grad():
        for n in range(8):
            begin, turn, end = network.start[None], int(at[n, 0]), int(batch.length[n])
            if turn >= end:
                continue
            memory = torch.cat([begin[:, None], network.follow(batch.events[n : n + 1], begin)], 1)
            said = network(memory[:, turn], batch.stimuli[n : n + 1])[0]
            rows.append(-said[torch.arange(turn, end), batch.answers[n, turn:end]].mean())
    found = loss(network, batch, at, recipe(folder, tmp_path, objective="answers"))
    assert len(rows) == 5
    assert found.item() == pytest.approx(torch.stack(rows).mean().item(), abs=1e-9)


def test_another_order_is_of_the_same_answers_and_what_did_not_happen_stays_last(folder):
    [source] = load_sources([str(folder)])
    batch = batch_of([source], [np.arange(8)])
    length = torch.tensor([5, 3, 5, 1, 0, 5, 5, 2])
    again = shuffle(batch._replace(length=length), np.random.default_rng(0))
    assert not torch.equal(again.events, batch.events)
    for n, end in enumerate(length.tolist()):
        assert torch.equal(again.events[n, end:], batch.events[n, end:])
        pairs = [sorted(map(tuple, b.events[n, :end].tolist())) for b in (batch, again)]
        assert pairs[0] == pairs[1]
        assert torch.equal(again.events[n, :end, 0], again.stimuli[n, :end, 0])
        assert torch.equal(again.events[n, :end, -1].long(), again.answers[n, :end])


def test_the_last_epochs_meet_people_as_they_were_asked(folder, tmp_path, monkeypatch):
    from acquaint_gym.train.networks import training as gru_training

    calls, epochs = [], []
    whole = gru_training.Training.train_epoch
    monkeypatch.setattr(
        gru_training, "shuffle", lambda batch, rng: calls.append(epochs[-1]) or batch
    )
    monkeypatch.setattr(
        gru_training.Training,
        "train_epoch",
        lambda self, epoch, optimizer: epochs.append(epoch) or whole(self, epoch, optimizer),
    )
    given = {"objective": "answers", "shuffle": True, "eval_users": 0}
    for share, orders in ((0.0, 4), (0.3, 3), (1.0, 0)):
        calls.clear()
        trained(folder, tmp_path / str(share), as_asked=share, **given)
        assert sorted(set(calls)) == list(range(orders))


# A few epochs.


@pytest.mark.parametrize("given", [{}, {"objective": "answers", "shuffle": True, "prefixes": 2}])
def test_the_loss_falls_and_the_best_examined_is_what_lies_there(given, folder, tmp_path):
    out = tmp_path / "out"
    made = trained(folder, out, epochs=12, networks=2, **given)
    history = made["history"]
    assert history[-1]["loss"] < 0.95 * history[0]["loss"]
    by = "eval_nll" if given else "eval_kl_from_teacher"
    best = min(history, key=lambda line: line[by])
    assert made["epochs"] == best["epoch"]
    [job] = plan(QUESTIONNAIRE, ["bayes"], People("dev", 0, None), SETTINGS)
    env, (teacher, _) = job.environment(4), job.agents()
    agent = GruAgent(teacher.task, str(out))
    found = summary(rollout(env, agent, teacher, np.arange(4), np.zeros((4, TURNS))))
    for name, value in found.items():
        assert best[f"eval_{name}"] == pytest.approx(value, abs=1e-9)
    assert json.loads((out / "gru.json").read_text()) == json.loads(json.dumps(made))
    assert sorted(path.name for path in out.iterdir()) == ["gru.json", WEIGHTS, "recipe.yaml"]
    assert made["environments"][0]["arguments"] == SETTINGS
    assert made["environments"][0]["people"] == {"split": "train", "suite_seed": 0, "data": None}
    assert str(tmp_path) not in json.dumps(made)


def test_a_run_that_was_interrupted_gives_the_weights_of_one_that_was_not(
    folder, tmp_path, monkeypatch
):
    from acquaint_gym.train.networks import training as gru_training

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    settings = {"dropout": 0.2, "eval_every": 2}
    before = torch.random.get_rng_state()
    trained(folder, straight, **settings)
    assert torch.equal(torch.random.get_rng_state(), before)
    whole = gru_training.Training.train_epoch

    def interrupted(self, epoch, optimizer):
        if epoch == 3:
            raise KeyboardInterrupt
        return whole(self, epoch, optimizer)

    with monkeypatch.context() as patch:
        patch.setattr(gru_training.Training, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(folder, broken, **settings)
    assert not (broken / WEIGHTS).exists()
    made = trained(folder, broken, **settings)
    assert len(made["history"]) == TINY["epochs"]
    for key, value in weights(straight).items():
        assert torch.equal(value, weights(broken)[key]), key
    # A finished run stays as it is, another recipe is refused, and --fresh replaces.
    assert trained(folder, broken, **settings) == json.loads(json.dumps(made))
    with pytest.raises(ValueError, match="another recipe: epochs was 4, is 1"):
        trained(folder, broken, **{**settings, "epochs": 1})
    assert trained(folder, broken, fresh=True, epochs=1)["epochs"] == 1


def people(seed):
    return np.random.default_rng(seed).integers(1, 6, (30, 50))


def test_real_people_teach_and_those_held_out_examine(tmp_path, monkeypatch):
    respondents(tmp_path / "people.csv.gz", people(seed=0))
    monkeypatch.setenv("ACQUAINT_DATA", str(tmp_path))
    data = ["--env", QUESTIONNAIRE, "--data", "people.csv.gz", "--set", "num_turns=6"]
    folder = traces(tmp_path / "traces", *data, users=20)
    given = {"objective": "answers", "memory": "sum", "holdout": 0.25, "eval_users": 0}
    made = trained(folder, tmp_path / "out", **given)
    [source] = load_sources([str(folder)])
    kept, held = holdout_split(source, 0.25)
    assert len(held) == 5
    assert sorted([*kept, *held]) == list(range(20))
    assert np.diff(held).tolist() == [4, 4, 4, 4]
    task = source.task
    agent = NetworkAgent(task, load(tmp_path / "out", task))
    told, nll = transcripts(source), []
    for turn in range(6):
        seen = told.rows(held).at(np.full(5, turn), task)
        probs = agent.act(seen, np.zeros(5)).action_probs
        nll.append(-np.log(probs[np.arange(5), source.run.trace.answers[held, turn]]))
    best = made["history"][made["epochs"] - 1]
    assert best["eval_nll"] == pytest.approx(np.mean(nll), abs=1e-9)
    respondents(tmp_path / "others.csv.gz", people(seed=1))
    with pytest.raises(ValueError, match="not the people of the traces") as no:
        trained(folder, tmp_path / "no", **given, eval_data="others.csv.gz")
    assert "\n" not in str(no.value)


# The agent by its name, and when it is refused.


def test_it_is_scored_by_its_name(folder, tmp_path, capsys):
    out = tmp_path / "out"
    trained(folder, out, epochs=1, eval_users=0)
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    whom = ["--agent", "bayes", f"gru:path={out}", "--users", "3", "--out", str(tmp_path / "run")]
    assert run([*whom, *settings]) == 0
    assert "gru:path=" in capsys.readouterr().out


def test_who_has_no_networks_or_others_is_told_so_in_a_line(folder, tmp_path):
    out, task = tmp_path / "out", task_of(QUESTIONNAIRE, SETTINGS)
    with pytest.raises(ValueError, match=r"make it with: python -m train\.gru --config x") as no:
        GruAgent(task, str(out), made_by="python -m train.gru --config x")
    assert "\n" not in str(no.value)
    trained(folder, out, epochs=1, eval_users=0)
    GruAgent(task_of(QUESTIONNAIRE, {"parameters": "human"}), str(out))  # transfer is welcome
    for env_id, settings, message in (
        (QUESTIONNAIRE, BFI, "whose items and actions and high are not those of Questionnaire"),
        (FLIGHTS, {}, "whose items and actions and low and high are not those of FlightChoice"),
        (QUESTIONNAIRE, {"context": "traits"}, "reads no context"),
    ):
        with pytest.raises(ValueError, match=message) as no:
            GruAgent(task_of(env_id, settings), str(out))
        assert "\n" not in str(no.value)
    (out / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"no networks of train\.gru") as no:
        GruAgent(task, str(out))
    assert "\n" not in str(no.value)


def test_traces_of_two_tasks_are_not_taught_together_nor_flights_as_categories(folder, tmp_path):
    other = traces(tmp_path / "other", "--env", FLIGHTS, users=3)
    with pytest.raises(ValueError, match="ordinal=True: there are no answers to items, in order"):
        trained(other, tmp_path / "out", ordinal=True)
    with pytest.raises(ValueError, match="FlightChoice-v0 is asked or answered otherwise"):
        trained(folder, tmp_path / "out", traces=[str(folder), str(other)])


def test_the_command_reads_a_recipe_and_what_differs_from_it(folder, tmp_path, capsys):
    config, out = tmp_path / "tiny.yaml", tmp_path / "out"
    config.write_text(f"traces: {folder}\nlearning_rate: 1e-2\nepochs: 9\nwidth: 8\neval_users: 0")
    assert main(["--config", str(config), "--out", str(out), "--epochs", "1"]) == 0
    made = json.loads((out / "gru.json").read_text())
    assert (made["epochs"], made["recipe"]["learning_rate"]) == (1, 0.01)
    assert "done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--objectiv", "kl"], "unknown key 'objectiv'. Did you mean 'objective'?"),
        (["--objective", "answer"], "Unknown objective 'answer'. Did you mean 'answers'?"),
        (["--memory", "gur"], "Unknown memory 'gur'. Did you mean 'gru'?"),
        (["--width", "wide"], "width='wide' is str, expected int"),
        (["--dropout", "1"], "dropout=1; expected a number in [0, 1)"),
        (["--shuffle"], "shuffle goes with objective=answers"),
        (["--as-asked", "0.5"], "as_asked=0.5; expected a share, and shuffle"),
        (["--holdout", "0.01"], "nobody is left on one side"),
        (["--traces", "nowhere"], "nowhere holds none; python -m train.collect --out nowhere"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--eval-split", "tset"], "Did you mean 'test'?"),
        (["gru"], "Expected --key value, got 'gru'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(given, message, folder, tmp_path, capsys):
    paths = {"--traces": str(folder), "--out": str(tmp_path / "out")}
    settings = [word for pair in paths.items() if pair[0] not in given for word in pair]
    assert main([*given, *settings]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_key_is_named(capsys):
    assert main(["--traces", "x"]) == 2
    assert "`out` is missing; say --out VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "made",
    [[], {}, {"reads": [], "sizes": {}, "environments": []}, {"sizes": {"width": -1}}, "{"],
    ids=str,
)
def test_damaged_networks_are_refused_in_one_line(made, folder, tmp_path):
    trained(folder, tmp_path, epochs=1)
    [source] = load_sources([str(folder)])
    file = tmp_path / "gru.json"
    if made and made != "{" and "reads" not in made:
        made = json.loads(file.read_text()) | made
    file.write_text(made if isinstance(made, str) else json.dumps(made))
    with pytest.raises(ValueError, match=r"train again|trained on|train one") as error:
        GruAgent(source.task, str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["gru.json", "checkpoint.pt"])
def test_a_damaged_run_is_named(name, folder, tmp_path):
    trained(folder, tmp_path, epochs=1)
    (tmp_path / "gru.json").unlink()
    (tmp_path / name).write_text("{")
    with pytest.raises(ValueError, match="is damaged; --fresh trains again"):
        trained(folder, tmp_path, epochs=1)
