"""Many workers: executors, clusters, shards, devices; whoever computes, the result is the same."""

from __future__ import annotations

import os
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path

import pytest
from kit import ROOT, call, content

from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.command import parse_shard
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.executors import DEVICES, devices, processes, take_device
from acquaint_gym.eval.runs.store import load_runs
from acquaint_gym.eval.trace import Trace

PEOPLE = ("--users", 22, "--batch-size", 4, "--set", "num_turns=5")


def run(out: Path, *arguments: object) -> int:
    """`eval.run` in this process."""
    return main([*map(str, arguments), "--out", str(out)])


def traces(out: Path) -> dict[str, dict[str, bytes]]:
    """Agent -> column -> its bytes."""
    return {
        found.agent: {f.name: getattr(found.trace, f.name).tobytes() for f in fields(Trace)}
        for found in load_runs(out)
    }


def report(out: Path) -> dict[str, object]:
    """`report.json` without the command that made it, and when and where."""
    made = content(out)
    del made["meta"]["command"]
    return made


@pytest.fixture(scope="module")
def fragile(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("agents") / "fragile.yaml"
    path.write_text("agent: cluster:Fragile\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def reference(tmp_path_factory, fragile) -> Path:
    """The same agents with the same people, in this process. Not to be changed."""
    out = tmp_path_factory.mktemp("reference")
    assert run(out, "--agent", "bayes", fragile, *PEOPLE) == 0
    return out


# Executors.


def test_a_cluster_that_loses_a_worker_gives_the_same_traces_and_report(
    tmp_path, reference, fragile
):
    pytest.importorskip("distributed")
    done = call(
        *("python", "-m", "acquaint_gym.eval.run", "--agent", "bayes", fragile, *PEOPLE),
        *("--executor", "cluster:two_workers", "--out", tmp_path),
        PYTHONPATH=str(ROOT / "tests"),
        FUSE=str(tmp_path),
    )
    assert (tmp_path / "fuse").exists(), done.stderr  # a worker was killed
    assert traces(tmp_path) == traces(reference)
    assert report(tmp_path) == report(reference)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_process_that_is_killed_is_a_sentence_and_the_same_command_goes_on(
    tmp_path, reference, fragile
):
    command = ("python", "-m", "acquaint_gym.eval.run", "--agent", "bayes", fragile, *PEOPLE)
    command += ("--workers", 2, "--out", tmp_path)
    variables = {"PYTHONPATH": str(ROOT / "tests"), "FUSE": str(tmp_path)}
    killed = call(*command, code=2, **variables)
    assert "--workers 2: a worker died" in killed.stderr
    assert "the same command goes on" in killed.stderr
    assert "Traceback" not in killed.stderr
    assert not (tmp_path / "report.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("people-*.npz")}
    assert len(kept) >= 2
    call(*command, **variables)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert traces(tmp_path) == traces(reference)
    assert report(tmp_path) == report(reference)


def test_threads_take_turns(tmp_path, reference, fragile):
    threads = "concurrent.futures:ThreadPoolExecutor"
    assert run(tmp_path, "--agent", "bayes", fragile, *PEOPLE, "--executor", threads) == 0
    assert traces(tmp_path) == traces(reference)


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("cluster", "'cluster': expected module:Class"),
        ("nobodys_cluster:executor", "No module named 'nobodys_cluster'"),
        ("cluster:two_worker", "Did you mean 'two_workers'?"),
        ("cluster:no_executor", "makes a concurrent.futures.Executor, .*; got object"),
        ("cluster:ROOT", "has no 'ROOT'"),
        ("cluster:unreachable", "connecting to tcp://127.0.0.1:1 (.*Is the cluster up?"),
    ],
)
def test_a_factory_that_gives_no_executor_is_refused(tmp_path, capsys, executor, message):
    arguments = ("--agent", "random", "--users", 2, "--executor", executor)
    assert run(tmp_path, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert error.startswith("--executor ")
    assert message.split(".*")[0] in error
    assert message.split(".*")[-1] in error
    assert not list(tmp_path.rglob("people-*.npz"))


def test_an_executor_brings_its_own_workers(tmp_path, capsys):
    arguments = ("--executor", "cluster:two_workers", "--workers", 2)
    assert run(tmp_path, "--agent", "random", *arguments) == 2
    assert "name one" in capsys.readouterr().err


# Shards.


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_in_any_order_share_the_work_and_the_last_one_reports(
    tmp_path, reference, fragile, order, monkeypatch, capsys
):
    evaluate, met = Evaluation.evaluate, []

    def watched(evaluation, out, first, end):
        met.append((evaluation.agent.label, first, end))
        evaluate(evaluation, out, first, end)

    monkeypatch.setattr(Evaluation, "evaluate", watched)
    command = ("--agent", "bayes", fragile, *PEOPLE)
    for shard in order:
        assert not (tmp_path / "report.json").exists()
        before = len(met)
        assert run(tmp_path, *command, "--shard", f"{shard}/3") == 0
        assert len(met) - before == 4  # of twelve parts
        message = capsys.readouterr().err
        assert (f"Shard {shard}/3 is done. Missing are" in message) == (shard != order[-1])
    assert len(set(met)) == len(met) == 12
    assert traces(tmp_path) == traces(reference)
    assert report(tmp_path) == report(reference)
    assert run(tmp_path, *command, "--shard", f"{order[0]}/3") == 0
    assert len(met) == 12


def test_shards_fill_what_a_run_in_other_batches_has_left(tmp_path, reference, fragile):
    agents = ("--agent", "bayes", fragile)
    turns = ("--set", "num_turns=5")
    assert run(tmp_path, *agents, "--users", 7, "--batch-size", 3, *turns) == 0
    for shard in ("2/2", "1/2"):
        assert run(tmp_path, *agents, *PEOPLE, "--shard", shard) == 0
    assert report(tmp_path) == report(reference)


def test_a_shard_that_was_interrupted_goes_on(tmp_path, reference, fragile, monkeypatch):
    command = ("--agent", "bayes", fragile, *PEOPLE, "--shard")
    evaluate, met = Evaluation.evaluate, []

    def impatient(evaluation, out, first, end):
        if len(met) == 2:
            raise KeyboardInterrupt
        evaluate(evaluation, out, first, end)
        met.append((evaluation.agent.label, first, end))

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "evaluate", impatient)
        assert run(tmp_path, *command, "1/2") == 130
    assert run(tmp_path, *command, "2/2") == 0
    assert not (tmp_path / "report.json").exists()
    assert run(tmp_path, *command, "1/2") == 0
    assert report(tmp_path) == report(reference)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1/0", "-1/2", "a/b", "1", "1/2/3", "", "1.5/2"])
def test_a_shard_that_is_none_is_refused(tmp_path, capsys, shard):
    assert run(tmp_path, "--agent", "random", "--users", 2, f"--shard={shard}") == 2
    assert f"--shard {shard}: expected K/N with K in 1..N" in capsys.readouterr().err
    assert not list(tmp_path.rglob("people-*.npz"))


def test_shards_are_read_as_typed():
    assert [parse_shard(text) for text in (None, "1/1", "12/12")] == [(1, 1), (1, 1), (12, 12)]


def test_a_shard_removes_nothing_of_the_others(tmp_path, capsys):
    assert run(tmp_path, "--agent", "random", "--users", 2, "--shard", "1/2", "--fresh") == 2
    assert "remove what the others have done" in capsys.readouterr().err


# Devices.


def test_workers_take_devices_in_turn(monkeypatch):
    monkeypatch.setenv(DEVICES, "3,5")
    started = get_context("spawn").Value("i", 0)
    taken = []
    for _ in range(3):
        take_device(started, ["3", "5"])
        taken.append(os.environ[DEVICES])
    assert taken == ["3", "5", "3"]
    monkeypatch.setenv(DEVICES, "as it was")
    take_device(started, [])
    assert os.environ[DEVICES] == "as it was"


def test_a_process_sees_one_device_of_those_that_its_parent_sees(monkeypatch):
    monkeypatch.setenv(DEVICES, "3,5")
    assert devices() == ["3", "5"]
    with processes(1) as pool:
        assert pool.submit(os.getenv, DEVICES).result() == "3"
    monkeypatch.setenv(DEVICES, "")
    assert devices() == []
    monkeypatch.delenv(DEVICES)
    assert devices() == [str(n) for n in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]
