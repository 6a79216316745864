"""What went wrong once, in a sceptic's hands, or would go unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from kit import call, respondents
from numpy.testing import assert_array_equal

from acquaint_gym.envs.data import FOLDER, write_table
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.questionnaire import Questionnaire
from acquaint_gym.envs.users.fast_draws import PersonStreams, evenly
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.eval import bench
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.store import load_runs

ENV = "acquaint/Questionnaire-v0"
BANK = ItemBank.load("ipip50")


def people(path: Path, number: int) -> str:
    """A file of so many people who answer everything, each in another way."""
    return respondents(path, (np.arange(number)[:, None] + np.arange(50)) % 5 + 1)


def score(out: Path, *words: object) -> int:
    """Runs the command line on a few people and turns."""
    few = ["--users", "8", "--set", "num_turns=4"]
    return main([*few, *map(str, words), "--out", str(out)])


def rows(out: Path) -> dict[tuple[str, str], float | None]:
    report = json.loads((out / "report.json").read_text("utf-8"))
    return {(row["agent"], row["metric"]): row["mean"] for row in report["rows"]}


# People.


@pytest.mark.parametrize("number", [1, 2, 3, 10, 64, 100, 128, 1000])
def test_resets_meet_every_respondent_once_before_anyone_twice(number, tmp_path):
    data = people(tmp_path / "people.csv", number)
    env = gym.make(ENV, respondents=data, split="all").unwrapped
    met = [env.reset(seed=0)[1]["person"]] + [env.reset()[1]["person"] for _ in range(number - 1)]
    assert sorted(met) == list(range(number))


def test_the_next_person_is_a_million_further_on():
    env = gym.make(ENV).unwrapped
    assert env.reset(seed=7)[1]["person"] == 7
    assert env.reset()[1]["person"] == 7 + 2**20
    many = gym.make_vec(ENV, num_envs=3, num_turns=1)
    many.reset(seed=7)
    many.step(np.zeros(3, dtype=np.int64))
    assert_array_equal(
        many.step(np.zeros(3, dtype=np.int64))[-1]["person"], 2**20 + 7 + np.arange(3)
    )


def test_numbers_of_people_do_not_overflow():
    env = gym.make(ENV).unwrapped
    env.reset(seed=2**62 - 1)
    assert env.reset()[1]["person"] == 2**20 - 1
    with pytest.raises(ValueError, match="below 2\\*\\*62"):
        env.reset(options={"person": 2**62})


def test_a_person_is_the_same_in_a_short_form_and_in_another_order():
    person = np.arange(40)
    whole = Simulator(Questionnaire(), "test", 0).draw(person)
    short = Simulator(Questionnaire(num_turns=7), "test", 0).draw(person)
    mixed = Simulator(Questionnaire(order="shuffled"), "test", 0).draw(person)
    assert_array_equal(short.levels, whole.levels)
    assert_array_equal(mixed.levels, whole.levels)
    assert_array_equal(short.answers, whole.answers[:, :7])
    item = mixed.stimuli[..., 0].astype(int)
    assert_array_equal(mixed.answers, np.take_along_axis(whole.answers, item, axis=1))
    assert len(np.unique(item[:, 0])) > 10


@pytest.mark.parametrize("purpose", ["agents", "respondents"])
def test_another_seed_is_another_world(purpose, tmp_path):
    data = people(tmp_path / "people.csv", 8)
    settings = {
        "agents": ["--agent", "random"],
        "respondents": ["--agent", "random", "--set", "order=shuffled", "--data", data,
                        "--split", "all"],
    }  # fmt: skip
    traces = []
    for seed in (0, 1):
        assert score(tmp_path / str(seed), *settings[purpose], "--seed", seed) == 0
        traces.append(load_runs(tmp_path / str(seed))[0].trace)
    assert (traces[0].actions != traces[1].actions).any()
    if purpose == "respondents":
        assert (traces[0].stimuli != traces[1].stimuli).any()


def test_the_first_reset_meets_people_on_all_lanes():
    env = gym.make_vec(ENV, num_envs=2)
    with pytest.raises(gym.error.ResetNeeded, match="all lanes"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    _, info = env.reset(options={"reset_mask": [True, False]})
    assert_array_equal(info["_person"], [True, False])


def test_options_and_render_modes_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'person'"):
        gym.make(ENV).reset(options={"persn": 9})
    with pytest.raises(ValueError, match="'ansi' only"):
        gym.make_vec(ENV, num_envs=2, render_mode="human")


# Traces and their configuration.


def test_a_file_that_changed_is_another_configuration(tmp_path, capsys):
    own = tmp_path / "mine.csv"
    command = ["--agent", "bayes", "--set", f"parameters={own}"]
    own.write_bytes((FOLDER / "ipip50_human.csv").read_bytes())
    assert score(tmp_path / "out", *command) == 0
    before = rows(tmp_path / "out")["bayes", "nll"]
    own.write_bytes((FOLDER / "ipip50_study.csv").read_bytes())
    assert score(tmp_path / "out", *command) == 2
    assert "another configuration: files was" in capsys.readouterr().err
    assert score(tmp_path / "out", *command, "--fresh") == 0
    assert rows(tmp_path / "out")["bayes", "nll"] != before


def test_code_that_changed_is_another_configuration(tmp_path):
    folder, out = tmp_path, tmp_path / "out"
    parent = "from acquaint_gym.agents.baselines import RandomAgent\n"
    agent = f"{parent}class Mine(RandomAgent):\n    pass\n"
    (folder / "mine.py").write_text(agent, "utf-8")
    (folder / "mine.yaml").write_text("agent: mine:Mine\n", "utf-8")
    command = f"-m acquaint_gym.eval.run --agent mine.yaml --users 3 --set num_turns=2 --out {out}"

    call("python", *command.split(), cwd=folder)
    (folder / "mine.py").write_text(agent + "    x = 1\n", "utf-8")
    done = call("python", *command.split(), cwd=folder, code=2)
    assert "another configuration: code was" in done.stderr


def test_fresh_loses_nothing_to_a_command_that_is_refused(tmp_path):
    assert score(tmp_path, "--agent", "bayes") == 0
    before = list(tmp_path.rglob("*.npz"))
    assert score(tmp_path, "--agent", "bayes", "bayes:levels=40", "--fresh") == 2
    assert before
    assert list(tmp_path.rglob("*.npz")) == before


def test_a_refused_first_try_leaves_the_folder_free(tmp_path):
    assert score(tmp_path, "--agent", "bayes", "--set", "agent.discount=2") == 2
    assert score(tmp_path, "--agent", "bayes", "--set", "agent.discount=0.9") == 0


@pytest.mark.parametrize("damage", ["npz", "config"])
def test_damaged_files_are_named(damage, tmp_path, capsys):
    assert score(tmp_path, "--agent", "bayes") == 0
    (file,) = tmp_path.rglob("*.npz" if damage == "npz" else "config.json")
    file.write_bytes(file.read_bytes()[:100])
    assert score(tmp_path, "--agent", "bayes") == 2
    assert file.name in capsys.readouterr().err


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", stop)
    assert score(tmp_path, "--agent", "bayes") == 130
    assert not list(tmp_path.rglob("*.partial"))


# The reference.


def test_a_teacher_with_other_settings_is_no_reference(tmp_path):
    command = ["--agent", "random", "bayes", "--set", "parameters=human"]
    assert score(tmp_path / "a", *command, "--set", "agent.parameters=study") == 0
    found = rows(tmp_path / "a")
    assert found["bayes", "kl_from_teacher"] > 0.01
    assert found["bayes", "normalised_score"] is None
    assert json.loads((tmp_path / "a" / "report.json").read_text("utf-8"))["paired"] == []
    assert score(tmp_path / "b", *command) == 0
    assert rows(tmp_path / "b")["bayes", "normalised_score"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("agent", "settings"),
    [("bayes:levels=9", "levels=5"), ("bayes:levels=5", "levels=9"),
     ("bayes:population=profiles", "population=classes")],
)  # fmt: skip
def test_a_belief_about_other_levels_is_not_scored(agent, settings, tmp_path):
    assert score(tmp_path, "--agent", "bayes", agent, "--set", settings) == 0
    found = rows(tmp_path)
    assert found[agent, "belief_nll"] is None
    assert found[agent, "nll"] > 0
    assert (found["bayes", "belief_nll"] is None) == (settings == "population=classes")


# Messages.


def test_a_stray_quotation_mark_does_not_merge_people(tmp_path, capsys):
    data = people(tmp_path / "people.csv", 9)
    lines = Path(data).read_text("utf-8").splitlines()
    countries = ["country", "PK", '"US', "FR", "DE", 'GB"', "IT", "ES", "NL", "BE"]
    text = "\n".join(f"{a},{b}" for a, b in zip(countries, lines, strict=True))
    Path(data).write_text(text + "\n", "utf-8")
    assert score(tmp_path / "out", "--agent", "bayes", "--data", data, "--split", "all") == 2
    assert "row 3: a quotation mark" in capsys.readouterr().err


def test_what_cannot_be_read_or_held_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n", "utf-8")
    cases = {
        "folder.csv": ["--set", f"parameters={tmp_path / 'folder.csv'}"],
        "binary.csv": ["--set", f"parameters={tmp_path / 'binary.csv'}"],
        "levels=40": ["--set", "levels=40"],
        "clairvoyant:parameters=human": ["--agent", "clairvoyant:parameters=human"],
    }
    for words, command in cases.items():
        agent = [] if "--agent" in command else ["--agent", "bayes"]
        assert score(tmp_path / "out", *agent, *command) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_an_agent_that_breaks_its_contract_later_is_refused_in_one_line(tmp_path):
    (tmp_path / "late.py").write_text(
        "from acquaint_gym.agents.baselines import RandomAgent\n"
        "class Late(RandomAgent):\n"
        "    def act(self, observation, uniform):\n"
        "        made = super().act(observation, uniform)\n"
        "        late = observation['turn'].max() > 1\n"
        "        return made._replace(action_probs=made.action_probs * (2 if late else 1))\n",
        "utf-8",
    )
    (tmp_path / "late.yaml").write_text("agent: late:Late\n", "utf-8")
    for workers in ("1", "2"):
        words = ["--agent", "late.yaml", "--users", 4, "--workers", workers, "--out", "out"]
        done = call("python", "-m", "acquaint_gym.eval.run", *words, cwd=tmp_path, code=2)
        assert done.stderr.strip().count("\n") == 0
        assert "no distribution" in done.stderr


def test_a_pipe_that_knows_no_arrows_gets_its_table(tmp_path):
    words = ["--agent", "bayes", "--users", 3, "--set", "num_turns=2", "--out", tmp_path]
    done = call("python", "-m", "acquaint_gym.eval.run", *words, PYTHONIOENCODING="ascii")
    assert "bayes" in done.stdout


# Figures that nobody else would miss.


def test_correlations_that_cannot_be_are_refused(tmp_path):
    own = tmp_path / "own.csv"
    own.write_bytes((FOLDER / "ipip50_study.csv").read_bytes())
    matrix = np.full((5, 5), -0.9) + 1.9 * np.eye(5)
    columns = {"trait": list(BANK.traits), **dict(zip(BANK.traits, matrix.tolist(), strict=True))}
    write_table(tmp_path / "own_traits.csv", ["test"], columns)
    with pytest.raises(ValueError, match="positive definite"):
        GradedParameters.load(BANK, str(own))


def test_a_copy_counts_what_it_reads_and_what_it_writes(monkeypatch):
    clock = iter(np.arange(0, 100, 2.0))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: float(next(clock)))
    assert bench.copy_bandwidth() == 2 * 8 * 2**25 / 2


def test_random_numbers_of_people_and_of_agents_are_not_the_same():
    streams = [PersonStreams(0, f"{p}/test", 8) for p in ("answers", "stimuli")]
    streams.append(PersonStreams(0, "agents", 8))
    numbers = [stream.uniform(np.arange(50)).ravel() for stream in streams]
    numbers.append(np.repeat(evenly(0, "type/test", np.arange(50)), 8))
    assert np.abs(np.corrcoef(numbers) - np.eye(4)).max() < 0.2


@pytest.mark.parametrize("first", [0, 12345, 2**61])
def test_any_run_of_people_has_the_types_in_their_proportions(first):
    numbers = evenly(3, "type/test", first + np.arange(1000))
    assert 0 <= numbers.min() < numbers.max() < 1
    share = np.bincount((numbers * 20).astype(int), minlength=20)
    assert np.abs(share - 50).max() <= 3  # independent draws would be off by seven
    other = evenly(4, "type/test", first + np.arange(1000))
    assert np.abs(other - numbers).min() > 1e-4


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["quirks=0.2"], "quirks=0.2 is float, expected str"),
        (["quirks="], "is NoneType, expected str"),
        (["wording=two"], "wording='two' is str, expected int"),
        (["wording=1.0"], "wording=1.0 is float, expected int"),
        (["labels=3"], "labels=3 is int, expected str"),
        (["mapping={Openness: 1}"], "mapping: Openness: 1; expected {feature: weight}"),
        (
            ["mapping={Openness: {price: high}}"],
            "Openness: price: 'high'; expected a number",
        ),
        (["mapping={Openness: {price: .nan}}"], "Openness: price: nan; expected a number"),
        (["mapping={Openness: {prize: 1}}"], "Did you mean 'price'"),
        (["mapping={Opennes: {price: 1}}"], "Did you mean 'Openness'"),
        (["mapping={}"], "no trait decides"),
        (["mapping=price"], "expected {key: value, ...} or nothing"),
        (["num_options=27"], "2..26"),
        (["temperature=.inf"], "temperature=inf"),
        (["agent.feedback=choice"], "one of the two has feedback=accept"),
    ],
)
def test_bad_settings_of_flights_are_one_line(settings, problem, tmp_path, capsys):
    some = [part for text in settings for part in ("--set", text)]
    command = ["--agent", "bayes", "--env", "acquaint/Flights-v0", "--users", "3", *some]
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert problem in " ".join(capsys.readouterr().err.split())


def test_what_an_id_is_about_is_not_to_be_set(tmp_path, capsys):
    command = ["--agent", "bayes", "--env", "acquaint/SingleTraitOpenness-v0", "--users", "3"]
    assert main([*command, "--set", "trait=Extraversion", "--out", str(tmp_path)]) == 2
    assert "is about trait=Openness; take another id" in capsys.readouterr().err
