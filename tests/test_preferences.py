"""The preference tasks against the numbers and rules of Qiu et al. (2026)."""

from __future__ import annotations

import numpy as np
import pytest

from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.flight_choice import VARIANTS, FlightChoice
from acquaint_gym.envs.tasks.hotel_choice import HotelChoice
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.population import SPLITS
from acquaint_gym.envs.users.preferences import WEIGHTS, WeighedOptions
from acquaint_gym.eval.runs.evaluation import People, plan

# Accuracy after 0..5 observed rounds, recomputed exactly from the published rules.
FLIGHTS = [0.349, 0.573, 0.667, 0.736, 0.779, 0.813]
HOTELS = [0.354, 0.573, 0.661, 0.724, 0.774, 0.815]
ACCEPT = [0.350, 0.508, 0.575, 0.640, 0.688, 0.735]


def curve(env_id: str, people: int, tmp_path, **settings: object) -> np.ndarray:
    """The teacher's accuracy turn by turn, through the loop that scores every agent."""
    (job,) = plan(env_id, ["bayes"], People("test", 0, None), settings)
    job.evaluate(tmp_path, 0, people)
    with np.load(next(tmp_path.rglob("*.npz"))) as trace:
        return (trace["actions"] == trace["answers"]).mean(axis=0)


GOLDEN = [
    ("acquaint/FlightChoice-v0", {}, FLIGHTS),
    ("acquaint/FlightChoice-v0", {"feedback": "accept"}, ACCEPT),
    ("acquaint/HotelChoice-v0", {}, HOTELS),
]


@pytest.mark.parametrize(("env_id", "settings", "expected"), GOLDEN)
def test_the_published_curve(env_id, settings, expected, tmp_path):
    # 2,000 people: a standard error of .011 at most, so .045 is four of them.
    np.testing.assert_allclose(curve(env_id, 2000, tmp_path, **settings), expected, atol=0.045)


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "settings", "expected"), GOLDEN)
def test_the_published_curve_closely(env_id, settings, expected, tmp_path):
    # A standard error of .0025 at most. The expected values come from one hundred option sets that
    # everybody is asked about: sets differ in difficulty, and theirs is about .01.
    np.testing.assert_allclose(curve(env_id, 40_000, tmp_path, **settings), expected, atol=0.015)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "sizes"), [(2, (11, 11)), (3, (11, 11, 11)), (4, (11, 11, 3, 11))]
)
def test_the_environment_is_the_plain_loop(features, sizes, tmp_path):
    """All people, new options for everybody, as few lines as the rules need: 25,000 people."""
    rng = np.random.Generator(np.random.Philox(7))
    weights = WEIGHTS[FlightChoice(features=features).population.levels]
    people = len(weights)
    everyone, rounds = np.arange(people), np.arange(6)
    hits, repeats = np.zeros(6), 25_000 // people
    for _ in range(repeats):
        grids = [rng.integers(0, size, (people, 6, 3)) / (size - 1) for size in sizes]
        options = np.stack(grids, axis=-1)
        utility = options @ weights.T
        best = (utility > utility.max(axis=2, keepdims=True) - 1e-9).argmax(axis=2)
        chosen = best[everyone[:, None], rounds, everyone[:, None]]
        alive = np.ones((people, people))
        for turn in rounds:
            mean = alive @ weights / alive.sum(axis=1, keepdims=True)
            expected = np.einsum("pof,pf->po", options[:, turn], mean)
            guess = (expected > expected.max(axis=1, keepdims=True) - 1e-9).argmax(axis=1)
            hits[turn] += (guess == chosen[:, turn]).sum()
            alive *= best[:, turn] == chosen[:, turn][:, None]
    found = curve("acquaint/FlightChoice-v0", 40_000, tmp_path, features=features)
    # Standard errors of .003 and .0025.
    np.testing.assert_allclose(found, hits / people / repeats, atol=0.012)


# Other numbers of features: 24, 124, 300 sampled and 120 sampled people on 100 shared option sets
# in the re-computation, so these are rough beyond two digits.
FEATURES = {
    2: [0.34, 0.65, 0.85, 0.90, 0.92, 0.92],
    3: [0.37, 0.61, 0.72, 0.78, 0.83, 0.88],
    5: [0.32, 0.53, 0.62, 0.68, 0.72, 0.76],
    6: [0.34, 0.52, 0.59, 0.64, 0.70, 0.73],
}


@pytest.mark.slow
@pytest.mark.parametrize("features", FEATURES)
def test_other_numbers_of_features(features, tmp_path):
    found = curve("acquaint/FlightChoice-v0", 10_000, tmp_path, features=features)
    # The plain loop above says that with two features the re-computation is the one that is off.
    slack = 0.09 if features == 2 else 0.04
    np.testing.assert_allclose(found, FEATURES[features], atol=slack)
    np.testing.assert_allclose(found[-1], FEATURES[features][-1], atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "expected"), [(0.1, 0.768), (0.2, 0.713), (0.4, 0.615)])
def test_what_random_answers_cost(share, expected, tmp_path):
    """After five choices of which a share was random: does the teacher find what they prefer?"""
    people = np.arange(10_000)
    env_id, settings = "acquaint/FlightChoice-v0", {"quirks": f"careless:{share}"}
    (job,) = plan(env_id, ["bayes"], People("test", 0, None), settings)
    job.evaluate(tmp_path, 0, len(people))
    with np.load(next(tmp_path.rglob("*.npz"))) as trace:
        last = trace["actions"][:, -1]
    preferred = Simulator(FlightChoice(), "test", 0).draw(people).answers[:, -1]
    np.testing.assert_allclose((last == preferred).mean(), expected, atol=0.015)


def test_624_people_and_none_of_them_indifferent():
    levels = FlightChoice().population.levels
    assert len(levels) == len(np.unique(levels, axis=0)) == 5**4 - 1
    assert (WEIGHTS[levels] != 0).any(axis=1).all()


@pytest.mark.parametrize(
    ("features", "people"), [(2, 24), (3, 124), (5, 3124), (6, 1000), (8, 1000)]
)
def test_variants_have_all_people_or_a_sample(features, people):
    population = FlightChoice(features=features).population
    assert len(population.levels) == people
    assert len(population.factors) == len(VARIANTS[features]) == features


def test_the_first_of_equal_options_wins():
    model = WeighedOptions(3, "indicator", 1.0, 1e-6)
    stimulus = np.array([0.1, 0.4, 0.3, 0.3, 0.3, 0.3], dtype=np.float32)
    # Weights (.5, 0): utilities .05, .15, .15. Weights (1, .5): .3, .45, .45.
    for levels in ([3, 2], [4, 3]):
        assert model.probs(np.array(levels), stimulus).argmax() == 1
    nobody = model.probs(np.array([2, 2]), stimulus)
    np.testing.assert_allclose(nobody, [1 - 2e-6 / 3, 1e-6 / 3, 1e-6 / 3], rtol=1e-9)


def test_softmax_by_hand():
    model = WeighedOptions(2, "softmax", 2.0, 1e-6)
    probs = model.probs(np.array([4, 0]), np.array([0.5, 0.0, 0.0, 0.5]))
    # Utilities .5 and -.5, twice their difference is 2.
    np.testing.assert_allclose(probs, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))], rtol=1e-12)


def test_who_would_have_chosen_otherwise_is_ruled_out():
    task = FlightChoice(floor=1e-12)
    users = Simulator(task, "test", 0).draw(np.arange(20))
    posterior, alive = task.make_posterior(), np.ones((20, len(task.population.levels)), dtype=bool)
    weights = posterior.start(20)
    for turn in range(task.num_turns):
        stimulus, answer = users.stimuli[:, turn], users.answers[:, turn].astype(np.int64)
        weights = posterior.update(weights, stimulus, answer)
        for person in range(20):
            options = stimulus[person].reshape(3, 4).astype(float)
            utility = WEIGHTS[task.population.levels] @ options.T
            alive[person] &= (utility > utility.max(axis=1, keepdims=True) - 1e-6).argmax(
                axis=1
            ) == answer[person]
    expected = alive / alive.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights[:, 0], expected, atol=1e-9)
    truth = (task.population.levels == users.levels[:, None]).all(axis=2)
    assert (weights[:, 0][truth] > 0.001).all()


def test_the_mean_rule_is_not_a_vote():
    users = Simulator(FlightChoice(), "test", 0).draw(np.arange(300))
    actions = {}
    for rule in ("mean", "vote"):
        task = FlightChoice(rule=rule)
        shown = Transcript.of(np.ones(300), users.stimuli, users.answers, users.answers)
        actions[rule] = BayesTeacher(task).act(shown, np.zeros(300)).action
    agreement = (actions["mean"] == actions["vote"]).mean()
    assert 0.85 < agreement < 0.99  # they are said to agree 90 to 95 % of the time


@pytest.mark.parametrize("task", [FlightChoice(features=2), FlightChoice(), HotelChoice()])
def test_people_of_different_splits_never_meet_the_same_options(task):
    sets = {}
    for split in SPLITS:
        stimuli = Simulator(task, split, 0).draw(np.arange(3000)).stimuli
        assert 0 <= stimuli.min() < stimuli.max() <= 1
        sets[split] = {row.tobytes() for row in stimuli.reshape(-1, stimuli.shape[2])}
    assert not sets["train"] & sets["test"]
    assert not sets["train"] & sets["dev"]
    assert not sets["dev"] & sets["test"]


def test_features_are_drawn_evenly():
    users = Simulator(FlightChoice(), "train", 0).draw(np.arange(4000))
    options = users.stimuli.reshape(-1, 3, 4)
    for feature, values in enumerate((11, 11, 3, 11)):
        for option in range(3):
            steps = np.rint(options[:, option, feature] * (values - 1)).astype(int)
            share = np.bincount(steps, minlength=values) / len(steps)
            # Keeping splits apart moves the last option's first feature: 1/12 or 1/9, not 1/11.
            slack = 0.3 if (option, feature) == (2, 0) else 0.1
            np.testing.assert_allclose(share, 1 / values, rtol=slack)


@pytest.mark.parametrize("split", SPLITS)
def test_keeping_splits_apart_shifts_no_feature(split):
    options = Simulator(FlightChoice(), split, 0).draw(np.arange(4000)).stimuli.reshape(-1, 3, 4)
    # 24,000 numbers of standard deviation .32: a standard error of .002.
    np.testing.assert_allclose(options.mean(axis=0), 0.5, atol=0.01)


def test_grids_read_as_published():
    departure, duration, stops, price = VARIANTS[4]
    assert departure.texts[0] == "06:00 AM"
    assert departure.texts[-1] == "10:00 PM"
    assert duration.texts[:3] == ("30 min", "2 hr 27 min", "4 hr 24 min")
    assert duration.texts[-1] == "20 hr"
    assert stops.texts == ("0", "1", "2")
    assert (price.texts[0], price.texts[1], price.texts[-1]) == ("$100", "$190", "$1000")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": 9}, "features=9"),
        ({"rule": "vot"}, "Did you mean 'vote'"),
        ({"likelihood": "argmax"}, "Available: indicator, softmax"),
        ({"feedback": "yes"}, "Available: choice, accept"),
        ({"num_options": 1}, "num_options=1"),
        ({"floor": 0.0}, "floor=0.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FlightChoice(**settings)
