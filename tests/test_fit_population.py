"""The finite population against brute force, another optimiser, and simulated people."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from kit import generator, respondents
from scipy.optimize import minimize

from acquaint_gym.envs.data import FOLDER, read_table
from acquaint_gym.envs.users.classes import (
    LocatedClasses,
    category_names,
    load_classes,
    log_response,
)
from acquaint_gym.envs.users.humans import load_respondents
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train import fit_population
from acquaint_gym.train.psychometrics import classes as class_fit
from acquaint_gym.train.psychometrics import common
from acquaint_gym.train.psychometrics.classes import (
    expected_answers,
    first_weights,
    fit_classes,
    indicators,
    maximise,
    penalty,
    scatter,
    sequential_scores,
)

BANK = ItemBank.load("bfi25")
ITEMS, CATEGORIES = BANK.num_items, BANK.num_categories


def truth(items: int, categories: int, seed: int) -> LocatedClasses:
    """A made-up population of 1,024 classes in two dimensions; the second is an answer style."""
    rng = generator(seed)
    steps = np.linspace(-1, 1, categories)
    trait = rng.uniform(0.8, 2.0, items) * rng.choice([-1, 1], items)
    style = rng.uniform(0.5, 1.5, items)
    return LocatedClasses(
        log_prior=np.zeros(1024),
        positions=rng.standard_normal((1024, 2)),
        intercepts=rng.normal(0, 0.5, (items, categories)),
        weights=np.stack([trait[:, None] * steps, style[:, None] * steps**2], axis=2),
    )


def draw(population: LocatedClasses, people: int, rng: np.random.Generator) -> Ints:
    """`[N, I]` answers of people drawn from a population."""
    who = rng.choice(len(population.log_prior), people, p=population.prior())
    passed = rng.random((people, len(population.intercepts), 1)) >= np.cumsum(
        population.probs()[who], axis=2
    )
    return passed[..., :-1].sum(axis=2)


def pairs(prior: Floats, probs: Floats) -> Floats:
    """`[I*K, I*K]` joint probabilities of two answers by the same person."""
    flat = probs.reshape(len(probs), -1)
    return (flat * prior[:, None]).T @ flat


def small() -> tuple[Ints, Floats, Floats]:
    """Forty people with gaps, seven classes and weights: small enough for loops."""
    rng = generator(5)
    answers = rng.integers(-1, 3, (40, 4))
    design = np.concatenate([np.ones((7, 1)), rng.standard_normal((7, 2))], axis=1)
    return answers, design, rng.standard_normal((4, 3, 3))


def test_simulated_population_is_recovered() -> None:
    true = truth(12, 4, seed=1)
    rng = generator(2)
    answers, others = draw(true, 4000, rng), draw(true, 1500, rng)
    found = fit_classes(answers, 4, 512, generator(0), dimensions=2, ridge=1.0, iterations=15)
    prior, probs = found.prior(), found.probs()
    assert probs.shape == (512, 12, 4)
    np.testing.assert_allclose(probs.sum(axis=2), 1.0)
    # The space may be turned, so what is compared is what the population says about answers.
    gap = np.abs(pairs(prior, probs) - pairs(true.prior(), true.probs()))
    assert gap.max() < 0.03
    _, best = sequential_scores(others, true.prior(), true.probs())
    _, nll = sequential_scores(others, prior, probs)
    one_class = np.stack([(answers == k).mean(axis=0) for k in range(4)], axis=1)[None]
    _, marginal = sequential_scores(others, np.ones(1), one_class)
    assert best - 0.002 < nll < best + 0.01
    assert marginal > best + 0.1


def test_answer_style_needs_a_dimension_of_its_own() -> None:
    true = truth(12, 4, seed=1)
    answers, others = draw(true, 3000, generator(2)), draw(true, 2000, generator(3))
    scores = []
    for dimensions in (1, 2):
        found = fit_classes(answers, 4, 256, generator(0), dimensions=dimensions, iterations=10)
        scores.append(sequential_scores(others, found.prior(), found.probs())[1])
    assert scores[1] < scores[0] - 0.008


def test_missing_answers_cost_information_but_do_not_bias() -> None:
    true = truth(12, 4, seed=1)
    answers = draw(true, 6000, generator(2))
    # Whoever answers the first item with the lowest category skips half of the form.
    answers[np.ix_(answers[:, 0] == 0, range(6, 12))] = -1
    assert 0.1 < (answers[:, 6] == -1).mean() < 0.5
    found = fit_classes(answers, 4, 512, generator(0), dimensions=2, ridge=1.0, iterations=20)
    expected = np.einsum("c,cik->ik", true.prior(), true.probs())
    shares = np.einsum("c,cik->ik", found.prior(), found.probs())
    seen = np.stack([(answers == k).sum(axis=0) for k in range(4)], axis=1)
    seen = seen / seen.sum(axis=1, keepdims=True)
    assert np.abs(shares - expected).max() < 0.03
    assert np.abs(seen - expected).max() > 0.05


def test_gaps_do_not_look_like_a_dimension() -> None:
    # Independent answers: that the same half of the people skips two items says nothing of them.
    answers = generator(6).integers(0, 3, (4000, 4))
    answers[:2000, :2] = -1
    start = first_weights(answers, 3, 8)
    shares = np.stack([(answers == k).sum(axis=0) for k in range(3)], axis=1)
    wanted = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(start[..., 0]), wanted, atol=1e-3)
    assert np.abs(start[0, :, 1:] @ start[1, :, 1:].T).max() < 0.1


def test_expected_answers_agree_with_loops() -> None:
    answers, design, weights = small()
    counts, likelihood = expected_answers(indicators(answers, 3), design, weights)
    wanted, total = np.zeros_like(counts), 0.0
    for person in answers:
        joint = np.full(7, 1 / 7)
        for c in range(7):
            for item, answer in enumerate(person):
                if answer >= 0:
                    logits = weights[item] @ design[c]
                    joint[c] *= np.exp(logits[answer]) / np.exp(logits).sum()
        total += np.log(joint.sum())
        for item, answer in enumerate(person):
            if answer >= 0:
                wanted[:, item, answer] += joint / joint.sum()
    np.testing.assert_allclose(counts, wanted, rtol=1e-4, atol=1e-5)
    assert likelihood == pytest.approx(total, rel=1e-5)


def test_newton_steps_end_where_another_optimiser_ends() -> None:
    answers, design, weights = small()
    counts, _ = expected_answers(indicators(answers, 3), design, weights)

    def loss(flat: Floats) -> float:
        values = flat.reshape(weights.shape)
        log_probs = log_response(design[:, 1:], values[..., 0], values[..., 1:])
        return float(penalty(values, 0.7).sum() - (counts * log_probs).sum())

    found = weights
    for _ in range(12):
        found = maximise(counts, design, found, 0.7)
    other = minimize(loss, weights.ravel(), method="BFGS", options={"gtol": 1e-6})
    assert loss(found.ravel()) <= other.fun + 1e-8
    centred = found[..., 0] - found[..., 0].mean(axis=1, keepdims=True)
    wanted = other.x.reshape(weights.shape)
    np.testing.assert_allclose(found[..., 1:], wanted[..., 1:], atol=2e-3)
    level = wanted[..., 0] - wanted[..., 0].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, level, atol=2e-3)


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_no_item_falls_in_a_newton_step(size: float) -> None:
    # Far from the summit a whole Newton step overshoots: this start falls unless it is halved.
    answers, design, weights = small()
    counts, _ = expected_answers(indicators(answers, 3), design, weights)

    def height(values: Floats) -> Floats:
        log_probs = log_response(design[:, 1:], values[..., 0], values[..., 1:])
        return np.asarray((counts * log_probs).sum(axis=(0, 2)) - penalty(values, 1e-3))

    start = size * weights
    assert (height(maximise(counts, design, start, 1e-3)) >= height(start)).all()


@pytest.mark.parametrize("ridge", [0.01, 50.0])
def test_penalised_likelihood_never_decreases(ridge: float) -> None:
    answers = draw(truth(10, 5, seed=3), 1500, generator(4))
    answers[generator(5).random(answers.shape) < 0.2] = -1
    seen: list[tuple[int, int, float]] = []
    fit_classes(
        answers,
        5,
        1500,
        generator(0),
        dimensions=3,
        ridge=ridge,
        iterations=8,
        report=lambda *row: seen.append(row),
    )
    assert [row[:2] for row in seen] == [(c, i) for c in (1024, 1500) for i in range(1, 9)]
    for count in (1024, 1500):
        values = np.array([value for c, _, value in seen if c == count])
        # Beliefs are in single precision: a thousandth of a nat in thousands is rounding.
        assert (np.diff(values) > -1e-3).all()
    assert seen[7][2] > seen[0][2] + 50


def test_reported_value_is_likelihood_less_penalty() -> None:
    answers = draw(truth(6, 3, seed=3), 300, generator(4))
    seen: list[float] = []
    fit_classes(
        answers,
        3,
        64,
        generator(9),
        dimensions=2,
        ridge=3.0,
        iterations=1,
        report=lambda _count, _iteration, value: seen.append(value),
    )
    start = first_weights(answers, 3, 2)
    places = np.round(scatter(64, 2, generator(9)), 2)
    probs = np.exp(log_response(places, start[..., 0], start[..., 1:]))
    _, nll = sequential_scores(answers, np.full(64, 1 / 64), probs)
    assert seen[0] == pytest.approx(-nll * answers.size - penalty(start, 3.0).sum(), rel=1e-5)


def test_sequential_scores_obey_the_chain_rule() -> None:
    answers, design, weights = small()
    probs = np.exp(log_response(design[:, 1:], weights[..., 0], weights[..., 1:]))
    accuracy, nll = sequential_scores(answers, np.full(7, 1 / 7), probs)
    _, likelihood = expected_answers(indicators(answers, 3), design, weights)
    known = (answers >= 0).sum()
    assert nll * known == pytest.approx(-likelihood, rel=1e-5)
    assert 0 < accuracy < 1
    backwards = sequential_scores(answers[:, ::-1], np.full(7, 1 / 7), probs[:, ::-1])
    assert backwards[1] == pytest.approx(nll)


def test_log_likelihood_is_what_sequential_prediction_adds_up_to() -> None:
    answers = draw(truth(6, 3, seed=3), 300, generator(4))
    answers[::3, 2] = -1
    found = fit_classes(answers, 3, 32, generator(0), dimensions=2, iterations=2)
    _, nll = sequential_scores(answers, found.prior(), found.probs())
    total = class_fit.log_likelihood(answers, found)
    assert total == pytest.approx(-nll * (answers >= 0).sum(), rel=1e-5)


def test_accuracy_uses_what_was_answered_before() -> None:
    # Two kinds of people who always choose the same category: the first item is a coin, then sure.
    probs = np.full((2, 5, 2), 1e-9)
    probs[0, :, 0] = probs[1, :, 1] = 1 - 1e-9
    answers = np.array([[0] * 5, [1] * 5])
    accuracy, nll = sequential_scores(answers, np.array([0.6, 0.4]), probs)
    assert accuracy == pytest.approx(0.9)
    assert nll == pytest.approx(-(np.log(0.6) + np.log(0.4)) / 10, abs=1e-6)


def test_scatter_is_even_and_standard_normal() -> None:
    places = scatter(1000, 12, generator(0))
    assert places.shape == (1000, 12)
    assert np.isfinite(places).all()
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(places.std(axis=0), 1, atol=0.03)
    # A thousand independent draws would miss each quarter of the first six axes by ten on average.
    quarter = np.digitize(places[:, :6], [-0.6745, 0, 0.6745])
    tally = np.stack([(quarter == q).sum(axis=0) for q in range(4)])
    assert np.abs(tally - 250).mean() < 2
    between = np.corrcoef(places, rowvar=False) - np.eye(12)
    assert np.abs(between).mean() < 0.015  # 0.025 for independent draws


def test_same_seed_same_classes() -> None:
    answers = draw(truth(8, 3, seed=3), 300, generator(4))
    one, two, other = (
        fit_classes(answers, 3, 64, generator(seed), dimensions=2, iterations=3)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.probs(), two.probs())
    assert np.abs(one.positions - other.positions).max() > 0.1


@pytest.mark.parametrize(
    ("answers", "settings", "message"),
    [
        (np.full((9, 3), 4), {}, "from 4 to 4; expected categories from 0 to 3"),
        (np.full((9, 3), -2), {}, "from -2 to -2"),
        (np.zeros((0, 3), dtype=int), {}, r"shape \(0, 3\)"),
        (np.zeros(9, dtype=int), {}, r"shape \(9,\)"),
        (np.array([[0, -1], [1, -1]]), {}, "Nobody answered"),
        (np.zeros((9, 3), dtype=int), {"dimensions": 4}, r"4 dimensions.*1\.\.3"),
        (np.zeros((9, 3), dtype=int), {"ridge": 0.0}, "ridge 0.0"),
        (np.zeros((9, 3), dtype=int), {"iterations": 0}, "0 iterations"),
    ],
)
def test_fit_refuses(answers: Ints, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_classes(answers, 4, 8, generator(0), **{"dimensions": 1, **settings})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 800 simulated respondents with gaps, in a publisher's format."""
    answers = draw(truth(ITEMS, CATEGORIES, seed=7), 800, generator(8))
    answers[generator(9).random(answers.shape) < 0.05] = -1
    path = tmp_path_factory.mktemp("people") / "answers.csv"
    codes = np.where(answers < 0, 0, np.array(BANK.codes)[answers])
    return Path(respondents(path, codes, "bfi25"))


def run(data: Path, out: Path, *more: str) -> None:
    """The command as a user types it, small."""
    few = ["--classes", "128", "--dimensions", "2", "--iterations", "4"]
    arguments = ["--data", str(data), "--out", str(out), "--questionnaire", "bfi25"]
    fit_population.main([*arguments, *few, *more])


@pytest.fixture(scope="module")
def written(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "mine.csv"
    run(data, out, "--split", "all", "--credit", "Respondents: none, simulated.")
    return out


def test_command_writes_what_load_classes_reads(written: Path, data: Path) -> None:
    answers = load_respondents(data, BANK).answers
    direct = fit_classes(answers, CATEGORIES, 128, generator(0), dimensions=2, iterations=4)
    prior, probs = load_classes(BANK, str(written))
    assert prior.dtype == probs.dtype == np.float64
    assert probs.shape == (128, ITEMS, CATEGORIES)
    np.testing.assert_allclose(prior, 1 / 128)
    np.testing.assert_allclose(probs.sum(axis=2), 1.0)
    assert np.abs(probs - direct.probs()).max() < 2e-3
    lost = np.subtract(
        sequential_scores(answers, prior, probs),
        sequential_scores(answers, direct.prior(), direct.probs()),
    )
    assert np.abs(lost).max() < 1e-3


def test_file_says_where_it_comes_from(written: Path, data: Path) -> None:
    head = [line for line in written.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(head)
    assert str(data.parent) not in text
    for wanted in (data.name, "sha256", "split all, 800 of 800", "--seed 0", "simulated", "nats"):
        assert wanted in text
    assert [path.name for path in written.parent.iterdir()] == ["mine.csv"]


def test_held_out_scores_are_those_of_a_fit_without_these_people(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(data, tmp_path / "a.csv", "--split", "all", "--validation", "0.25")
    shown = re.search(r"held out\D+200\D+(0\.\d+)\D+(\d\.\d+)", capsys.readouterr().out)
    assert shown
    answers = load_respondents(data, BANK).answers
    order = np.random.Generator(np.random.Philox([0, 1])).permutation(800)
    found = fit_classes(
        answers[order[200:]], CATEGORIES, 128, generator(0), dimensions=2, iterations=4
    )
    scores = sequential_scores(answers[order[:200]], found.prior(), found.probs())
    np.testing.assert_allclose([float(shown[1]), float(shown[2])], scores, atol=1e-4)


def test_interrupted_write_leaves_the_old_file(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, *_: object) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    out = tmp_path / "mine.csv"
    out.write_text("old")
    monkeypatch.setattr(common, "write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        fit_population.save(out, BANK, truth(ITEMS, CATEGORIES, seed=1), [])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    assert out.read_text() == "old"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--validation", "1"], "--validation 1.0"),
        (["--out", "no/such/folder/a.csv"], "existing folder"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--dimensions", "26"], "26 dimensions"),
    ],
)
def test_command_refuses(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "a.csv", *more)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("row,offset", "row,prior", "columns are row, prior.*expected row, offset"),
        ("d1,d2", "d2,d1", "expected row, offset, d1, d2"),
        ("A1_1,", "A1_7,", "A1_1, A1_7"),
        ("A1_2,", "A1_1,", "A1_2"),
        ("class,", "clas,", "look at clas"),
        ("class,0,", "class,x,", "could not convert string.*expected numbers"),
        ("class,0,", "class,inf,", "not finite"),
        ("class,0,", "class,-2000,", "smallest share 0e"),
        ("A1_1,", "A1_1,9999", "smallest probability 0e"),
    ],
)
def test_load_refuses(written: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = written.read_text()
    assert old in text
    path = tmp_path / "bad.csv"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        load_classes(BANK, str(path))
    assert "bad.csv" in str(caught.value)


def test_load_refuses_unknown_names_other_banks_and_no_classes(
    written: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"Unknown classes 'none' for bfi25.*'classes'"):
        load_classes(BANK, "none")
    with pytest.raises(ValueError, match="rows do not match ipip50"):
        load_classes(ItemBank.load("ipip50"), str(written))
    path = tmp_path / "empty.csv"
    kept = [line for line in written.read_text().splitlines() if not line.startswith("class,")]
    path.write_text("\n".join(kept))
    with pytest.raises(ValueError, match="at least one row class"):
        load_classes(BANK, str(path))


def test_rows_may_come_in_any_order_and_priors_differ(written: Path, tmp_path: Path) -> None:
    lines = [line for line in written.read_text().splitlines() if not line.startswith("#")]
    lines[-1] = lines[-1].replace("class,0,", "class,1.5,")
    path = tmp_path / "turned.csv"
    path.write_text("\n".join([lines[0], *lines[:0:-1]]))
    prior, probs = load_classes(BANK, str(path))
    _, straight = load_classes(BANK, str(written))
    np.testing.assert_array_equal(probs, straight[::-1])
    assert prior.sum() == pytest.approx(1)
    assert prior[0] / prior[1] == pytest.approx(np.exp(1.5))


def test_shipped_classes() -> None:
    bank = ItemBank.load("ipip50")
    path = FOLDER / "ipip50_classes.csv"
    assert path.stat().st_size < 1_500_000
    assert read_table(path)["row"][:250] == category_names(bank)
    prior, probs = load_classes(bank, "classes")
    assert prior.sum() == pytest.approx(1)
    # Keyed answers to items of one trait go together in the population, whatever their keying.
    expected = probs @ np.arange(5)
    between = np.corrcoef(expected * bank.keying, rowvar=False)
    within = [between[np.ix_(bank.trait == f, bank.trait == f)] for f in range(5)]
    assert min(np.median(part[np.triu_indices(10, 1)]) for part in within) > 0.3
