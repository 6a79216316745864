"""Faults of machines and of other people's code: one line that names them, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from traceback import format_exception

import numpy as np
import pytest
from kit import ROOT, environ
from rich.console import Console

import acquaint_gym
from acquaint_gym.envs.files import FileError, atomic, write_text
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.eval import trace as trace_module
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.command import exit_code
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.store import Store, load_runs, read_json
from acquaint_gym.eval.trace import Trace

FULL = OSError(errno.ENOSPC, "No space left on device")
COMMAND = ("--agent", "random", "--users", "4", "--batch-size", "2", "--set", "num_turns=3")


def run(out: Path, *more: str) -> int:
    """`eval.run` of a baseline with four people in two batches."""
    return main([*COMMAND, *more, "--out", str(out)])


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command says."""
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    return said


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Not to be changed."""
    out = tmp_path_factory.mktemp("done")
    assert run(out) == 0
    return out


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    """The files of a finished run, to be damaged."""
    for file in done.rglob("*.*"):
        target = tmp_path / file.relative_to(done)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return tmp_path


# Disks.


def test_a_full_disk_is_a_line_and_the_same_command_goes_on(tmp_path, capsys, monkeypatch, done):
    save, calls = np.savez_compressed, []

    def full(file, **columns):
        calls.append(file)
        if len(calls) == 2:
            file.write(b"half of it")
            raise FULL
        save(file, **columns)

    monkeypatch.setattr(trace_module.np, "savez_compressed", full)
    assert run(tmp_path) == 2
    said = line(capsys)
    assert "people-0000002-0000004.npz: cannot be written (No space left on device)." in said
    assert "Free space there" in said
    assert len(list(tmp_path.rglob("people-*.npz"))) == 1
    assert not list(tmp_path.rglob("*.partial"))
    assert run(tmp_path) == 0
    assert len(calls) == 3  # the first two people were not met again
    for mine, other in zip(load_runs(tmp_path), load_runs(done), strict=True):
        np.testing.assert_array_equal(mine.trace.action_probs, other.trace.action_probs)


@pytest.mark.parametrize("name", ["report.json", "learning_curve.png", "config.json"])
def test_whatever_is_written_has_its_line(tmp_path, capsys, monkeypatch, name):
    replace = Path.replace

    def full(path, target):
        if target.name == name:
            raise FULL
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    assert run(tmp_path) == 2
    assert f"{name}: cannot be written (No space left" in line(capsys)


def test_files_that_others_write_have_a_line_too(capsys):
    def body(console: Console) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "weights.safetensors")

    assert exit_code(body, "runs/x") == 2
    assert line(capsys).startswith("weights.safetensors: cannot be written (No space left")

    def defect(console: Console) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such file", "a")

    with pytest.raises(FileNotFoundError):
        exit_code(defect, "runs/x")


def test_what_was_there_stays_where_nothing_can_be_written(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(FileError, match=r"a\.txt: cannot be written"), atomic(file) as partial:
        fill_up(partial)
    assert file.read_text("utf-8") == "old\n"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(FileError, match=r"a\.txt.b: cannot be written \(File exists\)"):
        write_text(file / "b", "new")


def fill_up(file: Path) -> None:
    file.write_text("half of it", "utf-8")
    raise FULL


def test_no_changed_byte_of_a_trace_goes_unnoticed(done, tmp_path):
    file = next(done.rglob("people-*.npz"))
    content, whole = file.read_bytes(), Trace.load(file)
    damaged, said = tmp_path / "x.npz", []
    changes = [(place, 1 << place % 8) for place in range(0, len(content), 37)]
    for place, bit in changes:
        damaged.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        try:
            loaded = Trace.load(damaged)
        except FileError as error:
            said.append(str(error))
        else:  # of no account, e.g. the date of a member
            for name, column in vars(loaded).items():
                np.testing.assert_array_equal(column, getattr(whole, name))
    assert len(said) > len(changes) / 4
    assert all(re.fullmatch(rf"{damaged}: .*Delete it and run again\.", words) for words in said)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(FileError, match="Delete it and run again"):
            Trace.load(damaged)


def test_a_damaged_trace_is_a_line_and_is_made_again(copy, capsys, done):
    file = next(copy.rglob("people-*.npz"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    assert run(copy) == 2
    assert line(capsys).startswith(f"{file}: damaged (")
    file.unlink()
    assert run(copy) == 0
    assert (copy / "report.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "\0", '{"enw": "a"}'])
def test_damaged_tables_beside_traces(copy, capsys, content):
    config = next(copy.rglob("config.json"))
    notes = next(copy.rglob("people-*.json"))
    for file in (notes, config):
        before = file.read_bytes()
        file.write_text(content, "utf-8")
        with pytest.raises(FileError, match=r"damaged|delete the folder"):
            load_runs(copy) if file == config else Store(copy, read_json(config)).notes()
        file.write_bytes(before)


def test_a_damaged_file_in_the_midst_of_a_run_is_a_line(tmp_path, capsys, monkeypatch):
    def damaged(evaluation, out, first, end):
        raise FileError.unreadable(Path("cache/ab.json"), ValueError("two\nlines"))

    monkeypatch.setattr(Evaluation, "evaluate", damaged)
    assert run(tmp_path) == 2
    assert line(capsys) == "cache/ab.json: damaged (two lines). Delete it and run again."


# Processes.


def test_workers_go_when_the_command_is_killed(tmp_path):
    # Real processes, as nothing else can be killed: three seconds to start them.
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal\n"
        "from acquaint_gym.eval.runs.executors import processes\n"
        "if __name__ == '__main__':\n"
        "    pool = processes(1)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
        "utf-8",
    )
    killed = subprocess.run(
        [sys.executable, str(script)],
        env=environ(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    worker = int(killed.stdout)
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker lives on")


@pytest.mark.parametrize(
    "words", [("-m", "eval.run"), ("-m", "acquaint_gym.eval.run"), ("-m", "acquaint_gym", "run")]
)
def test_an_interrupt_during_imports_has_no_traceback(tmp_path, words):
    (tmp_path / "gymnasium.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", "utf-8"
    )
    command = f'"{sys.executable}" {" ".join(words)}; exit $?'
    stopped = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env=environ(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (stopped.returncode, stopped.stderr) == (130, "Interrupted.\n")


@pytest.mark.parametrize(
    ("argv", "interpreter", "ours"),
    [
        (["/venv/bin/acquaint"], ["python", "/venv/bin/acquaint", "run"], True),
        (["-m"], ["python", "-X", "dev", "-m", "train.distill"], True),
        (["worker"], ["python", "-c", "from multiprocessing", "--multiprocessing-fork"], True),
        (["-m"], ["python", "-m", "pytest"], False),
        (["theirs.py"], ["python", "theirs.py", "-m"], False),
        ([""], ["python"], False),
    ],
)
def test_only_commands_of_ours_are_quiet(argv, interpreter, ours):
    assert acquaint_gym._is_command(argv, interpreter) is ours


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        ("cluster:Dying", "cannot be reached (WorkerKilledError: tried 4 times). Nothing that was"),
        (
            "cluster:Closed",
            "cannot be reached (RuntimeError: cannot schedule new futures). Nothing",
        ),
        ("cluster:Cut", "cannot be reached (ConnectionError: lost). Nothing that was done is lost"),
        ("cluster:asleep", ": RuntimeError: the scheduler sleeps ("),
    ],
)
def test_a_cluster_that_fails_is_a_line(tmp_path, capsys, executor, words):
    assert run(tmp_path, "--executor", executor) == 2
    said = line(capsys)
    assert said.startswith(f"--executor {executor}: ")
    assert words in said


@pytest.mark.parametrize("shard", [(), ("--shard", "2/2")])
def test_files_of_workers_that_are_not_here_are_missed(tmp_path, capsys, shard):
    assert run(tmp_path, "--executor", "cluster:Elsewhere", *shard) == 2
    said = line(capsys)
    people = "2..3" if shard else "0..1"
    assert said.startswith("--executor cluster:Elsewhere: random on acquaint/Questionnaire-v0, ")
    assert f"people {people} are done, but the workers' files are not in {tmp_path}" in said
    assert said.endswith("Do all workers share this folder, under the same path?")


class HeavyError(Exception):
    """Does not travel as it is (unless Dask is loaded): it would be made again of its words."""

    def __init__(self, words, more):
        super().__init__(words)


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), ConnectionError("a defect"), HeavyError("a defect", 1)]
)
def test_a_defect_on_a_cluster_stays_one(tmp_path, monkeypatch, error):
    def defect(evaluation, out, first, end):
        raise error

    monkeypatch.setattr(Evaluation, "evaluate", defect)
    with pytest.raises((type(error), RuntimeError), match="a defect") as raised:
        run(tmp_path, "--executor", "cluster:thread")
    # Where it was raised is said, wherever that was.
    assert "in defect" in "".join(format_exception(raised.value))


# People of others.


class NoArguments:
    def __init__(self):
        pass


class Unreachable(Simulator):
    def draw(self, person):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


class Garbled(Simulator):
    def draw(self, person):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class Picky(Simulator):
    def __init__(self, task, split, suite_seed):
        raise ValueError(f"split={split!r}; these people are of split 'all'.")


class Forgetful(Simulator):
    """People who answer otherwise each time they are asked."""

    draws = 0

    def draw(self, person):
        Forgetful.draws += 1
        users = super().draw(person)
        return users._replace(answers=(users.answers + Forgetful.draws) % 5)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("NoArguments", "TypeError: NoArguments.__init__() takes 1 positional argument but 4"),
        ("Unreachable", "ConnectionRefusedError: [Errno 111] Connection refused ("),
        ("Garbled", "UnicodeDecodeError: 'utf-8' codec"),
        ("Forgetful", "gives others when it is asked again: Cannot compare"),
    ],
)
def test_people_of_others_that_fail_are_named(tmp_path, capsys, source, words):
    name = f"test_faults:{source}"
    assert run(tmp_path, "--agent", "random", "prior", "--people", name) == 2
    said = line(capsys)
    assert said.startswith(f"people='{name}'")
    assert words in said


def test_what_people_of_others_say_of_themselves_is_kept(tmp_path, capsys):
    assert run(tmp_path, "--people", "test_faults:Picky") == 2
    assert line(capsys) == "split='test'; these people are of split 'all'."
