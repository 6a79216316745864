"""The heuristics: what they take, what they state, and where they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.baselines import HeuristicAgent
from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.envs.tasks.flight_choice import FlightChoice
from acquaint_gym.envs.tasks.hotel_choice import HotelChoice
from acquaint_gym.envs.tasks.questionnaire import Questionnaire
from acquaint_gym.envs.transcript import Transcript

# Departure, duration, stops, price of three flights: as grids have them, some of them equal.
OPTIONS = np.array(
    [
        [[0.1, 0.5, 0.0, 0.9], [0.2, 0.4, 0.5, 0.3], [0.3, 0.4, 1.0, 0.1]],
        [[0.9, 0.0, 0.0, 0.2], [0.8, 0.0, 0.0, 0.2], [0.7, 1.0, 0.5, 0.2]],
    ]
)


def shown(options):
    """Transcripts before the first answer."""
    stimuli = np.full((len(options), 6, 12), -1, np.float32)
    stimuli[:, 0] = options.reshape(len(options), -1)
    empty = np.full((len(options), 6), -1, np.float32)
    return Transcript.of(np.zeros(len(options)), stimuli, empty, empty)


@pytest.mark.parametrize(
    ("feature", "direction", "expected"),
    [
        ("price", "lowest", [2, 0]),
        ("price", "highest", [0, 0]),
        ("duration", "lowest", [1, 0]),
        ("duration", "highest", [0, 2]),
        ("departure time", "lowest", [0, 2]),
    ],
)
def test_the_first_of_equals_is_taken(feature, direction, expected):
    agent = HeuristicAgent(FlightChoice(), feature, direction)
    decision = agent.act(shown(OPTIONS), np.array([0.0, 0.9]))
    assert_array_equal(decision.action, expected)
    assert decision.belief is None
    stated = np.full((2, 3), 0.01 / 3)
    stated[[0, 1], expected] += 0.99
    assert_allclose(decision.action_probs, stated, rtol=1e-12)


def test_the_shipped_ones_are_the_cheapest_and_the_shortest():
    task = FlightChoice()
    for name, expected in (("cheapest", [2, 0]), ("shortest", [1, 0])):
        agent = parse_agent(name, []).build(lambda **_: task, {})
        assert_array_equal(agent.act(shown(OPTIONS), np.zeros(2)).action, expected)


def test_without_slips_it_is_certain():
    task = FlightChoice()
    agent = HeuristicAgent(task, "price", slip=0.0)
    assert_array_equal(agent.act(shown(OPTIONS), np.zeros(2)).action_probs, np.eye(3)[[2, 0]])
    spread = HeuristicAgent(task, "price", slip=0.3).act(shown(OPTIONS), np.zeros(2)).action_probs
    assert_allclose(spread, 0.1 + 0.7 * np.eye(3)[[2, 0]])


class Sold(FlightChoice):
    """The last two flights cannot be had."""

    def legal(self, observation):
        return np.tile([True, False, False], (observation.num_people, 1))


def test_what_is_not_legal_is_not_taken():
    decision = HeuristicAgent(Sold(), "price").act(shown(OPTIONS), np.zeros(2))
    assert_array_equal(decision.action, [0, 0])
    assert_allclose(decision.action_probs, np.eye(3)[[0, 0]])


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        (Questionnaire, {"feature": "price"}, "Questionnaire has no options with a 'price'.*leave"),
        (HotelChoice, {"feature": "duration"}, "HotelChoice has no options with a 'duration'"),
        (FlightChoice, {"feature": "prize"}, "has no options with a 'prize'"),
        (FlightChoice, {"feature": "price", "direction": "low"}, "Did you mean 'lowest'"),
        (FlightChoice, {"feature": "price", "slip": 1.0}, r"slip=1.0; expected .* \[0, 1\)"),
        (FlightChoice, {"feature": "price", "slip": -0.1}, r"slip=-0.1; expected .* \[0, 1\)"),
    ],
)
def test_what_does_not_fit_is_said_when_the_agent_is_built(task, settings, message):
    with pytest.raises(ValueError, match=message) as error:
        HeuristicAgent(task(), **settings)
    assert "\n" not in str(error.value)


def test_variants_with_other_features_have_their_own_columns():
    for features in (2, 3, 8):
        task = make_task("acquaint_gym.envs.tasks.flight_choice:FlightChoice", features=features)
        stimuli = np.random.Generator(np.random.Philox(1)).random((5, 3, features))
        names = [feature.name for feature in task.variants[features]]
        nothing = np.full((5, 6), -1.0)
        asked = np.repeat(stimuli.reshape(5, 1, -1), 6, axis=1)
        observation = Transcript.of(np.zeros(5), asked, nothing, nothing)
        for name in ("price", "duration"):
            action = HeuristicAgent(task, name).act(observation, np.zeros(5)).action
            assert_array_equal(action, stimuli[..., names.index(name)].argmin(axis=1))


@pytest.mark.parametrize("name", ["cheapest", "shortest"])
def test_they_score_about_chance(name):
    task = FlightChoice()
    users = Simulator(task, "test", 0).draw(np.arange(4000))
    agent = parse_agent(name, []).build(lambda **_: task, {})
    hits = []
    for turn in range(6):
        observation = example_transcripts(task, users, np.full(4000, turn))
        hits.append(agent.act(observation, np.zeros(4000)).action == users.answers[:, turn])
    # One in three is chance; 36 % is published for the cheapest. A standard error is 0.004.
    assert 1 / 3 < np.mean(hits) < 0.365
