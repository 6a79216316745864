"""Sweeps: one number of each agent at every combination of settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from acquaint_gym.eval.run import main as run
from acquaint_gym.eval.sweep import main

FLIGHTS = "acquaint/Flights-v0"
AGENTS = ["--agent", "random", "bayes"]


def report(folder):
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_a_sweep_is_runs_side_by_side(tmp_path, capsys):
    command = [*AGENTS, "--env", FLIGHTS, "--users", "40", "--out", str(tmp_path / "sweep")]
    vary = ["--vary", "context=none,answers:3", "--vary", "feedback=accept,choice"]
    assert main([*command, *vary]) == 0
    printed = capsys.readouterr().out
    rows = report(tmp_path / "sweep")["rows"]
    assert len(rows) == 2 * 4
    for context in ("none", "answers:3"):
        for feedback in ("accept", "choice"):
            out = tmp_path / f"{context}-{feedback}"
            some = ["--set", f"context={context}", "--set", f"feedback={feedback}"]
            assert run([*command[:-1], str(out), *some]) == 0
            alone = {
                row["agent"]: row for row in report(out)["rows"] if row["metric"] == "accuracy"
            }
            settings = {"context": context, "feedback": feedback}
            for row in rows:
                if row["settings"] == settings:
                    theirs = alone[row["agent"]]
                    np.testing.assert_allclose(
                        [row["mean"], row["low"], row["high"]],
                        [theirs["mean"], theirs["low"], theirs["high"]],
                    )
                    assert f"{row['mean']:.3f}" in printed
    text = (tmp_path / "sweep" / "report.md").read_text("utf-8")
    assert text.count("\n| acquaint/Flights-v0 |") == 4
    # Again: nothing is computed anew, and the report is the same.
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").rglob("*.npz")}
    assert len(files) == 8
    assert main([*command, *vary]) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_another_metric_and_other_types_of_values(tmp_path):
    command = [*AGENTS, "--env", FLIGHTS, "--users", "30", "--out", str(tmp_path)]
    assert main([*command, "--vary", "temperature=1,5.5", "--metric", "nll"]) == 0
    rows = report(tmp_path)["rows"]
    assert [row["settings"]["temperature"] for row in rows] == [1, 1, 5.5, 5.5]
    assert {row["metric"] for row in rows} == {"nll"}
    uniform = [row["mean"] for row in rows if row["agent"] == "random"]
    np.testing.assert_allclose(uniform, np.log(3))


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (["--vary", "context"], "--vary context: expected KEY=VALUE,VALUE,..., each once."),
        (["--vary", "context="], "--vary context=: expected"),
        (["--vary", "context=none,none"], "each once"),
        (["--vary", "context=none", "--vary", "context=traits"], "each once"),
        (["--vary", "context=none", "--set", "context=none"], "each once"),
        (["--vary", "contxt=none"], "Did you mean 'context'"),
        (["--vary", "context=nothing"], "expected none, traits, answers:K or ID:K"),
        (["--vary", "context=none", "--metric", "acuracy"], "Did you mean 'accuracy'"),
        (["--vary", "context=none", "--users", "0"], "--users 0"),
    ],
)
def test_what_cannot_be_swept_is_refused(extra, problem, tmp_path, capsys):
    assert main([*AGENTS, "--env", FLIGHTS, "--out", str(tmp_path / "out"), *extra]) == 2
    assert problem in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.npz"))


def test_turn_by_turn(tmp_path, capsys):
    command = ["--agent", "bayes", "--env", FLIGHTS, "--users", "40"]
    assert (
        main([*command, "--vary", "context=none", "--by-turn", "--out", str(tmp_path / "a")]) == 0
    )
    rows = report(tmp_path / "a")["rows"]
    assert [row["turn"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert capsys.readouterr().out.count(" ±") == 1 + 6  # the title says what ± is
    assert run([*command, "--out", str(tmp_path / "b")]) == 0
    curves = [row for row in report(tmp_path / "b")["curves"] if row["metric"] == "accuracy"]
    assert [row["mean"] for row in curves] == [row["mean"] for row in rows]
