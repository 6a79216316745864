"""Intervals against scipy, against their definition, and against what they promise to cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kit import generator
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats as scipy_stats

from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.stats import interval, paired_difference

NAN = np.nan
FIELDS = ("mean", "low", "high", "users", "failed")


def identity(means: Floats) -> Floats:
    return means[..., 0]


def ratio(means: Floats) -> Floats:
    return means[..., 0] / means[..., 1]


def correlation(means: Floats) -> Floats:
    x, y, xx, yy, xy = np.moveaxis(means, -1, 0)
    return (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))


def moments(x: Floats, y: Floats) -> Floats:
    return np.stack([x, y, x * x, y * y, x * y], axis=-1)


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("people", [2, 3, 30])
def test_mean_is_students(people, level):
    sample = generator(people).normal(3, 2, size=people)
    estimate = interval(sample[:, None], level=level)
    expected = scipy_stats.ttest_1samp(sample, 0).confidence_interval(level)
    assert_allclose(
        [estimate.mean, estimate.low, estimate.high], [sample.mean(), expected.low, expected.high]
    )
    assert (estimate.users, estimate.failed) == (people, 0)


def test_bootstrap_is_scipys():
    sample = generator(7).exponential(size=80)
    expected = scipy_stats.bootstrap(
        (sample,), np.mean, method="percentile", n_resamples=20_000, rng=generator(8)
    ).confidence_interval
    estimate = interval(sample[:, None], identity, resamples=20_000)
    # A percentile of 20,000 resamples has a standard error of about 2 % of the standard error.
    noise = 5 * 0.02 * sample.std() / np.sqrt(80)
    assert_allclose([estimate.low, estimate.high], expected, atol=noise)
    assert_allclose(estimate.mean, sample.mean())


def test_bootstrap_resamples_people_whole():
    """A ratio of two statistics of the same person: resampling them apart would be wider."""
    scale = generator(1).uniform(1, 9, size=50)
    estimate = interval(np.stack([2 * scale, scale], axis=-1), ratio)
    assert_allclose([estimate.mean, estimate.low, estimate.high], [2, 2, 2])


@pytest.mark.parametrize("combine", [None, identity])
def test_people_without_a_number_are_left_out_and_counted(combine):
    sample = generator(2).normal(size=(20, 1))
    gaps = np.insert(sample, [0, 5, 5, 20], [[NAN], [np.inf], [NAN], [-np.inf]], axis=0)
    with_gaps, without = interval(gaps, combine), interval(sample, combine)
    for name in ("mean", "low", "high", "users"):
        assert_allclose(getattr(with_gaps, name), getattr(without, name))
    assert (with_gaps.failed, without.failed) == (4, 0)


@pytest.mark.parametrize("combine", [None, identity])
def test_too_few_people_have_no_interval(combine):
    for values, mean, users in (([], NAN, 0), ([NAN], NAN, 0), ([2.5], 2.5, 1)):
        estimate = interval(np.array(values)[:, None], combine)
        assert_array_equal([estimate.mean, estimate.low, estimate.high], [mean, NAN, NAN])
        assert (estimate.users, estimate.failed) == (users, len(values) - users)


@pytest.mark.parametrize("combine", [None, identity])
def test_equal_people_have_an_interval_of_no_width(combine):
    estimate = interval(np.full((10, 1), 0.1), combine)
    assert_allclose([estimate.low, estimate.high], [0.1, 0.1], rtol=1e-12)


@pytest.mark.parametrize("denominators", [[0.0, 0.0], [1.0, -1.0]])
def test_an_undefined_number_has_no_interval(denominators):
    # In the second case most resamples have a number, the sample itself has none.
    estimate = interval(np.array([[1.0, value] for value in denominators * 5]), ratio)
    assert np.isnan([estimate.mean, estimate.low, estimate.high]).all()
    assert estimate.users == 10


def test_resamples_without_a_number_are_left_out():
    # With three people one resample in nine has no variance, hence no correlation.
    estimate = interval(moments(np.array([0.0, 1, 2]), np.array([0.0, 2, 1])), correlation)
    assert_allclose(estimate.mean, 0.5)
    assert_allclose([estimate.low, estimate.high], [-1, 1])


@pytest.mark.parametrize("combine", [None, identity, ratio])
def test_turns_are_estimated_one_by_one(combine):
    size = 2 if combine is ratio else 1
    values = generator(3).uniform(1, 2, size=(12, 4, size))
    values[:, 2] = NAN
    values[3, 3] = NAN
    together = interval(values, combine)
    assert_array_equal(together.users, [12, 12, 0, 11])
    assert_array_equal(together.failed, [0, 0, 12, 1])
    apart = [interval(values[:, turn], combine) for turn in range(4)]
    for name in FIELDS:
        # A bootstrap over people who have other turns draws some who lack this one.
        exact = [0, 1, 2] if combine and name in ("low", "high") else [0, 1, 2, 3]
        expected = np.array([getattr(estimate, name) for estimate in apart])
        assert_allclose(getattr(together, name)[exact], expected[exact])
    assert_allclose([together.low[3], together.high[3]], [apart[3].low, apart[3].high], rtol=0.03)


def test_bootstrap_depends_on_its_seed_alone():
    values = generator(4).uniform(1, 2, size=(15, 2))
    first = interval(values, ratio)
    assert (first.low, first.high) == (interval(values, ratio).low, interval(values, ratio).high)
    assert first.low != interval(values, ratio, seed=1).low
    assert_allclose(interval(values, ratio, weights_at_once=31).low, first.low)


def test_shapes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"shape \(5,\); expected \[N, ..., D\]"):
        interval(np.zeros(5))
    with pytest.raises(ValueError, match=r"shape \(5, 2\)"):
        interval(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="row n must be the same person"):
        paired_difference(np.zeros((5, 1)), np.zeros((4, 1)))


samples = arrays(np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=st.floats(1, 9))


@settings(max_examples=30, deadline=None)
@given(samples)
def test_nobody_differs_from_themselves(sample):
    for statistics, combine in ((sample[:, :1], None), (sample, ratio)):
        same = paired_difference(statistics, statistics, combine, resamples=50)
        assert_array_equal([same.mean, same.low, same.high], [0, 0, 0])


@settings(max_examples=30, deadline=None)
@given(samples)
def test_intervals_hold_their_mean_and_grow_with_the_level(sample):
    wide, narrow = (interval(sample[:, :1], level=level) for level in (0.99, 0.5))
    assert wide.low <= narrow.low <= narrow.mean <= narrow.high <= wide.high


def test_paired_differences():
    rng = generator(5)
    person = rng.normal(size=(40, 1))
    a, b = person + 0.5 + rng.normal(0, 0.1, (40, 1)), person + rng.normal(0, 0.1, (40, 1))
    expected = scipy_stats.ttest_rel(a[:, 0], b[:, 0]).confidence_interval()
    estimate = paired_difference(a, b)
    assert_allclose([estimate.low, estimate.high], [expected.low, expected.high])
    swapped = paired_difference(b, a)
    assert_allclose([swapped.mean, swapped.low], [-estimate.mean, -estimate.high])
    bootstrapped = paired_difference(a, b, identity, resamples=5000)
    assert_allclose(bootstrapped.mean, estimate.mean)
    assert_allclose([bootstrapped.low, bootstrapped.high], [estimate.low, estimate.high], rtol=0.03)


@pytest.mark.parametrize("combine", [None, identity])
def test_a_pair_needs_both_sides(combine):
    a, b = np.array([[1.0], [2], [NAN], [4]]), np.array([[0.0], [NAN], [3], [1]])
    estimate = paired_difference(a, b, combine)
    assert (estimate.mean, estimate.users, estimate.failed) == (2, 2, 2)


def test_intervals_cover_as_often_as_they_say():
    """Declared failure rate: the bounds are four standard errors of 1,500 coin tosses away."""
    rng = generator(6)
    # Ten turns of a person are alike; an interval over turns would be far too narrow.
    ability = rng.uniform(0.2, 0.8, size=(1500, 40, 1))
    hits = (rng.random((1500, 40, 10)) < ability).mean(axis=-1)
    estimate = interval(np.moveaxis(hits, 0, 1)[..., None])
    covered = ((estimate.low <= 0.5) & (estimate.high >= 0.5)).mean()
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1500)


def test_bootstrap_intervals_cover_nearly_as_often():
    """Percentile intervals of a correlation of 0.6 in 100 people; about 94 %, bounds at 4 SE."""
    noise = generator(9).normal(size=(2, 100, 600))
    x, y = noise[0], 0.6 * noise[0] + 0.8 * noise[1]
    estimate = interval(moments(x, y), correlation, resamples=500)
    covered = ((estimate.low <= 0.6) & (estimate.high >= 0.6)).mean()
    assert 0.90 < covered < 0.98


def test_a_detectable_difference_is_detected_in_four_of_five():
    rng = generator(10)
    sample = rng.normal(size=(60, 1))
    estimate = interval(sample)
    expected = (1.959964 + 0.841621) * sample.std(ddof=1) / np.sqrt(60)
    assert_allclose(estimate.detectable(), expected, rtol=1e-5)
    shifted = rng.normal((1.959964 + 0.841621) / np.sqrt(60), 1, size=(60, 2000, 1))
    found = (interval(shifted).low > 0).mean()
    assert abs(found - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 2000) + 0.01  # t instead of normal: 0.7 %
