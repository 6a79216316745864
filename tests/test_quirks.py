"""Difficult people: what each quirk does to them, and what a teacher makes of it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.contract import (
    check_calibrated_teacher,
    check_future_hidden,
    check_same_person,
    check_vector,
)
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.quirks import DistortedModel, Drift, Quirks
from acquaint_gym.envs.users.response_models import ResponseModel
from acquaint_gym.eval.run import main

QUESTIONNAIRE = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
OPTIONS = "acquaint_gym.envs.tasks.flight_choice:FlightChoice"
PEOPLE = np.arange(3000)


class Fixed(ResponseModel):
    """The same probabilities whoever is asked whatever."""

    def __init__(self, probs):
        self._probs = np.array(probs)

    def probs(self, levels, stimulus):
        shape = np.broadcast_shapes(levels.shape[:-1], stimulus.shape[:-1])
        return np.broadcast_to(self._probs, (*shape, len(self._probs)))


def bent(probs, text, turn=None):
    stimulus = np.zeros(1) if turn is None else np.array([0.0, turn])
    return DistortedModel(Fixed(probs), Quirks.parse(text)).probs(np.zeros(1, int), stimulus)


def test_words():
    assert Quirks.parse("none") == Quirks()
    assert Quirks.parse("careless:0.2+drift:0.05") == Quirks(careless=0.2, drift=0.05)
    assert Quirks.parse("acquiescence:-1.5") == Quirks(acquiescence=-1.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("carless:0.2", "Unknown quirk 'carless'. Did you mean 'careless'"),
        ("careless", r"expected careless:STRENGTH, 0\.\.1"),
        ("careless:", r"expected careless:STRENGTH, 0\.\.1"),
        ("careless:much", r"expected careless:STRENGTH, 0\.\.1"),
        ("careless:1.2", r"expected careless:STRENGTH, 0\.\.1"),
        ("drift:-0.1", r"expected drift:STRENGTH, 0\.\.1"),
        ("incoherence:-1", "expected incoherence:STRENGTH, 0 or more"),
        ("incoherence:nan", "expected incoherence:STRENGTH, 0 or more"),
        ("incoherence:inf", "expected incoherence:STRENGTH, 0 or more"),
        ("acquiescence:inf", "expected acquiescence:STRENGTH, a number"),
        ("careless:0.1+careless:0.5", "expected careless:STRENGTH, 0..1, once"),
        ("extremity:x", "expected extremity:STRENGTH, a number"),
        ("", "Unknown quirk ''"),
    ],
)
def test_other_words_are_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        make_task(QUESTIONNAIRE, quirks=text)


def test_skepticism_needs_something_to_reject():
    with pytest.raises(ValueError, match="skepticism needs feedback='accept'"):
        make_task(OPTIONS, quirks="skepticism:0.2")
    assert make_task(OPTIONS, quirks="skepticism:0.2", feedback="accept").quirks.skepticism == 0.2


def test_bent_probabilities():
    """By hand: mixture, log-odds of the outer categories, temperature."""
    np.testing.assert_allclose(bent([0.7, 0.2, 0.1], "careless:0.3"), [0.59, 0.24, 0.17])
    style = bent([0.2, 0.2, 0.2, 0.2, 0.2], "acquiescence:1")
    np.testing.assert_allclose(np.log(style[-1] / style[0]), 1)
    np.testing.assert_allclose(np.diff(np.log(style)), 0.25)
    outer = bent([0.2, 0.2, 0.2, 0.2, 0.2], "extremity:1.5")
    np.testing.assert_allclose(np.log(outer[[0, -1]] / outer[2]), 1.5)
    np.testing.assert_allclose(bent([0.8, 0.2], "incoherence:0.5", turn=0), [0.8, 0.2])
    np.testing.assert_allclose(bent([0.8, 0.2], "incoherence:0.5", turn=2), [2 / 3, 1 / 3])


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.floats(0, 1),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.floats(0.001, 2),
    st.integers(0, 60),
)
def test_bent_probabilities_are_a_distribution(
    raw, careless, acquiescence, extremity, growth, turn
):
    probs = np.array(raw) / np.sum(raw)
    text = (
        f"careless:{careless}+acquiescence:{acquiescence}+extremity:{extremity}"
        f"+incoherence:{growth}"
    )
    out = bent(probs, text, turn)
    assert (out > 0).all()
    np.testing.assert_allclose(out.sum(), 1)


@pytest.mark.parametrize("target", [QUESTIONNAIRE, OPTIONS])
@pytest.mark.parametrize("quirks", ["careless:0.2+extremity:1", "careless:0.1+incoherence:0.2"])
def test_likelihoods_of_many_are_those_of_each(target, quirks):
    task = make_task(target, quirks=quirks, num_turns=3)
    users = Simulator(task, "test", 0).draw(np.arange(4))
    stimulus = users.stimuli[:, 1]
    if task.model.timed:
        stimulus = np.column_stack([stimulus, [0, 1, 5, 2]])
    levels = task.population.levels[:50]
    fast = task.model.likelihoods(levels, stimulus)
    for row in range(4):
        np.testing.assert_allclose(fast[row].T, task.model.probs(levels, stimulus[row]), atol=1e-14)


def test_careless_people_answer_a_share_at_random():
    plain = Simulator(make_task(OPTIONS), "test", 0).draw(PEOPLE)
    some = Simulator(make_task(OPTIONS, quirks="careless:0.3"), "test", 0).draw(PEOPLE)
    np.testing.assert_array_equal(plain.levels, some.levels)
    np.testing.assert_array_equal(plain.stimuli, some.stimuli)
    # A third of the random answers are right by chance.
    assert abs((plain.answers != some.answers).mean() - 0.2) < 0.01
    everything = Simulator(make_task(OPTIONS, quirks="careless:1"), "test", 0).draw(PEOPLE)
    assert abs((plain.answers == everything.answers).mean() - 1 / 3) < 0.01


def test_impatient_people_leave():
    task = make_task(QUESTIONNAIRE, quirks="impatience:0.25", num_turns=10)
    users = Simulator(task, "test", 0).draw(PEOPLE)
    # After turn t with probability 0.25 0.75^(t-1); who stays to the end has not left.
    share = np.bincount(users.length, minlength=11)[1:] / len(PEOPLE)
    expected = np.append(0.25 * 0.75 ** np.arange(9), 0.75**9)
    assert np.abs(share - expected).max() < 0.025
    np.testing.assert_array_equal(users.left, users.length < 10)
    over = np.arange(10) >= users.length[:, None]
    assert (users.answers[over] == -1).all()
    assert (users.stimuli[over] == -1).all()
    assert (users.answers[~over] >= 0).all()


def test_leaving_truncates_an_episode():
    env = gym.make("acquaint/Questionnaire-v0", quirks="impatience:0.5", disable_env_checker=True)
    ends = []
    for person in range(30):
        env.reset(seed=person)
        terminated = truncated = False
        turns = 0
        while not (terminated or truncated):
            *_, terminated, truncated, _ = env.step(0)
            turns += 1
        assert turns == env.unwrapped.users.length[0]
        ends.append((terminated, truncated))
    assert set(ends) == {(False, True)}
    lanes = gym.make_vec(
        "acquaint/Questionnaire-v0", num_envs=30, quirks="impatience:0.5", num_turns=2
    )
    lanes.reset(seed=0)
    *_, terminated, truncated, _ = lanes.step(np.zeros(30, dtype=int))
    np.testing.assert_array_equal(truncated, lanes.unwrapped.users.length == 1)
    assert not terminated.any()
    assert 5 < truncated.sum() < 25


def test_skeptical_people_reject_what_they_would_take():
    env = gym.make_vec(
        "acquaint/FlightChoice-v0",
        num_envs=2000,
        feedback="accept",
        quirks="skepticism:0.3",
        autoreset_mode=AutoresetMode.DISABLED,
    )
    env.reset(seed=0)
    right = env.unwrapped.users.answers[:, 0].astype(np.int64)
    observation, reward, *_ = env.step(right)
    assert reward.all()
    assert abs(observation["answers"][:, 0].mean() - 0.7) < 0.04
    wrong = (env.unwrapped.users.answers[:, 1].astype(np.int64) + 1) % 3
    observation, reward, *_ = env.step(wrong)
    assert not reward.any()
    assert not observation["answers"][:, 1].any()


@given(st.integers(2, 4), st.integers(1, 3), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_drifting_belief_is_the_chain_of_the_moves(levels, factors, rate, seed):
    """The belief after a turn is that of the moves themselves, in both forms, by enumeration."""
    rng = np.random.Generator(np.random.Philox(seed))
    traits = [f"trait {n}" for n in range(factors)]
    population = Population.profiles(traits, np.linspace(-1, 1, levels))
    drift, size = Drift(population, rate), levels**factors
    step = np.zeros((levels, levels))
    for level in range(levels):
        for way in (-1, 1):
            there = level + way if 0 <= level + way < levels else level
            step[level, there] += rate / 2
        step[level, level] += 1 - rate
    chain = np.ones((1, 1))
    for _ in range(factors):
        chain = np.kron(chain, step)
    weights = rng.dirichlet(np.ones(size), 3)
    np.testing.assert_allclose(drift.spread(weights[:, None], False)[:, 0], weights @ chain)
    apart = rng.dirichlet(np.ones(levels), (3, factors))
    np.testing.assert_allclose(drift.spread(apart, True), apart @ step)


def test_people_drift_as_the_chain_says():
    population = Population.profiles(["one", "two"], np.linspace(-2, 2, 5))
    drift, types = Drift(population, 0.3), np.repeat(np.arange(25), 4000)
    uniform = np.random.Generator(np.random.Philox(1)).random((len(types), 2))
    moved = drift.move(types, uniform)
    counts = np.zeros((25, 25))
    np.add.at(counts, (types, moved), 1 / 4000)
    expected = np.stack([drift.spread(np.eye(25)[n][None, None], False)[0, 0] for n in range(25)])
    assert np.abs(counts - expected).max() < 0.04


def test_people_without_a_zero_vector_never_become_it():
    population = make_task(OPTIONS).population
    drift = Drift(population, 1.0)
    weights = np.full((1, 1, len(population.levels)), 1 / len(population.levels))
    np.testing.assert_allclose(drift.spread(weights, False).sum(), 1)


def test_levels_of_those_who_drift_are_the_last_ones():
    plain = Simulator(make_task(QUESTIONNAIRE), "test", 0).draw(PEOPLE)
    moved = Simulator(make_task(QUESTIONNAIRE, quirks="drift:0.1"), "test", 0).draw(PEOPLE)
    np.testing.assert_array_equal(plain.answers[:, 0], moved.answers[:, 0])
    assert 0.4 < (plain.levels != moved.levels).mean() < 0.8
    with pytest.raises(ValueError, match="ordered levels"):
        Simulator(make_task(QUESTIONNAIRE, population="classes", quirks="drift:0.1"), "test", 0)


@pytest.mark.parametrize(
    ("env_id", "some"),
    [
        ("acquaint/Questionnaire-v0", {"quirks": "drift:0.2", "num_turns": 8}),
        (
            "acquaint/Questionnaire-v0",
            {"quirks": "drift:0.2", "num_turns": 4, "posterior": "joint", "levels": 3},
        ),
        ("acquaint/Questionnaire-v0", {"quirks": "incoherence:0.3", "num_turns": 12}),
        ("acquaint/FlightChoice-v0", {"quirks": "drift:0.2+incoherence:0.3"}),
        (
            "acquaint/Flights-v0",
            {"quirks": "drift:0.2+skepticism:0.2+incoherence:0.1", "levels": 3},
        ),
        (
            "acquaint/ForcedChoice-v0",
            {"quirks": "drift:0.1+careless:0.2", "context": "traits", "levels": 3},
        ),
    ],
)
def test_a_teacher_that_knows_the_quirk_is_calibrated(env_id, some):
    for check in (check_calibrated_teacher, check_same_person, check_vector, check_future_hidden):
        check(env_id, **some)


@pytest.mark.parametrize("quirks", ["drift:0.2", "incoherence:0.5"])
def test_the_calibration_check_catches_a_teacher_that_does_not_know(quirks, monkeypatch):
    task_class = type(make_task(QUESTIONNAIRE))
    plain = make_task(QUESTIONNAIRE, num_turns=20).make_posterior()
    monkeypatch.setattr(task_class, "make_posterior", lambda self, name=None: plain)
    with pytest.raises(AssertionError, match=r"surprising|too often"):
        check_calibrated_teacher("acquaint/Questionnaire-v0", quirks=quirks, num_turns=20)


@pytest.mark.parametrize("quirks", ["drift:0.15", "incoherence:0.4", "careless:0.3"])
def test_a_known_quirk_is_enumerated(quirks):
    """The teacher against a forward filter over all 624 types, written out."""
    task = make_task(OPTIONS, quirks=quirks, likelihood="softmax", rule="vote")
    users = Simulator(task, "test", 0).draw(np.arange(3))
    turns = 4
    told = example_transcripts(task, users, np.full(3, turns))
    teacher = BayesTeacher(task)
    stated = teacher.act(told, np.zeros(3)).action_probs
    levels, model = task.population.levels, task.model

    def probs(stimulus, turn):
        return model.probs(levels, np.append(stimulus, turn) if model.timed else stimulus)

    known = {tuple(row): number for number, row in enumerate(levels.tolist())}
    rate = task.quirks.drift
    for row in range(3):
        weights = task.population.prior.copy()
        for t in range(turns):
            weights = weights * probs(users.stimuli[row, t], t)[:, users.answers[row, t]]
            weights /= weights.sum()
            for factor in range(4):
                after = np.zeros_like(weights)
                for one, number in known.items():
                    after[number] += (1 - rate) * weights[number]
                    for way in (-1, 1):
                        other = list(one)
                        other[factor] += way
                        after[known.get(tuple(other), number)] += rate / 2 * weights[number]
                weights = after
        expected = weights @ probs(users.stimuli[row, turns], turns)
        np.testing.assert_allclose(stated[row], expected, atol=1e-12)


def test_a_timed_model_wants_the_turn():
    task = make_task(QUESTIONNAIRE, quirks="incoherence:0.1")
    posterior = task.make_posterior()
    with pytest.raises(ValueError, match="`turn` is needed"):
        posterior.predict(posterior.start(1), np.zeros((1, 1)))


def test_a_sample_of_types_is_no_place_to_drift_in():
    with pytest.raises(ValueError, match="390,625 combinations of levels; these people"):
        Simulator(make_task(OPTIONS, features=8, quirks="drift:0.1"), "test", 0)


def test_a_clairvoyant_knows_the_turn(tmp_path):
    command = [
        "--agent",
        "clairvoyant",
        "bayes",
        "--set",
        "quirks=incoherence:0.2",
        "--users",
        "40",
    ]
    assert main([*command, "--out", str(tmp_path)]) == 0
    drifting = ["--agent", "clairvoyant", "--set", "quirks=drift:0.2", "--users", "4"]
    assert main([*drifting, "--out", str(tmp_path / "no")]) == 2


def test_agents_do_not_know_unless_told(tmp_path, capsys):
    command = ["--env", "acquaint/Questionnaire-v0", "--set", "quirks=careless:0.4"]
    agents = ["--agent", "bayes", "bayes:quirks=known", "bayes:quirks=careless:0.4"]
    out = ["--users", "60", "--out", str(tmp_path)]
    assert main([*agents, *command, *out]) == 0
    table = capsys.readouterr().out
    plain, known, told = (
        next(line for line in table.splitlines() if line.split()[:1] == [name])
        for name in agents[1:]
    )
    assert known.split()[1:] == told.split()[1:]
    assert plain.split()[1:] != known.split()[1:]


def test_recorded_people_have_no_quirks(tmp_path, capsys):
    people = tmp_path / "people.csv"
    people.write_text("x\n")
    command = ["--agent", "prior", "--data", str(people), "--set", "quirks=careless:0.1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "no context and no quirks" in " ".join(capsys.readouterr().err.split())
