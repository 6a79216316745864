"""The belief report: correlations that are what they say, and dashes where there are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import stdtrit

from acquaint_gym.envs.registration import make_task
from acquaint_gym.eval.belief import curves, main, overall_curves, overall_table, table
from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.metrics.belief import divergence, teacher_beliefs
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.report import plots
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.store import Run, load_runs
from acquaint_gym.eval.trace import Trace

METRICS = all_metrics()
FLIGHTS, SINGLE = "acquaint/Flights-v0", "acquaint/SingleTraitOpenness-v0"
TRAITS = [
    "Extraversion",
    "Agreeableness",
    "Conscientiousness",
    "Emotional Stability",
    "Openness",
]
USERS, TURNS = 50, 4


def belief(*arguments: object) -> int:
    """`eval.belief` in this process."""
    return main([*map(str, arguments)])


def play(out: Path, *agents: str, env=(FLIGHTS, SINGLE), **settings: object) -> Path:
    """The traces that a run of `eval.run` leaves."""
    for env_id in env:
        people = People("test", 0, None)
        for job in plan(env_id, [*agents], people, {"num_turns": TURNS, **settings}):
            job.evaluate(out, 0, USERS)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Impatient people in two environments, met by three agents. Not to be changed."""
    out = tmp_path_factory.mktemp("runs")
    return play(out, "bayes", "prior", "random", quirks="impatience:0.2")


def met(folder: Path, env: str, agent: str = "bayes") -> Run:
    (found,) = (r for r in load_runs(folder) if (r.env, r.agent) == (env, agent))
    return found


def by_hand(trace: Trace, trait: int, turn: int) -> float:
    """The correlation after turn 1, 2, ..., of those who had that turn."""
    there = [row for row in range(len(trace.person)) if trace.length[row] >= turn]
    means = [
        sum(level * float(p) for level, p in enumerate(trace.belief[row, turn, trait]))
        for row in there
    ]
    return float(np.corrcoef(means, [float(trace.levels[row, trait]) for row in there])[0, 1])


# The numbers.


@pytest.mark.parametrize(("env", "learned"), [(FLIGHTS, [2, 3, 4]), (SINGLE, [4])])
def test_correlations_are_pearsons_of_those_who_were_there(env, learned, folder):
    found = met(folder, env)
    rows = curves(env, "bayes", found)
    assert [(row["trait"], row["turn"]) for row in rows] == [
        (trait, turn) for trait in TRAITS for turn in range(1, TURNS + 1)
    ]
    assert found.trace.length.min() < TURNS
    for row in rows:
        trait = TRAITS.index(row["trait"])
        assert row["users"] == (found.trace.length >= row["turn"]).sum()
        if trait in learned:
            assert_allclose(row["mean"], by_hand(found.trace, trait, row["turn"]), atol=1e-7)
            assert row["low"] < row["mean"] < row["high"]
        else:
            assert np.isnan([row["mean"], row["low"], row["high"]]).all()


def test_intervals_are_those_of_resampled_people(folder):
    trace, trait = met(folder, SINGLE).trace, 4
    row = [r for r in curves(SINGLE, "bayes", met(folder, SINGLE)) if r["trait"] == "Openness"][-1]
    there = trace.length == TURNS
    means = trace.belief[there, TURNS, trait].astype(float) @ np.arange(5)
    levels = trace.levels[there, trait].astype(float)
    rng = np.random.Generator(np.random.Philox(123))
    drawn = rng.integers(there.sum(), size=(4000, there.sum()))
    values = [np.corrcoef(means[rows], levels[rows])[0, 1] for rows in drawn]
    assert_allclose([row["low"], row["high"]], np.quantile(values, [0.025, 0.975]), atol=0.03)


def test_the_metric_is_the_mean_of_the_last_turns_of_traits_that_were_learned_about(folder):
    metric, trace = METRICS["belief_correlation"], met(folder, FLIGHTS).trace
    rows = np.arange(USERS)
    means = trace.belief[rows, trace.length].astype(float) @ np.arange(5)
    expected = [np.corrcoef(means[:, f], trace.levels[:, f])[0, 1] for f in (2, 3, 4)]
    estimate = interval(metric.statistics(trace), metric.combine)
    assert_allclose(estimate.mean, np.mean(expected), atol=1e-6)
    assert estimate.low < estimate.mean < estimate.high
    unmoved = metric.statistics(met(folder, FLIGHTS, "prior").trace)
    assert np.isnan(interval(unmoved, metric.combine).mean)


def test_a_truth_that_is_the_same_of_everybody_has_no_correlation(folder):
    found = met(folder, SINGLE)
    same = replace(found.trace, levels=np.full_like(found.trace.levels, 2))
    rows = curves(SINGLE, "bayes", Run(SINGLE, "bayes", found.config, same))
    assert np.isnan([row["mean"] for row in rows]).all()


# Beside the teacher.


def divergence_by_hand(run: Run, row: int, turns: int) -> float:
    """KL(teacher || agent) of one person after some turns, hypothesis by hypothesis."""
    arguments = {**run.config["env_spec"], **run.config["env_settings"], "quirks": "none"}
    task, trace = make_task(arguments.pop("task"), **arguments), run.trace
    weights = list(task.population.prior)
    for turn in range(turns):
        stimulus, action = trace.stimuli[row, turn], trace.actions[row, turn]
        accepted = action == trace.answers[row, turn]
        for number, levels in enumerate(task.population.levels):
            p = float(task.model.probs(levels, stimulus)[action])
            weights[number] *= p if accepted else 1 - p
    total, divergences = sum(weights), []
    for factor in range(len(task.population.factors)):
        exact = [0.0] * task.population.num_levels
        for levels, weight in zip(task.population.levels, weights, strict=True):
            exact[levels[factor]] += weight / total
        stated = trace.belief[row, turns, factor].astype(float)
        divergences.append(sum(p * np.log(p / q) for p, q in zip(exact, stated, strict=True)))
    return float(np.mean(divergences))


def test_the_divergence_is_from_the_posterior_of_the_agents_own_conversation(folder):
    found = met(folder, FLIGHTS, "prior")
    cells = divergence(found).by_turn(found.trace)
    assert cells.shape == (USERS, TURNS, 1)
    assert_array_equal(np.isnan(cells[..., 0]), ~found.trace.turn_mask)
    # The teacher recommends other flights, and so is told something else.
    assert (found.trace.actions != met(folder, FLIGHTS).trace.actions).any()
    for row in range(3):
        for turns in range(1, found.trace.length[row] + 1):
            expected = divergence_by_hand(found, row, turns)
            assert_allclose(cells[row, turns - 1, 0], expected, rtol=1e-4)
    last = [cells[row, found.trace.length[row] - 1, 0] for row in range(USERS)]
    assert_allclose(divergence(found).statistics(found.trace)[:, 0], last)


@pytest.mark.parametrize(
    ("agent", "env", "settings"),
    [
        ("bayes", FLIGHTS, {"reward": "log_score"}),
        ("bayes", SINGLE, {"quirks": "skepticism:0.3", "context": "answers:10"}),
        ("infomax", "acquaint/Interview-v0", {"allow_stop": True, "cost": 0.2, "num_turns": 8}),
    ],
    ids=["stated", "sceptical", "interview"],
)
def test_the_conversations_take_place_as_they_did(agent, env, settings, tmp_path):
    found = met(play(tmp_path, agent, env=[env], **settings), env, agent)
    turn_mask, after = found.trace.turn_mask, found.trace.belief[:, 1:]
    assert_allclose(teacher_beliefs(found)[turn_mask], after[turn_mask], atol=1e-6)
    if found.trace.agent_asks:  # some were not asked all
        assert not turn_mask.all()


def test_people_who_answer_otherwise_by_now_are_refused(tmp_path, capsys):
    out = play(tmp_path, "bayes", env=[SINGLE])
    (file,) = out.glob("traces/*/*/*.npz")
    trace = Trace.load(file)
    replace(trace, answers=(trace.answers + 1) % 3).save(file)
    assert belief(out) == 2
    said = capsys.readouterr().err
    assert "people answer otherwise than when the traces were made; run eval.run --fresh" in said
    assert said.count("\n") == 1


def test_over_all_traits_a_line_is_the_metric_by_turn_and_after_the_last_answer(folder):
    runs = [met(folder, FLIGHTS, agent) for agent in ("bayes", "prior")]
    rows = [row for found in runs for row in overall_curves(FLIGHTS, found.agent, found)]
    header, lines = overall_table(rows)
    assert header[3:] == ["1", "2", "3", "last answer [95 %]", "people"]
    assert [line[0::2][:2] for line in lines] == [
        [words, agent] for words in ("r", "NLL", "KL") for agent in ("bayes", "prior")
    ]
    assert [line[3:7] for line in lines[1:2]] == [["–"] * 4]  # the prior learns of nobody
    trace = runs[1].trace
    levels = np.broadcast_to(trace.levels[:, None], (USERS, TURNS, len(TRAITS)))[..., None]
    stated = np.take_along_axis(trace.belief[:, 1:].astype(float), levels.astype(int), axis=-1)
    nll = -np.log(stated[..., 0]).mean(axis=-1)
    kl = divergence(runs[1]).by_turn(trace)[..., 0]
    for line, cells in ((lines[3], nll), (lines[5], kl)):
        by_turn = [cells[trace.turn_mask[:, turn], turn].mean() for turn in range(3)]
        assert line[3:6] == [f"{value:.3f}" for value in by_turn]
        last = cells[np.arange(USERS), trace.length - 1]
        half = stdtrit(USERS - 1, 0.975) * last.std(ddof=1) / np.sqrt(USERS)
        numbers = (last.mean(), last.mean() - half, last.mean() + half)
        assert line[6:] == ["{:.3f} [{:.3f}, {:.3f}]".format(*numbers), str(USERS)]
    # To the teacher itself there is no distance.
    assert lines[4][3:7] == ["0.000"] * 3 + ["0.000 [0.000, 0.000]"]


# The report.


def test_tables_stand_side_by_side_and_dashes_at_the_end(folder):
    runs = [met(folder, env, agent) for env in (FLIGHTS, SINGLE) for agent in ("bayes", "prior")]
    rows = [row for found in runs for row in curves(found.env, found.agent, found)]
    header, lines = table(rows)
    assert header == ["trait", "environment", "agent", "1", "2", "3", "last turn [95 %]", "people"]
    assert [line[:3] for line in lines] == [
        ["Conscientiousness", FLIGHTS, "bayes"],
        ["Emotional Stability", FLIGHTS, "bayes"],
        ["Openness", FLIGHTS, "bayes"],
        ["Openness", SINGLE, "bayes"],
        ["2 traits", FLIGHTS, "bayes"],
        ["5 traits", FLIGHTS, "prior"],
        ["4 traits", SINGLE, "bayes"],
        ["5 traits", SINGLE, "prior"],
    ]
    for line in lines:
        assert line[3:7].count("–") == (4 if line[0].endswith("traits") else 0)
    trace = met(folder, SINGLE).trace
    (last,) = [
        row
        for row in rows
        if (row["env"], row["agent"], row["trait"]) == (SINGLE, "bayes", "Openness")
        and row["turn"] == TURNS
    ]
    assert lines[3][3:6] == [f"{by_hand(trace, 4, turn):.3f}" for turn in (1, 2, 3)]
    assert lines[3][6] == f"{last['mean']:.3f} [{last['low']:.3f}, {last['high']:.3f}]"
    assert lines[3][7] == str((trace.length == TURNS).sum())


def test_shorter_tasks_stand_beside_longer_ones_of_many_turns():
    def curve(env: str, turns: int) -> list[dict]:
        numbers = {"mean": 0.5, "low": 0.25, "high": 0.75, "users": 9}
        key = {"env": env, "agent": "bayes", "trait": "Openness"}
        return [key | {"turn": turn} | numbers for turn in range(1, turns + 1)]

    header, (short, long) = table([*curve("mine/Short-v0", 8), *curve("mine/Long-v0", 50)])
    assert header[3:-2] == ["1", "11", "21", "30", "40"]
    assert short[3:-2] == ["0.500"] + [""] * 4
    assert long[3:-2] == ["0.500"] * 5
    assert short[-2:] == long[-2:] == ["0.500 [0.250, 0.750]", "9"]


def test_what_is_written(folder, tmp_path, capsys):
    assert belief(folder, "--out", tmp_path / "new") == 0
    said = capsys.readouterr()
    report = json.loads((tmp_path / "new" / "belief.json").read_text("utf-8"))
    text = (tmp_path / "new" / "belief.md").read_text("utf-8")
    for env in (FLIGHTS, SINGLE):
        line = f"Left out random on {env}: the agent reports no belief about these people's traits."
        assert line in said.err
        assert line in text
        assert line in report["meta"]["left_out"]
    expected = curves(SINGLE, "bayes", met(folder, SINGLE))
    found = [row for row in report["rows"] if (row["env"], row["agent"]) == (SINGLE, "bayes")]
    names = ("env", "agent", "trait", "turn", "users")
    assert [[r[n] for n in names] for r in found] == [[r[n] for n in names] for r in expected]
    for name in ("mean", "low", "high"):
        values = [np.nan if row[name] is None else row[name] for row in found]
        assert_array_equal(values, [row[name] for row in expected])
    own = [row for row in report["overall"] if (row["env"], row["agent"]) == (SINGLE, "bayes")]
    assert [row["turn"] for row in own if row["metric"] == "belief_kl"] == [1, 2, 3, 4, None]
    for line in overall_table(overall_curves(SINGLE, "bayes", met(folder, SINGLE)))[1]:
        assert "| " + " | ".join(line) + " |" in text
    (line,) = [line for line in table(expected)[1] if line[0] == "Openness"]
    assert "| " + " | ".join(line) + " |" in text
    assert line[-2] in said.out
    assert max(map(len, said.out.replace(str(tmp_path), "").splitlines())) <= 120
    command = f"python -m eval.belief {folder} --out {tmp_path / 'new'}"
    assert report["meta"]["command"] == command
    assert command in text
    image = imread(tmp_path / "new" / "belief.png")
    assert image.shape[:2] == (800, 1200)
    assert image.std() > 0.05


def test_the_plot_shows_the_rows(folder):
    runs = [met(folder, env) for env in (FLIGHTS, SINGLE)]
    rows = [row for found in runs for row in curves(found.env, "bayes", found)]
    drawn = plots.belief_curves(rows).axes
    assert [axis.get_title() for axis in drawn] == TRAITS
    assert [len(axis.lines) for axis in drawn] == [0, 0, 1, 1, 2]
    for axis, trait in zip(drawn, TRAITS, strict=True):
        for line, band in zip(axis.lines, axis.collections, strict=True):
            of = [
                r for r in rows if (r["trait"], f"bayes on {r['env']}") == (trait, line.get_label())
            ]
            assert_array_equal(line.get_xydata(), [[row["turn"], row["mean"]] for row in of])
            edges = band.get_paths()[0].vertices
            assert_allclose(edges[:, 1].min(), min(row["low"] for row in of))
    assert len({line.get_color() for line in drawn[4].lines}) == 2


def test_an_agent_in_two_folders_is_told_apart(folder, tmp_path):
    other = play(tmp_path / "other", "bayes", env=[SINGLE], feedback="choice")
    assert belief(folder, other, "--out", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out" / "belief.json").read_text("utf-8"))["rows"]
    labels = {row["agent"] for row in rows if row["env"] == SINGLE}
    assert labels == {f"bayes@{folder.name}", "bayes@other", "prior"}
    assert {row["agent"] for row in rows if row["env"] == FLIGHTS} == {"bayes", "prior"}


def test_nothing_to_report_is_said_in_one_line(folder, tmp_path, capsys):
    assert belief(tmp_path) == 2
    assert "no traces there" in capsys.readouterr().err
    found = play(tmp_path / "random", "random", env=[SINGLE])
    assert belief(found) == 2
    said = capsys.readouterr().err
    assert said.startswith("Nothing to report. Left out random on ")
    assert said.count("\n") == 1


def test_people_whose_traits_nobody_knows_are_left_out(tmp_path, capsys):
    out = play(tmp_path, "bayes", env=[SINGLE])
    (file,) = out.glob("traces/*/*/*.npz")
    trace = Trace.load(file)
    replace(trace, levels=np.full_like(trace.levels, -1)).save(file)
    assert belief(out) == 2
    assert "nobody knows the true traits of these people" in capsys.readouterr().err


def test_a_task_that_cannot_be_had_again_is_named(tmp_path, capsys):
    out = play(tmp_path, "bayes", env=[SINGLE])
    (file,) = out.glob("traces/*/*/config.json")
    config = json.loads(file.read_text("utf-8"))
    config["env_spec"]["task"] = "gone:Task"
    file.write_text(json.dumps(config), "utf-8")
    assert belief(out) == 2
    assert "Task 'gone:Task' cannot be loaded" in capsys.readouterr().err
