"""The Bayesian teacher: a hand-worked person, the published numbers, its limits and its cache."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator, play
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.baselines import PriorAgent, RandomAgent, sample
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.tasks.questionnaire import Questionnaire
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import TableModel
from acquaint_gym.eval.oracles.clairvoyant import Clairvoyant
from acquaint_gym.eval.trace import Trace

LAWS = settings(derandomize=True, deadline=None, max_examples=40)
IPIP50 = "acquaint/Questionnaire-v0"
QUESTIONNAIRE = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
PEOPLE = 4000


class ThreeQuestions(UserTask):
    """A person is low or high, and says no (0) or yes (1) to three questions."""

    def __init__(self) -> None:
        super().__init__()
        self.population = Population.profiles(("x",), np.array([-1.0, 1.0]))
        yes = np.array([[0.2, 0.6], [0.5, 0.9], [0.1, 0.7]])  # [question, level]
        self.model = TableModel(np.stack([1 - yes, yes], axis=-1), np.zeros(3, dtype=np.int64))
        self.num_turns = 3
        self.actions = ("no", "yes")
        self.stimulus_low, self.stimulus_high = np.zeros(1), np.full(1, 2.0)

    def draw_stimuli(self, uniform):
        asked = np.arange(3, dtype=np.float32)[None, :, None]
        return np.broadcast_to(asked, (len(uniform), 3, 1))

    def instructions(self):
        return "Predict the answers."

    def question(self, stimulus):
        return f"Question {stimulus[0]:.0f}?"


def transcript(stimuli, answers, turn):
    """Transcripts `[B, T]` of which the first `turn` answers are seen, as agents observe them."""
    turn = np.broadcast_to(turn, len(answers))
    answered = np.arange(answers.shape[1]) < turn[:, None]
    asked = np.arange(answers.shape[1]) <= turn[:, None]
    return Transcript.of(
        turn,
        np.where(asked, stimuli, -1)[..., None],
        np.where(answered, 0, -1),
        np.where(answered, answers, -1),
    )


@cache
def taught() -> Trace:
    """A few thousand people with the teacher."""
    return play(BayesTeacher(Questionnaire()), PEOPLE)


def by_items_seen(per_turn):
    """`[N, 50]` -> `[10]` means by how many items of the present one's trait were seen before."""
    return per_turn.reshape(len(per_turn), 10, 5).mean(axis=(0, 2))


def nll(trace: Trace):
    rows = np.take_along_axis(trace.action_probs, trace.answers[..., None].astype(int), axis=2)
    return -np.log(rows[..., 0])


# By hand.


def test_three_questions_by_hand():
    # Prior (low, high) = (1/2, 1/2), person: yes, no, yes.
    # Question 1, p(yes) = (.2, .6): predict (.2 + .6) / 2 = .4, so no.
    #   yes: (.5 x .2, .5 x .6) = (.1, .3), normalised (.25, .75).
    # Question 2, p(yes) = (.5, .9): predict .25 x .5 + .75 x .9 = .8, so yes.
    #   no: (.25 x .5, .75 x .1) = (.125, .075), normalised (.625, .375).
    # Question 3, p(yes) = (.1, .7): predict .625 x .1 + .375 x .7 = .325, so no.
    #   yes: (.0625, .2625), normalised (.0625, .2625) / .325 = (.1923, .8077).
    teacher = BayesTeacher(ThreeQuestions())
    asked, answers = np.arange(3)[None], np.array([[1, 0, 1]])
    expected = [
        (0, [0.6, 0.4], [0.5, 0.5]),
        (1, [0.2, 0.8], [0.25, 0.75]),
        (0, [0.675, 0.325], [0.625, 0.375]),
    ]
    for turn, (action, probs, belief) in enumerate(expected):
        decision = teacher.act(transcript(asked, answers, turn), np.zeros(1))
        assert_array_equal(decision.action, [action])
        assert_allclose(decision.action_probs, [probs], rtol=0, atol=1e-12)
        assert_allclose(decision.belief, [[belief]], rtol=0, atol=1e-12)
    final = teacher.believe(transcript(asked, answers, 3))
    assert_allclose(final, [[[0.0625 / 0.325, 0.2625 / 0.325]]], rtol=0, atol=1e-12)


def test_the_most_probable_hypothesis_alone_by_hand():
    # As above, but from the likelier level only; the tie of the prior goes to the low one.
    teacher = BayesTeacher(ThreeQuestions(), point=True)
    asked, answers = np.arange(3)[None], np.array([[1, 0, 1]])
    for turn, yes in enumerate([0.2, 0.9, 0.1]):
        decision = teacher.act(transcript(asked, answers, turn), np.zeros(1))
        assert_allclose(decision.action_probs, [[1 - yes, yes]], rtol=0, atol=1e-12)
        assert_array_equal(decision.action, [int(yes > 0.5)])
    # The belief it reports is the whole posterior all the same.
    final = teacher.believe(transcript(asked, answers, 3))
    assert_allclose(final[0, 0, 1], 0.2625 / 0.325, rtol=0, atol=1e-12)


def test_forgetting_by_hand():
    # Discount 1/2. After yes to question 1 the belief is (.25, .75) as ever: only the prior was
    # forgotten. Before the answer to question 2 it is raised to 1/2 and so is the prior:
    # (sqrt(.25 x .5), sqrt(.75 x .5)) ~ (1, sqrt 3) / (1 + sqrt 3) = (.3660, .6340). No:
    # (.3660 x .5, .6340 x .1) = (.1830, .0634), normalised (.7427, .2573).
    teacher = BayesTeacher(ThreeQuestions(), discount=0.5)
    asked, answers = np.arange(3)[None], np.array([[1, 0, 1]])
    low = np.array([1, np.sqrt(3)]) / (1 + np.sqrt(3)) * [0.5, 0.1]
    decision = teacher.act(transcript(asked, answers, 2), np.zeros(1))
    assert_allclose(decision.belief[0, 0], low / low.sum(), rtol=0, atol=1e-12)
    assert_allclose(decision.belief[0, 0], [0.7427, 0.2573], rtol=0, atol=5e-5)


# The published teacher.


def test_the_first_item_of_a_trait_is_near_chance_and_the_next_follow_the_published_curve():
    trace = taught()
    curve = by_items_seen((trace.actions == trace.answers).astype(float))
    published = [0.28, 0.52, 0.55, 0.56, 0.57, 0.57, 0.58, 0.58, 0.58, 0.59]
    # The standard error is .0035 at 20,000 answers a point, the published digits are .005 wide.
    assert_allclose(curve, published, rtol=0, atol=0.015)


def test_accuracy_and_entropy_over_fifty_items_are_the_published_ones():
    trace = taught()
    accuracy = (trace.actions == trace.answers).mean()
    entropy = -(trace.action_probs * np.log(trace.action_probs)).sum(axis=2).mean()
    assert accuracy == pytest.approx(0.5375, abs=0.005)
    assert entropy == pytest.approx(1.13, abs=0.01)
    # A calibrated forecaster's entropy is its own negative log-likelihood.
    assert nll(trace).mean() == pytest.approx(entropy, abs=0.01)


def test_the_ceiling_is_the_published_one():
    # Exactly: the mean over items and levels of the largest probability, and of the entropy.
    table = Questionnaire().model.table
    assert table.max(axis=2).mean() == pytest.approx(0.594, abs=0.0005)
    assert -(table * np.log(table)).sum(axis=2).mean() == pytest.approx(0.994, abs=0.0005)


def test_the_clairvoyant_reaches_the_ceiling_and_nobody_exceeds_it():
    task = Questionnaire()
    trace = play(Clairvoyant(task), PEOPLE)
    assert (trace.actions == trace.answers).mean() == pytest.approx(0.594, abs=0.004)
    assert nll(trace).mean() == pytest.approx(0.994, abs=0.008)
    ceiling = nll(trace).mean()
    below = [taught(), play(PriorAgent(task), PEOPLE), play(RandomAgent(task), PEOPLE)]
    scores = [nll(other).mean() for other in below]
    assert ceiling < scores[0] < scores[1] < scores[2] == pytest.approx(np.log(5))


def test_beliefs_approach_the_true_levels_as_published():
    trace = taught()
    for seen, published in {1: 0.85, 3: 0.94, 5: 0.96, 10: 0.98}.items():
        # After 5 n turns every trait has been asked about n times.
        mean = trace.belief[:, 5 * seen] @ np.linspace(-2, 2, 5)
        found = np.corrcoef(mean.ravel(), trace.levels.ravel())[0, 1]
        assert found == pytest.approx(published, abs=0.0075)


def test_the_most_probable_level_is_the_true_one_as_often_as_published():
    trace = taught()
    for seen, published in {1: 0.55, 3: 0.69, 5: 0.80, 10: 0.91}.items():
        found = (trace.belief[:, 5 * seen].argmax(axis=2) == trace.levels).mean()
        assert found == pytest.approx(published, abs=0.015)


def test_stated_probabilities_come_true():
    trace = taught()
    stated = trace.action_probs.ravel()
    came = (trace.answers[..., None] == np.arange(5)).ravel()
    for low in np.arange(0.0, 1.0, 0.1):
        band = (stated >= low) & (stated < low + 0.1)
        if band.sum() > 2000:
            error = 4 * np.sqrt(0.25 / band.sum())
            assert came[band].mean() == pytest.approx(stated[band].mean(), abs=error)


# Limits.


def test_a_discount_of_one_is_bayes_rule():
    task = Questionnaire()
    plain, discounted = play(BayesTeacher(task), 50), play(BayesTeacher(task, discount=1), 50)
    assert_array_equal(plain.action_probs, discounted.action_probs)
    assert_array_equal(plain.belief, discounted.belief)


def test_a_tiny_discount_forgets_all_but_the_last_answer():
    # Items of one trait are never neighbours in the printed form, so the last answer tells nothing
    # of the next and what remains is the prior.
    task = Questionnaire()
    forgetful = play(BayesTeacher(task, discount=1e-9), 50)
    prior = play(PriorAgent(task), 50)
    assert_allclose(forgetful.action_probs, prior.action_probs, rtol=0, atol=1e-6)
    last = forgetful.belief[:, 50]  # O10, the last item, informs the last trait
    assert_allclose(last[:, :4], 0.2, rtol=0, atol=1e-6)
    likelihood = task.model.table[49][:, forgetful.answers[:, 49]].T
    posterior = likelihood / likelihood.sum(axis=1, keepdims=True)
    assert_allclose(last[:, 4], posterior, rtol=0, atol=1e-6)


def test_a_discount_near_one_is_near_bayes_rule_and_any_discount_costs():
    task = Questionnaire()
    exact = taught().select(slice(1000))
    near = play(BayesTeacher(task, discount=1 - 1e-9), 50)
    assert_allclose(near.action_probs, exact.action_probs[:50], rtol=0, atol=1e-6)
    losses = [nll(play(BayesTeacher(task, discount=d), 1000)).mean() for d in (0.9, 0.5)]
    assert nll(exact).mean() < losses[0] < losses[1]


@pytest.mark.parametrize("discount", [0, -0.5, 1.001, float("nan")])
def test_a_discount_outside_its_range_is_refused(discount):
    with pytest.raises(ValueError, match=r"expected a number in \(0, 1\]"):
        BayesTeacher(ThreeQuestions(), discount=discount)


def test_one_hypothesis_is_as_good_as_all_where_the_evidence_is_overwhelming():
    # After yes to .999-against-.001 thrice nothing is left to average over.
    class Sure(ThreeQuestions):
        def __init__(self):
            super().__init__()
            yes = np.array([[0.001, 0.999]] * 3)
            self.model = TableModel(np.stack([1 - yes, yes], axis=-1), np.zeros(3, np.int64))

    asked, answers = np.arange(3)[None], np.array([[1, 1, 1]])
    seen = transcript(asked, answers, 2)
    whole = BayesTeacher(Sure()).act(seen, np.zeros(1))
    point = BayesTeacher(Sure(), point=True).act(seen, np.zeros(1))
    assert_allclose(whole.action_probs, point.action_probs, rtol=0, atol=1e-5)


def test_the_most_probable_profile_alone_is_worse_than_the_whole_posterior():
    exact = taught().select(slice(1000))
    point = play(BayesTeacher(Questionnaire(), point=True), 1000)
    assert nll(exact).mean() + 0.02 < nll(point).mean()
    assert_array_equal(exact.belief, point.belief)


# Ties.


def test_ties_within_a_billionth_go_to_the_first():
    rows = np.array(
        [
            [0.2, 0.2, 0.2, 0.2, 0.2],
            [0.1, 0.4 - 5e-10, 0.4, 0.1, 0.0],
            [0.1, 0.4 - 5e-9, 0.4, 0.1, 0.0],
            [0.1, 0.4, 0.4 - 5e-10, 0.1, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0],
        ]
    )
    assert_array_equal(best(rows), [0, 1, 2, 1, 4])


def test_the_symmetric_first_item_ties_and_everybody_gets_the_first_category():
    # Uniform over levels the two extreme categories are equally probable, up to rounding.
    trace = taught()
    top = np.sort(trace.action_probs[:, :5], axis=2)
    assert_allclose(top[..., -1], top[..., -2], rtol=0, atol=1e-12)
    assert_array_equal(trace.actions[:, :5], 0)


def test_samples_follow_their_probabilities_and_never_take_an_impossible_action():
    probs = np.array([0.0, 0.25, 0.75, 0.0])
    uniform = (np.arange(4000) + 0.5) / 4000
    drawn = sample(np.tile(probs, (4000, 1)), uniform)
    assert_array_equal(np.bincount(drawn, minlength=4), [0, 1000, 3000, 0])
    # Rounding may leave the sum below the largest number there is under one.
    short = np.array([[0.0, 0.3, 0.7 - 1e-7, 0.0]])
    assert_array_equal(sample(short, np.array([np.nextafter(1.0, 0.0)])), [2])


# The cache must not be seen.

ASKED = np.arange(50)[None].repeat(4, axis=0)
LIVES = generator(11).integers(5, size=(6, 50))
FEW = 14  # turns, as many as the histories below need


@st.composite
def histories(draw):
    """Calls in any order about much the same people: they go on, go back, are told otherwise."""
    rows = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    turns, calls = st.integers(0, FEW - 1), []
    for _ in range(draw(st.integers(2, 5))):
        if draw(st.booleans()):
            some = draw(st.permutations(rows))
            some = some[: draw(st.integers(1, len(rows)))]
        else:
            some = rows
        turn = draw(turns) if draw(st.booleans()) else [draw(turns) for _ in some]
        answers, asked = LIVES[some, :FEW], ASKED[: len(some), :FEW].copy()
        row, early = draw(st.integers(0, len(some) - 1)), draw(st.integers(0, 3))
        change = draw(st.sampled_from(["nothing", "nothing", "an answer", "an item"]))
        if change == "an answer":
            answers[row, early] = (answers[row, early] + 2) % 5
        if change == "an item":
            asked[row, early] = 40 + early
        calls.append(transcript(asked, answers, turn))
    return calls


@LAWS
@given(histories(), st.sampled_from(["auto", "joint"]), st.sampled_from([1.0, 0.8]))
def test_what_a_teacher_saw_before_never_changes_what_it_says(calls, form, discount):
    task = make_task(QUESTIONNAIRE, levels=3, posterior=form)
    experienced = BayesTeacher(task, discount=discount)
    for observation in calls:
        uniform = np.zeros(observation.num_people)
        seasoned = experienced.act(observation, uniform)
        fresh = BayesTeacher(task, discount=discount).act(observation, uniform)
        assert_array_equal(seasoned.action, fresh.action)
        assert_allclose(seasoned.action_probs, fresh.action_probs, rtol=0, atol=1e-12)
        assert_allclose(seasoned.belief, fresh.belief, rtol=0, atol=1e-12)
        assert_allclose(experienced.believe(observation), fresh.belief, rtol=0, atol=1e-12)


@pytest.mark.parametrize("changed", ["answer", "item"])
def test_an_early_answer_or_item_that_changes_is_noticed_late(changed):
    teacher = BayesTeacher(Questionnaire())
    answers, asked = LIVES[:2].copy(), ASKED[:2].copy()
    teacher.act(transcript(asked, answers, 30), np.zeros(2))
    if changed == "answer":
        answers[1, 0] = (answers[1, 0] + 2) % 5
    else:
        asked[1, 0] = 45  # the same answer to another item of the trait, keyed the other way
    later = transcript(asked, answers, 31)
    expected = BayesTeacher(Questionnaire()).believe(later)
    assert_array_equal(teacher.believe(later), expected)


def test_a_caller_who_reuses_arrays_does_not_deceive_the_teacher():
    teacher = BayesTeacher(Questionnaire())
    observation = transcript(ASKED[:2], LIVES[:2], 10)
    decision = teacher.act(observation, np.zeros(2))
    decision.belief[:] = np.nan  # what was handed out is the caller's to spoil
    observation["answers"][:, :10] = 4 - observation["answers"][:, :10]
    expected = BayesTeacher(Questionnaire()).act(observation, np.zeros(2))
    again = teacher.act(observation, np.zeros(2))
    assert_allclose(again.action_probs, expected.action_probs, rtol=0, atol=1e-12)
    assert_allclose(again.belief, expected.belief, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["factored", "joint"])
def test_a_refused_answer_leaves_no_trace_in_the_teacher(form):
    class Floorless(ThreeQuestions):
        """The third question cannot be answered yes."""

        def __init__(self):
            super().__init__()
            yes = np.array([[0.2, 0.6], [0.5, 0.9], [0.0, 0.0]])
            self.model = TableModel(np.stack([1 - yes, yes], axis=-1), np.zeros(3, np.int64))
            self.posterior = form

    teacher = BayesTeacher(Floorless())
    possible = transcript(np.arange(3)[None], np.array([[1, 0, 0]]), 1)
    before = teacher.act(possible, np.zeros(1))
    with pytest.raises(ValueError, match="probability 0"):
        teacher.believe(transcript(np.arange(3)[None], np.array([[1, 0, 1]]), 3))
    after = teacher.act(possible, np.zeros(1))
    assert_array_equal(after.action_probs, before.action_probs)
    assert_array_equal(after.belief, before.belief)


# Forms and models.


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_the_joint_form_decides_as_the_factored_form(discount):
    people = 64
    tasks = [make_task(QUESTIONNAIRE, posterior=name) for name in ("factored", "joint")]
    apart, whole = (play(BayesTeacher(task, discount=discount), people) for task in tasks)
    if discount == 1.0:
        assert_array_equal(apart.actions, whole.actions)
        assert_allclose(apart.action_probs, whole.action_probs, rtol=0, atol=1e-9)
        assert_allclose(apart.belief, whole.belief, rtol=0, atol=1e-6)  # stored as float32
    else:
        # Forgetting acts on all factors at each answer in both forms: a product stays a product.
        assert_allclose(apart.action_probs, whole.action_probs, rtol=0, atol=1e-9)


def test_a_teacher_with_other_item_parameters_is_worse_on_both_sides():
    people = 600
    study, human = Questionnaire(), Questionnaire(parameters="human")
    at_home = play(BayesTeacher(study), people, parameters="study")
    abroad = play(BayesTeacher(human), people, parameters="study")
    assert nll(at_home).mean() + 0.01 < nll(abroad).mean()
    assert_array_equal(at_home.answers, abroad.answers)  # the people are the environment's
    at_home = play(BayesTeacher(human), people, parameters="human")
    abroad = play(BayesTeacher(study), people, parameters="human")
    assert nll(at_home).mean() + 0.01 < nll(abroad).mean()


def test_a_teacher_that_knows_of_correlations_gains_from_other_traits():
    # Under the correlated prior the answers to E, A, C, N say something of the first O item.
    human = Questionnaire(parameters="human")
    trace = play(BayesTeacher(human), 600, parameters="human")
    prior = play(PriorAgent(human), 600, parameters="human")
    assert_allclose(trace.action_probs[:, 0], prior.action_probs[:, 0], rtol=0, atol=1e-12)
    assert np.abs(trace.action_probs[:, 4] - prior.action_probs[:, 4]).max() > 0.05
    assert nll(trace).mean() < nll(prior).mean()
