"""Metrics against numbers worked out by hand, against scipy, and against their own laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator, make_trace
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import pearsonr

from acquaint_gym.envs.registration import task_class
from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.metrics.prediction import BINS
from acquaint_gym.eval.metrics.stats import interval
from acquaint_gym.eval.trace import Trace

METRICS = all_metrics()
NAN = np.nan
LN2 = np.log(2)

# Those of traces in which an agent predicts, and did not ask.
PREDICTIONS = {name: metric for name, metric in METRICS.items() if metric.applies(agent_asks=False)}


def hand_trace() -> Trace:
    """Two people, two turns, three categories; the second person leaves after one turn."""
    gone = [NAN, NAN, NAN]
    belief = np.full((2, 3, 1, 3), NAN)
    belief[0, :, 0] = [[1 / 3, 1 / 3, 1 / 3], [0.4, 0.4, 0.2], [0.5, 0.25, 0.25]]
    belief[1, :2, 0] = [[1 / 3, 1 / 3, 1 / 3], [0.1, 0.2, 0.7]]
    return make_trace(
        [[0, 0], [1, -1]],
        [[[0.5, 0.25, 0.25], [0.2, 0.8, 0]], [[0.25, 0.25, 0.5], gone]],
        person=[4, 9],
        levels=[[0], [2]],
        length=[2, 1],
        stimuli=[[[1], [2]], [[1], [-1]]],
        actions=[[0, 1], [2, -1]],
        rewards=[[1.0, 0.5], [0.25, 0.0]],
        teacher_actions=[[0, 0], [2, -1]],
        teacher_probs=[[[0.5, 0.5, 0], [0.6, 0.4, 0]], [[0.25, 0.25, 0.5], gone]],
        belief=belief,
        ordered=[True, True],
    )


# metric -> its value in the turns of person 4, in the one turn of person 9.
BY_HAND = {
    "accuracy": ([1, 0], 0),
    "teacher_agreement": ([1, 0], 1),
    "reward": ([1, 0.5], 0.25),
    "regret": ([0, 0.2], 0),
    "predictive_entropy": ([1.5 * LN2, -0.2 * np.log(0.2) - 0.8 * np.log(0.8)], 1.5 * LN2),
    "nll": ([LN2, np.log(5)], 2 * LN2),
    "brier": ([0.375, 1.28], 0.875),
    "absolute_error": ([0, 1], 1),
    "rps": ([0.15625, 0.32], 0.15625),
    "kl_from_teacher": ([0.5 * LN2, 0.6 * np.log(3) - 0.4 * LN2], 0),
    "belief_nll": ([-np.log(0.4), LN2], -np.log(0.7)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_means_by_hand(name):
    metric, (turns, single) = METRICS[name], BY_HAND[name]
    values = metric.by_turn(hand_trace())[..., 0]
    assert_allclose(values, [turns, [single, NAN]], atol=1e-7)
    first = turns[-1] if metric.after_last_answer else np.mean(turns)
    assert_allclose(metric.statistics(hand_trace())[:, 0], [first, single], atol=1e-7)


def test_ordinal_errors_are_of_ordered_categories_alone():
    certain = np.eye(3)[[[0, 1, 2]] * 2]
    for ordered in (True, False):
        trace = make_trace([[0, 0, 0], [2, 2, 2]], certain, ordered=[ordered] * 2)
        expected = [[0, 1, 2], [2, 1, 0]]
        assert_array_equal(
            METRICS["absolute_error"].by_turn(trace)[..., 0], expected if ordered else NAN
        )
        # Certainty of the wrong end of the scale is as wrong as can be.
        scores = [[0, 0.5, 1], [1, 0.5, 0]]
        assert_array_equal(METRICS["rps"].by_turn(trace)[..., 0], scores if ordered else NAN)
    assert task_class("acquaint/Questionnaire-v0").ordered
    assert not task_class("acquaint/Flights-v0").ordered


def test_messages_that_nobody_read_are_summed_over_turns():
    unparsed = [[0, 2, 1], [1, 9, 9], [0, 0, 0]]
    trace = make_trace(
        np.zeros((3, 3)), np.full((3, 3, 2), 0.5), length=[3, 1, 3], unparsed=unparsed
    )
    assert_array_equal(METRICS["unparsed"].statistics(trace)[:, 0], [3, 1, 0])
    silent = make_trace(np.zeros((3, 3)), np.full((3, 3, 2), 0.5))
    assert np.isnan(METRICS["unparsed"].statistics(silent)).all()


def test_calibration_error_by_hand():
    # Confidences .5 (hit) and .8 (miss) of one person, .5 (miss) of the other; people weigh alike.
    expected = abs((0.5 / 2 - 0.5) / 2) + abs(-0.8 / 2 / 2)
    statistics = METRICS["ece"].statistics(hand_trace())
    assert_allclose(interval(statistics, METRICS["ece"].combine).mean, expected)
    assert_array_equal(np.nonzero(statistics[0])[0], [7, 11])  # (7/15, 8/15] and (11/15, 12/15]


def test_registry_is_what_reports_promise():
    assert list(METRICS) == [
        "accuracy",
        "teacher_agreement",
        "reward",
        "regret",
        "predictive_entropy",
        "nll",
        "answer_mass",
        "unparsed",
        "brier",
        "absolute_error",
        "rps",
        "ece",
        "kl_from_teacher",
        "belief_correlation",
        "belief_nll",
        "log_score",
        "posterior_entropy",
        "rmse",
        "theta_correlation",
        "unasked_accuracy",
        "unasked_nll",
        "identified",
        "questions",
    ]
    about = [metric.of for metric in METRICS.values()]
    assert [about.count(kind) for kind in ("predictions", "interviews", "both")] == [11, 8, 4]
    assert all(metric.name == name for name, metric in METRICS.items())
    # Turn by turn its bias would differ from that of the whole.
    uncurved = [name for name, metric in METRICS.items() if not metric.curve]
    assert uncurved == ["answer_mass", "unparsed", "ece"]


def random_trace(seed: int, people: int, turns: int, early: bool = True, factors: int = 2) -> Trace:
    """People with arbitrary answers, met by an agent with arbitrary opinions."""
    rng, size = generator(seed), (people, turns)
    length = rng.integers(1 if early else turns, turns + 1, size=people)
    probs, teacher = rng.dirichlet(np.ones(4), size=(2, *size))
    belief = rng.dirichlet(np.ones(5), size=(people, turns + 1, factors))
    belief[np.arange(turns + 1) > length[:, None]] = NAN
    columns = {
        "levels": rng.integers(5, size=(people, factors)),
        "stimuli": rng.integers(50, size=size)[..., None],
        "actions": rng.integers(4, size=size),
        "answers": rng.integers(4, size=size),
        "rewards": rng.random(size),
        "answer_mass": rng.random(size),
        "unparsed": rng.integers(3, size=size),
        "ordered": np.ones(people, dtype=bool),
    }
    return make_trace(
        action_probs=probs, length=length, teacher_probs=teacher, belief=belief, **columns
    )


traces = st.builds(
    random_trace, st.integers(0, 2**32), people=st.integers(2, 8), turns=st.integers(1, 6)
)
laws = settings(max_examples=40, deadline=None)


@laws
@given(traces)
def test_ranges(trace):
    for name, low, high in (
        ("accuracy", 0, 1),
        ("teacher_agreement", 0, 1),
        ("regret", 0, 1),
        ("predictive_entropy", 0, np.log(4)),
        ("nll", 0, np.inf),
        ("brier", 0, 2),
        ("kl_from_teacher", 0, np.inf),
        ("belief_nll", 0, np.inf),
    ):
        values = METRICS[name].statistics(trace)
        assert ((low <= values) & (values <= high + 1e-12)).all(), name
    ece = METRICS["ece"].combine(METRICS["ece"].statistics(trace).mean(axis=0))
    assert 0 <= ece <= 1


@laws
@given(traces)
def test_expected_scores_are_entropies(trace):
    """Averaged over answers drawn from p: NLL of p is its entropy, of q entropy plus KL."""

    def expected(name, scored, weights):
        scores = [
            METRICS[name].by_turn(
                replace(scored, answers=np.where(trace.turn_mask, k, -1).astype(np.int16))
            )[..., 0]
            for k in range(4)
        ]
        return (np.stack(scores, axis=-1) * weights).sum(axis=-1)

    teacher = replace(trace, action_probs=trace.teacher_probs)
    own = METRICS["predictive_entropy"].by_turn(trace)[..., 0]
    taught = METRICS["predictive_entropy"].by_turn(teacher)[..., 0]
    divergence = METRICS["kl_from_teacher"].by_turn(trace)[..., 0]
    assert_allclose(expected("nll", trace, trace.action_probs), own)
    assert_allclose(expected("nll", trace, trace.teacher_probs), taught + divergence)
    spread = 1 - (trace.action_probs**2).sum(axis=-1)
    assert_allclose(expected("brier", trace, trace.action_probs), spread)
    assert (METRICS["kl_from_teacher"].statistics(teacher) == 0).all()


@laws
@given(traces)
def test_the_teacher_has_no_regret(trace):
    obeying = replace(trace, actions=trace.teacher_actions)
    assert (METRICS["regret"].statistics(obeying) == 0).all()
    assert (METRICS["teacher_agreement"].statistics(obeying) == 1).all()


@laws
@given(traces, st.randoms(use_true_random=False))
def test_order_of_people_is_irrelevant(trace, random):
    order = list(range(len(trace.person)))
    random.shuffle(order)
    for metric in PREDICTIONS.values():
        before = metric.statistics(trace)
        after = metric.statistics(trace.select(np.array(order)))
        assert_array_equal(after, before[order])
        combine = metric.combine or (lambda mean: mean[..., 0])
        assert_allclose(combine(after.mean(axis=0)), combine(before.mean(axis=0)), atol=1e-9)


@laws
@given(traces)
def test_a_person_is_the_mean_over_turns_or_the_last_or_the_sum(trace):
    for metric in PREDICTIONS.values():
        cells = metric.by_turn(trace)
        assert (np.isnan(cells).all(axis=-1) == ~trace.turn_mask).all()
        for row, length in enumerate(trace.length):
            own = cells[row, :length]
            expected = own[-1] if metric.after_last_answer else own.mean(axis=0)
            expected = own.sum(axis=0) if metric.total else expected
            assert_allclose(metric.statistics(trace)[row], expected)


def test_calibration_error_is_pooled_over_turns_and_people():
    trace = random_trace(1, people=60, turns=9, early=False)
    confidence, hit = trace.action_probs.max(-1), trace.action_probs.argmax(-1) == trace.answers
    error = 0.0
    for edge in range(BINS):
        inside = (edge / BINS < confidence) & (confidence <= (edge + 1) / BINS)
        if inside.any():
            gap = abs(hit[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap  # Guo et al. 2017, equation 3
    metric = METRICS["ece"]
    assert_allclose(interval(metric.statistics(trace), metric.combine).mean, error)


def test_rounding_does_not_move_a_confidence_to_the_next_bin():
    trace = random_trace(2, people=2, turns=4, early=False)
    fifth = np.full(trace.action_probs.shape, 0.2)
    noisy = fifth + np.array([1e-9, -1e-9, 0, 0])
    results = [
        METRICS["ece"].statistics(replace(trace, action_probs=probs, answers=trace.answers * 0))
        for probs in (fifth, noisy)
    ]
    assert_array_equal(np.nonzero(results[0]), np.nonzero(results[1]))


@laws
@given(traces, st.permutations(range(4)))
def test_order_of_categories_is_irrelevant_to_calibration(trace, order):
    """Also in ties: two of the four categories are always equally probable."""
    tied = trace.action_probs[..., [0, 0, 2, 3]]
    tied = tied / tied.sum(axis=-1, keepdims=True)
    renamed = np.where(trace.turn_mask, np.argsort(order)[trace.answers], -1).astype(np.int16)
    before = METRICS["ece"].statistics(replace(trace, action_probs=tied))
    after = METRICS["ece"].statistics(
        replace(trace, action_probs=tied[..., order], answers=renamed)
    )
    assert_allclose(after, before, atol=1e-12)


def test_a_uniform_agent_is_calibrated_whatever_people_answer():
    trace = random_trace(8, people=5, turns=4)
    uniform = np.where(trace.turn_mask[..., None], 0.25, NAN) * np.ones(4)
    skewed = np.where(trace.turn_mask, 3, -1).astype(np.int16)
    statistics = METRICS["ece"].statistics(replace(trace, action_probs=uniform, answers=skewed))
    # One of four tied categories is right every time: 1/4 of a hit at a confidence of 1/4.
    assert_allclose(statistics, 0, atol=1e-12)


def test_belief_correlation_is_pearsons():
    trace = random_trace(3, people=40, turns=3)
    metric = METRICS["belief_correlation"]
    last = trace.belief[np.arange(40), trace.length].astype(float)
    means = last @ np.arange(5)
    expected = np.mean([pearsonr(means[:, f], trace.levels[:, f]).statistic for f in range(2)])
    assert_allclose(interval(metric.statistics(trace), metric.combine).mean, expected)
    there = trace.length >= 2
    means = trace.belief[there, 2].astype(float) @ np.arange(5)
    expected = np.mean([pearsonr(means[:, f], trace.levels[there, f]).statistic for f in range(2)])
    assert_allclose(interval(metric.by_turn(trace), metric.combine).mean[1], expected)


def test_a_constant_belief_has_no_correlation():
    trace = random_trace(4, people=10, turns=3)
    same = replace(trace, belief=np.broadcast_to(trace.belief[:1, :1], trace.belief.shape))
    estimate = interval(METRICS["belief_correlation"].statistics(same), lambda m: m[..., 0])
    assert estimate.users == 10
    combined = interval(
        METRICS["belief_correlation"].statistics(same), METRICS["belief_correlation"].combine
    )
    assert np.isnan([combined.mean, combined.low, combined.high]).all()


def test_traits_that_nothing_was_learned_about_are_left_out():
    trace = random_trace(9, people=40, turns=3, factors=3)
    belief = trace.belief.copy()
    belief[:, :, 1] = [0.1, 0.2, 0.4, 0.2, 0.1]
    # What is believed of all alike may differ by a rounding error of float32.
    belief[::2, :, 1] += np.float32(3e-8) * np.arange(-2, 3, dtype=np.float32)
    partly = replace(trace, belief=belief)
    metric = METRICS["belief_correlation"]
    last = belief[np.arange(40), trace.length].astype(float) @ np.arange(5)
    expected = [pearsonr(last[:, f], trace.levels[:, f]).statistic for f in (0, 2)]
    estimate = interval(metric.statistics(partly), metric.combine)
    assert_allclose(estimate.mean, np.mean(expected), atol=1e-7)
    assert (estimate.users, estimate.failed) == (40, 0)
    assert estimate.low < estimate.mean < estimate.high
    curve = interval(metric.by_turn(partly), metric.combine)
    assert np.isfinite(curve.mean).all()


def test_people_who_are_all_alike_have_no_correlation():
    trace = random_trace(10, people=20, turns=3)
    levels = trace.levels.copy()
    levels[:, 1] = 3
    metric = METRICS["belief_correlation"]
    estimate = interval(metric.statistics(replace(trace, levels=levels)), metric.combine)
    assert np.isnan([estimate.mean, estimate.low, estimate.high]).all()


def failed(name: str, trace: Trace) -> int:
    return int(interval(METRICS[name].statistics(trace), METRICS[name].combine).failed)


def test_what_cannot_be_computed_is_counted():
    trace = random_trace(5, people=6, turns=4, early=False)
    sure = trace.action_probs.copy()
    sure[0, 1] = sure[3, 2] = np.eye(4)[2]
    answers = trace.answers.copy()
    answers[0, 1], answers[3, 2] = 1, 2  # person 0 was told the impossible, person 3 was not
    impossible = replace(trace, action_probs=sure, answers=answers)
    assert failed("nll", impossible) == 1
    assert failed("kl_from_teacher", impossible) == 2
    assert failed("brier", impossible) == failed("ece", impossible) == 0
    statistics = METRICS["nll"].statistics(impossible)[:, 0]
    assert_array_equal(np.isnan(statistics), np.arange(6) == 0)

    absent = replace(trace, length=np.array([0, 4, 4, 4, 4, 4], np.int16))
    assert all(failed(name, absent) == 1 for name in PREDICTIONS)

    unbelieving = replace(trace, belief=np.zeros((6, 0, 0, 0), np.float32))
    levels = trace.levels.copy()
    levels[2] = -1
    unknown = replace(trace, levels=levels)
    for name in ("belief_correlation", "belief_nll"):
        assert failed(name, unbelieving) == 6
        assert failed(name, unknown) == 1
    untaught = replace(
        trace,
        teacher_actions=np.full_like(trace.teacher_actions, -1),
        teacher_probs=np.full_like(trace.teacher_probs, NAN),
    )
    for name in ("teacher_agreement", "regret", "kl_from_teacher"):
        assert failed(name, untaught) == 6


def test_actions_that_are_no_response_categories_are_refused():
    trace = replace(random_trace(6, people=2, turns=2, early=False))
    with pytest.raises(ValueError, match="Category 4 in a trace with 4 probabilities"):
        METRICS["nll"].statistics(replace(trace, answers=np.full_like(trace.answers, 4)))
