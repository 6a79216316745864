"""What is fast is exactly what is plain: random numbers, stimuli and answers, in all variants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acquaint_gym.envs.episodes import EVERYONE, Episodes
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.flight_choice import FlightChoice
from acquaint_gym.envs.tasks.flights import Flights
from acquaint_gym.envs.tasks.forced_choice import ForcedChoice
from acquaint_gym.envs.tasks.hotel_choice import HotelChoice
from acquaint_gym.envs.tasks.option_sets import OptionSets
from acquaint_gym.envs.tasks.shop_choice import FEATURES, ShopChoice
from acquaint_gym.envs.users.fast_draws import PersonStreams, fibonacci_hash, smallest
from acquaint_gym.envs.users.population import SPLITS, load_profiles
from acquaint_gym.envs.users.response_models import ResponseModel
from acquaint_gym.envs.users.statements import Triples

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
FLIGHT, SHOP = (
    "acquaint_gym.envs.tasks.flight_choice:FlightChoice",
    "acquaint_gym.envs.tasks.shop_choice:ShopChoice",
)
TRAITS, TRIPLES = (
    "acquaint_gym.envs.tasks.flights:Flights",
    "acquaint_gym.envs.tasks.forced_choice:ForcedChoice",
)
BFI = {"questionnaire": "bfi25", "parameters": "human"}


def numbers(*shape: int) -> np.ndarray:
    """Random numbers as people have them: multiples of 2^-24, the ends of the interval among them.

    The first quarter of the rows stands near multiples of 1/30, where floors change.
    """
    rng = np.random.Generator(np.random.Philox(key=sum(shape)))
    drawn = rng.random(shape, dtype=np.float32)
    edge = drawn[: len(drawn) // 4]
    steps = np.rint(edge.astype(np.float64) * 30) / 30 * 2**24
    nearby = np.rint(steps) + rng.integers(-1, 2, edge.shape)
    edge[...] = np.clip(nearby, 0, 2**24 - 1) / 2**24
    drawn.reshape(-1)[:2] = 0, BELOW_ONE
    return drawn


# Random numbers.


@pytest.mark.parametrize("width", [0, 1, 8, 73])
@pytest.mark.parametrize("first", [0, 5, 2**61])
def test_numbers_are_those_of_numpys_generator(width, first):
    streams, counters = PersonStreams(3, "words", width), -(-width // 8)
    key = np.random.SeedSequence([3, *b"words"]).generate_state(2, np.uint64)
    # Enough people for several draws, two of them in other places.
    person = first + np.concatenate([np.arange(1200), [5000, 7000]])
    found = streams.uniform(person)
    assert found.shape == (1202, width)
    assert found.dtype == np.float32
    for row in (0, 1, 700, 1199, 1200, 1201):
        stream = np.random.Philox(key=key)
        stream.advance(int(person[row]) * counters)
        expected = np.random.Generator(stream).random(8 * counters, dtype=np.float32)[:width]
        np.testing.assert_array_equal(found[row], expected)
    assert streams.uniform(np.zeros(0, dtype=np.int64)).shape == (0, width)


# Stimuli.


# Values of features, in the groups of which one number each draws a combination.
GROUPS = [
    [(11, 11, 3, 11)],
    [(3, 7, 2)],
    [(30, 2, 5)],
    [(6, 200, 4)],
    [(6, 5, 2, 2, 2, 2, 2, 2, 2, 2)],
    [(11, 11, 3, 3, 3), (11,)],
    [(11, 11, 11, 11), (3, 3, 3, 11)],
]


@pytest.mark.parametrize("groups", GROUPS)
def test_options_are_combinations_of_values_and_splits_keep_apart(groups):
    values = [count for group in groups for count in group]
    sets, steps = OptionSets(values, 4, 3), np.array(values) - 1
    uniform = numbers(500, 4 * 3 * len(groups))
    assert sets.num_uniforms == uniform.shape[1]
    parts = []
    for group, number in zip(groups, uniform.reshape(500, 4, 3, -1).T, strict=True):
        drawn = np.floor(number.T * np.float32(np.prod(group))).astype(np.int64)
        parts += np.unravel_index(drawn, group)
    plain = (np.stack(parts, axis=-1) / steps).astype(np.float32).reshape(500, 4, -1)
    drawn = sets.draw(uniform)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, plain)
    for number, split in enumerate(SPLITS):
        # Whole numbers throughout, as the rule reads.
        place = np.rint(plain.reshape(500, 4, 3, -1) * steps).astype(np.int64)
        others = place.sum(axis=(2, 3)) - place[:, :, -1, 0]
        lowest = (number - others) % 3
        turn = (place[:, :, -1, 0] + others // 3) % -(-(values[0] - lowest) // 3)
        place[:, :, -1, 0] = lowest + 3 * turn
        expected = (place / steps).astype(np.float32).reshape(500, 4, -1)
        np.testing.assert_array_equal(sets.separate_splits(drawn, split), expected)
        assert (place.sum(axis=(2, 3)) % 3 == number).all()
    np.testing.assert_array_equal(drawn, plain)  # nobody wrote on them


@pytest.mark.parametrize("task", [FlightChoice(), HotelChoice(), ShopChoice(), Flights()])
def test_one_number_draws_an_option(task):
    assert task.num_uniforms == task.num_turns * len(task.actions)


@pytest.mark.parametrize("values", [(11, 11, 3, 11), (6, 5, 2, 2, 2, 2, 2, 2, 2, 2)])
def test_every_combination_is_drawn_alike(values):
    sets, size = OptionSets(values, 1, 3), int(np.prod(values))
    # 66 numbers for every option, at equal steps through the unit interval.
    uniform = ((np.arange(66 * size) * 2**24 // (66 * size)) / 2**24).astype(np.float32)
    options = sets.draw(uniform.reshape(-1, 3)).reshape(-1, len(values))
    distinct, count = np.unique(options, axis=0, return_counts=True)
    assert len(distinct) == size
    assert np.abs(count - 66).max() <= 1
    ends = sets.draw(np.array([[0, 0, BELOW_ONE]], dtype=np.float32)).reshape(3, -1)
    assert (ends == [[0], [0], [1]]).all()


def test_a_first_feature_that_cannot_keep_splits_apart_is_refused():
    with pytest.raises(ValueError, match="first feature"):
        OptionSets([2, 7], 4, 3)


@pytest.mark.parametrize("split", SPLITS)
def test_shirts_are_drawn_evenly(split):
    shirts = Simulator(ShopChoice(), split, 0).draw(np.arange(4000)).stimuli.reshape(-1, 3, 10)
    for feature, values in enumerate(len(feature.texts) for feature in FEATURES):
        steps = np.rint(shirts[..., feature] * (values - 1)).astype(int)
        for option in range(3):
            share = np.bincount(steps[:, option], minlength=values) / len(steps)
            # The colour of the last shirt keeps splits apart, see above.
            np.testing.assert_allclose(share, 1 / values, atol=0.02)
    correlation = np.corrcoef(shirts.reshape(-1, 30).T) - np.eye(30)
    assert np.abs(correlation).max() < 0.035  # five standard errors of 24,000


def triples(task: ForcedChoice, uniform: np.ndarray, trait: np.ndarray, keying: np.ndarray):
    """A keying, a sort and a pick, row by row."""
    told = np.zeros((len(uniform), task.num_turns, 3), dtype=np.float32)
    for row, turn in np.ndindex(told.shape[:2]):
        first, *order, one, two, three = uniform.reshape(len(uniform), task.num_turns, -1)[
            row, turn
        ]
        key = 1 if first < 0.5 else -1
        some = [
            f for f in np.argsort(order, kind="stable") if ((trait == f) & (keying == key)).any()
        ]
        for place, number in enumerate((one, two, three)):
            known = np.flatnonzero((trait == some[place]) & (keying == key))
            told[row, turn, place] = known[int(np.floor(float(number) * len(known)))]
    return told


@pytest.mark.parametrize("settings", [{}, BFI], ids=["ipip50", "bfi25"])
def test_triples_are_a_keying_an_order_and_an_item_of_each(settings):
    task = ForcedChoice(num_turns=4, **settings)
    bank = load_profiles(
        settings.get("questionnaire", "ipip50"), settings.get("parameters", "study"), 5
    ).bank
    uniform = numbers(300, task.num_uniforms)
    uniform[:50, 1:4] = uniform[:50, 1:2]  # equal numbers: the first trait comes first
    expected = triples(task, uniform, bank.trait, bank.keying)
    np.testing.assert_array_equal(task.draw_stimuli(uniform), expected)
    asked = expected.astype(int)
    assert all(len(set(three)) == 3 for three in bank.trait[asked].reshape(-1, 3).tolist())
    assert (bank.keying[asked] == bank.keying[asked][..., :1]).all()


def test_a_bank_that_has_no_triples_is_refused():
    with pytest.raises(ValueError, match="keyed alike"):
        Triples(np.array([0, 1, 2]), np.array([1, 1, -1]))


# Answers.


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        *((FLIGHT, {"features": features}) for features in (2, 3, 4, 5, 6, 7, 8)),
        *((FLIGHT, {"num_options": options}) for options in (2, 5)),
        *((FLIGHT, {"floor": floor}) for floor in (1e-12, 0.1, 0.9)),
        *((FLIGHT, {"likelihood": "softmax", "temperature": t}) for t in (0.1, 5.0, 60.0)),
        (FLIGHT, {"likelihood": "softmax", "features": 8, "num_options": 4}),
        ("acquaint_gym.envs.tasks.hotel_choice:HotelChoice", {}),
        *((SHOP, {"num_options": options, "floor": f}) for options, f in ((3, 1e-6), (4, 0.2))),
        *((TRAITS, {"temperature": temperature}) for temperature in (0.1, 5.0, 1e3)),
        (TRAITS, {"num_options": 5, "mapping": {"everyone": {"price": 30.0}}}),
        ("acquaint_gym.envs.tasks.single_trait:SingleTrait", {"trait": "Openness"}),
        *((TRIPLES, settings) for settings in ({}, {"parameters": "human"}, {"levels": 3}, BFI)),
    ],
)
def test_fast_samplers_equal_the_general_one(target: str, settings: dict[str, Any]):
    task = make_task(target, num_turns=5, **settings)
    people = 1500
    levels = Simulator(task, "train", 0).draw(np.arange(people)).levels
    stimuli = task.draw_stimuli(numbers(people, task.num_uniforms))
    if target != SHOP and target != TRIPLES:  # what no grid holds is exact as well
        rng = np.random.Generator(np.random.Philox(key=1))
        stimuli[::3] = rng.random(stimuli[::3].shape, dtype=np.float32)
    uniform = numbers(people, task.num_turns)
    # Numbers that hit a bound between two answers, and those beside it.
    bounds = np.cumsum(task.model.probs(levels[:, None], stimuli), axis=-1)[..., :-1]
    for row in range(200, 800):
        bound = bounds[row, :, row % bounds.shape[-1]].astype(np.float32)
        near = np.nextafter(bound, np.float32(row % 3 - 1)) if row % 3 != 1 else bound
        uniform[row] = np.clip(near, 0, BELOW_ONE)
    general = ResponseModel.sample(task.model, levels, stimuli, uniform)
    answers = task.model.sample(levels, stimuli, uniform)
    assert answers.dtype == general.dtype == np.int8
    np.testing.assert_array_equal(answers, general)
    np.testing.assert_array_equal(
        task.model.sample(levels[:1], stimuli[:1], uniform[:1]), general[:1]
    )


def test_utilities_that_all_but_tie_are_left_to_the_general_sampler():
    task = make_task(FLIGHT, features=2, num_options=2, num_turns=1)
    levels = np.tile(task.population.levels, (100, 1))
    rng = np.random.Generator(np.random.Philox(key=2))
    stimuli = rng.random((len(levels), 1, 4), dtype=np.float32)
    # Gaps about the margin below which options are equally good.
    stimuli[:, 0, 2:] = stimuli[:, 0, :2] + rng.normal(1e-4, 1e-6, (len(levels), 1))
    uniform = np.full((len(levels), 1), 0.5, dtype=np.float32)
    general = ResponseModel.sample(task.model, levels, stimuli, uniform)
    np.testing.assert_array_equal(task.model.sample(levels, stimuli, uniform), general)
    assert 0.1 < general.mean() < 0.9


def test_many_people_at_once_are_the_same_as_few():
    """Environments draw a part of their people at a time; which part makes no difference."""

    def shown(numbers_at_once: int) -> list[np.ndarray]:
        task = make_task(FLIGHT, quirks="impatience:0.3")
        episodes = Episodes(task, Simulator(task, "train", 0), 40, "transcript")
        columns = []
        for first in (3, 60):
            episodes.begin(EVERYONE, first + np.arange(40), numbers_at_once)
            columns += [*episodes.observe().values(), *map(np.copy, episodes.users)]
            while not episodes.over().all():
                live = np.flatnonzero(~episodes.over())
                episodes.advance(live, np.zeros(len(live), dtype=np.int64))
                columns += episodes.observe().values()
        return columns

    for one, other in zip(shown(2**17), shown(500), strict=True):
        np.testing.assert_array_equal(one, other)


def test_neighbours_lie_far_apart_in_the_hash():
    places = fibonacci_hash(np.arange(5)) / 2.0**64
    np.testing.assert_allclose(places, [0.0, 0.618, 0.236, 0.854, 0.472], atol=1e-3)


@pytest.mark.parametrize("rows", [3, 5, 36])
def test_the_smallest_are_those_of_a_stable_sort(rows):
    drawn = numbers(rows, 400)
    drawn[:, :40] = drawn[:1, :40]  # equal numbers: the first row comes first
    plain, aside = drawn.copy(), np.arange(400) % 3 == 0
    plain[1, aside] = 2
    expected = np.argsort(plain, axis=0, kind="stable")[:2]
    np.testing.assert_array_equal(smallest(drawn, 2, [(1, aside)]), expected)
