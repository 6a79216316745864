"""Reports: complete, honest about failures, legible, and the same whatever the order of people."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from kit import call, draw_nothing, generator, make_trace
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.report import plots
from acquaint_gym.eval.report.report import (
    NORMALISED,
    build_report,
    table,
    write_report,
)
from acquaint_gym.eval.report.tables import markdown_table, spread, write_people
from acquaint_gym.eval.trace import DifferentPeopleError, Trace

METRICS = all_metrics()
ENV, OTHER = "acquaint/Questionnaire-v0", "acquaint/Other-v0"
PEOPLE, TURNS, CATEGORIES = 40, 4, 3

PREDICTIONS = {name: metric for name, metric in METRICS.items() if metric.applies(agent_asks=False)}


def play(skill: float, *, believes: bool = True) -> Trace:
    """The same people for everybody; `skill` 0 is a uniform agent, 1 the teacher."""
    rng = generator(11)
    teacher = rng.dirichlet(np.full(CATEGORIES, 0.5), size=(PEOPLE, TURNS))
    answers = (rng.random((PEOPLE, TURNS, 1)) > teacher.cumsum(axis=-1)).sum(axis=-1)
    levels = rng.integers(5, size=(PEOPLE, 2))
    noise = rng.dirichlet(np.ones(5), size=(PEOPLE, TURNS + 1, 2))
    belief = skill * (levels[:, None, :, None] == np.arange(5)) + (1 - skill) * noise
    probs = skill * teacher + (1 - skill) / CATEGORIES
    actions = np.where(rng.random(answers.shape) < skill, teacher.argmax(-1), 0)
    return make_trace(
        answers,
        probs,
        levels=levels,
        stimuli=rng.random((PEOPLE, TURNS, 1)),
        actions=actions,
        rewards=(actions == answers) * rng.uniform(1, 2, size=answers.shape),
        teacher_probs=teacher,
        belief=belief if believes else np.zeros((PEOPLE, 0, 0, 0)),
    )


def players() -> dict[str, Trace]:
    return {
        "random": play(0.0, believes=False),
        "bayes": play(1.0),
        "bayes:parameters=human": play(0.6),
    }


def find(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


def test_rows_are_complete_and_are_the_estimates():
    report = build_report({"seed": 3}, {ENV: players(), OTHER: {"bayes": play(1.0)}})
    agents = [(ENV, name) for name in players()] + [(OTHER, "bayes")]
    assert report.meta == {"seed": 3}
    assert {(r["env"], r["agent"], r["metric"]) for r in report.rows} == {
        (*agent, metric) for agent in agents for metric in (*PREDICTIONS, NORMALISED)
    }
    assert len(report.rows) == len(agents) * (len(PREDICTIONS) + 1)
    curved = [name for name, metric in PREDICTIONS.items() if metric.curve]
    assert sorted((r["env"], r["agent"], r["metric"], r["turn"]) for r in report.curves) == sorted(
        (*agent, metric, turn) for agent in agents for metric in curved for turn in (1, 2, 3, 4)
    )
    trace = players()["bayes:parameters=human"]
    for name, metric in PREDICTIONS.items():
        estimate = interval(metric.statistics(trace), metric.combine)
        row = find(report.rows, env=ENV, agent="bayes:parameters=human", metric=name)
        for key in ("mean", "low", "high", "users"):
            assert_array_equal(row[key], getattr(estimate, key))
        # What nobody has, as an answer mass, is no failure.
        assert row["failed"] == (estimate.failed if estimate.users else 0)
    hits = (trace.actions == trace.answers)[:, 2]
    row = find(report.curves, env=ENV, agent="bayes:parameters=human", metric="accuracy", turn=3)
    assert_allclose(row["mean"], hits.mean())
    assert row["users"] == PEOPLE


def test_paired_rows_are_differences_to_the_teacher():
    report = build_report({}, {ENV: players()})
    assert {row["agent"] for row in report.paired} == {"random", "bayes:parameters=human"}
    assert {row["reference"] for row in report.paired} == {"bayes"}
    difference = players()["random"].rewards.mean() - players()["bayes"].rewards.mean()
    row = find(report.paired, agent="random", metric="reward")
    assert_allclose(row["mean"], difference)
    assert row["low"] < difference < row["high"] < 0
    assert find(report.paired, agent="random", metric="belief_nll")["users"] == 0
    assert not build_report({}, {ENV: {"random": play(0)}}).paired
    other = build_report({}, {ENV: players()}, teacher="random")
    assert {row["reference"] for row in other.paired} == {"random"}


def test_normalised_score():
    report = build_report({}, {ENV: players()})
    for agent, score in (("random", 0), ("bayes", 1)):
        row = find(report.rows, agent=agent, metric=NORMALISED)
        assert_allclose([row["mean"], row["low"], row["high"]], score, atol=1e-12)
    floor, ceiling, reward = (trace.rewards.mean() for trace in players().values())
    row = find(report.rows, agent="bayes:parameters=human", metric=NORMALISED)
    assert_allclose(row["mean"], (reward - floor) / (ceiling - floor))
    assert row["low"] < row["mean"] < row["high"]
    for missing in ("random", "bayes"):
        others = {name: trace for name, trace in players().items() if name != missing}
        rows = build_report({}, {ENV: others}).rows
        row = find(rows, agent="bayes:parameters=human", metric=NORMALISED)
        assert np.isnan([row["mean"], row["low"], row["high"]]).all()
        assert (row["users"], row["failed"]) == (0, 0)


@pytest.mark.parametrize(("unread", "red"), [(7, True), (0, False)])
def test_messages_that_nobody_read_are_a_red_number_of_those_who_write(unread, red):
    traces = players()
    assert "unread" not in screen(build_report({}, {ENV: traces}), ENV)
    counts = np.zeros((PEOPLE, TURNS))
    counts[3:5, 2], counts[9, 0] = (unread // 3, unread - 2 * (unread // 3))
    traces["writer"] = replace(play(0.6), unparsed=counts)
    report = build_report({}, {ENV: traces})
    shown = screen(report, ENV, styles=True)
    (line,) = [line for line in shown.splitlines() if " writer" in line]
    assert (f"\x1b[31m{unread}\x1b[0m" in line) == red
    assert shown.count("\x1b[31m") == red  # the others have a dash
    assert f" {unread} " in screen(report, ENV)
    row = find(report.rows, agent="writer", metric="unparsed")
    assert (row["mean"] * row["users"], row["failed"]) == (pytest.approx(unread), 0)


def test_order_of_people_changes_nothing():
    order = generator(1).permutation(PEOPLE)
    shuffled = {name: trace.select(order) for name, trace in players().items()}
    shuffled["bayes"] = players()["bayes"]
    before, after = build_report({}, {ENV: players()}), build_report({}, {ENV: shuffled})
    assert json.dumps(asdict(before)) == json.dumps(asdict(after))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.select(np.arange(30)), "40 and 30 people, 30 of them the same"),
        (lambda t: replace(t, person=t.person + 1), "40 and 40 people, 39 of them the same"),
        (lambda t: replace(t, levels=t.levels[::-1]), "other hidden levels"),
        (lambda t: replace(t, answers=t.answers[:, :3]), "4 and 3 turns"),
        (
            lambda t: replace(t, answers=np.where(t.person[:, None] > 37, 0, t.answers)),
            "of 40 people answer otherwise, first person 3[89] at turn",
        ),
    ],
)
def test_agents_that_met_different_people_are_refused(change, complaint):
    with pytest.raises(DifferentPeopleError, match=complaint) as refusal:
        build_report({}, {ENV: {"bayes": play(1.0), "other": change(play(0.5))}})
    assert f"Cannot compare 'bayes' and 'other' on {ENV}" in str(refusal.value)


def test_agents_may_ask_different_questions():
    asking = play(0.5)
    elsewhere = replace(asking, stimuli=asking.stimuli + 1, answers=(asking.answers + 1) % 3)
    assert build_report({}, {ENV: {"bayes": play(1.0), "asking": elsewhere}}).paired


def screen(report, env, width=120, styles=False):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(report, env))
    return console.export_text(styles=styles)


def failing() -> Trace:
    trace = play(0.5)
    probs = trace.action_probs.copy()
    probs[[3, 5], 0] = np.eye(CATEGORIES)[(trace.answers[[3, 5], 0] + 1) % CATEGORIES]
    return replace(trace, action_probs=probs)


def test_table_fits_and_shows_what_there_is():
    text = screen(build_report({}, {ENV: players() | {"unlucky": failing()}}), ENV)
    assert max(len(line) for line in text.splitlines()) <= 120
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    assert lines["agent"][1:] == [
        "accuracy↑",
        "agree↑",
        "entropy≈",
        "NLL↓",
        "ECE↓",
        "KL↓",
        *("belief", "r↑"),
        "norm.↑",
        "people",
        "failed",
    ]
    assert lines["bayes:parameters=human"][-2:] == ["40", "0"]
    bayes = METRICS["accuracy"].statistics(play(1.0))
    half = interval(bayes).high - bayes.mean()
    assert lines["bayes"][1:4] == [f"{bayes.mean():.3f}", f"±{half:.3f}", "1.000"]
    assert lines["unlucky"][-2:] == ["40", "2"]
    assert lines["unlucky"][5].endswith("*")
    assert not lines["unlucky"][4].endswith("*")
    assert lines["random"][8] == "–"
    assert lines["random"][-2:] == ["40", "0"]  # a belief that nobody promised is no failure

    text = screen(build_report({}, {ENV: {"random": play(0, believes=False)}}), ENV)
    assert "belief" not in text
    assert "norm" not in text


def test_what_nobody_can_have_is_no_failure_and_what_all_got_wrong_is():
    wrong = replace(
        play(1.0), action_probs=np.eye(CATEGORIES)[(play(1.0).answers + 1) % CATEGORIES]
    )
    report = build_report({}, {ENV: players() | {"wrong": wrong}})
    for agent, metric, failed in (
        ("random", "belief_nll", 0),
        ("random", "answer_mass", 0),
        ("wrong", "nll", PEOPLE),
    ):
        for rows in (report.rows, report.paired):
            row = find(rows, agent=agent, metric=metric)
            assert (row["users"], row["failed"]) == (0, failed)
    (line,) = [line for line in screen(report, ENV).splitlines() if " wrong" in line]
    assert line.split()[-1] == str(PEOPLE)


def test_more_than_the_teacher_is_explained_where_it_stands(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    traces, words = {ENV: players()}, "norm. above 1"
    assert words not in screen(build_report({}, traces), ENV)
    traces[ENV]["oracle"] = replace(play(1.0), rewards=np.full((PEOPLE, TURNS), 2.0))
    report = build_report({}, traces)
    assert words in " ".join(screen(report, ENV).split())
    write_report(report, traces, tmp_path)
    assert words in (tmp_path / "report.md").read_text("utf-8")


def test_people_have_a_row_each(tmp_path):
    asking = make_trace(
        [[0, 1]], np.full((1, 2, 3), 1 / 3), interview_stats=np.arange(21).reshape(1, 3, 7)
    )
    write_people(tmp_path / "people.csv", {ENV: {"unlucky": failing()}, OTHER: {"asks": asking}})
    text = (tmp_path / "people.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["env"], row["agent"], row["person"]) for row in rows] == [
        *((ENV, "unlucky", str(n)) for n in range(PEOPLE)),
        (OTHER, "asks", "0"),
    ]
    trace = failing()
    nll = METRICS["nll"].statistics(trace)[:, 0]
    for row, expected in zip(rows, nll, strict=False):
        assert row["turns"] == str(TURNS)
        assert row["log_score"] == row["answer_mass"] == ""
        assert row["nll"] == ("" if np.isnan(expected) else repr(float(expected)))
    assert [n for n, row in enumerate(rows) if not row["nll"]] == [3, 5, PEOPLE]
    assert (rows[-1]["log_score"], rows[-1]["accuracy"]) == ("14.0", "")


def test_written_report(tmp_path):
    command = "python -m eval.run --agent bayes"
    traces = {ENV: players() | {"unlucky": failing()}}
    report = build_report({"command": command}, traces)
    write_report(report, traces, tmp_path / "new")
    names = {"report.json", "people.csv", "report.md", "learning_curve.png", "calibration.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    read = json.loads((tmp_path / "new/report.json").read_text("utf-8"))
    assert set(read) == {"meta", "rows", "curves", "paired"}
    assert find(read["rows"], agent="random", metric="belief_nll")["mean"] is None
    assert len(read["rows"]) == len(report.rows)
    text = (tmp_path / "new/report.md").read_text("utf-8")
    nll = spread(find(report.rows, agent="unlucky", metric="nll"))
    difference = spread(find(report.paired, agent="unlucky", metric="nll"))
    for piece in (
        command,
        f"| nll↓ | unlucky | {nll} | 38 | 2 | {difference} |",
        "![accuracy and negative log-likelihood by turn](learning_curve.png)",
        "](calibration.png)",
    ):
        assert piece in text
    for name in ("learning_curve.png", "calibration.png"):
        image = imread(tmp_path / "new" / name)
        assert image.shape[:2] == (800, 1200)
        assert image.std() > 0.05


def test_each_environment_has_its_own_plots(tmp_path, monkeypatch):
    traces = {ENV: players(), OTHER: {"bayes": play(1.0)}}
    report, draw, drawn = build_report({}, traces), plots.learning_curves, {}

    def spy(curves, title, bounds):
        drawn[title] = curves
        return draw(curves, title, bounds)

    monkeypatch.setattr(plots, "learning_curves", spy)
    write_report(report, traces, tmp_path)
    for env in traces:
        rows = [row for row in report.curves if row["env"] == env]
        assert drawn[f"{env}: {PEOPLE} people"] == rows
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"{plot}_{env.replace('/', '_')}.png"
        for plot in ("learning_curve", "calibration")
        for env in traces
    }


def test_learning_curves_show_the_rows():
    report = build_report({}, {ENV: players()})
    figure = plots.learning_curves(report.curves, "title")
    for axis, metric in zip(figure.axes, ("accuracy", "nll"), strict=True):
        assert [line.get_label() for line in axis.lines] == list(players())
        for line, band in zip(axis.lines, axis.collections, strict=True):
            rows = [
                row
                for row in report.curves
                if (row["agent"], row["metric"]) == (line.get_label(), metric)
            ]
            assert_array_equal(line.get_xydata(), [[row["turn"], row["mean"]] for row in rows])
            edges = band.get_paths()[0].vertices
            for row in rows:
                there = edges[edges[:, 0] == row["turn"], 1]
                assert_allclose([there.min(), there.max()], [row["low"], row["high"]])


def points(figure):
    """The points of the one agent, of many decisions and of few; those of the legend come last."""
    return [c for c in figure.axes[0].collections if isinstance(c, PathCollection)][:-1]


def test_calibration_shows_confidence_and_frequency():
    trace = play(0.9)
    gone = np.arange(TURNS) >= 2
    probs = np.where(gone[None, :, None], np.nan, trace.action_probs)
    two_turns = replace(trace, length=np.full(PEOPLE, 2, np.int16), action_probs=probs)
    figure = plots.calibration({"agent": two_turns}, "title")
    confidence = trace.action_probs[:, :2].max(axis=-1).ravel()
    hit = (trace.action_probs.argmax(-1) == trace.answers)[:, :2].ravel()
    bins = np.ceil(confidence * 15)
    expected = [[confidence[bins == b].mean(), hit[bins == b].mean()] for b in np.unique(bins)]
    shown = np.concatenate([part.get_offsets() for part in points(figure)])
    assert_allclose(shown[shown[:, 0].argsort()], expected)
    lines = (part for part in figure.axes[0].collections if isinstance(part, LineCollection))
    bars = sorted((bar for part in lines for bar in part.get_segments()), key=lambda bar: bar[0, 0])
    for bar, (x, frequency) in zip(bars, expected, strict=True):
        assert_allclose(bar[:, 0], x)
        low, high = bar[:, 1]
        assert low < frequency < high or frequency in (0, 1)
    counts = np.nan_to_num(figure.axes[1].patches[0].get_data().values)
    assert_array_equal(counts, np.bincount(bins.astype(int), minlength=16)[1:])


def test_many_agents_look_different():
    styles = plots._styles(str(number) for number in range(42))
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 42


def test_reports_start_without_matplotlib():
    code = "import sys, acquaint_gym.eval.report.report; print('matplotlib' in sys.modules)"
    assert call("python", "-c", code).stdout == "False\n"


def test_small_pieces():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
    assert spread({"mean": np.nan, "low": np.nan, "high": np.nan}) == "–"
    assert spread({"mean": 0.5, "low": np.nan, "high": np.nan}) == "0.500"
    assert spread({"mean": -0.5, "low": -0.75, "high": 0.25}) == "-0.500 [-0.750, 0.250]"


def test_names_stand_apart_and_are_moved_as_little_as_need_be():
    assert plots.spread_out([0.5, 0.51, 0.9], 0.1) == pytest.approx([0.5, 0.6, 0.9])
    assert plots.spread_out([0.95, 0.97, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert plots.spread_out([], 0.1) == []


def test_of_curves_that_lie_on_each_other_both_are_seen():
    traces = {"random": play(0.0), "bayes": play(1.0), "twin": play(1.0)}
    report = build_report({}, {ENV: traces})
    figure = plots.learning_curves(report.curves, "title", bounds={"random"})
    for axis in figure.axes:
        floor, below, above = axis.lines
        assert (floor.get_linestyle(), below.get_linestyle(), above.get_linestyle()) == (
            ":",
            "-",
            "--",
        )
        assert below.get_linewidth() > 2 * above.get_linewidth()
        assert [text.get_text() for text in axis.texts].count("twin") == 1
    many = {f"agent {n}": play(n / 20) for n in range(13)}
    figure = plots.learning_curves(build_report({}, {ENV: many}).curves, "title")
    assert not figure.axes[0].texts
    assert len(figure.legends[0].get_texts()) == 13


def test_bins_of_few_decisions_are_hollow():
    probs = np.full((40, 1, 2), [0.7, 0.3])
    probs[:7, 0] = [0.1, 0.9]
    figure = plots.calibration({"agent": make_trace(np.zeros((40, 1), int), probs)}, "title")
    filled, hollow = points(figure)
    assert filled.get_offsets().tolist() == [[pytest.approx(0.7), 1.0]]
    assert hollow.get_offsets().tolist() == [[pytest.approx(0.9), 0.0]]
    assert len(filled.get_facecolors()) == 1
    assert len(hollow.get_facecolors()) == 0
