"""The stress table: the same people twice, the loss between them, and what cannot be had."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from kit import content, generator, make_trace
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student

from acquaint_gym.envs.users.quirks import Quirks
from acquaint_gym.eval.metrics.stats import paired_difference
from acquaint_gym.eval.report.stress import rows_of
from acquaint_gym.eval.runs.evaluation import Evaluation, People, plan
from acquaint_gym.eval.runs.store import load_runs
from acquaint_gym.eval.stress import AGENTS, ENVIRONMENTS, STRENGTHS, choose_quirks, main, parser
from acquaint_gym.eval.trace import DifferentPeopleError, Trace

QUESTIONS, FLIGHTS, CHOICE = ENVIRONMENTS
USERS, TURNS = 60, 4
HARD = ("careless:0.3", "skepticism:0.5", "impatience:0.3", "drift:0.3")


def stress(out: Path, *arguments: object) -> int:
    """`eval.stress` in this process."""
    return main([*map(str, arguments), "--out", str(out)])


def command(*agents: str, quirks=HARD, users: int = USERS, env=ENVIRONMENTS) -> list[object]:
    settings = ["--set", f"num_turns={TURNS}"]
    return ["--agent", *agents, "--env", *env, "--quirks", *quirks, "--users", users, *settings]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three environments, four quirks, three agents. Not to be changed."""
    out = tmp_path_factory.mktemp("stress")
    assert stress(out, *command("bayes", "bayes:quirks=known", "prior")) == 0
    return out


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text("utf-8"))


def traces(folder: Path, quirk: str) -> dict[tuple[str, str], Trace]:
    """(environment, agent) -> trace, of one of the folders."""
    return {(r.env, r.agent): r.trace for r in load_runs(folder / quirk.replace(":", "="))}


def find(report: dict, env: str, text: str, agent: str) -> dict[str, dict]:
    """Metric -> row."""
    quirk, _, strength = text.partition(":")
    key = [env, quirk, float(strength) if strength else None, agent]
    names = ("env", "quirk", "strength", "agent")
    return {row["metric"]: row for row in report["rows"] if [row[n] for n in names] == key}


# The committed strengths.


def test_every_quirk_has_two_strengths_and_a_reason_for_each():
    quirks = list(asdict(Quirks()))
    assert sorted(s.quirk for s in STRENGTHS) == sorted(2 * quirks)
    assert len({s.text for s in STRENGTHS}) == len(STRENGTHS)
    for strength in STRENGTHS:
        assert asdict(Quirks.parse(strength.text))[strength.quirk] == strength.strength
        assert strength.reason
    assert choose_quirks(None) == list(STRENGTHS)
    options = parser().parse_args([])
    assert (options.agent, options.env) == (list(AGENTS), list(ENVIRONMENTS))


def test_the_reasons_calculate_what_they_say():
    reasons = {s.text: s.reason for s in STRENGTHS}
    for text, stay in (("impatience:0.05", (6, 50)), ("impatience:0.2", (6, 20))):
        for turns in stay:
            share = (1 - float(text.partition(":")[2])) ** (turns - 1)
            assert f"{100 * share:.0f} % " in reasons[text]
    for strength in ("0.5", "1.5"):
        odds = f"odds {np.exp(float(strength)):.1f}"
        assert odds in reasons[f"acquiescence:{strength}"]
        assert odds in reasons[f"extremity:{strength}"]
    for strength in ("0.05", "0.2"):
        for turn in (5, 49):
            temperature = 1 + float(strength) * turn
            assert f"{temperature:.2g}" in reasons[f"incoherence:{strength}"].replace("1.25", "1.2")


# The numbers.


def played(seed: int, length: np.ndarray) -> Trace:
    """People with arbitrary answers and an agent with arbitrary opinions."""
    rng, size = generator(seed), (len(length), 5)
    answers, actions = rng.integers(3, size=(2, *size))
    probs = rng.dirichlet(np.ones(3), size=size)
    return make_trace(answers, probs, actions=actions, length=length)


def by_hand(without: Trace, quirky: Trace) -> dict[str, tuple[float, float, float]]:
    """Metric -> mean, low, high, person by person and turn by turn."""
    hits, surprise, turns = [], [], []
    for row in range(len(without.person)):
        common = min(int(without.length[row]), int(quirky.length[row]))
        turns.append(common)
        scores = []
        for trace in (without, quirky):
            right = [trace.actions[row, t] == trace.answers[row, t] for t in range(common)]
            said = [trace.action_probs[row, t, trace.answers[row, t]] for t in range(common)]
            scores.append((sum(right) / common, sum(-np.log(p) for p in said) / common))
        (hit, nll), (hit_quirk, nll_quirk) = scores
        hits.append((hit_quirk, hit - hit_quirk))
        surprise.append((nll_quirk, nll_quirk - nll))

    def spread(values) -> tuple[float, float, float]:
        number, mean = len(values), sum(values) / len(values)
        error = np.sqrt(sum((v - mean) ** 2 for v in values) / (number - 1) / number)
        half = student.ppf(0.975, number - 1) * error
        return mean, mean - half, mean + half

    return {
        "turns": spread(turns),
        "accuracy": spread([h for h, _ in hits]),
        "accuracy_loss": spread([loss for _, loss in hits]),
        "nll": spread([n for n, _ in surprise]),
        "nll_loss": spread([loss for _, loss in surprise]),
    }


def numbers(row: dict) -> list[float]:
    return [row[name] for name in ("mean", "low", "high")]


def test_the_numbers_are_those_of_the_turns_that_took_place_in_both():
    without = played(1, np.array([5, 3, 5, 2, 4, 5]))
    quirky = played(2, np.array([2, 5, 5, 1, 4, 3]))
    rows = {row["metric"]: row for row in rows_of(without, quirky)}
    expected = by_hand(without, quirky)
    assert set(rows) == set(expected)
    for name, values in expected.items():
        assert_allclose(numbers(rows[name]), values, rtol=1e-12)
        assert (rows[name]["users"], rows[name]["failed"]) == (6, 0)


def test_the_interval_is_that_of_eval_stats():
    without, quirky = (played(seed, np.full(8, 5)) for seed in (3, 4))
    rows = {row["metric"]: row for row in rows_of(without, quirky)}
    hit = [(t.actions == t.answers).mean(axis=1, keepdims=True) for t in (without, quirky)]
    estimate = paired_difference(hit[0], hit[1])
    assert numbers(rows["accuracy_loss"]) == [estimate.mean, estimate.low, estimate.high]


def test_people_without_a_quirk_have_no_loss():
    trace = played(5, np.full(4, 5))
    assert {row["metric"] for row in rows_of(trace, trace)} == {"turns", "accuracy", "nll"}


def test_an_impossible_answer_is_counted_on_either_side():
    without, quirky = (played(seed, np.full(8, 5)) for seed in (3, 4))
    probs = without.action_probs.copy()
    probs[2, 1] = np.eye(3)[(without.answers[2, 1] + 1) % 3]
    rows = {r["metric"]: r for r in rows_of(replace(without, action_probs=probs), quirky)}
    assert (rows["nll"]["failed"], rows["nll_loss"]["failed"]) == (0, 1)
    assert rows["nll_loss"]["users"] == 7
    assert rows["accuracy_loss"]["failed"] == 0


def test_other_people_are_refused():
    trace = played(6, np.full(4, 5))
    with pytest.raises(DifferentPeopleError, match="their numbers differ"):
        rows_of(trace, replace(trace, person=trace.person + 1))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_report_holds_these_numbers_of_the_traces_on_disk(env, folder, report):
    plain = traces(folder, "none")
    for text in HARD:
        for (name, agent), trace in traces(folder, text).items():
            if name == env:
                rows = find(report, env, text, agent)
                for metric, values in by_hand(plain[env, agent], trace).items():
                    assert_allclose(numbers(rows[metric]), values, rtol=1e-9, atol=1e-12)
                    assert rows[metric]["users"] == USERS
    for (name, agent), trace in plain.items():
        if name == env:
            rows = find(report, env, "none", agent)
            assert set(rows) == {"turns", "accuracy", "nll"}
            assert rows["turns"]["mean"] == TURNS
            assert_allclose(rows["accuracy"]["mean"], (trace.actions == trace.answers).mean())


# The people.


def test_the_people_without_a_quirk_are_those_of_eval_run(folder, tmp_path):
    for env in ENVIRONMENTS:
        (job,) = plan(env, ["bayes"], People("test", 0, None), {"num_turns": TURNS})
        job.evaluate(tmp_path, 0, USERS)
    ours = traces(folder, "none")
    for met in load_runs(tmp_path):
        for name in ("person", "levels", "stimuli", "answers", "actions"):
            assert_array_equal(getattr(met.trace, name), getattr(ours[met.env, "bayes"], name))


@pytest.mark.parametrize("text", HARD)
def test_people_with_a_quirk_are_the_same_people(text, folder):
    plain = traces(folder, "none")
    found = traces(folder, text)
    assert len(found) == (3 if text == "skepticism:0.5" else 9)
    for key, trace in found.items():
        same = plain[key]
        both = trace.turn_mask & same.turn_mask
        assert_array_equal(trace.person, np.arange(USERS))
        assert_array_equal(trace.stimuli[both], same.stimuli[both])
        agree = trace.answers == same.answers
        if text in ("skepticism:0.5", "impatience:0.3"):  # these change no answer
            assert agree[both].all()
        else:
            assert 0.5 < agree.mean() < 1
        if text == "drift:0.3":  # the first answer is given before any move
            assert agree[:, 0].all()
        else:
            assert_array_equal(trace.levels, same.levels)


def test_who_leaves_early_loses_nothing_before(folder, report):
    for env in ENVIRONMENTS:
        rows = find(report, env, "impatience:0.3", "bayes")
        assert rows["accuracy_loss"]["mean"] == 0
        assert_allclose(rows["nll_loss"]["mean"], 0, atol=1e-9)
        left = traces(folder, "impatience:0.3")[env, "bayes"]
        assert rows["turns"]["mean"] == left.length.mean() < TURNS


def test_quirks_cost_whom_they_should(report):
    for env in (FLIGHTS, CHOICE):  # in four turns of a questionnaire little is learned
        told = find(report, env, "careless:0.3", "bayes:quirks=known")["nll_loss"]["mean"]
        assert 0 < told < find(report, env, "careless:0.3", "bayes")["nll_loss"]["mean"]
    # Sceptics mislead who learns from what they accept, and nobody else.
    assert find(report, FLIGHTS, "skepticism:0.5", "bayes")["nll_loss"]["low"] > 0
    assert find(report, FLIGHTS, "skepticism:0.5", "prior")["nll_loss"]["mean"] == 0


# The tables.


def test_what_has_no_meaning_is_a_dash_with_the_reason(folder, report):
    words = "quirks=skepticism needs feedback='accept'."
    missing = [(note["env"], note["agent"]) for note in report["notes"]]
    agents = ("bayes", "bayes:quirks=known", "prior")
    assert missing == [(env, agent) for env in (QUESTIONS, CHOICE) for agent in agents]
    assert {(note["quirk"], note["words"]) for note in report["notes"]} == {(HARD[1], words)}
    text = (folder / "report.md").read_text("utf-8")
    assert text.count("| skepticism:0.5 | – | – | – | – |") == 4  # two metrics of two tasks
    assert text.count(f"\n– skepticism:0.5: {words}\n") == 2


def test_the_tables_show_the_rows(folder, report):
    text = (folder / "report.md").read_text("utf-8")
    for env in ENVIRONMENTS:
        for metric in ("accuracy", "nll"):
            part = text.split(f"## {env}\n")[1].split(f"### {metric}, ")[1]
            cells = [line.strip("| ").split(" | ") for line in part.splitlines()[2:9]]
            assert cells[0] == ["quirk", "turns", "bayes", "bayes:quirks=known", "prior"]
            assert [line[0] for line in cells[2:]] == ["none", *HARD]
            for line in cells[2:]:
                rows = find(report, env, line[0], "bayes")
                if not rows:
                    continue
                number, loss = rows[metric], rows.get(f"{metric}_loss")
                assert line[1] == f"{rows['turns']['mean']:.1f}"
                assert line[2].startswith(f"{number['mean']:.3f}")
                if loss is not None:
                    half = (loss["high"] - loss["low"]) / 2
                    assert line[2] == f"{number['mean']:.3f}, {loss['mean']:z.3f} ±{half:.3f}"
    assert "| careless:0.3 | chosen on the command line |" in text
    assert report["meta"]["command"] in text
    assert report["meta"]["command"].startswith("python -m eval.stress --agent bayes bayes:quirks")
    assert report["meta"]["users"] == USERS


def test_one_agent_alone_can_be_refused(tmp_path, capsys):
    quirks = ("drift:0.1", "careless:0.2")
    arguments = command("clairvoyant", "prior", quirks=quirks, users=3, env=[QUESTIONS])
    assert stress(tmp_path, *arguments) == 0
    printed = capsys.readouterr().out
    assert "– drift:0.1 (clairvoyant): Agent 'clairvoyant' knows one profile" in printed
    lines = [row for row in printed.splitlines() if row.strip().startswith("drift:0.1 ")]
    assert len(lines) == 2
    assert all(line.split()[2] == "–" and "±" in line for line in lines)
    assert max(map(len, printed.replace(str(tmp_path), "").splitlines())) <= 120
    for word in ("accuracy, share of turns", "nll, nats", "positive is worse"):
        assert word in " ".join(printed.split())


# Again, further, interrupted, afresh.


def files(out: Path) -> dict[str, int]:
    return {str(f.relative_to(out)): f.stat().st_mtime_ns for f in out.glob("*/traces/*/*/*.npz")}


SMALL = {"quirks": ("careless:0.3", "impatience:0.3"), "env": [CHOICE]}


def test_the_same_command_computes_nothing_and_more_people_only_those_missing(
    tmp_path, monkeypatch
):
    assert stress(tmp_path, *command("bayes", users=4, **SMALL)) == 0
    before, report = files(tmp_path), content(tmp_path)
    assert len(before) == 3
    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "evaluate", None)  # whoever calls it now fails
        patched.setattr(Evaluation, "dry_run", None)
        assert stress(tmp_path, *command("bayes", users=4, **SMALL)) == 0
    assert (files(tmp_path), content(tmp_path)) == (before, report)
    asked = []
    evaluate = Evaluation.evaluate

    def watched(job, out, first, end):
        asked.append((out.name, first, end))
        evaluate(job, out, first, end)

    monkeypatch.setattr(Evaluation, "evaluate", watched)
    assert stress(tmp_path, *command("bayes", users=6, **SMALL)) == 0
    assert asked == [(name, 4, 6) for name in ("none", "careless=0.3", "impatience=0.3")]
    assert {name: files(tmp_path)[name] for name in before} == before


def test_an_interrupted_command_goes_on(tmp_path, monkeypatch, capsys):
    evaluate, done = Evaluation.evaluate, []

    def impatient(job, out, first, end):
        if done:
            raise KeyboardInterrupt
        evaluate(job, out, first, end)
        done.append(first)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "evaluate", impatient)
        assert stress(tmp_path, *command("bayes", users=4, **SMALL)) == 130
    assert "Interrupted" in capsys.readouterr().err
    before = files(tmp_path)
    assert len(before) == 1
    assert stress(tmp_path, *command("bayes", users=4, **SMALL)) == 0
    assert before.items() <= files(tmp_path).items()
    assert len(files(tmp_path)) == 3


def test_other_people_in_the_same_folder_are_refused_unless_afresh(tmp_path, capsys):
    assert stress(tmp_path, *command("prior", users=3, **SMALL)) == 0
    before = files(tmp_path)
    assert stress(tmp_path, *command("prior", users=3, **SMALL), "--seed", 1) == 2
    assert "another configuration" in capsys.readouterr().err
    assert files(tmp_path) == before
    assert stress(tmp_path, *command("prior", users=3, **SMALL), "--seed", 1, "--fresh") == 0
    assert len(files(tmp_path)) == 3
    assert not before.items() & files(tmp_path).items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quirks", "carless:0.1"], "Did you mean 'careless'?"),
        (["--quirks", "careless:2"], "expected careless:STRENGTH, 0..1"),
        (["--quirks", "careless"], "expected careless:STRENGTH, 0..1"),
        (["--quirks", "careless:0.1+drift:0.1"], "expected one NAME:STRENGTH"),
        (["--quirks", "none"], "expected one NAME:STRENGTH"),
        (["--quirks", "careless:0.1", "careless:0.10"], "each may be named once"),
        (["--set", "quirks=careless:0.1"], "chosen with --quirks"),
        (["--agent", "bayess"], "Did you mean 'bayes'?"),
        (["--agent", "cheapest"], "Questionnaire has no options with a 'price'"),
        (["--users", "0"], "--users 0: expected at least 1"),
        (["--env", "acquaint/Flight-v0"], "Did you mean 'acquaint/Flights-v0'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(arguments, words, tmp_path, capsys):
    assert stress(tmp_path, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.npz"))


def test_help_explains(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for piece in ("same people", "turns that took place in both", "bayes:quirks=known", "--quirks"):
        assert piece in words
    for strength in STRENGTHS:
        assert strength.text in words
