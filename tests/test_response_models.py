"""How people answer: laws of the graded response model, its golden values, keys and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.envs.data import FOLDER, available, read_table, write_table
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.response_models import (
    ResponseModel,
    TableModel,
    graded_response,
    reverse_key,
)

LAWS = settings(derandomize=True, deadline=None, max_examples=100)
BANKS = ("ipip50", "bfi25")
SHIPPED = [(bank, name) for bank in BANKS for name in available(FOLDER, bank)]
GRID = np.linspace(-2.0, 2.0, 5)


@st.composite
def graded_items(draw):
    """Discriminations `[I]` and thresholds `[I, K-1]` as wild as a fit might return."""
    items, categories = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    slope = st.floats(0.2, 4.0)
    a = draw(st.lists(slope, min_size=items, max_size=items))
    # The gaps keep thresholds apart, as `GradedParameters.load` demands.
    gaps = draw(
        st.lists(st.floats(0.05, 2.0), min_size=items * categories, max_size=items * categories)
    )
    steps = np.array(gaps).reshape(items, categories)[:, 1:]
    start = draw(st.floats(-4.0, 2.0))
    return np.array(a), start + np.cumsum(steps, axis=1)


def random_table(rng: np.random.Generator, items: int, levels: int, categories: int):
    return rng.dirichlet(np.ones(categories), size=(items, levels))


# The graded response model.


@LAWS
@given(graded_items(), st.floats(-8.0, 8.0))
def test_rows_are_positive_and_sum_to_one(items, theta):
    probs = graded_response(np.array([theta, -8.0, 8.0]), *items)
    assert (probs > 0).all()
    assert_allclose(probs.sum(axis=-1), 1.0, rtol=0, atol=1e-12)


def test_categories_stay_positive_far_from_every_threshold():
    # Upper tails near one: their plain difference is exactly zero in float64 for the lowest ones.
    thresholds = np.array([[-2.0, -1.9, -1.8, -1.7]])
    probs = graded_response(np.array([-8.0, 8.0]), np.array([4.0]), thresholds)
    assert (probs > 0).all()
    # The tail is exponential there: P(Y = k) ~ exp(-a (theta - b_k+1)) - exp(-a (theta - b_k)).
    expected = np.exp(-4.0 * (8.0 - -1.8)) - np.exp(-4.0 * (8.0 - -1.9))
    assert_allclose(probs[0, 1, 2], expected, rtol=1e-9)
    # Mirrored thresholds at the mirrored theta give the mirrored row, to the last digits.
    mirrored = graded_response(np.array([8.0, -8.0]), np.array([4.0]), -thresholds[:, ::-1])
    assert_allclose(probs, mirrored[..., ::-1], rtol=1e-12)


@LAWS
@given(graded_items(), st.floats(-4.0, 4.0))
def test_cumulative_curves_fall_with_the_threshold_and_rise_with_theta(items, theta):
    at_least = 1 - np.cumsum(graded_response(np.array([theta, theta + 0.5]), *items), axis=-1)
    assert (np.diff(at_least[..., :-1], axis=-1) <= 0).all()
    assert (at_least[:, 1] >= at_least[:, 0] - 1e-15).all()


@LAWS
@given(graded_items())
def test_half_of_the_people_at_a_threshold_answer_at_least_that(items):
    discrimination, thresholds = items
    for k in range(1, thresholds.shape[1] + 1):
        for item in range(len(thresholds)):
            one = slice(item, item + 1)
            theta = thresholds[item, k - 1 : k]
            probs = graded_response(theta, discrimination[one], thresholds[one])
            assert probs[0, 0, k:].sum() == pytest.approx(0.5, abs=1e-12)


def test_golden_rows_of_the_study():
    bank = ItemBank.load("ipip50")
    table = bank.response_table(GRID, GradedParameters.load(bank, "study"))
    # Low level to high level, as the description of the study's model prints them. Its two digits
    # are rounded upwards here and there (.1049 is printed .11), hence the tolerance.
    golden = np.array(
        [
            [0.86, 0.11, 0.03, 0.01, 0.00],
            [0.45, 0.33, 0.16, 0.05, 0.02],
            [0.10, 0.23, 0.35, 0.23, 0.10],
            [0.02, 0.05, 0.16, 0.33, 0.45],
            [0.00, 0.01, 0.03, 0.11, 0.86],
        ]
    )
    assert table.shape == (50, 5, 5)
    for item, keying in zip(table, bank.keying, strict=True):
        assert_allclose(item if keying > 0 else item[:, ::-1], golden, rtol=0, atol=0.0081)
    # The first row by hand: 1 / (1 + exp(2 (theta - b))) at theta = -2 and its neighbours.
    exact = [0.858149, 0.104882, 0.028306, 0.006638, 0.002025]
    assert_allclose(table[0, 0], exact, rtol=0, atol=1e-6)


# Keying.


@LAWS
@given(st.integers(2, 9), st.data())
def test_reverse_keying_mirrors_and_is_its_own_inverse(categories, data):
    answers = np.array(data.draw(st.lists(st.integers(0, categories - 1), min_size=1)))
    assert_array_equal(reverse_key(answers, np.int64(1), categories), answers)
    turned = reverse_key(answers, np.int64(-1), categories)
    assert_array_equal(turned, [categories - 1 - answer for answer in answers])
    assert_array_equal(reverse_key(turned, np.int64(-1), categories), answers)


@pytest.mark.parametrize("name", BANKS)
def test_keyed_responses_of_a_bank_turn_exactly_the_reverse_keyed_items(name):
    bank = ItemBank.load(name)
    lowest = np.zeros((3, bank.num_items), dtype=np.int64)
    keyed = bank.apply_keying(lowest)
    assert_array_equal(keyed[1], np.where(bank.keying > 0, 0, bank.num_categories - 1))
    assert_array_equal(bank.apply_keying(keyed), lowest)


def test_the_raw_table_of_a_reverse_keyed_item_is_the_mirror():
    bank = ItemBank.load("ipip50")
    asymmetric = GradedParameters(
        discrimination=np.full(50, 1.3),
        thresholds=np.tile([-2.0, -0.5, 0.1, 1.9], (50, 1)),
        correlation=None,
    )
    table = bank.response_table(GRID, asymmetric)
    plus, minus = table[bank.keying > 0], table[bank.keying < 0]
    # All items have the same parameters, so there are two kinds of rows, one the other's mirror.
    assert_array_equal(plus, np.broadcast_to(plus[0], plus.shape))
    assert_array_equal(minus, np.broadcast_to(plus[0][:, ::-1], minus.shape))
    assert not np.allclose(plus[0], minus[0])


@pytest.mark.parametrize(("questionnaire", "parameters"), SHIPPED)
def test_higher_levels_agree_more_with_items_keyed_towards_the_trait(questionnaire, parameters):
    bank = ItemBank.load(questionnaire)
    table = bank.response_table(GRID, GradedParameters.load(bank, parameters))
    mean_answer = table @ np.arange(bank.num_categories)
    assert (np.diff(mean_answer, axis=1) * bank.keying[:, None] > 0).all()
    assert (table > 0).all()


# Tables of answer probabilities, and the sampler.


def test_a_table_model_broadcasts_people_against_stimuli():
    table = random_table(generator(1), items=6, levels=3, categories=4)
    factor = np.array([0, 1, 0, 1, 1, 0])
    model = TableModel(table, factor)
    levels = np.array([[0, 2], [1, 1], [2, 0]])
    stimuli = np.arange(6.0)[:, None]
    every = model.probs(levels[:, None, :], stimuli[None])  # 3 people x 6 items
    assert every.shape == (3, 6, 4)
    for person in range(3):
        for item in range(6):
            expected = table[item, levels[person, factor[item]]]
            assert_array_equal(every[person, item], expected)
            assert_array_equal(model.probs(levels[person], stimuli[item]), expected)
    one_item = model.probs(levels, stimuli[3])  # all hypotheses against one stimulus
    assert_array_equal(one_item, every[:, 3])
    assert_array_equal(model.probs(levels, stimuli[[4, 0, 2]]), every[[0, 1, 2], [4, 0, 2]])


def test_a_table_model_names_the_factor_that_a_stimulus_informs():
    model = TableModel(random_table(generator(2), 3, 2, 2), np.array([1, 0, 1]))
    assert [model.factor(np.array([item])) for item in (0.0, 1.0, 2.0)] == [1, 0, 1]
    assert model.separable


@st.composite
def sampled(draw):
    """A table model, and people who are asked something and hold random numbers."""
    rng = generator(draw(st.integers(0, 2**32 - 1)))
    items, factors = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    levels, categories = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    # More than 1,024 people too: the sampler works in blocks of that many.
    people, turns = draw(st.sampled_from([1, 2, 7, 1030])), draw(st.integers(1, 5))
    model = TableModel(
        random_table(rng, items, levels, categories), rng.integers(factors, size=items)
    )
    asked = rng.integers(items, size=(people, turns, 1)).astype(np.float32)
    if draw(st.booleans()):  # a fixed order of items arrives as a broadcast array
        asked = np.broadcast_to(asked[:1], asked.shape)
    level_type = draw(st.sampled_from([np.int64, np.int16]))
    hidden = rng.integers(levels, size=(people, factors)).astype(level_type)
    return model, hidden, asked, rng.random((people, turns), dtype=np.float32)


@LAWS
@given(sampled())
def test_the_fast_sampler_equals_the_general_one(case):
    model, hidden, asked, uniform = case
    before = hidden.copy()
    answers = model.sample(hidden, asked, uniform)
    assert_array_equal(answers, ResponseModel.sample(model, hidden, asked, uniform))
    assert answers.dtype == np.int8
    assert_array_equal(hidden, before)


def test_the_sampler_hits_every_category_as_often_as_its_probability_says():
    table = random_table(generator(3), items=2, levels=2, categories=5)
    model = TableModel(table, np.zeros(2, dtype=np.int64))
    # Equally spaced numbers instead of random ones: counts then follow to within one per category.
    number = 4096
    uniform = ((np.arange(number, dtype=np.float32) + 0.5) / number)[:, None]
    for item in range(2):
        for level in range(2):
            asked = np.full((number, 1, 1), item, dtype=np.float32)
            answers = model.sample(np.full((number, 1), level), asked, uniform)
            counts = np.bincount(answers[:, 0], minlength=5)
            assert_allclose(counts, number * table[item, level], rtol=0, atol=1.001)


def test_the_sampler_reaches_the_ends_of_the_unit_interval_and_no_impossible_answer():
    model = TableModel(np.array([[[0.0, 0.25, 0.75, 0.0]]]), np.zeros(1, dtype=np.int64))
    ends = np.array([[0.0], [np.nextafter(np.float32(1), np.float32(0))]], dtype=np.float32)
    answers = model.sample(np.zeros((2, 1), np.int64), np.zeros((2, 1, 1), np.float32), ends)
    assert_array_equal(answers[:, 0], [1, 2])


# Item banks.


def test_the_fifty_items_and_their_keys():
    bank = ItemBank.load("ipip50")
    assert (bank.num_items, bank.num_categories, bank.codes) == (50, 5, (1, 2, 3, 4, 5))
    assert ((bank.keying == 1).sum(), (bank.keying == -1).sum()) == (26, 24)
    keys = {
        trait: tuple((bank.keying[bank.trait == f] == sign).sum() for sign in (1, -1))
        for f, trait in enumerate(bank.traits)
    }
    assert keys == {
        "Extraversion": (5, 5),
        "Agreeableness": (6, 4),
        "Conscientiousness": (6, 4),
        "Emotional Stability": (2, 8),
        "Openness": (7, 3),
    }
    # The printed form goes round the five traits.
    assert_array_equal(bank.trait, np.tile(np.arange(5), 10))
    for names in (bank.item_ids, bank.aliases, bank.text):
        assert len(set(names)) == 50


def test_the_twenty_five_items_have_six_categories():
    bank = ItemBank.load("bfi25")
    assert (bank.num_items, bank.num_categories) == (25, 6)
    assert bank.codes == (1, 2, 3, 4, 5, 6)
    assert_array_equal(np.bincount(bank.trait), [5] * 5)
    assert len(set(bank.item_ids)) == 25


def test_an_unknown_questionnaire_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"'ipip500'.*bfi25, ipip50"):
        ItemBank.load("ipip500")


# Parameter files.


def write_parameters(folder: Path, **changes) -> Path:
    """A copy of the study's parameters as `own.csv`, with columns replaced."""
    bank = ItemBank.load("ipip50")
    columns = {"item_id": list(bank.item_ids), "a": [2.0] * 50}
    columns |= {f"b{k}": [b] * 50 for k, b in enumerate((-1.10, -0.37, 0.37, 1.10), start=1)}
    columns |= changes
    path = folder / "own.csv"
    kept = {name: values for name, values in columns.items() if values is not None}
    write_table(path, ["made by a test"], kept)
    return path


def test_parameters_of_a_file_follow_the_bank_in_whatever_order_they_stand(tmp_path):
    bank = ItemBank.load("ipip50")
    reversed_rows = list(reversed(bank.item_ids))
    path = write_parameters(tmp_path, item_id=reversed_rows, a=[1.0 + i / 100 for i in range(50)])
    loaded = GradedParameters.load(bank, str(path))
    assert_allclose(loaded.discrimination, [1.0 + (49 - i) / 100 for i in range(50)])
    assert_array_equal(loaded.thresholds, np.tile([-1.10, -0.37, 0.37, 1.10], (50, 1)))
    assert loaded.correlation is None


def test_unknown_parameters_are_refused_with_those_that_exist():
    bank = ItemBank.load("ipip50")
    with pytest.raises(
        ValueError, match=r"ipip50 has no parameters 'studdy'. Did you mean 'study'\?"
    ):
        GradedParameters.load(bank, "studdy")
    with pytest.raises(ValueError, match=r"nowhere\.csv"):
        GradedParameters.load(bank, "nowhere.csv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b2": [-1.2] * 50}, "thresholds increasing"),
        ({"b2": [-1.1] * 50}, "thresholds increasing"),
        ({"a": [0.0] + [2.0] * 49}, "positive"),
        ({"a": [2.0] * 49 + [-1.0]}, "positive"),
        # "nan" and "inf" are numbers to float(); the comparisons with a NaN are all false.
        ({"a": ["nan"] + [2.0] * 49}, r"own\.csv"),
        ({"b4": ["nan"] * 50}, r"own\.csv"),
        ({"a": ["two"] * 50}, r"own\.csv"),
        ({"b4": None}, "no column b4"),
        ({"a": None}, "no column a"),
        ({"item_id": ["X1"] + [f"E{i}" for i in range(49)]}, "not those of the bank"),
        ({"item_id": ["E1"] * 50}, "not those of the bank"),
    ],
)
def test_broken_parameters_are_refused_by_file_and_reason(tmp_path, changes, message):
    path = write_parameters(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        GradedParameters.load(ItemBank.load("ipip50"), str(path))
    assert str(path) in str(error.value)


def correlations(traits: list[str], columns: list[str]) -> dict[str, list[object]]:
    matrix = np.where(np.eye(len(traits)) > 0, 1.0, 0.3)
    return {"trait": list(traits), **dict(zip(columns, matrix.T.tolist(), strict=True))}


def test_correlations_are_read_from_the_file_beside(tmp_path):
    bank = ItemBank.load("ipip50")
    path = write_parameters(tmp_path)
    traits = list(bank.traits)
    write_table(tmp_path / "own_traits.csv", ["test"], correlations(traits, traits))
    loaded = GradedParameters.load(bank, str(path)).correlation
    assert loaded is not None
    assert_array_equal(loaded, np.where(np.eye(5) > 0, 1.0, 0.3))


@pytest.mark.parametrize("fault", ["order", "missing row", "missing column", "word"])
def test_a_wrong_file_of_correlations_is_refused_by_name(tmp_path, fault):
    bank = ItemBank.load("ipip50")
    path = write_parameters(tmp_path)
    traits = list(bank.traits)
    if fault == "order":
        table = correlations(traits[::-1], traits[::-1])
    else:
        table = correlations(traits, traits)
    if fault == "missing row":
        table = {name: column[:-1] for name, column in table.items()}
    if fault == "missing column":
        del table[traits[-1]]
    if fault == "word":
        table[traits[0]][1] = "much"
    write_table(tmp_path / "own_traits.csv", ["test"], table)
    with pytest.raises(ValueError, match=r"own_traits\.csv"):
        GradedParameters.load(bank, str(path))


@pytest.mark.parametrize(("questionnaire", "parameters"), SHIPPED)
def test_shipped_parameters_are_plausible(questionnaire, parameters):
    bank = ItemBank.load(questionnaire)
    loaded = GradedParameters.load(bank, parameters)
    assert loaded.thresholds.shape == (bank.num_items, bank.num_categories - 1)
    assert (np.diff(loaded.thresholds, axis=1) > 0).all()
    assert ((loaded.discrimination > 0.1) & (loaded.discrimination < 5)).all()
    if loaded.correlation is not None:
        assert_array_equal(loaded.correlation, loaded.correlation.T)
        assert_array_equal(np.diag(loaded.correlation), 1.0)
        assert (np.linalg.eigvalsh(loaded.correlation) > 0).all()


# Tables on disk.


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "table.csv"
    columns = {"name": ["a, b", 'say "c"'], "value": ["1", "2"]}
    write_table(path, ["where it comes from", "and when"], columns)
    assert read_table(path) == columns
    assert path.read_text("utf-8").startswith("# where it comes from\n# and when\nname,value\n")


@pytest.mark.parametrize(
    ("text", "message"), [("# only provenance\n", "empty"), ("a,b\n1,2\n3\n", "row 3 has 1 cells")]
)
def test_a_broken_table_is_refused_by_file_and_row(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_table(path)
    assert str(path) in str(error.value)
