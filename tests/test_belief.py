"""Exact inference against enumeration by hand, in plain Python loops."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.envs.inference.exact import FactoredPosterior
from acquaint_gym.envs.inference.joint import JointPosterior
from acquaint_gym.envs.inference.likelihoods import Likelihoods
from acquaint_gym.envs.inference.posterior import make_posterior
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import ResponseModel, TableModel

LAWS = settings(derandomize=True, deadline=None, max_examples=40)

KINDS = ("product", "correlated", "coupled")


def posterior_of(population, model, name="auto", **settings):
    """The exact posterior that a task with these people would have."""
    separable = population.independent and model.separable
    return make_posterior(name, separable, population, model, **settings)


class CoupledModel(ResponseModel):
    """Items whose answer depends on all factors at once: a table `[I, P, K]` by type of person."""

    def __init__(self, table, levels):
        self.table = table
        self._type = {tuple(row): p for p, row in enumerate(levels.tolist())}

    def probs(self, levels, stimulus):
        shape = np.broadcast_shapes(levels.shape[:-1], stimulus.shape[:-1])
        rows = np.broadcast_to(levels, (*shape, levels.shape[-1])).reshape(-1, levels.shape[-1])
        items = np.broadcast_to(stimulus[..., 0], shape).ravel().astype(int)
        types = [self._type[tuple(row)] for row in rows.tolist()]
        return self.table[items, types].reshape(*shape, -1)


@st.composite
def worlds(draw, kinds=KINDS):
    """A small population, a response model, and the likelihood as `[P, I, K]` for loops."""
    rng = generator(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(kinds))
    factors, levels = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    items, categories = draw(st.integers(1, 5)), draw(st.integers(2, 4))
    profiles = np.stack([index.ravel() for index in np.indices((levels,) * factors)], axis=1)
    if kind in ("partial", "disordered"):
        kept = rng.permutation(len(profiles))
        if kind == "partial":  # the last profile stays, so that L is what it was
            kept = np.append(kept[kept < len(profiles) - 1][::2], len(profiles) - 1)
        profiles = profiles[kept]
    if kind == "product":
        marginals = rng.dirichlet(np.ones(levels), size=factors)
        prior = np.prod([marginals[f][profiles[:, f]] for f in range(factors)], axis=0)
    else:
        prior = rng.dirichlet(np.ones(len(profiles)))
    names = tuple("xyz"[:factors])
    population = Population(names, profiles, prior, np.linspace(-1, 1, levels), True)
    if kind == "coupled":
        table = rng.dirichlet(np.ones(categories), size=(items, len(profiles)))
        return population, CoupledModel(table, profiles), table.transpose(1, 0, 2)
    table = rng.dirichlet(np.ones(categories), size=(items, levels))
    informs = rng.integers(factors, size=items)
    likelihood = np.array(
        [[table[item, row[informs[item]]] for item in range(items)] for row in profiles]
    )
    return population, TableModel(table, informs), likelihood


@st.composite
def told(draw, kinds=KINDS, ragged=True):
    """A world, and the transcripts of a few people, each asked something else."""
    population, model, likelihood = draw(worlds(kinds))
    people, turns = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    _, items, categories = likelihood.shape
    asked = st.tuples(st.integers(0, items - 1), st.integers(0, categories - 1))
    transcripts = [
        draw(st.lists(asked, min_size=0 if ragged else turns, max_size=turns))
        for _ in range(people)
    ]
    return population, model, likelihood, transcripts, turns


def observe(transcripts, turns):
    """Lists of (item, answer) as the observation that agents get; -1 where nothing stands."""
    people = len(transcripts)
    nothing = np.full((people, turns), -1)
    turn = np.array([len(t) for t in transcripts])
    observation = Transcript.of(turn, nothing[..., None], nothing, nothing)
    for row, transcript in enumerate(transcripts):
        for turn, (item, answer) in enumerate(transcript):
            observation["stimuli"][row, turn] = item
            observation["answers"][row, turn] = answer
    return observation


def enumerated(prior, likelihood, transcript):
    """Bayes' rule over all types at once, as it is printed: prior times every answer's."""
    unnormalised = []
    for person, share in enumerate(prior):
        product = float(share)
        for item, answer in transcript:
            product *= float(likelihood[person, item, answer])
        unnormalised.append(product)
    total = math.fsum(unnormalised)
    return [product / total for product in unnormalised]


def expected_marginals(population, posterior):
    result = np.zeros((len(population.factors), population.num_levels))
    for row, share in zip(population.levels, posterior, strict=True):
        for factor, level in enumerate(row):
            result[factor, level] += share
    return result


def expected_predictive(likelihood, posterior, item):
    categories = likelihood.shape[2]
    return [
        math.fsum(share * likelihood[p, item, k] for p, share in enumerate(posterior))
        for k in range(categories)
    ]


# Enumeration.


@LAWS
@given(told())
def test_conditioning_turn_by_turn_equals_enumerating_all_types(case):
    population, model, likelihood, transcripts, turns = case
    exact = JointPosterior(population, model)
    weights = condition(exact, observe(transcripts, turns))
    for row, transcript in enumerate(transcripts):
        posterior = enumerated(population.prior, likelihood, transcript)
        assert_allclose(weights[row, 0], posterior, rtol=0, atol=1e-9)


@LAWS
@given(told())
def test_marginals_and_predictions_equal_enumeration_in_the_form_chosen(case):
    assert_enumerated(*case)


@LAWS
@given(told(kinds=("partial", "disordered")))
def test_types_of_people_need_be_no_grid_and_in_no_order(case):
    assert_enumerated(*case)


def assert_enumerated(population, model, likelihood, transcripts, turns):
    exact = posterior_of(population, model)
    weights = condition(exact, observe(transcripts, turns))
    marginals = exact.marginals(weights)
    for row, transcript in enumerate(transcripts):
        posterior = enumerated(population.prior, likelihood, transcript)
        expected = expected_marginals(population, posterior)
        assert_allclose(marginals[row], expected, rtol=0, atol=1e-9)
    for item in range(likelihood.shape[1]):
        asked = np.full((len(transcripts), 1), item, dtype=np.float32)
        predictive = exact.predict(weights, asked)
        for row, transcript in enumerate(transcripts):
            posterior = enumerated(population.prior, likelihood, transcript)
            expected = expected_predictive(likelihood, posterior, item)
            assert_allclose(predictive[row], expected, rtol=0, atol=1e-9)


@LAWS
@given(told(kinds=("product",)))
def test_the_factored_form_equals_the_joint_form(case):
    population, model, likelihood, transcripts, turns = case
    factored = posterior_of(population, model, "factored")
    joint = JointPosterior(population, model)
    assert isinstance(factored, FactoredPosterior)
    assert isinstance(joint, JointPosterior)
    observation = observe(transcripts, turns)
    apart, whole = condition(factored, observation), condition(joint, observation)
    assert_allclose(factored.marginals(apart), joint.marginals(whole), rtol=0, atol=1e-9)
    for item in range(likelihood.shape[1]):
        asked = np.full((len(transcripts), 1), item, dtype=np.float32)
        assert_allclose(
            factored.predict(apart, asked), joint.predict(whole, asked), rtol=0, atol=1e-9
        )


@LAWS
@given(told())
def test_beliefs_and_predictions_are_distributions(case):
    population, model, likelihood, transcripts, turns = case
    exact = posterior_of(population, model)
    weights = condition(exact, observe(transcripts, turns))
    for rows in (weights, exact.marginals(weights)):
        assert (rows >= 0).all()
        assert_allclose(rows.sum(axis=2), 1.0, rtol=0, atol=1e-12)
    asked = np.zeros((len(transcripts), 1), dtype=np.float32)
    predictive = exact.predict(weights, asked)
    assert predictive.shape == (len(transcripts), likelihood.shape[2])
    assert_allclose(predictive.sum(axis=1), 1.0, rtol=0, atol=1e-12)


# What must make no difference.


@LAWS
@given(told(), st.randoms(use_true_random=False))
def test_the_order_of_answers_is_irrelevant(case, random):
    population, model, _, transcripts, turns = case
    exact = posterior_of(population, model)
    shuffled = [random.sample(transcript, len(transcript)) for transcript in transcripts]
    told_so = condition(exact, observe(transcripts, turns))
    told_otherwise = condition(exact, observe(shuffled, turns))
    assert_allclose(told_so, told_otherwise, rtol=0, atol=1e-9)


@LAWS
@given(told())
def test_people_of_unequal_length_and_other_stimuli_in_one_batch_are_the_same_alone(case):
    population, model, _, transcripts, turns = case
    exact = posterior_of(population, model)
    observation = observe(transcripts, turns)
    together = condition(exact, observation)
    asked = np.arange(len(transcripts), dtype=np.float32)[:, None] % model.table.shape[0]
    predictive = exact.predict(together, asked)
    for row in range(len(transcripts)):
        one = slice(row, row + 1)
        fresh = posterior_of(population, model)
        alone = condition(fresh, observation.rows(one))
        assert_allclose(together[one], alone, rtol=0, atol=1e-12)
        assert_allclose(predictive[one], fresh.predict(alone, asked[one]), rtol=0, atol=1e-12)


@LAWS
@given(told(ragged=False), st.data(), st.sampled_from([1.0, 0.7]))
def test_going_on_from_a_belief_equals_starting_over(case, data, discount):
    population, model, _, transcripts, turns = case
    exact = posterior_of(population, model)
    observation = observe(transcripts, turns)
    since = data.draw(st.integers(0, turns))
    half = observe([transcript[:since] for transcript in transcripts], turns)
    weights = condition(exact, half, discount=discount)
    went_on = condition(exact, observation, weights, since, discount)
    over = condition(exact, observation, discount=discount)
    assert_allclose(went_on, over, rtol=0, atol=1e-12)


def test_a_large_batch_of_joint_beliefs_equals_its_people_one_at_a_time():
    # 3,125 types: the batch is worked through in blocks of about twenty people.
    rng = generator(5)
    population = Population.profiles(tuple("vwxyz"), np.linspace(-2, 2, 5))
    table = rng.dirichlet(np.ones(5), size=(20, 5))
    exact = JointPosterior(population, TableModel(table, np.arange(20) % 5))
    transcripts = [
        list(zip(rng.permutation(20)[:6], rng.integers(5, size=6), strict=True)) for _ in range(70)
    ]
    # The first turn asks everybody the same, the others something else.
    transcripts = [[(0, row % 5), *transcript] for row, transcript in enumerate(transcripts)]
    observation = observe(transcripts, 7)
    together = condition(exact, observation)
    for row in range(70):
        alone = condition(exact, observation.rows(slice(row, row + 1)))
        assert_allclose(together[row], alone[0], rtol=0, atol=1e-14)


def test_conditioning_leaves_transcripts_and_prior_alone():
    population = Population.classes(np.array([0.3, 0.7]))
    table = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    exact = posterior_of(population, TableModel(table, np.zeros(1, dtype=np.int64)))
    observation = observe([[(0, 0)], [(0, 1), (0, 1)]], 3)
    before = deepcopy(observation)
    first = condition(exact, observation).copy()
    assert_array_equal(condition(exact, observation), first)
    assert_array_equal(exact.start(2), [[[0.3, 0.7]]] * 2)
    for key, value in observation.items():
        assert_array_equal(value, before[key])


@pytest.mark.parametrize("form", ["factored", "joint"])
def test_marginals_are_the_callers_own(form):
    population = Population.profiles(("x", "y"), np.array([-1.0, 1.0]))
    model = TableModel(np.full((1, 2, 2), 0.5), np.zeros(1, dtype=np.int64))
    exact = posterior_of(population, model, form)
    weights = exact.start(1)
    exact.marginals(weights)[:] = np.nan
    assert np.isfinite(weights).all()


def test_a_belief_about_unordered_classes_has_no_marginals():
    population = Population.classes(np.array([0.3, 0.7]))
    model = TableModel(np.full((1, 2, 2), 0.5), np.zeros(1, dtype=np.int64))
    exact = posterior_of(population, model)
    assert exact.marginals(exact.start(1)) is None


# Forgetting.


def two_levels(prior):
    """One trait of two levels; the only item is answered 0 with .8 by the low, .2 by the high."""
    population = Population(
        ("x",), np.array([[0], [1]]), np.array(prior), np.array([-1.0, 1.0]), False
    )
    model = TableModel(np.array([[[0.8, 0.2], [0.2, 0.8]]]), np.zeros(1, dtype=np.int64))
    return posterior_of(population, model)


def test_forgetting_by_hand_from_a_uniform_prior():
    # The prior raised to one half, twice, is the prior. After answer 0: (.5 x .8, .5 x .2) ~ (.8,
    # .2). Forgetting: (sqrt(.8 x .5), sqrt(.2 x .5)) = (.6325, .3162) ~ (2/3, 1/3). After another
    # answer 0: (2/3 x .8, 1/3 x .2) ~ (8/9, 1/9). Without forgetting it would be (16/17, 1/17).
    exact = two_levels([0.5, 0.5])
    once = condition(exact, observe([[(0, 0)]], 2), discount=0.5)
    assert_allclose(once[0, 0], [0.8, 0.2], rtol=0, atol=1e-12)
    twice = condition(exact, observe([[(0, 0), (0, 0)]], 2), discount=0.5)
    assert_allclose(twice[0, 0], [8 / 9, 1 / 9], rtol=0, atol=1e-12)
    exact = condition(exact, observe([[(0, 0), (0, 0)]], 2))
    assert_allclose(exact[0, 0], [16 / 17, 1 / 17], rtol=0, atol=1e-12)


def test_forgetting_by_hand_goes_back_to_the_prior_not_to_the_uniform():
    # Prior (.2, .8), answer 0: (.16, .16) ~ (1/2, 1/2). Forgetting: (sqrt(.5 x .2), sqrt(.5 x .8))
    # = (.3162, .6325) ~ (1/3, 2/3). Answer 0 again: (1/3 x .8, 2/3 x .2) = (.2667, .1333).
    exact = two_levels([0.2, 0.8])
    once = condition(exact, observe([[(0, 0)]], 2), discount=0.5)
    assert_allclose(once[0, 0], [0.5, 0.5], rtol=0, atol=1e-12)
    twice = condition(exact, observe([[(0, 0), (0, 0)]], 2), discount=0.5)
    assert_allclose(twice[0, 0], [2 / 3, 1 / 3], rtol=0, atol=1e-12)


@LAWS
@given(told(), st.floats(0.05, 0.95))
def test_forgetting_is_the_same_for_people_alone_and_in_a_ragged_batch(case, discount):
    population, model, _, transcripts, turns = case
    exact = posterior_of(population, model)
    observation = observe(transcripts, turns)
    together = condition(exact, observation, discount=discount)
    for row in range(len(transcripts)):
        one = observation.rows(slice(row, row + 1))
        alone = condition(exact, one, discount=discount)
        assert_allclose(together[row], alone[0], rtol=0, atol=1e-12)


# Refusals.


@LAWS
@given(worlds(kinds=("correlated", "coupled")))
def test_the_factored_form_is_refused_where_it_would_not_be_exact(world):
    population, model, _ = world
    if len(population.factors) == 1 and model.separable:
        assert isinstance(posterior_of(population, model, "factored"), FactoredPosterior)
        return
    assert isinstance(posterior_of(population, model), JointPosterior)
    with pytest.raises(ValueError, match="exact only if the prior is a product"):
        posterior_of(population, model, "factored")


def test_the_form_chosen_by_itself_is_the_factored_one_where_that_is_exact():
    population = Population.profiles(("x", "y"), np.array([-1.0, 1.0]))
    model = TableModel(np.full((1, 2, 2), 0.5), np.zeros(1, dtype=np.int64))
    assert isinstance(posterior_of(population, model), FactoredPosterior)
    with pytest.raises(ValueError, match=r"'factord'.*auto, factored, joint"):
        posterior_of(population, model, "factord")


@pytest.mark.parametrize("form", ["factored", "joint"])
def test_an_answer_that_every_hypothesis_rules_out_is_refused_and_named(form):
    population = Population.profiles(("x", "y"), np.array([-1.0, 1.0]))
    table = np.array([[[0.5, 0.5, 0.0], [0.1, 0.9, 0.0]], [[0.2, 0.3, 0.5], [0.3, 0.3, 0.4]]])
    exact = posterior_of(population, TableModel(table, np.array([0, 1])), form)
    with pytest.raises(ValueError, match=r"probability 0 to .*stimulus \[0\.0\]"):
        condition(exact, observe([[(1, 2), (0, 1)], [(1, 0), (0, 2)]], 2))


def test_an_answer_that_rules_out_some_hypotheses_leaves_the_others():
    population = Population.profiles(("x",), np.array([-1.0, 1.0]))
    table = np.array([[[1.0, 0.0], [0.5, 0.5]]])
    exact = posterior_of(population, TableModel(table, np.array([0])))
    weights = condition(exact, observe([[(0, 1)], [(0, 0)]], 1))
    assert_allclose(weights[:, 0], [[0, 1], [2 / 3, 1 / 3]], rtol=0, atol=1e-12)


# Memory.


class Logistic(ResponseModel):
    """A stimulus is any real number, so that none ever recurs."""

    def probs(self, levels, stimulus):
        agree = 1 / (1 + np.exp(-(levels[..., 0] + stimulus[..., 0])))
        return np.stack([1 - agree, agree], axis=-1)


def test_stimuli_that_never_recur_do_not_fill_the_memory():
    population = Population.profiles(("x",), np.array([-1.0, 1.0]))
    exact = posterior_of(population, Logistic())
    weights = exact.start(1)
    for number in range(3000):
        stimulus = np.array([[number / 3000]], dtype=np.float32)
        predictive = exact.predict(weights, stimulus)
        agree = [1 / (1 + math.exp(-(level + stimulus[0, 0]))) for level in (0, 1)]
        assert_allclose(predictive[0, 1], sum(agree) / 2, rtol=0, atol=1e-7)
        assert len(exact._likelihoods) <= 1024


def test_the_items_of_a_bank_are_worked_out_once():
    population = Population.profiles(("x",), np.array([-1.0, 1.0]))
    calls = []

    class Counting(Logistic):
        recurring = True

        def probs(self, levels, stimulus):
            calls.append(float(stimulus[0]))
            return super().probs(levels, stimulus)

    exact = posterior_of(population, Counting())
    weights = exact.start(2)
    for _ in range(3):
        for item in range(10):
            exact.predict(weights, np.full((2, 1), item, dtype=np.float32))
    assert calls == [float(item) for item in range(10)]


def test_what_is_kept_of_items_is_bounded_and_changes_nothing():
    """One of the items was known when too many are known: it is worked out anew with the rest."""
    hypotheses, rng = np.array([[0], [1]]), np.random.Generator(np.random.Philox(0))
    kept = Likelihoods(Logistic(), hypotheses, by_factor=False, limit=20)
    for _ in range(30):
        items = rng.integers(60, size=(7, 1)).astype(np.float32)
        answers = rng.integers(2, size=7)
        _, found = kept.of_answers(items, answers)
        for item, answer, row in zip(items, answers, found, strict=True):
            assert_array_equal(row, Logistic().probs(hypotheses, item)[:, answer])
        assert len(kept) <= 20


def test_factors_are_kept_apart_for_stimuli_that_never_recur_too():
    class Levels(ResponseModel):
        """Stimulus (factor, slope): the level of that factor decides, more or less sharply."""

        separable = True

        def factor(self, stimulus):
            return int(stimulus[0])

        def probs(self, levels, stimulus):
            factor = stimulus[..., :1].astype(int)
            shape = np.broadcast_shapes(factor.shape[:-1], levels.shape[:-1])
            factor = np.broadcast_to(factor, (*shape, 1))
            levels = np.broadcast_to(levels, (*shape, levels.shape[-1]))
            level = np.take_along_axis(levels, factor, axis=-1)
            yes = 1 / (1 + np.exp(-stimulus[..., 1:] * (level - 1)))
            return np.concatenate([1 - yes, yes], axis=-1)

    population = Population.profiles(("x", "y", "z"), np.array([-1.0, 0.0, 1.0]))
    rng = np.random.Generator(np.random.Philox(5))
    asked = np.stack([rng.integers(0, 3, (6, 4)), rng.normal(0, 2, (6, 4))], axis=-1)
    answers = rng.integers(0, 2, (6, 4)).astype(np.float32)
    seen = Transcript.of(np.full(6, 4), asked, answers, answers)
    coming = seen.stimuli[:, 0]
    found = {}
    for form in ("factored", "joint"):
        exact = posterior_of(population, Levels(), form)
        weights = condition(exact, seen)
        found[form] = exact.predict(weights, coming), exact.marginals(weights)
    for ours, theirs in zip(found["factored"], found["joint"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
