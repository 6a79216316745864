"""Comparing runs: the right numbers, told apart, and refused where the people differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kit import generator, make_trace
from numpy.testing import assert_allclose

from acquaint_gym.eval import compare
from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.metrics.stats import paired_difference
from acquaint_gym.eval.runs.store import Store
from acquaint_gym.eval.trace import Notes, Trace

METRICS = all_metrics()
ENV = "acquaint/Questionnaire-v0"
PEOPLE, TURNS = 30, 5


def play(seed: int) -> Trace:
    """The same people for every seed, which is the agent."""
    world, own = generator(99), generator(seed)
    teacher = world.dirichlet(np.ones(3), size=(PEOPLE, TURNS))
    answers = (world.random((PEOPLE, TURNS, 1)) > teacher.cumsum(axis=-1)).sum(axis=-1)
    probs = own.dirichlet(np.ones(3), size=(PEOPLE, TURNS))
    return make_trace(
        answers,
        probs,
        levels=world.integers(5, size=(PEOPLE, 2)),
        stimuli=world.random((PEOPLE, TURNS, 1)),
        teacher_probs=teacher,
    )


def save(folder: Path, agent: str, trace: Trace, env: str = ENV, **changes: object) -> Path:
    """Writes a run in two parts, as `eval.run` leaves it."""
    config = {
        "env": env,
        "env_spec": {"task": "acquaint_gym.envs.tasks:Task", "parameters": "study"},
        "env_settings": {},
        "agent": agent,
        "agent_spec": {"name": agent},
        "teacher_spec": {"name": "bayes"},
        "people": {"split": "test", "suite_seed": 0, "data": None},
    }
    store = Store(folder, config | changes)
    half = len(trace.person) // 2
    notes = Notes({}, {}, 0.0)
    store.save(0, half, trace.select(slice(half)), notes)
    store.save(half, len(trace.person), trace.select(slice(half, None)), notes)
    return folder


def run(*words: object) -> int:
    return compare.main([str(word) for word in words])


def saved_rows(folder: Path) -> dict[tuple[str, str], dict]:
    rows = json.loads((folder / "compare.json").read_text("utf-8"))["rows"]
    return {(row["agent"], row["metric"]): row for row in rows}


def test_differences_are_paired(tmp_path, capsys):
    a, b = play(1), play(2)
    save(tmp_path / "one", "bayes", a)
    save(tmp_path / "two", "llama", b)
    out = tmp_path / "out"
    command = ["--metric", "accuracy", "nll", "ece", "predictive_entropy", "--out", out]
    assert run(tmp_path / "one", tmp_path / "two", *command) == 0
    rows = saved_rows(out)
    assert list(rows) == [("llama", name) for name in command[1:5]]
    for (_, name), row in rows.items():
        metric = METRICS[name]
        estimate = paired_difference(metric.statistics(b), metric.statistics(a), metric.combine)
        assert row["reference"] == "bayes"
        for key in ("mean", "low", "high", "users", "failed"):
            assert row[key] == getattr(estimate, key)
        assert_allclose(row["detectable"], estimate.detectable())
        needed = PEOPLE * (row["detectable"] / 0.01) ** 2
        assert needed <= row["people_for_a_point"] < needed + 1

    hits = (b.actions == b.answers).sum(axis=1) - (a.actions == a.answers).sum(axis=1)
    row = rows["llama", "accuracy"]
    counts = ((hits > 0).sum(), (hits == 0).sum(), (hits < 0).sum())
    assert (row["wins"], row["ties"], row["losses"]) == counts
    assert counts[0] != counts[2]
    gain = METRICS["nll"].statistics(a) - METRICS["nll"].statistics(b)
    assert rows["llama", "nll"]["wins"] == (gain > 0).sum() != (gain < 0).sum()
    assert rows["llama", "ece"]["wins"] is rows["llama", "predictive_entropy"]["wins"] is None

    text, saved = capsys.readouterr().out, (out / "compare.md").read_text("utf-8")
    assert "python -m eval.compare" in saved
    for content in (text, saved):
        assert f"{ENV}: difference to bayes" in content
        assert f"{counts[0]}/{counts[1]}/{counts[2]}" in content
        assert f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in content
        assert str(row["people_for_a_point"]) in content


def test_all_metrics_unless_named_and_failures_shown(tmp_path, capsys):
    sure = play(2)
    probs = sure.action_probs.copy()
    probs[4, 0] = np.eye(3)[(sure.answers[4, 0] + 1) % 3]
    save(tmp_path, "bayes", play(1))
    save(tmp_path, "sure", replace(sure, action_probs=probs))
    assert run(tmp_path, "--out", tmp_path / "out") == 0
    rows = saved_rows(tmp_path / "out")
    assert list(rows) == [
        ("sure", name) for name, metric in METRICS.items() if metric.applies(agent_asks=False)
    ]
    nll, belief = rows["sure", "nll"], rows["sure", "belief_nll"]
    assert (nll["users"], nll["failed"]) == (29, 1)
    assert nll["wins"] + nll["ties"] + nll["losses"] == 29
    assert (belief["users"], belief["failed"], belief["mean"]) == (0, 30, None)
    assert belief["people_for_a_point"] is None
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in lines if line[:1] == ["nll"]]
    assert line[5:7] == ["29", "1"]


def test_reference_can_be_chosen(tmp_path, capsys):
    for seed, agent in enumerate(("bayes", "llama", "prior")):
        save(tmp_path, agent, play(seed))
    options = ["--metric", "accuracy", "--out", tmp_path / "out"]
    assert run(tmp_path, "--reference", "llama", *options) == 0
    rows = saved_rows(tmp_path / "out")
    assert list(rows) == [("bayes", "accuracy"), ("prior", "accuracy")]
    assert run(tmp_path, "--reference", "lama") == 2
    complaint = capsys.readouterr().err
    assert f"No agent 'lama' on {ENV}. Available for --reference: bayes, llama, prior" in complaint


def test_one_agent_in_several_runs_is_told_apart(tmp_path):
    folders = [
        save(tmp_path / name, "llama", play(seed))
        for seed, name in enumerate(("before", "x/after", "y/after"))
    ]
    save(folders[0], "bayes", play(5))
    options = ["--reference", "bayes", "--metric", "accuracy", "--out", tmp_path / "out"]
    assert run(*folders, folders[0], *options) == 0
    labels = ["llama@before", f"llama@{folders[1].resolve()}", f"llama@{folders[2].resolve()}"]
    assert list(saved_rows(tmp_path / "out")) == [(label, "accuracy") for label in labels]


def test_environments_are_compared_apart(tmp_path, capsys):
    other = "acquaint/Other-v0"
    for env, agents in ((ENV, ("bayes", "llama")), (other, ("prior", "random"))):
        for seed, agent in enumerate(agents):
            save(tmp_path, agent, play(seed), env=env)
    save(tmp_path, "bayes", play(0), env="acquaint/Lonely-v0")
    assert run(tmp_path, "--metric", "accuracy", "--out", tmp_path / "out") == 0
    rows = json.loads((tmp_path / "out/compare.json").read_text("utf-8"))["rows"]
    found = {(row["env"], row["agent"], row["reference"]) for row in rows}
    assert found == {(ENV, "llama", "bayes"), (other, "random", "prior")}
    written = (tmp_path / "out/compare.md").read_text("utf-8")
    assert written.count("| accuracy | llama |") == written.count("| accuracy | random |") == 1
    assert "Left out acquaint/Lonely-v0: met by bayes only." in capsys.readouterr().err


def fewer(trace):
    return trace.select(np.arange(20))


def other_answers(trace):
    return replace(trace, answers=(trace.answers + 1) % 3)


@pytest.mark.parametrize(
    ("change", "config", "complaint"),
    [
        (
            None,
            {"people": {"split": "dev", "suite_seed": 0, "data": None}},
            "people split is 'test' and 'dev'",
        ),
        (
            None,
            {"env_settings": {"parameters": "human"}},
            "environment parameters is 'study' and 'human'",
        ),
        (None, {"teacher_spec": {"name": "prior"}}, "teacher_spec name is 'bayes' and 'prior'"),
        (fewer, {}, "30 and 20 people, 20 of them the same"),
        (other_answers, {}, "30 of 30 people answer otherwise, first person 0 at turn 1"),
    ],
)
def test_other_people_are_refused_in_one_line(tmp_path, capsys, change, config, complaint):
    trace = play(2)
    save(tmp_path / "a", "bayes", play(1))
    save(tmp_path / "b", "llama", change(trace) if change else trace, **config)
    assert run(tmp_path / "a", tmp_path / "b") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"Cannot compare 'bayes' and 'llama' on {ENV}: {complaint}" in shown.err


def test_a_setting_by_hand_equal_to_the_registered_one_is_no_difference(tmp_path):
    save(tmp_path, "bayes", play(1))
    save(tmp_path, "llama", play(2), env_settings={"parameters": "study"})
    assert run(tmp_path, "--metric", "accuracy") == 0


def test_nothing_to_compare(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "no traces there" in capsys.readouterr().err
    save(tmp_path, "bayes", play(1))
    assert run(tmp_path) == 2
    assert f"Nothing to compare: one agent only met {ENV}." in capsys.readouterr().err


def test_unknown_metric(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--metric", "acuracy")
    assert "invalid choice: 'acuracy'" in capsys.readouterr().err
