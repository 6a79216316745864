"""Traces of the teacher on disk, and in formats of other projects."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest
from kit import call

from acquaint_gym.envs.registration import environment_spec
from acquaint_gym.eval.run import main as evaluate
from acquaint_gym.eval.runs.store import load_runs
from acquaint_gym.train import collect
from acquaint_gym.train.collect import main
from acquaint_gym.train.sources import load_sources

SHORT = ["--set", "num_turns=3", "--users", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("traces")
    assert main([*SHORT, "--out", str(out), "--export", "jsonl"]) == 0
    return out


def test_each_split_has_a_folder_in_the_format_of_eval_run(folder, tmp_path):
    assert sorted(path.name for path in folder.iterdir()) == ["dev", "test", "train"]
    told = ["--agent", "bayes", "--set", "num_turns=3", "--users", "4", "--split", "train"]
    assert evaluate([*told, "--out", str(tmp_path)]) == 0
    [run], [other] = load_runs(folder / "train"), load_runs(tmp_path)
    assert run.config == other.config
    assert np.array_equal(run.trace.teacher_probs, other.trace.teacher_probs)
    assert run.trace.belief.shape == (4, 4, 5, 5)
    assert np.array_equal(run.trace.action_probs, run.trace.teacher_probs)


def test_splits_are_of_different_types_of_people(folder):
    found = {name: load_runs(folder / name)[0].trace.levels for name in ("train", "dev", "test")}
    types = [{tuple(row) for row in levels.tolist()} for levels in found.values()]
    assert not types[0] & types[1] | types[0] & types[2] | types[1] & types[2]


def test_the_same_command_goes_on_and_another_is_refused(folder, capsys, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("acquaint_gym.eval.runs.evaluation.Evaluation.evaluate", never)
    assert main([*SHORT, "--out", str(folder)]) == 0
    capsys.readouterr()
    assert main(["--set", "num_turns=2", "--users", "4", "--out", str(folder)]) == 2
    assert "traces of another configuration" in capsys.readouterr().err


def test_numbers_of_people_are_five_a_profile():
    [job] = collect.plan(
        "acquaint/Questionnaire-v0", ["bayes"], collect.People("train", 0, None), {}
    )
    splits = job.environment(1).task.population.splits
    assert {name: 5 * len(types) for name, types in splits.items()} == collect.USERS


def test_a_line_of_json_is_a_conversation_without_what_nobody_may_see(folder):
    [file] = (folder / "dev" / "export" / "jsonl").iterdir()
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    [source] = load_sources([str(folder / "dev")])
    trace = source.run.trace
    assert [line["person"] for line in lines] == trace.person.tolist()
    for row, line in enumerate(lines):
        assert set(line) == {"env", "person", "messages", "turns"}
        assert [m["role"] for m in line["messages"][-2:]] == ["assistant", "user"]
        assert [turn["answer"] for turn in line["turns"]] == trace.answers[row].tolist()
        said = [m["content"] for m in line["messages"] if m["role"] == "assistant"]
        assert said == [turn["reply"] for turn in line["turns"]]
        for turn, told in enumerate(line["turns"]):
            assert told["teacher_probs"] == trace.teacher_probs[row, turn].tolist()


def test_levels_are_exported_when_asked_for(folder, tmp_path):
    out = ["--split", "dev", "--out", str(tmp_path), "--export", "jsonl", "--with-levels"]
    assert main([*SHORT, *out]) == 0
    [file] = (tmp_path / "dev" / "export" / "jsonl").iterdir()
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    levels = load_runs(folder / "dev")[0].trace.levels
    assert [line["levels"] for line in lines] == levels.tolist()


def test_a_data_set_of_hugging_face_holds_the_same(folder):
    datasets = pytest.importorskip("datasets")
    told = ["--split", "dev", "--out", str(folder), "--export", "datasets"]
    assert main([*SHORT, *told]) == 0
    [path] = (folder / "dev" / "export" / "datasets").iterdir()
    [file] = (folder / "dev" / "export" / "jsonl").iterdir()
    rows = list(datasets.load_from_disk(str(path)))
    assert rows == [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_package_that_is_missing_is_named_before_anything_is_computed(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("acquaint_gym.train.export.find_spec", lambda name: None)
    assert main([*SHORT, "--out", str(tmp_path), "--export", "minari"]) == 2
    assert capsys.readouterr().err == (
        "--export needs the package minari: pip install 'minari[arrow]'.\n"
    )
    assert not list(tmp_path.iterdir())


class Episode(dict):
    def __init__(self, **parts):
        super().__init__(parts)


def test_minari_gets_episodes_as_its_collector_makes_them(folder, monkeypatch):
    """Against a stand-in that keeps what it is given; the real one is tried by hand, see below."""
    made = {}
    minari, buffers = ModuleType("minari"), ModuleType("minari.data_collector.episode_buffer")
    minari.create_dataset_from_buffers = lambda name, episodes, **told: made.update(
        name=name, episodes=episodes, **told
    )
    buffers.EpisodeBuffer = Episode
    modules = {"minari": minari, "minari.data_collector.episode_buffer": buffers}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("acquaint_gym.train.export.find_spec", lambda name: True)
    assert main([*SHORT, "--split", "dev", "--out", str(folder), "--export", "minari"]) == 0
    assert made["name"] == "acquaint/Questionnaire/bayes-dev-v0"
    env, [first, *_] = made["env"].unwrapped, made["episodes"]
    trace = load_runs(folder / "dev")[0].trace
    observation, _ = env.reset(options={"person": int(first["seed"])})
    for turn, action in enumerate(first["actions"]):
        for key, value in observation.items():
            assert np.array_equal(first["observations"][key][turn], value), key
        observation, reward, over, early, _ = env.step(action)
        told = (first["rewards"][turn], first["terminations"][turn], first["truncations"][turn])
        assert told == (reward, over, early)
    for key, value in observation.items():
        assert np.array_equal(first["observations"][key][-1], value), key
    assert np.array_equal(first["infos"]["teacher_probs"][:3], trace.teacher_probs[0])
    assert set(first["infos"]) == {"teacher_probs"}


@pytest.mark.slow
def test_minari_itself_reads_them_back(folder, monkeypatch):
    minari = pytest.importorskip("minari")
    pytest.importorskip("pyarrow")
    assert main([*SHORT, "--split", "test", "--out", str(folder), "--export", "minari"]) == 0
    root = folder / "test" / "export" / "minari"
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    data = minari.load_dataset("acquaint/Questionnaire/bayes-test-v0")
    assert (data.total_episodes, data.total_steps) == (4, 12)
    trace = load_runs(folder / "test")[0].trace
    assert data[0].actions.tolist() == trace.actions[0].tolist()
    assert data.recover_environment().spec.kwargs["num_turns"] == 3


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "peft", "trl", "jinja2"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from acquaint_gym.train.collect import (main)
sys.exit(main(sys.argv[1:]))
"""


def test_collecting_needs_nothing_of_language_models(tmp_path):
    words = [*SHORT, "--split", "dev", "--out", str(tmp_path), "--export", "jsonl"]
    done = call("python", "-c", WITHOUT, *words)
    assert done.stderr.count(".jsonl") == 1


def test_traces_of_several_environments_lie_side_by_side(tmp_path):
    ids = ["acquaint/FlightChoice-v0", "acquaint/HotelChoice-v0"]
    assert main(["--env", *ids, "--users", "3", "--split", "train", "--out", str(tmp_path)]) == 0
    found = load_sources([str(tmp_path)])
    assert [source.run.env for source in found] == ids
    for source in found:
        target = environment_spec(source.run.env).kwargs["task"].partition(":")[2]
        assert type(source.task).__name__ == target


def test_a_folder_without_traces_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds none; python -m train.collect --out"):
        load_sources([str(tmp_path)])
