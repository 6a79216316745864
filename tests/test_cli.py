"""`eval.run` end to end: what it writes, what it keeps, and how it says no."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from kit import call, content
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.registry import agent_names
from acquaint_gym.envs.registration import environments
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.store import Store, load_runs, slug
from acquaint_gym.eval.trace import Trace

ENV = "acquaint/Questionnaire-v0"
METRICS = {
    "accuracy",
    "teacher_agreement",
    "predictive_entropy",
    "nll",
    "brier",
    "ece",
    "kl_from_teacher",
    "regret",
    "belief_correlation",
    "belief_nll",
}


def run(out: Path, *arguments: object) -> int:
    """`eval.run` in this process."""
    return main([*map(str, arguments), "--out", str(out)])


def trace_of(out: Path, agent: str, env: str = ENV) -> Trace:
    (found,) = (r.trace for r in load_runs(out) if (r.agent, r.env) == (agent, env))
    return found


def assert_same_traces(a: Trace, b: Trace) -> None:
    """Equal in all that is counted or drawn, to 1e-9 in what is computed."""
    for name in ("person", "levels", "length", "stimuli", "actions", "answers", "teacher_actions"):
        assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("rewards", "action_probs", "teacher_probs"):
        assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=1e-9, err_msg=name)
    assert_allclose(a.belief, b.belief, rtol=0, atol=1e-6)


def files(out: Path) -> dict[str, int]:
    """Trace files and when they were written."""
    return {str(f.relative_to(out)): f.stat().st_mtime_ns for f in out.glob("traces/*/*/*.npz")}


def recorded(path: Path, people: int = 6, **changes: str) -> Path:
    """A file of respondents who all answer 1, 2, 3, ...; `row3="..."` replaces a line."""
    items = ItemBank.load("ipip50").item_ids
    lines = [",".join(items)]
    for person in range(people):
        lines.append(",".join(str(1 + (person + item) % 5) for item in range(50)))
    for key, line in changes.items():
        lines[int(key.removeprefix("row"))] = line
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """An uninterrupted run of nine people in one batch, in this process. Not to be changed."""
    out = tmp_path_factory.mktemp("reference")
    assert run(out, "--agent", "random", "bayes", "--users", 9) == 0
    return out


# What a run leaves.


def test_a_run_leaves_report_plots_and_traces(reference):
    for name in ("report.json", "report.md", "learning_curve.png", "calibration.png"):
        assert (reference / name).stat().st_size > 100
    folder = reference / "traces" / slug(ENV)
    assert sorted(path.name for path in folder.iterdir()) == ["bayes", "random"]
    for agent in ("bayes", "random"):
        assert sorted(path.name for path in (folder / agent).iterdir()) == [
            "config.json",
            "people-0000000-0000009.json",
            "people-0000000-0000009.npz",
        ]
    assert not list(reference.rglob("*.partial"))


def test_the_report_is_tidy_and_says_how_it_was_made(reference):
    report = json.loads((reference / "report.json").read_text("utf-8"))
    assert {"meta", "rows", "curves"} <= report.keys()
    assert report["meta"]["command"].startswith("python -m eval.run --agent random bayes --users 9")
    assert report["meta"]["users"] == 9
    assert report["meta"]["people"] == {"split": "test", "suite_seed": 0, "data": None}
    row_keys = {"env", "agent", "metric", "mean", "low", "high", "users", "failed"}
    assert all(row_keys <= row.keys() for row in report["rows"])
    cells = [(row["env"], row["agent"], row["metric"]) for row in report["rows"]]
    assert len(set(cells)) == len(cells)
    for agent in ("random", "bayes"):
        assert {m for env, a, m in cells if a == agent and env == ENV} >= METRICS
    curve_keys = {"env", "agent", "metric", "turn", "mean", "low", "high"}
    assert all(curve_keys <= row.keys() for row in report["curves"])
    turns = [
        row["turn"]
        for row in report["curves"]
        if (row["agent"], row["metric"]) == ("bayes", "accuracy")
    ]
    assert turns == list(range(1, 51))


def test_the_table_names_agents_and_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert run(tmp_path, "--agent", "random", "bayes", "--users", 2) == 0
    printed = capsys.readouterr().out
    for word in (ENV, "random", "bayes", str(tmp_path)):
        assert word in printed


def test_the_config_says_all_that_decides_the_traces(reference):
    file = reference / "traces" / slug(ENV) / "bayes" / "config.json"
    config = json.loads(file.read_text("utf-8"))
    assert config["env"] == ENV
    assert config["agent"] == "bayes"
    assert config["agent_spec"]["target"] == "acquaint_gym.agents.teacher:BayesTeacher"
    assert config["people"] == {"split": "test", "suite_seed": 0, "data": None}
    # Nothing in it depends on the machine or on how the work was cut.
    assert str(reference) not in file.read_text("utf-8")
    assert not {"users", "batch_size", "workers", "out"} & config.keys()


# What a run keeps.


def test_the_same_command_again_computes_nothing(tmp_path, monkeypatch):
    command = ("--agent", "random", "bayes", "--users", 5)
    assert run(tmp_path, *command) == 0
    before, report = files(tmp_path), content(tmp_path)
    (tmp_path / "report.json").unlink()
    monkeypatch.setattr(Evaluation, "evaluate", None)  # whoever calls it now fails
    assert run(tmp_path, *command) == 0
    assert files(tmp_path) == before
    assert content(tmp_path) == report


def test_more_people_add_only_those_missing_and_fewer_none(tmp_path, reference, monkeypatch):
    command = ("--agent", "random", "bayes", "--batch-size", 2, "--users")
    assert run(tmp_path, *command, 5) == 0
    before = files(tmp_path)
    assert len(before) == 6
    asked = []
    evaluate = Evaluation.evaluate

    def watched(job, out, first, end):
        asked.append((job.agent.label, first, end))
        evaluate(job, out, first, end)

    monkeypatch.setattr(Evaluation, "evaluate", watched)
    assert run(tmp_path, *command, 9) == 0
    assert asked == [(a, *part) for a in ("random", "bayes") for part in ((5, 7), (7, 9))]
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    for agent in ("random", "bayes"):
        assert_same_traces(trace_of(tmp_path, agent), trace_of(reference, agent))
    asked.clear()
    assert run(tmp_path, *command, 3) == 0
    assert (asked, files(tmp_path)) == ([], after)
    meta = json.loads((tmp_path / "report.json").read_text("utf-8"))["meta"]
    assert meta["users"] == 3


def test_an_interrupted_run_says_so_and_the_same_command_goes_on(
    tmp_path, reference, monkeypatch, capsys
):
    command = ("--agent", "random", "bayes", "--batch-size", 4, "--users", 9)
    evaluate, done = Evaluation.evaluate, []

    def impatient(job, out, first, end):
        if done:
            raise KeyboardInterrupt
        evaluate(job, out, first, end)
        done.append((first, end))

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "evaluate", impatient)
        assert run(tmp_path, *command) == 130
    assert "Interrupted" in (message := capsys.readouterr().err)
    assert str(tmp_path) in message.replace("\n", "")
    assert "Traceback" not in message
    before = files(tmp_path)
    assert len(before) == 1
    assert run(tmp_path, *command) == 0
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    for agent in ("random", "bayes"):
        assert_same_traces(trace_of(tmp_path, agent), trace_of(reference, agent))


def test_a_gap_is_filled_whatever_the_batch_size(tmp_path, reference):
    assert run(tmp_path, "--agent", "bayes", "--users", 9, "--batch-size", 3) == 0
    store = next(tmp_path.glob("traces/*/bayes"))
    (store / "people-0000003-0000006.npz").unlink()
    assert run(tmp_path, "--agent", "bayes", "--users", 9, "--batch-size", 2) == 0
    names = [path.name for path in sorted(store.glob("*.npz"))]
    assert names == [
        f"people-{first:07d}-{end:07d}.npz" for first, end in [(0, 3), (3, 5), (5, 6), (6, 9)]
    ]
    assert_same_traces(trace_of(tmp_path, "bayes"), trace_of(reference, "bayes"))


def test_files_of_two_runs_at_once_are_joined_person_by_person(tmp_path):
    assert run(tmp_path, "--agent", "bayes", "--users", 4) == 0
    (folder,) = tmp_path.glob("traces/*/bayes")
    whole = folder / "people-0000000-0000004.npz"
    trace = Trace.load(whole)
    whole.unlink()
    trace.select(slice(0, 2)).save(folder / "people-0000000-0000002.npz")
    trace.select(slice(1, 4)).save(folder / "people-0000001-0000004.npz")
    store = Store(tmp_path, json.loads((folder / "config.json").read_text("utf-8")))
    assert_same_traces(store.load(4), trace)


def test_a_folder_without_traces_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no traces there"):
        load_runs(tmp_path)


@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_traces_do_not_depend_on_the_batch_size(batch_size, tmp_path, reference):
    command = ("--agent", "random", "bayes", "--users", 9, "--batch-size", batch_size)
    assert run(tmp_path, *command) == 0
    for agent in ("random", "bayes"):
        assert_same_traces(trace_of(tmp_path, agent), trace_of(reference, agent))


def test_another_seed_and_another_split_are_other_people(tmp_path, reference):
    assert run(tmp_path / "seed", "--agent", "bayes", "--users", 9, "--seed", 1) == 0
    assert run(tmp_path / "split", "--agent", "bayes", "--users", 9, "--split", "dev") == 0
    here = trace_of(reference, "bayes")
    for name in ("seed", "split"):
        there = trace_of(tmp_path / name, "bayes")
        assert (there.answers != here.answers).mean() > 0.3


def test_settings_reach_the_task_and_the_agents(tmp_path):
    settings = ("--set", "num_turns=4", "--set", "levels=3", "--set", "agent.discount=5e-1")
    agents = ("bayes", "bayes:discount=1,levels=5", "random")
    assert run(tmp_path, "--agent", *agents, "--users", 3, *settings) == 0
    plain, own = (trace_of(tmp_path, agent) for agent in agents[:2])
    assert plain.answers.shape == (3, 4)
    assert plain.belief.shape == (3, 5, 5, 3)
    # Five levels are no answer about people of three.
    assert own.belief.shape == (3, 0, 0, 0)
    configs = {run.agent: run.config for run in load_runs(tmp_path)}
    assert configs["bayes"]["agent_spec"]["arguments"] == {"discount": 0.5}
    assert configs[agents[1]]["agent_spec"]["arguments"] == {"discount": 1}
    assert configs["random"]["agent_spec"]["arguments"] == {}
    assert configs["bayes"]["env_settings"] == {"num_turns": 4, "levels": 3}
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["meta"]["settings"] == {"num_turns": 4, "levels": 3, "agent.discount": 0.5}


# Recorded people.


def test_recorded_people_are_met_all_by_default(tmp_path):
    data = recorded(tmp_path / "people.csv")
    command = ("--agent", "random", "bayes", "--data", data, "--split", "all")
    assert run(tmp_path / "out", *command) == 0
    trace = trace_of(tmp_path / "out", "bayes")
    assert_array_equal(trace.person, np.arange(6))
    assert_array_equal(trace.answers, (np.arange(6)[:, None] + np.arange(50)) % 5)
    assert_array_equal(trace.levels, -1)
    config = load_runs(tmp_path / "out")[0].config["people"]
    assert config["data"]["file"] == "people.csv"
    assert len(config["data"]["sha256"]) == 64


def test_recorded_people_are_the_development_half_unless_asked_for(tmp_path):
    data = recorded(tmp_path / "people.csv", people=40)
    assert run(tmp_path / "dev", "--agent", "bayes", "--data", data) == 0
    assert run(tmp_path / "train", "--agent", "bayes", "--data", data, "--split", "train") == 0
    dev, train = (len(trace_of(tmp_path / name, "bayes").person) for name in ("dev", "train"))
    assert dev + train == 40
    assert 0 < dev < train


def test_a_data_file_that_moved_is_the_same_and_one_that_changed_is_not(tmp_path, capsys):
    data = recorded(tmp_path / "people.csv")
    command = ("--agent", "bayes", "--split", "all", "--data")
    assert run(tmp_path / "out", *command, data) == 0
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    data.rename(moved / "people.csv")
    before = files(tmp_path / "out")
    assert run(tmp_path / "out", *command, moved / "people.csv") == 0
    assert files(tmp_path / "out") == before
    capsys.readouterr()
    recorded(moved / "people.csv", row3=",".join(["3"] * 50))
    assert run(tmp_path / "out", *command, moved / "people.csv") == 2
    assert "another configuration" in capsys.readouterr().err


def test_a_data_file_that_changed_is_read_again_within_one_process(tmp_path):
    data = recorded(tmp_path / "people.csv")
    command = ("--agent", "bayes", "--split", "all", "--data", data)
    assert run(tmp_path / "first", *command) == 0
    recorded(data, row3=",".join(["3"] * 50))
    assert run(tmp_path / "second", *command) == 0
    assert_array_equal(trace_of(tmp_path / "second", "bayes").answers[2], 2)


# Refusals: exit code 2 and one line that says what is wrong, what there is, what was meant.


def refused(capsys, out: Path, *arguments: object) -> str:
    """The one line on the error stream with which a command is refused."""
    capsys.readouterr()
    command = arguments if "--agent" in arguments else ("--agent", "random", "bayes", *arguments)
    command = command if "--users" in command else (*command, "--users", 2)
    assert run(out, *command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    assert not list(out.rglob("*.npz")) if out.is_dir() else True
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agent", "bayess"], ["'bayess'", "Did you mean 'bayes'?", "clairvoyant", "random"]),
        (["--agent", "bayes:discont=1"], ["Did you mean 'discount'?", "point", "levels"]),
        (["--agent", "bayes:discount"], ["Expected key=value", "'discount'"]),
        (["--agent", "bayes:discount=2"], ["discount=2", "(0, 1]"]),
        (["--agent", "bayes:discount=much"], ["discount", "much"]),
        (["--agent", "bayes:parameters=humn"], ["'humn'", "human", "study"]),
        (["--agent", "bayes", "bayes"], ["named once"]),
        (["--agent", "no/such.yaml"], ["no/such.yaml", "no such agent file"]),
        (["--agent", "clairvoyant:levels=7"], ["clairvoyant", "task settings"]),
        (
            ["--agent", "bayes:questionnaire=bfi25,parameters=human"],
            ["bayes:questionnaire=bfi25", "25 turns and 6 actions", "50, 5"],
        ),
        (["--env", "acquaint/Questionaire-v0"], [f"Did you mean '{ENV}'?", "Available"]),
        (["--env", "CartPole-v1"], ["'CartPole-v1'", ENV]),  # registered, but no task of ours
        (["--env", ENV, ENV], ["named once"]),
        (["--set", "levls=3"], ["Did you mean 'levels'?", "num_turns", "questionnaire"]),
        (["--set", "levels"], ["Expected key=value", "'levels'"]),
        (["--set", "levels=1"], ["levels=1"]),
        (["--set", "levels=many"], ["levels", "many"]),
        (["--set", "levels=2.5"], ["levels", "2.5"]),
        (["--set", "num_turns=51"], ["num_turns=51", "1..50"]),
        (["--set", "num_turns=ten"], ["num_turns", "ten"]),
        (["--set", "levels=["], ["'['", "no YAML"]),
        (["--set", "order=shufled"], ["'shufled'", "fixed", "shuffled"]),
        (["--set", "reward=log"], ["'log'", "accuracy", "log_score"]),
        (["--set", "posterior=fact"], ["'fact'", "factored", "joint"]),
        (["--set", "posterior=factored", "--set", "parameters=human"], ["joint"]),
        (["--set", "questionnaire=ipip05"], ["'ipip05'", "bfi25", "ipip50"]),
        (["--set", "parameters=humn"], ["'humn'", "human", "study"]),
        (["--set", "parameters=nowhere.csv"], ["nowhere.csv"]),
        (["--set", "population=clases"], ["'clases'"]),
        (["--set", "split=dev"], ["split", "--split"]),
        (["--set", "agent.discont=1"], ["'discont'"]),
        (["--set", "agent.discount=2"], ["discount=2"]),
        (["--split", "tset"], ["'tset'", "train, dev, test"]),
        (["--split", "all"], ["'all'", "train, dev, test"]),
        (["--users", "0"], ["--users 0"]),
        (["--batch-size", "0"], ["--batch-size 0"]),
        (["--workers", "0"], ["--workers 0"]),
        (["--seed", "-1"], ["--seed -1"]),
        (["--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        (["--import", "no_such_package"], ["Package 'no_such_package'", "No module named"]),
        (["--import", ".relative"], ["Package '.relative'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_said_in_one_line(arguments, words, tmp_path, capsys):
    line = refused(capsys, tmp_path, *arguments)
    for word in words:
        assert word in line


def test_the_nearest_setting_of_an_agent_is_named(tmp_path, capsys):
    line = refused(capsys, tmp_path, "--set", "agent.discont=1")
    assert "Did you mean 'discount'?" in line


def test_people_beyond_the_last_are_refused(tmp_path, capsys):
    data = recorded(tmp_path / "people.csv")
    out = tmp_path / "out"
    line = refused(capsys, out, "--data", data, "--split", "all", "--users", 7)
    assert "--users 7" in line
    assert "6 respondents" in line


@pytest.mark.parametrize("split", ["test", "tset"])
def test_splits_of_recorded_people_are_named(split, tmp_path, capsys):
    data = recorded(tmp_path / "people.csv")
    line = refused(capsys, tmp_path / "out", "--data", data, "--split", split)
    assert f"'{split}'" in line
    assert "train, dev, all" in line


def test_a_damaged_data_file_is_refused_by_row(tmp_path, capsys):
    data = recorded(tmp_path / "people.csv", row3=",".join(["9"] * 50))
    line = refused(capsys, tmp_path / "out", "--data", data, "--split", "all")
    for word in (str(data), "row 4", "'9'"):
        assert word in line


def test_the_clairvoyant_is_refused_among_recorded_people(tmp_path, capsys):
    data = recorded(tmp_path / "people.csv")
    out, agents = tmp_path / "out", ("--agent", "bayes", "clairvoyant")
    line = refused(capsys, out, *agents, "--data", data, "--split", "all")
    assert "clairvoyant" in line
    assert "--data" in line


def test_an_own_agents_faults_are_refused_by_file(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("agent: acquaint_gym.agents.teacher:BayesTeacher\ndiscont: 1\n", "utf-8")
    line = refused(capsys, tmp_path / "out", "--agent", path)
    assert str(path) in line
    assert "Did you mean 'discount'?" in line


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", "utf-8")
    capsys.readouterr()
    assert run(tmp_path / "file", "--agent", "bayes", "--users", 2) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert str(tmp_path / "file") in printed


@pytest.mark.parametrize(
    ("change", "word"),
    [(["--seed", "1"], "people"), (["--split", "dev"], "people"), (["--set", "levels=3"], "env_")],
)
def test_traces_of_another_configuration_are_refused_and_kept(change, word, tmp_path, capsys):
    assert run(tmp_path, "--agent", "bayes", "--users", 2) == 0
    before = files(tmp_path)
    capsys.readouterr()
    assert run(tmp_path, "--agent", "bayes", "--users", 2, *change) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    for part in ("another configuration", word, "--out", str(tmp_path)):
        assert part in line
    assert files(tmp_path) == before


@pytest.mark.parametrize("arguments", [["--users", "many"], ["--agent"], ["--nonsense"], []])
def test_what_argparse_refuses_has_exit_code_2_too(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m eval.run: error: ")


def test_help_lists_agents_and_environments(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    # Long names are broken at their hyphens.
    told = re.sub(r"-\n\s*", "-", capsys.readouterr().out)
    words = told.replace(",", " ").replace(".", " ").split()
    assert set(agent_names()) <= set(words)
    assert set(environments()) <= set(words)
    for option in ("--agent", "--env", "--split", "--users", "--seed", "--data", "--out", "--set"):
        assert option in words


# A real process, a researcher's own task, two workers.

OWN_TASK = '''
"""A task of one's own: is the person cheerful today?"""

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import register_task
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import TableModel


class Mood(UserTask):
    """Three times the same question."""

    def __init__(self, certainty: float = 0.8) -> None:
        super().__init__()
        self.population = Population.profiles(("mood",), np.array([-1.0, 1.0]))
        yes = np.array([[1 - certainty, certainty]])
        self.model = TableModel(np.stack([1 - yes, yes], axis=-1), np.zeros(1, dtype=np.int64))
        self.num_turns = 3
        self.actions = ("no", "yes")
        self.stimulus_low = self.stimulus_high = np.zeros(1)

    def draw_stimuli(self, uniform):
        return np.zeros((len(uniform), 3, 1), dtype=np.float32)

    def instructions(self):
        return "Predict the mood."

    def question(self, stimulus):
        return "Cheerful?"


register_task("mine/Mood-v0", "my_tasks:Mood", certainty=0.9)
'''


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """`python -m eval.run` in a folder with a package of one's own, with two workers."""
    folder = tmp_path_factory.mktemp("researcher")
    (folder / "my_tasks.py").write_text(OWN_TASK, "utf-8")
    command = "--import my_tasks --env mine/Mood-v0 acquaint/Questionnaire-v0"
    command += " --agent random bayes --users 9 --batch-size 4 --workers 2 --out results"
    done = call("python", "-m", "acquaint_gym.eval.run", *command.split(), cwd=folder)
    return folder, done


def test_a_process_ends_well_and_prints_a_table_per_environment(process):
    folder, done = process
    for word in ("mine/Mood-v0", ENV, "results"):
        assert word in done.stdout
    assert "Traceback" not in done.stderr
    assert (folder / "results" / "report.json").is_file()


def test_two_workers_leave_the_traces_of_one(process, reference):
    folder, _ = process
    for agent in ("random", "bayes"):
        ours, theirs = trace_of(reference, agent), trace_of(folder / "results", agent)
        assert_same_traces(ours, theirs)
    parts = [name for name in files(folder / "results") if "bayes" in name and "Mood" in name]
    assert len(parts) == 3


def test_a_task_of_ones_own_gets_its_teacher_for_nothing(process):
    folder, _ = process
    trace = trace_of(folder / "results", "bayes", "mine/Mood-v0")
    assert trace.answers.shape == (9, 3)
    # Certainty .9, as registered: at first .5, then .9^2 + .1^2 = .82 for what was said before.
    assert_allclose(trace.action_probs[:, 0], 0.5)
    said = np.take_along_axis(trace.action_probs[:, 1], trace.answers[:, :1].astype(int), axis=1)
    assert_allclose(said, 0.82, rtol=1e-9)


def test_a_process_says_no_in_one_line(tmp_path):
    command = ["python", "-m", "acquaint_gym.eval.run", "--agent", "bayess"]
    done = call(*command, cwd=tmp_path, code=2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Did you mean 'bayes'?" in done.stderr
    assert list(tmp_path.iterdir()) == []
