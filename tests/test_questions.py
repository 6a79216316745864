"""The command that counts questions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.envs.contract.play import batch
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.metrics.base import correlation, moments
from acquaint_gym.eval.metrics.interview import by_trait
from acquaint_gym.eval.metrics.stats import Estimate, interval
from acquaint_gym.eval.questions import main, questions_until
from acquaint_gym.eval.rollout import rollout

INTERVIEW = "acquaint/Interview-v0"


def curve(*means):
    mean = np.array(means)
    return Estimate(mean, mean, mean, np.full(len(mean), 9), np.zeros(len(mean), dtype=int))


def interviewed(name, **settings):
    """The trace of forty people whom an agent has interviewed."""
    env = batch(INTERVIEW, 40, **settings)
    agent = parse_agent(name, []).build(lambda **_: env.task, {})
    uniforms = np.random.default_rng(0).random((40, env.task.num_turns))
    return rollout(env, agent, agent, np.arange(40), uniforms)


@pytest.mark.parametrize("settings", [{"num_turns": 50}, {"parameters": "human", "num_turns": 7}])
def test_printed_asks_everybody_in_printed_order(settings):
    trace = interviewed("printed", **settings)
    assert_array_equal(trace.actions, np.tile(np.arange(settings["num_turns"]), (40, 1)))


def test_printed_goes_on_with_the_first_that_was_not_asked():
    task = batch(INTERVIEW, 2, num_turns=4).task
    asked = np.array([[0, 2, -1, -1], [1, 0, 2, -1]])
    answers = np.array([[4, 4, -1, -1], [0, 1, 2, -1]])
    observation = Transcript.of(np.array([2, 3]), asked[..., None], asked, answers)
    agent = parse_agent("printed", []).build(lambda **_: task, {})
    assert agent.act(observation, np.zeros(2)).action.tolist() == [1, 3]


def test_traits_one_by_one():
    """In plain steps, also of those who have stopped and go on knowing as much."""
    trace = interviewed("random", num_turns=6)
    length = np.where(np.arange(40) < 10, 2, 6).astype(np.int16)
    found = by_trait(replace(trace, length=length), "EACNO")
    assert list(found) == list("EACNO")
    for place, of in enumerate(found.values()):
        for turn in range(1, 7):
            known = trace.interview_stats[np.arange(40), np.minimum(turn, length)][:, 5:]
            mean, truth = known[:, place], known[:, 5 + place]
            error = np.sqrt(((mean - truth) ** 2).mean())
            assert_allclose(of["rmse"].mean[turn - 1], error)
            expected = np.corrcoef(mean, truth)[0, 1] if np.ptp(mean) > 1e-6 else np.nan
            assert_allclose(of["theta_correlation"].mean[turn - 1], expected)
            alone = interval(moments(mean, truth), correlation)
            assert_allclose(of["theta_correlation"].low[turn - 1], alone.low)
            assert_allclose(of["theta_correlation"].high[turn - 1], alone.high)
        assert (of["rmse"].low <= of["rmse"].mean).all()
        assert (of["rmse"].mean <= of["rmse"].high).all()
    # Nobody was asked about the last of five traits before the fifth item in printed order.
    late = by_trait(interviewed("printed", num_turns=6), "EACNO")["O"]["theta_correlation"]
    assert np.isnan(late.mean).tolist() == [True] * 4 + [False] * 2


def test_needed_by_hand():
    scores = {"slow": curve(-7.0, -6.0, -5.0, -4.0), "quick": curve(-6.0, -4.5, -4.0, -3.0)}
    assert questions_until(scores, -8.0, ("slow", 4), 1.0) == {"slow": 4, "quick": 3}
    # Three quarters of a gain of 4 is a score of -5.
    assert questions_until(scores, -8.0, ("slow", 4), 0.75) == {"slow": 3, "quick": 2}
    assert questions_until(scores, -8.0, ("quick", 4), 1.0) == {"slow": None, "quick": 4}


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


def test_each_trait_has_its_lines(tmp_path, capsys):
    arguments = "--agent printed infomax --users 20 --set num_turns=3 --out"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    rows = {(r["trait"], r["agent"], r["metric"], r["turn"]): r for r in report["traits"]}
    assert len(rows) == 5 * 2 * 2 * 3
    text = (tmp_path / "report.md").read_text("utf-8")
    row = rows["Extraversion", "printed", "rmse", 3]
    line = text.split("rmse by trait")[1].split("\n| Extraversion | printed |")[1].split("\n")[0]
    half = (row["high"] - row["low"]) / 2
    assert line.split("|")[2].strip() == f"{row['mean']:.3f} ±{half:.3f}"
    assert rows["Openness", "printed", "theta_correlation", 3]["mean"] is None
    assert "theta_correlation by trait" in capsys.readouterr().out


def test_classes_have_no_traits(tmp_path):
    arguments = "--agent random --users 5 --set num_turns=2 --set population=classes --out"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["traits"] == []
    assert "by trait" not in (tmp_path / "report.md").read_text("utf-8")


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
