"""The command that counts questions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eval.questions import main, needed
from eval.stats import Estimate


def curve(*means):
    mean = np.array(means)
    return Estimate(mean, mean, mean, np.full(len(mean), 9), np.zeros(len(mean), dtype=int))


def test_needed_by_hand():
    scores = {"slow": curve(-7.0, -6.0, -5.0, -4.0), "quick": curve(-6.0, -4.5, -4.0, -3.0)}
    assert needed(scores, -8.0, ("slow", 4), 1.0) == {"slow": 4, "quick": 3}
    # Three quarters of a gain of 4 is a score of -5.
    assert needed(scores, -8.0, ("slow", 4), 0.75) == {"slow": 3, "quick": 2}
    assert needed(scores, -8.0, ("quick", 4), 1.0) == {"slow": None, "quick": 4}


def test_tables_and_report(tmp_path, capsys):
    arguments = "--agent random infomax --users 40 --set num_turns=6 --need random:6 --out"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "log_score, nats, after so many questions" in shown
    assert "questions needed for a share of the gain" in shown
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    rows = {(r["agent"], r["metric"], r["turn"]): r["mean"] for r in report["rows"]}
    assert len(rows) == 2 * 6 * 6
    assert rows["infomax", "log_score", 6] > rows["random", "log_score", 6]
    first = [rows[agent, "log_score", 1] for agent in ("random", "infomax")]
    needs = shown.split("questions needed")[1].splitlines()
    line = next(line.split() for line in needs if line.split()[:1] == ["infomax"])
    mark = rows["random", "log_score", 6]
    reached = [t for t in range(1, 7) if rows["infomax", "log_score", t] >= mark]
    assert line[1] == str(reached[0])
    assert max(first) < mark
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.count(" ±") >= 2 * 4 * 6  # the intervals that are too wide for a screen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--agent infomax --need random:3", "no agent 'random'"),
        ("--agent infomax --need infomax:11", "at most 10 questions are asked"),
        ("--agent infomax --need infomax", "no agent ''"),
        ("--agent infomax --need infomax:none", "expected AGENT:N"),
        ("--agent infomax --need infomax:²", "expected AGENT:N"),
        ("--agent bayes --env acquaint/Questionnaire-v0", "expected exactly one, where agents ask"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, tmp_path, capsys):
    assert main([*arguments.split(), "--users", "3", "--out", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert message in error.replace("\n", " ")
    assert not list(tmp_path.glob("new/**/*.npz"))
