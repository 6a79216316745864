"""Who may be behind the screen: profiles, priors, splits, and the random numbers people own."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.population import SPLITS, Population

LAWS = settings(derandomize=True, deadline=None, max_examples=100)
TRAITS = ("E", "A", "C", "ES", "O")
GRID = np.linspace(-2.0, 2.0, 5)
UNIFORM = Population.profiles(TRAITS, GRID)
CORRELATION = np.where(np.eye(5) > 0, 1.0, 0.3)
CORRELATION[0, 1] = CORRELATION[1, 0] = 0.6
CORRELATION[3, 4] = CORRELATION[4, 3] = -0.2
CORRELATED = Population.profiles(TRAITS, GRID, CORRELATION)
JUST_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))

# Tests of randomness hold fixed numbers against a p-value: they can fail only when the code that
# makes the numbers changes, and then a correct change fails this often.
FAILURE_RATE = 1e-4


def with_prior(prior) -> Population:
    """The profiles of two traits of three levels under some prior `[3, 3]`."""
    levels = np.stack([index.ravel() for index in np.indices((3, 3))], axis=1)
    return Population(("x", "y"), levels, np.ravel(prior), np.array([-1.0, 0.0, 1.0]), True)


# Profiles and priors.


def test_five_traits_of_five_levels_are_every_profile_once():
    assert UNIFORM.levels.shape == (3125, 5)
    assert len(np.unique(UNIFORM.levels, axis=0)) == 3125
    assert (UNIFORM.levels.min(), UNIFORM.levels.max()) == (0, 4)
    assert UNIFORM.num_levels == 5
    assert_array_equal(UNIFORM.prior, np.full(3125, 1 / 3125))


def test_classes_are_one_unordered_factor_that_every_split_meets_whole():
    population = Population.classes(np.array([0.5, 0.2, 0.3]))
    assert population.factors == ("class",)
    assert population.grid is None
    assert population.independent
    assert_array_equal(population.marginals, [[0.5, 0.2, 0.3]])
    for split in SPLITS:
        assert_array_equal(population.splits[split], [0, 1, 2])


@pytest.mark.parametrize("population", [UNIFORM, CORRELATED])
def test_marginals_are_the_sums_of_the_prior(population):
    for f in range(5):
        for level in range(5):
            total = population.prior[population.levels[:, f] == level].sum()
            assert population.marginals[f, level] == pytest.approx(total, rel=1e-12)


def test_a_uniform_prior_is_independent():
    assert UNIFORM.independent
    assert_allclose(UNIFORM.marginals, 0.2, rtol=1e-12)


def test_a_product_prior_is_independent_and_one_that_is_nearly_so_is_not():
    product = np.outer([0.5, 0.3, 0.2], [0.1, 0.2, 0.7])
    assert with_prior(product).independent
    # The same marginals, other cells: the exact teacher must not keep the factors apart.
    shift = 1e-6 * np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]])
    nearly = with_prior(product + shift)
    assert_allclose(nearly.marginals, with_prior(product).marginals, rtol=1e-12)
    assert not nearly.independent


def test_a_correlated_prior_is_not_independent_and_one_without_correlations_is():
    assert not CORRELATED.independent
    assert Population.profiles(TRAITS, GRID, np.eye(5)).independent


def test_a_population_that_lacks_a_profile_is_not_independent():
    levels = np.array([[0, 0], [0, 1], [1, 1]])
    population = Population(("x", "y"), levels, np.full(3, 1 / 3), np.array([-1.0, 1.0]), True)
    assert not population.independent


def test_a_correlated_prior_is_normalised_and_follows_the_normal_density():
    assert CORRELATED.prior.sum() == pytest.approx(1.0, abs=1e-12)
    assert (CORRELATED.prior > 0).all()
    # Ratio of two profiles by the density's own formula, exp(-x' R^-1 x / 2).
    precision = np.linalg.inv(CORRELATION)
    x, y = GRID[CORRELATED.levels[17]], GRID[CORRELATED.levels[2801]]
    ratio = np.exp(-0.5 * (x @ precision @ x - y @ precision @ y))
    assert CORRELATED.prior[17] / CORRELATED.prior[2801] == pytest.approx(ratio, rel=1e-9)


def test_a_correlated_prior_has_about_the_wanted_correlations():
    theta = GRID[CORRELATED.levels]
    mean = CORRELATED.prior @ theta
    covariance = (theta - mean).T @ ((theta - mean) * CORRELATED.prior[:, None])
    found = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert_allclose(mean, 0, atol=1e-12)
    # Cut at two standard deviations a normal variable's correlations shrink by a tenth or so.
    assert_allclose(found, CORRELATION, rtol=0, atol=0.09)
    assert ((found - CORRELATION)[np.abs(CORRELATION) < 1] < 0.03).all()


# Splits.


def test_splits_have_the_studys_sizes_and_every_profile_is_in_exactly_one():
    sizes = {split: len(types) for split, types in UNIFORM.splits.items()}
    assert sizes == {"train": 2250, "dev": 250, "test": 625}
    assert_array_equal(np.sort(np.concatenate([*UNIFORM.splits.values()])), np.arange(3125))


@pytest.mark.parametrize("split", SPLITS)
def test_every_pair_of_levels_is_equally_frequent_in_a_split(split):
    levels = UNIFORM.levels[UNIFORM.splits[split]]
    for f, g in combinations(range(5), 2):
        counts = np.bincount(levels[:, f] * 5 + levels[:, g], minlength=25)
        assert_array_equal(counts, len(levels) / 25)


def test_splits_do_not_depend_on_the_prior_nor_on_the_run():
    for split in SPLITS:
        assert_array_equal(UNIFORM.splits[split], CORRELATED.splits[split])
    # Golden: a change of the cut would move people between train and test unnoticed.
    heads = {split: types[:4].tolist() for split, types in UNIFORM.splits.items()}
    assert heads == {"train": [0, 1, 2, 3], "dev": [15, 24, 31, 35], "test": [4, 8, 12, 16]}


@pytest.mark.parametrize("levels", [3, 4, 6, 7])
def test_splits_of_other_grids_are_disjoint_and_complete(levels):
    population = Population.profiles(TRAITS, np.linspace(-2, 2, levels))
    everyone = np.concatenate([population.splits[split] for split in SPLITS])
    assert_array_equal(np.sort(everyone), np.arange(levels**5))
    shares = [len(population.splits[split]) / levels**5 for split in SPLITS]
    assert_allclose(shares, [0.72, 0.08, 0.20], atol=1 / levels**5)


def test_too_few_types_to_cut_are_in_every_split():
    population = Population.profiles(TRAITS, np.array([-1.0, 1.0]))
    for split in SPLITS:
        assert_array_equal(population.splits[split], np.arange(32))


# Draws.


@pytest.mark.parametrize("population", [UNIFORM, CORRELATED], ids=["uniform", "correlated"])
@pytest.mark.parametrize("split", SPLITS)
def test_people_follow_the_prior_within_their_split(population, split):
    people = PersonStreams(0, f"people/{split}", 1).uniform(np.arange(50_000))[:, 0]
    types = population.splits[split]
    drawn = population.draw(split, people)
    assert np.isin(drawn, types).all()
    # Cells of at least 25 expected people: types in order of the prior's sum, cut into bins.
    share = np.cumsum(population.prior[types]) / population.prior[types].sum()
    cell = np.minimum((share * 100).astype(int), 99)
    expected = np.bincount(
        cell, weights=population.prior[types] / population.prior[types].sum(), minlength=100
    )
    counts = np.bincount(cell[np.searchsorted(types, drawn)], minlength=100)
    kept = expected > 0
    assert counts[~kept].sum() == 0
    # float32 numbers move the edges of the cells by 1e-7, which nobody sees in 50,000 people.
    p_value = stats.chisquare(counts[kept], expected[kept] * len(people)).pvalue
    assert p_value > FAILURE_RATE


def test_draws_are_the_inverse_of_the_cumulative_prior():
    prior = np.array([[0.1, 0.0, 0.2], [0.0, 0.3, 0.0], [0.15, 0.05, 0.2]])
    population = with_prior(prior)
    train = population.splits["train"]
    # Equally spaced numbers instead of random ones: counts follow to within one per type.
    number = 10_000
    uniform = ((np.arange(number) + 0.5) / number).astype(np.float32)
    counts = np.bincount(population.draw("train", uniform), minlength=9)
    shares = np.zeros(9)
    shares[train] = population.prior[train] / population.prior[train].sum()
    assert_allclose(counts, number * shares, rtol=0, atol=1.001)


@pytest.mark.parametrize("split", SPLITS)
def test_the_ends_of_the_unit_interval_are_the_first_and_the_last_profile(split):
    ends = np.array([0.0, JUST_BELOW_ONE], dtype=np.float32)
    types = UNIFORM.splits[split]
    assert_array_equal(UNIFORM.draw(split, ends), [types[0], types[-1]])


def test_a_type_of_probability_zero_is_never_drawn_not_even_at_the_ends():
    population = Population.classes(np.array([0.0, 0.25, 0.0, 0.75, 0.0]))
    uniform = np.array([0.0, 0.25, JUST_BELOW_ONE], dtype=np.float32)
    assert_array_equal(population.draw("test", uniform), [1, 3, 3])


# Random numbers that belong to people.


def one_by_one(width: int, seed: int = 0, purpose: str = "p") -> np.ndarray:
    """`[64, width]` the numbers of people 0..63, each asked for alone."""
    stream = PersonStreams(seed, purpose, width)
    return np.concatenate([stream.uniform(np.array([person])) for person in range(64)])


@LAWS
@given(st.lists(st.integers(0, 63), min_size=1, max_size=40), st.integers(0, 20))
def test_people_own_the_same_numbers_in_any_company(people, width):
    # Gaps, repeats, ascending and descending runs all occur among random lists.
    together = PersonStreams(0, "p", width).uniform(np.array(people, dtype=np.int64))
    assert together.shape == (len(people), width)
    assert together.dtype == np.float32
    assert_array_equal(together, one_by_one(width)[people])


@LAWS
@given(st.sets(st.integers(1, 63), max_size=6), st.integers(1, 20))
def test_people_own_the_same_numbers_however_they_are_cut(cuts, width):
    stream = PersonStreams(0, "p", width)
    parts = np.split(np.arange(64), sorted(cuts))
    joined = np.concatenate([stream.uniform(part) for part in parts])
    assert_array_equal(joined, stream.uniform(np.arange(64)))
    backwards = stream.uniform(np.arange(64)[::-1])
    assert_array_equal(backwards[::-1], joined)


def test_neither_call_changes_the_next():
    stream = PersonStreams(0, "p", 5)
    first = stream.uniform(np.arange(10)).copy()
    stream.uniform(np.arange(100, 200))
    assert_array_equal(stream.uniform(np.arange(10)), first)


@pytest.mark.parametrize(("seed", "purpose"), [(1, "p"), (2**40, "p"), (0, "q"), (0, "pp")])
def test_another_seed_or_purpose_is_another_world(seed, purpose):
    here, there = one_by_one(8), one_by_one(8, seed, purpose)
    # 512 pairs of 24-bit numbers: three equal ones by chance have a probability below 1e-13.
    assert (here == there).sum() < 3
    assert abs(np.corrcoef(here.ravel(), there.ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("width", [1, 7, 8, 9, 51])
def test_neighbours_share_no_numbers(width):
    numbers = PersonStreams(0, "p", width).uniform(np.arange(200))
    # Blocks that overlapped would repeat a stretch of one person's numbers in the next's. Equal
    # pairs occur by chance: 2e4 x 1e4 / 2 pairs of 24-bit numbers give about three in total.
    same = numbers[:-1, :, None] == numbers[1:, None, :]
    assert same.sum() <= 3


def test_the_numbers_are_uniform():
    numbers = PersonStreams(3, "people/test", 51).uniform(np.arange(2000))
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > FAILURE_RATE
    # Each turn's number by itself, and each turn's against the next: 101 tests share the rate.
    for turn in range(51):
        assert stats.kstest(numbers[:, turn], "uniform").pvalue > FAILURE_RATE / 101
    for turn in range(50):
        pearson = stats.pearsonr(numbers[:, turn], numbers[:, turn + 1])
        assert pearson.pvalue > FAILURE_RATE / 101


def test_people_of_huge_numbers_are_people_too():
    stream = PersonStreams(0, "p", 51)
    far = 2**50 + np.arange(-2, 3)
    together = stream.uniform(far)
    for row, person in enumerate(far):
        assert_array_equal(together[row], stream.uniform(np.array([person]))[0])
    assert len(np.unique(together[:, 0])) == 5
    # No wrapping round to the first people.
    assert not np.isin(stream.uniform(np.arange(5))[:, 0], together[:, 0]).any()


def test_a_batch_of_nobody_has_no_numbers():
    assert PersonStreams(0, "p", 3).uniform(np.arange(0)).shape == (0, 3)


def test_people_may_own_no_numbers_at_all():
    assert PersonStreams(0, "p", 0).uniform(np.arange(4)).shape == (4, 0)


def test_the_first_numbers_of_the_first_people_are_golden():
    # Any change here changes every person of every suite: raise the environments' versions.
    numbers = PersonStreams(0, "people/test", 3).uniform(np.arange(2))
    golden = [[0.00710166, 0.60042232, 0.12833029], [0.87056828, 0.79611123, 0.41735286]]
    assert_allclose(numbers, golden, rtol=0, atol=1e-7)
