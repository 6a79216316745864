"""The item fit against a brute-force twin, another program, simulated truth and real people."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from girth import grm_mml
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from acquaint_gym.envs.data import FOLDER, read_table
from acquaint_gym.envs.data import write_table as real_write_table
from acquaint_gym.envs.users.humans import split_rows
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints, graded_response
from acquaint_gym.train import fit_items
from acquaint_gym.train.psychometrics import common
from acquaint_gym.train.psychometrics import graded as graded_fit
from acquaint_gym.train.psychometrics.correlation import latent_correlation, likelihoods
from acquaint_gym.train.psychometrics.graded import (
    GradedFit,
    fit_graded,
    log_likelihood,
    quadrature,
)
from acquaint_gym.train.psychometrics.scales import ASIDE, FLAT, fit_scale

NAMES = [f"item{i}" for i in range(1, 13)]
THREE = np.array([[1.5, -0.8, 0.9], [1.0, -1.2, 0.4], [2.2, -0.3, 1.1]])


def simulate(parameters: Floats, theta: Floats, rng: np.random.Generator) -> Ints:
    """`[N, I]` keyed answers of people with the given theta `[N]`."""
    probs = graded_response(theta, parameters[:, 0], parameters[:, 1:])
    passed = rng.random((len(theta), len(parameters), 1)) >= np.moveaxis(probs, 0, 1).cumsum(-1)
    return passed[..., :-1].sum(axis=-1)


def scale(items: int, categories: int, seed: int) -> Floats:
    """`[I, K]` made-up parameters of the size that real scales have."""
    rng = np.random.default_rng(seed)
    thresholds = np.linspace(-2.0, 1.2, categories - 1) + rng.normal(0, 0.3, (items, 1))
    return np.column_stack([rng.uniform(0.7, 2.7, items), thresholds])


def gaps(responses: Ints, share: float, rng: np.random.Generator) -> Ints:
    """The answers with a share of them missing at random."""
    return np.where(rng.random(responses.shape) < share, -1, responses)


def brute_force(responses: Ints, parameters: Floats, nodes: int) -> float:
    """Marginal log-likelihood, one person, node and item at a time."""
    points = [-6 + 12 * j / (nodes - 1) for j in range(nodes)]
    density = [math.exp(-point * point / 2) for point in points]
    total = 0.0
    for person in responses.tolist():
        evidence = 0.0
        for point, weight in zip(points, density, strict=True):
            probability = weight / sum(density)
            for answer, (slope, *thresholds) in zip(person, parameters.tolist(), strict=True):
                tails = [1 / (1 + math.exp(-slope * (point - b))) for b in thresholds]
                steps = [1.0, *tails, 0.0]
                if answer >= 0:
                    probability *= steps[answer] - steps[answer + 1]
            evidence += probability
        total += math.log(evidence)
    return total


def person_likelihoods(responses: Ints, parameters: Floats) -> Floats:
    """`[N]` marginal log-likelihoods, to be differentiated numerically."""
    theta, log_weight = quadrature(graded_fit.NODES)
    return logsumexp(log_likelihood(responses, parameters, theta) + log_weight, axis=1)


def numerical_scores(responses: Ints, parameters: Floats) -> Floats:
    """`[N, I * K]` derivatives of each person's log-likelihood by central differences."""
    columns = []
    for place in np.ndindex(*parameters.shape):
        step = np.zeros_like(parameters)
        step[place] = 1e-5
        ahead = person_likelihoods(responses, parameters + step)
        columns.append((ahead - person_likelihoods(responses, parameters - step)) / 2e-5)
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def small() -> tuple[Ints, GradedFit]:
    """Three items, some answers missing, fitted to the end."""
    rng = np.random.default_rng(11)
    responses = gaps(simulate(THREE, rng.standard_normal(400), rng), 0.2, rng)
    return responses, fit_graded(responses, 3, NAMES[:3], tolerance=1e-9, max_iterations=5000)


def test_log_likelihood_is_the_brute_force_one(small: tuple[Ints, GradedFit]) -> None:
    responses, fit = small
    twin = brute_force(responses, fit.parameters, graded_fit.NODES)
    assert fit.log_likelihood == pytest.approx(twin, abs=1e-8)
    assert twin > brute_force(responses, THREE, graded_fit.NODES)


def test_gradient_is_zero_at_the_optimum(small: tuple[Ints, GradedFit]) -> None:
    responses, fit = small
    gradient = numerical_scores(responses, fit.parameters).sum(axis=0)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-4)
    away = numerical_scores(responses, fit.parameters * 1.001).sum(axis=0)
    assert np.abs(away).max() > 1e-2


def test_standard_errors_are_those_of_the_scores(small: tuple[Ints, GradedFit]) -> None:
    responses, fit = small
    scores = numerical_scores(responses, fit.parameters)
    expected = np.sqrt(np.diag(np.linalg.inv(scores.T @ scores)))
    np.testing.assert_allclose(fit.errors.ravel(), expected, rtol=1e-5)


def test_counts_of_answers_and_people(small: tuple[Ints, GradedFit]) -> None:
    responses, fit = small
    np.testing.assert_array_equal(fit.answers, (responses >= 0).sum(axis=0))
    assert fit.respondents == (responses >= 0).any(axis=1).sum()


def test_log_likelihood_climbs_at_every_iteration() -> None:
    rng = np.random.default_rng(12)
    responses = simulate(scale(6, 5, 12), rng.standard_normal(600), rng)
    seen: list[tuple[int, float, float]] = []
    fit = fit_graded(responses, 5, NAMES[:6], on_iteration=lambda *step: seen.append(step))
    iterations, totals, changes = (list(column) for column in zip(*seen, strict=True))
    assert iterations == list(range(1, fit.iterations + 1))
    assert np.diff([*totals, fit.log_likelihood]).min() > -1e-7
    assert changes[-1] < graded_fit.TOLERANCE <= changes[-2]


def test_blocks_change_nothing() -> None:
    rng = np.random.default_rng(13)
    responses = gaps(simulate(scale(4, 4, 13), rng.standard_normal(500), rng), 0.2, rng)
    whole = fit_graded(responses, 4, NAMES[:4])
    parts = fit_graded(responses, 4, NAMES[:4], block=77)
    np.testing.assert_allclose(parts.parameters, whole.parameters, atol=1e-9)
    np.testing.assert_allclose(parts.errors, whole.errors, atol=1e-9)
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood)


def test_simulated_truth_is_recovered() -> None:
    rng = np.random.default_rng(14)
    truth = scale(10, 5, 14)
    fit = fit_graded(simulate(truth, rng.standard_normal(5000), rng), 5, NAMES[:10])
    slopes = np.corrcoef(fit.parameters[:, 0], truth[:, 0])[0, 1]
    thresholds = np.corrcoef(fit.parameters[:, 1:].ravel(), truth[:, 1:].ravel())[0, 1]
    assert slopes > 0.98
    assert thresholds > 0.98
    # In units of their standard errors, the 50 estimation errors have a standard deviation of one.
    standardised = (fit.parameters - truth) / fit.errors
    assert 0.75 < np.sqrt((standardised**2).mean()) < 1.25
    assert np.abs(standardised).max() < 4


def test_answers_missing_at_random_do_not_bias() -> None:
    rng = np.random.default_rng(15)
    truth = scale(8, 5, 15)
    complete = simulate(truth, rng.standard_normal(6000), rng)
    # Whoever scores low on the first four items skips the others: to drop these people, or to take
    # the missing answers for low ones, would bias the thresholds by several standard errors.
    skips = complete[:, :4].sum(axis=1) < 9
    responses = complete.copy()
    responses[np.ix_(skips, range(4, 8))] = -1
    assert 0.2 < skips.mean() < 0.6
    fit = fit_graded(responses, 5, NAMES[:8])
    assert np.abs((fit.parameters - truth) / fit.errors).max() < 4
    dropped = fit_graded(complete[~skips], 5, NAMES[:8])
    assert np.abs((dropped.parameters - truth) / dropped.errors).max() > 8


def test_who_answered_nothing_counts_for_nothing() -> None:
    rng = np.random.default_rng(16)
    responses = simulate(THREE, rng.standard_normal(500), rng)
    padded = np.concatenate([responses, np.full((300, 3), -1)])
    alone, with_them = (fit_graded(data, 3, NAMES[:3]) for data in (responses, padded))
    np.testing.assert_allclose(with_them.parameters, alone.parameters, atol=1e-9)
    np.testing.assert_allclose(with_them.errors, alone.errors, atol=1e-9)
    assert with_them.log_likelihood == pytest.approx(alone.log_likelihood)
    assert with_them.respondents == alone.respondents == 500


def test_girth_agrees_and_stops_earlier() -> None:
    rng = np.random.default_rng(17)
    responses = simulate(scale(10, 5, 17), rng.standard_normal(2000), rng)
    ours = fit_graded(responses, 5, NAMES[:10])
    theirs = grm_mml(responses.T, {"quadrature_bounds": (-6.0, 6.0), "quadrature_n": 61})
    parameters = np.column_stack([theirs["Discrimination"], theirs["Difficulty"]])
    assert np.corrcoef(ours.parameters[:, 0], parameters[:, 0])[0, 1] > 0.999
    np.testing.assert_allclose(parameters, ours.parameters, atol=0.1)
    # girth stops before the maximum, with discriminations one or two per cent low.
    assert 0.97 < (parameters[:, 0] / ours.parameters[:, 0]).mean() < 1.005
    assert 0 < ours.log_likelihood - person_likelihoods(responses, parameters).sum() < 50


def unusable() -> dict[str, tuple[Ints, str]]:
    """Data that cannot be fitted, and what is said of them."""
    rng = np.random.default_rng(18)
    good = simulate(scale(4, 4, 18), rng.standard_normal(800), rng)
    same, few, again, above, below = (good.copy() for _ in range(5))
    same[:, 2] = 2
    few[49:, 1] = -1
    again[:, 1] = again[:, 0]
    above[5, 0], below[5, 0] = 4, -2
    return {
        "one answer": (
            same,
            r"Item item3 cannot be estimated: .* 0, 0, 800, 0 .*--leave-out item3",
        ),
        "few answers": (few, r"Item item2 cannot be estimated: .*at least 50 answers"),
        "repeated item": (again, r"Item item[12]: discrimination .* not below 10.*repeats"),
        "category above": (above, r"Categories 0\.\.4; expected 0\.\.3, or -1"),
        "category below": (below, r"Categories -2\.\.3; expected 0\.\.3, or -1"),
        "two items": (good[:, :2], r"800 respondents and 2 items.*at least 3 items"),
        "few people": (good[:16], r"16 respondents and 4 items of 4.*more respondents"),
        "nobody": (good[:0], r"0 respondents and 4 items"),
    }


UNUSABLE = unusable()


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_data(case: str) -> None:
    responses, message = UNUSABLE[case]
    with pytest.raises(ValueError, match=message):
        fit_graded(responses, 4, NAMES[: responses.shape[1]])


@pytest.fixture(scope="module")
def scale_of_six() -> tuple[Ints, Floats]:
    """Answers of 1,500 people to six items of four categories, and the items' parameters."""
    rng = np.random.default_rng(41)
    truth = scale(6, 4, 41)
    return simulate(truth, rng.standard_normal(1500), rng), truth


SIX = NAMES[:6]


@pytest.mark.parametrize("empty", [0, 2, 3])
def test_a_category_that_nobody_chose_stays_possible(
    scale_of_six: tuple[Ints, Floats], empty: int
) -> None:
    responses = scale_of_six[0].copy()
    column = responses[:, 1]
    column[column == empty] = empty - 1 if empty else 1
    fit, remarks = fit_scale(responses, 4, SIX, tolerance=1e-4)
    assert (np.diff(fit.parameters[:, 1:], axis=1) > 0).all()
    assert np.isfinite(fit.errors).all()
    assert len(remarks) == 1
    assert remarks[0].startswith(f"Item item2: nobody chose category {empty + 1} of 4")
    theta, log_weight = quadrature(graded_fit.NODES)
    probs = graded_response(theta, fit.parameters[:, 0], fit.parameters[:, 1:])
    shares = np.exp(log_weight) @ probs[1]
    assert shares[empty] == pytest.approx(0.5 / 1500, rel=0.3)
    whole = fit_graded(scale_of_six[0], 4, SIX, tolerance=1e-4)
    np.testing.assert_allclose(
        fit.parameters[[0, 2, 3, 4, 5]], whole.parameters[[0, 2, 3, 4, 5]], atol=0.1
    )


def test_an_item_of_noise_carries_no_weight(scale_of_six: tuple[Ints, Floats]) -> None:
    responses = scale_of_six[0].copy()
    rng = np.random.default_rng(5)
    responses[:, 3] = rng.choice(4, size=len(responses), p=[0.1, 0.2, 0.3, 0.4])
    others = [0, 1, 2, 4, 5]
    without = fit_graded(responses[:, others], 4, [SIX[i] for i in others], tolerance=1e-4)
    fit, remarks = fit_scale(responses, 4, SIX, leave_out=["item4"], tolerance=1e-4)
    assert remarks == [f"Item item4: left out. {ASIDE}"]
    np.testing.assert_array_equal(fit.parameters[others], without.parameters)
    assert np.isnan(fit.errors[3]).all()
    assert fit.answers[3] == len(responses)
    probs = graded_response(np.array([-2.0, 2.0]), fit.parameters[:, 0], fit.parameters[:, 1:])[3]
    shares = np.bincount(responses[:, 3], minlength=4) / len(responses)
    np.testing.assert_allclose(probs, np.tile(shares, (2, 1)), atol=0.01)
    expected = without.log_likelihood + (np.log(shares) * shares).sum() * len(responses)
    assert fit.log_likelihood == pytest.approx(expected)
    # Found by itself, whichever side of zero it comes out on.
    said = fit_scale(responses, 4, SIX, tolerance=1e-4)[1]
    turned = fit_scale(
        np.where(np.arange(6) == 3, 3 - responses, responses), 4, SIX, tolerance=1e-4
    )
    for remarks in (said, turned[1]):
        assert len(remarks) == 1
        assert re.match(r"Item item4 \(-?0\.\d\d\): .*(tell nothing|hardly tell) of", remarks[0])
    assert min(turned[0].parameters[:, 0]) > 0


def test_an_item_that_runs_against_its_key_is_named_and_can_be_turned(
    scale_of_six: tuple[Ints, Floats],
) -> None:
    responses, truth = scale_of_six[0].copy(), scale_of_six[1]
    responses[:, 4] = 3 - responses[:, 4]
    fit, remarks = fit_scale(responses, 4, SIX, tolerance=1e-4)
    assert len(remarks) == 1
    assert re.match(r"Item item5 \(-\d\.\d\d\): answers run against the key\.", remarks[0])
    assert "--reverse item5" in remarks[0]
    assert "--leave-out item5" in remarks[0]
    assert fit.parameters[4, 0] == FLAT
    turned, remarks = fit_scale(responses, 4, SIX, reverse=["item5"], tolerance=1e-4)
    assert remarks == ["Item item5: fitted with the key turned round."]
    whole = fit_graded(scale_of_six[0], 4, SIX, tolerance=1e-4)
    # P(Y >= k) of the one is 1 - P(Y >= 4 - k) of the other.
    mirror = np.concatenate([-whole.parameters[4, :1], whole.parameters[4, :0:-1]])
    np.testing.assert_allclose(turned.parameters[4], mirror, atol=0.01)
    np.testing.assert_allclose(turned.parameters[:4], whole.parameters[:4], atol=0.01)
    assert turned.log_likelihood == pytest.approx(whole.log_likelihood, abs=0.01)
    assert fit.log_likelihood < turned.log_likelihood - 10
    assert (truth[:, 0] > 0).all()


def test_too_few_items_are_left(scale_of_six: tuple[Ints, Floats]) -> None:
    with pytest.raises(ValueError, match=r"Items item1, .*item4: left out\. .* 2 items are left"):
        fit_scale(scale_of_six[0], 4, SIX, leave_out=NAMES[:4])


def test_settings_that_cannot_work(small: tuple[Ints, GradedFit]) -> None:
    with pytest.raises(ValueError, match=r"No convergence in 3 iterations.*below 1\.0e-05"):
        fit_graded(small[0], 3, NAMES[:3], max_iterations=3)
    with pytest.raises(ValueError, match="20 nodes; expected at least 21, usually 61"):
        fit_graded(small[0], 3, NAMES[:3], nodes=20)


def two_traits(people: int, rho: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Likelihood tables `[N, L]` of two scales whose traits correlate, and the grid."""
    rng = np.random.default_rng(seed)
    theta, _ = quadrature(graded_fit.NODES)
    parameters = scale(6, 5, seed)
    traits = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=people)
    first, second = (simulate(parameters, trait, rng) for trait in traits.T)
    tables = (likelihoods(gaps(y, 0.1, rng), parameters, theta) for y in (first, second))
    return *tables, theta


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.35, 0.9])
def test_latent_correlation_is_recovered(rho: float) -> None:
    first, second, theta = two_traits(3000, rho, 21)
    estimate, error = latent_correlation(first, second, theta)
    assert abs(estimate - rho) < 3.5 * error
    assert 0 < error < 0.03
    assert latent_correlation(second, first, theta)[0] == pytest.approx(estimate, abs=1e-4)


def test_latent_correlation_maximises_the_brute_force_likelihood() -> None:
    first, second, theta = two_traits(60, 0.5, 22)
    points = np.stack(np.meshgrid(theta, theta, indexing="ij"), axis=-1)

    def people(rho: float) -> Floats:
        density = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).pdf(points)
        density /= density.sum()
        terms = density * first[:, :, None] * second[:, None, :]
        return np.log(terms.sum(axis=(1, 2)))

    estimate, error = latent_correlation(first, second, theta)
    best, *others = (people(estimate + move).sum() for move in (0.0, -0.01, 0.01))
    assert best > max(others)
    scores = (people(estimate + 1e-4) - people(estimate - 1e-4)) / 2e-4
    assert abs(scores.sum()) < 0.02
    assert error == pytest.approx(1 / np.sqrt((scores**2).sum()), rel=1e-3)


def test_positive_definite() -> None:
    good = np.array([[1, 0.4, 0.1], [0.4, 1, -0.3], [0.1, -0.3, 1]])
    np.testing.assert_allclose(fit_items.positive_definite(good), good, atol=1e-12)
    bad = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    mended = fit_items.positive_definite(bad)
    np.linalg.cholesky(mended)
    np.testing.assert_allclose(np.diag(mended), 1.0)
    assert (np.sign(mended) == np.sign(bad)).all()


def test_blocks_change_no_correlation() -> None:
    first, second, theta = two_traits(200, 0.5, 23)
    whole, parts = (latent_correlation(first, second, theta, block) for block in (8192, 33))
    assert parts == pytest.approx(whole, abs=1e-6)


BANK = ItemBank.load("ipip50")
TRUTH = replace(GradedParameters.load(BANK, "human"), correlation=0.6 * np.eye(5) + 0.4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 2,500 simulated people, 1,500 of them in train, with a few answers missing."""
    everyone = np.arange(1, 6001)
    train = split_rows(everyone, "train")
    rows = np.concatenate([everyone[~train][:1000], everyone[train][:1500]])
    rng = np.random.default_rng(31)
    theta = rng.multivariate_normal(np.zeros(5), TRUTH.correlation, size=2500)
    parameters = np.column_stack([TRUTH.discrimination, TRUTH.thresholds])
    keyed = np.zeros((2500, 50), dtype=int)
    for trait in range(5):
        member = BANK.trait == trait
        keyed[:, member] = simulate(parameters[member], theta[:, trait], rng)
    codes = gaps(BANK.apply_keying(keyed), 0.02, rng) + 1
    path = tmp_path_factory.mktemp("people") / "simulated.csv"
    columns = dict(zip(BANK.item_ids, codes.T.tolist(), strict=True))
    real_write_table(path, [], {"row_id": rows.tolist(), **columns})
    return path


def run(data: Path, out: Path, *more: str) -> None:
    """The command as a user types it."""
    fit_items.main(["--data", str(data), "--out", str(out), *more])


def test_command_writes_what_the_bank_loads(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.csv"
    run(data, out, "--credit", "Respondents: none, simulated.", "--tolerance", "1e-3")
    fitted = GradedParameters.load(BANK, str(out))
    assert np.corrcoef(fitted.discrimination, TRUTH.discrimination)[0, 1] > 0.97
    assert np.corrcoef(fitted.thresholds.ravel(), TRUTH.thresholds.ravel())[0, 1] > 0.99
    assert fitted.correlation is not None
    np.testing.assert_allclose(fitted.correlation, TRUTH.correlation, atol=0.08)
    np.linalg.cholesky(fitted.correlation)
    # Keys of another direction would show as a pattern of thresholds turned round.
    np.testing.assert_allclose(np.median(fitted.thresholds - TRUTH.thresholds), 0, atol=0.1)

    table = read_table(out)
    errors = [f"se_{name}" for name in ("a", "b1", "b2", "b3", "b4")]
    assert list(table) == ["item_id", "a", "b1", "b2", "b3", "b4", *errors, "n"]
    assert tuple(table["item_id"]) == BANK.item_ids
    answered = np.array(table["n"], dtype=int)
    assert 1425 < answered.min() < answered.max() < 1500
    assert 0.01 < float(table["se_a"][0]) < 0.2

    for path in (out, tmp_path / "mine_traits.csv"):
        head = [line for line in path.read_text().splitlines() if line.startswith("# ")]
        text = "\n".join(head)
        for part in (
            "split train, 1,500 of 2,500 rows",
            "simulated.csv",
            hashlib.sha256(data.read_bytes()).hexdigest(),
            "Respondents: none, simulated.",
            "61 equally spaced nodes",
            "Log-likelihood, nats: Extraversion -",
            "python -m train.fit_items --questionnaire ipip50 --data simulated.csv",
        ):
            assert part in text
        assert str(tmp_path) not in text
        assert str(data.parent) not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "mine_traits.csv"]
    shown = capsys.readouterr().out
    assert all(trait in shown for trait in BANK.traits)


def test_interrupt_leaves_the_old_files(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, beside = tmp_path / "mine.csv", tmp_path / "mine_traits.csv"
    out.write_text("old items")
    beside.write_text("old traits")

    def interrupted(
        path: Path, provenance: Sequence[str], columns: Mapping[str, Sequence[object]]
    ) -> None:
        real_write_table(path, provenance, columns)
        if "trait" in columns:
            raise KeyboardInterrupt

    monkeypatch.setattr(common, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(data, out, "--tolerance", "1e-2", "--split", "dev")
    assert (out.read_text(), beside.read_text()) == ("old items", "old traits")
    assert len(list(tmp_path.iterdir())) == 2


def test_command_says_what_is_wrong(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "expected a name ending in .csv": (data, tmp_path / "mine.txt"),
        "in an existing folder": (data, tmp_path / "absent" / "mine.csv"),
        "no such file": (tmp_path / "absent.csv", tmp_path / "mine.csv"),
    }
    for message, (source, out) in wrong.items():
        with pytest.raises(SystemExit, match="2"):
            run(source, out)
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(data, tmp_path / "mine.csv", "--questionnaire", "ipip500")
    assert "Unknown questionnaire 'ipip500'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ipip50", "bfi25"])
def test_shipped_parameters_load(name: str) -> None:
    bank = ItemBank.load(name)
    shipped = GradedParameters.load(bank, "human")
    assert 0.6 < shipped.discrimination.min() < shipped.discrimination.max() < 3.3
    assert shipped.correlation is not None
    np.linalg.cholesky(shipped.correlation)
    np.testing.assert_array_equal(np.diag(shipped.correlation), 1.0)
    np.testing.assert_array_equal(shipped.correlation, shipped.correlation.T)


def human_data() -> Path:
    """The folder of respondents' files, which slow tests need."""
    folder = os.environ.get("ACQUAINT_DATA")
    if folder is None:
        pytest.fail("Set ACQUAINT_DATA to the folder that holds ipip50_openpsychometrics_2012/.")
    return Path(folder)


REFERENCE = {
    "Extraversion": (-185_966.0, 1.92),
    "Agreeableness": (-171_672.0, 1.54),
    "Conscientiousness": (-191_561.8, 1.39),
    "Emotional Stability": (-189_949.6, 1.80),
    "Openness": (-169_290.4, 1.31),
}
# Pairs in the order (1, 2), (1, 3), ..., (4, 5) of the traits above.
REFERENCE_CORRELATIONS = [0.39, 0.14, 0.29, 0.23, 0.20, 0.09, 0.16, 0.32, 0.13, 0.14]


@pytest.mark.slow
def test_reference_fit_of_13799_people(tmp_path: Path) -> None:
    """An independent fit by another program, which equals that of the R package mirt 1.38."""
    out = tmp_path / "reference.csv"
    source = human_data() / "ipip50_openpsychometrics_2012" / "ipip50.csv.gz"
    run(source, out, "--split", "all")
    line = next(line for line in out.read_text().splitlines() if "Log-likelihood" in line)
    found = dict(part.rsplit(" ", 1) for part in line.partition(": ")[2].rstrip(".").split("; "))
    fitted = GradedParameters.load(BANK, str(out))
    assert fitted.correlation is not None
    for trait, name in enumerate(BANK.traits):
        total, median = REFERENCE[name]
        assert float(found[name].replace(",", "")) == pytest.approx(total, abs=1)
        slopes = fitted.discrimination[BANK.trait == trait]
        assert np.median(slopes) == pytest.approx(median, abs=0.01)
    low, high = BANK.item_ids.index("O9"), BANK.item_ids.index("A4")
    assert fitted.discrimination.argmin() == low
    assert fitted.discrimination.argmax() == high
    assert fitted.discrimination[[low, high]] == pytest.approx([0.67, 2.77], abs=0.01)
    for statistic, expected in {
        np.min: [-6.09, -4.03, -2.10, -0.14],
        np.median: [-2.25, -1.05, -0.02, 1.10],
        np.max: [-0.59, 0.75, 1.57, 2.97],
    }.items():
        assert statistic(fitted.thresholds, axis=0) == pytest.approx(expected, abs=0.01)
    errors = [float(value) for value in read_table(out)["se_a"]]
    assert [np.median(errors), max(errors)] == pytest.approx([0.026, 0.042], abs=0.001)
    pairs = fitted.correlation[np.triu_indices(5, 1)]
    np.testing.assert_allclose(pairs, REFERENCE_CORRELATIONS, atol=0.006)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("ipip50", "ipip50_openpsychometrics_2012/ipip50.csv.gz"),
        ("bfi25", "psych_bfi/bfi.csv.gz"),
    ],
)
def test_shipped_parameters_are_what_the_command_makes(
    tmp_path: Path, name: str, source: str
) -> None:
    run(human_data() / source, tmp_path / "again.csv", "--questionnaire", name)
    for end in ("", "_traits"):
        shipped = read_table(FOLDER / f"{name}_human{end}.csv")
        again = read_table(tmp_path / f"again{end}.csv")
        assert list(again) == list(shipped)
        labels, *columns = shipped
        assert again[labels] == shipped[labels]
        for column in columns:
            values = (np.array(table[column], dtype=float) for table in (again, shipped))
            np.testing.assert_allclose(*values, atol=2e-4)


def test_odd_items_are_sentences_in_the_output_and_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(51)
    parameters = np.column_stack([TRUTH.discrimination, TRUTH.thresholds])
    theta = rng.standard_normal((500, 5))
    keyed = np.zeros((500, 50), dtype=int)
    for trait in range(5):
        member = BANK.trait == trait
        keyed[:, member] = simulate(parameters[member], theta[:, trait], rng)
    e1, e3 = (BANK.item_ids.index(name) for name in ("E1", "E3"))
    keyed[:, e1] = np.minimum(keyed[:, e1], 3)  # nobody answers 5
    keyed[:, e3] = 4 - keyed[:, e3]
    path, out = tmp_path / "people.csv", tmp_path / "mine.csv"
    columns = dict(zip(BANK.item_ids, (BANK.apply_keying(keyed) + 1).T.tolist(), strict=True))
    real_write_table(path, [], columns)
    run(path, out, "--split", "all", "--tolerance", "1e-2")
    printed = capsys.readouterr().out
    for sentence in ("Item E1: nobody chose category 5 of 5", "Item E3 (-", "--reverse E3"):
        assert sentence in printed
        assert sentence in out.read_text("utf-8")
    assert GradedParameters.load(BANK, str(out)).discrimination[e3] == FLAT
    run(path, out, "--split", "all", "--tolerance", "1e-2", "--reverse", "E3", "--leave-out", "E1")
    assert " --reverse E3 --leave-out E1 --out mine.csv" in out.read_text("utf-8")
    turned = GradedParameters.load(BANK, str(out))
    assert turned.discrimination[e3] < -1
    assert turned.discrimination[e1] == FLAT
    table = BANK.response_table(np.array([-2.0, 2.0]), turned)
    assert table.min() > 0
    assert table[e3, 0] @ np.arange(5) > table[e3, 1] @ np.arange(5) + 1  # the lower, the more
    for options, message in (
        (("--reverse", "E99"), "ipip50 has no item 'E99'"),
        (("--reverse", "E3", "--leave-out", "E3"), "Item E3: --reverse or --leave-out, not both"),
    ):
        with pytest.raises(SystemExit) as end:
            run(path, out, *options)
        assert end.value.code == 2
        assert message in capsys.readouterr().err
