"""Interviews: what is asked, what it teaches, what it earns, and who asks well."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator, respondents, transcript_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import entr

from acquaint_gym.agents.interviewers.infomax import InfomaxAgent
from acquaint_gym.agents.interviewers.psychometric import FisherAgent, ShortFormAgent
from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.envs.contract.play import batch, meet
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.item_bank import GradedParameters
from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.rollout import rollout

METRICS = all_metrics()
INTERVIEW = "acquaint/Interview-v0"
TASK = "acquaint_gym.envs.tasks.interview:Interview"


def small(**arguments):
    """An interview about 2^5 profiles, small enough to enumerate."""
    return make_task(TASK, **{"levels": 2, "num_turns": 5, **arguments})


def told(task, num=7, turns=(0, 1, 2, 3, 5), levels=2):
    """Transcripts of people at unequal turns."""
    env = batch(INTERVIEW, num, levels=levels, num_turns=task.num_turns)
    meet(env)
    return example_transcripts(task, env.users, np.resize(turns, num))


def by_enumeration(task, observation, row):
    """`[P]` posterior over all types after one transcript, in plain steps."""
    posterior = task.population.prior.copy()
    for t in range(int(observation.turn[row])):
        item, answer = observation["stimuli"][row, t], int(observation["answers"][row, t])
        probs = task.model.probs(task.population.levels, np.array([item]))
        posterior = posterior * probs[:, answer]
        posterior /= posterior.sum()
    return posterior


def gain(task, posterior, stimulus):
    """Expected drop of the posterior's entropy, answer by answer."""
    probs = task.model.probs(task.population.levels, stimulus)
    drop = entr(posterior).sum()
    for column in probs.T:
        chance = posterior @ column
        drop -= chance * entr(posterior * column / chance).sum()
    return drop


@pytest.mark.parametrize(
    "arguments",
    [{}, {"posterior": "joint"}, {"parameters": "human"}, {"population": "classes"}],
    ids=str,
)
def test_information_is_the_expected_drop_of_entropy(arguments):
    task = small(**arguments)
    posterior = task.make_posterior()
    observation = told(task)
    belief = condition(posterior, observation)
    information = posterior.information(belief, task.offered)
    again = posterior.information(belief, task.offered, posterior.marginals(belief))
    assert_array_equal(information, again)
    predicted = posterior.predict_all(belief, task.offered)
    for row in range(5):
        posterior = by_enumeration(task, observation, row)
        for item in (0, 1, 17, 49):
            stimulus = task.offered[item]
            probs = task.model.probs(task.population.levels, stimulus)
            mutual = entr(posterior @ probs).sum() - posterior @ entr(probs).sum(axis=1)
            assert_allclose(information[row, item], mutual, rtol=0, atol=1e-9)
            assert_allclose(gain(task, posterior, stimulus), mutual, rtol=0, atol=1e-9)
            assert_allclose(predicted[row, item], posterior @ probs, rtol=0, atol=1e-12)


def test_infomax_asks_what_enumeration_finds_best():
    task = small(parameters="human")
    observation = told(task)
    decision = InfomaxAgent(task).act(observation, np.zeros(7))
    for row in range(7):
        posterior, legal = by_enumeration(task, observation, row), task.legal(observation)[row]
        gains = [gain(task, posterior, stimulus) for stimulus in task.offered]
        assert decision.action[row] == np.argmax(np.where(legal, gains, -np.inf))
        assert decision.action_probs[row, decision.action[row]] == 1


def pairs(task, posterior, asked, free, again=False):
    """`[N]` expected information of each `asked` question and of the best other `free` one."""
    values = np.full(task.num_stimuli, -np.inf)
    for item in asked:
        values[item] = gain(task, posterior, task.offered[item])
        for column in task.model.probs(task.population.levels, task.offered[item]).T:
            chance = posterior @ column
            then = posterior * column / chance
            follows = [
                entr(then @ p).sum() - then @ entr(p).sum(axis=1)
                for p in (
                    task.model.probs(task.population.levels, task.offered[n])
                    for n in free
                    if again or n != item
                )
            ]
            values[item] += chance * max(follows)
    return values


def test_two_steps_ahead_is_the_best_pair_of_questions():
    task = small(parameters="human")
    observation = told(task, turns=(0, 2, 3))
    decision = InfomaxAgent(task, ahead=2, candidates=50).act(observation, np.zeros(7))
    for row in range(3):
        posterior, legal = by_enumeration(task, observation, row), task.legal(observation)[row]
        free = np.flatnonzero(legal)
        assert decision.action[row] == pairs(task, posterior, free, free).argmax()


def test_two_steps_ahead_looks_at_the_five_best_questions():
    agent = parse_agent("infomax-2", []).build(lambda **_: small(parameters="human"), {})
    task = agent.task
    observation = told(task, turns=(0, 2, 3))
    decision = agent.act(observation, np.zeros(7))
    belief = condition(agent.posterior, observation)
    legal = task.legal(observation)
    worth = agent.utility(belief, agent.posterior.marginals(belief), legal)
    for row in range(3):
        posterior, free = by_enumeration(task, observation, row), np.flatnonzero(legal[row])
        gains = [gain(task, posterior, task.offered[n]) for n in free]
        values = pairs(task, posterior, free[np.argsort(gains)[-5:]], free)
        assert np.isfinite(values).sum() == 5
        assert_allclose(worth[row], values, rtol=0, atol=1e-9)
        assert decision.action[row] == values.argmax()


def test_the_question_that_follows_is_another_one():
    """Of three that are left one tells so much that it would tell most if asked again."""
    task = small(parameters="human", num_turns=50)
    steep = np.argsort(task.graded.discrimination[:10])  # of the first trait
    left, agent = steep[[0, 1, -1]], InfomaxAgent(task, ahead=2)
    free, posterior = np.isin(np.arange(50), left), task.population.prior
    belief = agent.posterior.start(1)
    worth = agent.utility(belief, agent.posterior.marginals(belief), free[None])[0]
    assert_allclose(worth, pairs(task, posterior, left, left), rtol=0, atol=1e-9)
    twice = pairs(task, posterior, left, left, again=True)
    assert twice[left[2]] > worth[left[2]] + 0.005


def test_the_last_question_looks_one_step_ahead_whoever_else_is_in_the_batch():
    task = small(parameters="human")
    observation = told(task, turns=(4, 0, 4))
    both = InfomaxAgent(task, ahead=2).act(observation, np.zeros(7))
    one = InfomaxAgent(task).act(observation, np.zeros(7))
    last = observation.turn == 4
    assert_array_equal(both.action[last], one.action[last])


def test_fisher_information_of_a_two_parameter_item_is_a_squared_p_q():
    """With two categories the graded model is the 2PL: I = a^2 P (1 - P) (Lord, 1980)."""
    task = small()
    bank = replace(task.bank, labels=("no", "yes"), codes=(0, 1))
    rng = np.random.Generator(np.random.Philox(0))
    slopes, places = rng.uniform(0.5, 2.5, 50), rng.normal(size=50)
    task.bank, task.graded = bank, GradedParameters(slopes, places[:, None], None)
    agent = FisherAgent(task)
    belief = agent.posterior.start(1)
    theta = 0.0  # the mean of a uniform prior over -2 and 2
    p = 1 / (1 + np.exp(-slopes * (theta - places)))
    marginals = agent.posterior.marginals(belief)
    worth = agent.utility(belief, marginals, np.ones((1, 50), dtype=bool))
    assert_allclose(worth[0], slopes**2 * p * (1 - p), rtol=1e-12)


def by_differences(task, theta):
    """`[I]` sum over k of P_k'^2 / P_k of the graded response model, by numerical differences."""

    def chances(theta):
        a, b = task.graded.discrimination[:, None], task.graded.thresholds
        upper = 1 / (1 + np.exp(-a * (theta - b)))
        ends = np.ones((len(a), 1)), np.zeros((len(a), 1))
        return -np.diff(np.hstack([ends[0], upper, ends[1]]), axis=1)

    slope = (chances(theta + 1e-4) - chances(theta - 1e-4)) / 2e-4
    return (slope**2 / chances(theta)).sum(axis=1)


@pytest.mark.parametrize("parameters", ["human", "study"])
@pytest.mark.parametrize("theta", [-1.9, -1.2, 0.0, 0.77, 2.0])
def test_fisher_information_of_five_categories_sums_over_all_of_them(parameters, theta):
    task = small(parameters=parameters)
    assert task.graded.thresholds.shape == (50, 4)
    agent, high = FisherAgent(task), (theta + 2) / 4  # levels are at -2 and 2
    beliefs = np.full((1, 5, 2), [1 - high, high])
    worth = agent.utility(beliefs, beliefs, np.ones((1, 50), dtype=bool))[0]
    assert_allclose(worth, by_differences(task, theta), rtol=1e-6)


@pytest.mark.parametrize("parameters", ["human", "study"])
def test_fisher_asks_what_tells_most_at_the_posterior_mean(parameters):
    task = small(parameters=parameters, levels=3)
    observation = told(task)
    decision = FisherAgent(task).act(observation, np.zeros(7))
    everything = np.arange(50)
    for row in range(7):
        posterior, legal = by_enumeration(task, observation, row), task.legal(observation)[row]
        mean = posterior @ task.population.grid[task.population.levels]
        each = np.stack([by_differences(task, theta) for theta in mean[task.bank.trait]])
        told_by = np.where(legal, each[everything, everything], -np.inf)
        # Items of the study are all alike: of equals the first.
        assert decision.action[row] == np.argmax(told_by > told_by.max() - 1e-6)


# catsim 0.21.0: a bank of 12 items under the 2PL, `irt.inf_hpc(theta, items)` at three thetas, and
# the order in which `MaxInfoSelector().select(...)` asks at each of them.
SLOPES = (1.73, 2.21, 2.0, 1.01, 1.14, 2.17, 0.61, 2.08, 2.03, 1.44, 1.15, 1.1)
PLACES = (0.11, -0.93, -0.03, 0.7, -1.34, -0.46, -1.9, -1.29, -1.84, -0.24, -1.27, 0.27)
CATSIM = {
    -1.2: (
        (
            0.2548,
            1.1185,
            0.3206,
            0.1138,
            0.3228,
            0.6556,
            0.0889,
            1.0722,
            0.6939,
            0.3326,
            0.3301,
            0.1672,
        ),
        (1, 7, 8, 5, 9, 10, 4, 2, 0, 11, 3, 6),
    ),
    0.0: (
        (
            0.7415,
            0.4915,
            0.9991,
            0.2256,
            0.1904,
            0.9266,
            0.0676,
            0.2591,
            0.0938,
            0.5032,
            0.2022,
            0.2959,
        ),
        (2, 5, 0, 9, 1, 11, 7, 3, 10, 4, 8, 6),
    ),
    0.7: (
        (
            0.5828,
            0.1262,
            0.6118,
            0.2550,
            0.1054,
            0.3253,
            0.0525,
            0.0668,
            0.0235,
            0.3383,
            0.1127,
            0.2862,
        ),
        (2, 0, 9, 5, 11, 3, 1, 10, 4, 7, 6, 8),
    ),
}


@pytest.mark.parametrize("theta", CATSIM)
def test_fisher_information_and_order_are_those_of_catsim(theta):
    task = small()
    task.bank = replace(task.bank, labels=("no", "yes"), codes=(0, 1))
    slopes, places = np.resize(SLOPES, 50), np.resize(PLACES, (50, 1))
    task.graded = GradedParameters(slopes, places, None)
    agent = FisherAgent(task)
    high = (theta + 2) / 4  # levels are at -2 and 2
    beliefs = np.full((1, 5, 2), [1 - high, high])
    worth = agent.utility(beliefs, beliefs, np.ones((1, 50), dtype=bool))[0, :12]
    information, order = CATSIM[theta]
    assert_allclose(worth, information, rtol=3e-3)
    assert_array_equal(np.argsort(-worth), order)


def test_the_short_form_comes_first_and_most_telling_first():
    agent = parse_agent("short-form", []).build(lambda **_: make_task(TASK, num_turns=50), {})
    assert isinstance(agent, ShortFormAgent)
    prior = agent.posterior.start(1)
    worth = agent.utility(prior, prior, np.ones((1, 50), dtype=bool))[0]
    bank = agent.task.bank
    first = [bank.item_ids[n] for n in np.argsort(-worth, kind="stable")[:20]]
    listed = "E1 E2 E4 E7 A4 A5 A7 A9 C4 C5 C6 C7 N2 N4 N6 N8 O2 O3 O4 O6"
    assert set(first) == set(listed.split(" "))
    assert {bank.traits[bank.trait[bank.item_ids.index(item)]] for item in first} == set(
        bank.traits
    )
    information = agent.information(agent.posterior.start(1))[0]
    assert (np.diff(information[np.argsort(-worth, kind="stable")[20:]]) <= 0).all()


def test_the_short_form_comes_first_even_if_the_rest_tells_more():
    task = small(parameters="human", num_turns=50)
    posterior = task.make_posterior()
    information = posterior.information(posterior.start(1), task.offered)[0]
    weakest = np.argsort(information, kind="stable")[:3]
    agent = ShortFormAgent(task, items=" ".join(task.bank.item_ids[n] for n in weakest))
    prior = agent.posterior.start(1)
    worth = agent.utility(prior, prior, np.ones((1, 50), dtype=bool))[0]
    assert set(np.argsort(-worth, kind="stable")[:3]) == set(weakest)
    assert worth[weakest].min() > np.delete(worth, weakest).max()


def test_a_short_form_of_another_bank_is_refused():
    with pytest.raises(ValueError, match=r"ipip50 has no item 'E11'\. Did you mean 'E1"):
        ShortFormAgent(small(), items="E1 E11")


def test_fisher_needs_graded_items():
    with pytest.raises(ValueError, match="no graded items here; take infomax"):
        FisherAgent(small(population="classes"))


def test_the_turn_tells_what_was_asked_instead_and_its_mask_is_a_copy():
    env = batch(INTERVIEW, 2, num_turns=4, observation="turn")
    meet(env)
    env.step(np.array([49, 7]))
    shown, *_ = env.step(np.array([49, 7]))
    assert shown["action"].ravel().tolist() == [0, 8]
    before = env.action_masks()
    env.step(np.array([3, 3]))
    assert before[:, 3].all()
    assert not env.action_masks()[:, 3].any()


def test_what_was_asked_is_not_asked_again():
    env = gym.make(INTERVIEW, num_turns=4, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    for action in (49, 49, 49, 0):
        shown, reward, over, *_ = env.step(action)
    assert shown["stimuli"].tolist() == shown["actions"].tolist() == [49, 0, 1, 2]
    assert shown["answers"].tolist() == env.users.answers[0, [49, 0, 1, 2]].tolist()
    assert over
    assert reward != 0


@pytest.mark.parametrize("form", ["transcript", "turn"])
def test_the_mask_is_seen_and_is_the_one_that_policies_are_given(form):
    settings = {"num_turns": 6, "allow_stop": True, "observation": form}
    lanes = gym.make_vec(INTERVIEW, num_envs=3, **settings).unwrapped
    alone = gym.make(INTERVIEW, **settings).unwrapped
    seen, one = lanes.reset(seed=4)[0], alone.reset(seed=4)[0]
    left = np.ones((3, 51))
    for action in ([4, 9, 0], [5, 4, 9], [49, 1, 2]):
        assert_array_equal(seen["action_mask"], left)
        assert_array_equal(one["action_mask"], left[0])
        assert_array_equal(lanes.action_masks(), left == 1)
        seen, one = lanes.step(np.array(action))[0], alone.step(action[0])[0]
        left[np.arange(3), action] = 0
    assert_array_equal(seen["action_mask"], left)


def test_nobody_stops_by_asking_twice():
    env = gym.make(INTERVIEW, num_turns=3, allow_stop=True, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    for action in (49, 49):
        shown, _, over, *_ = env.step(action)
    assert not over
    assert shown["actions"].tolist() == [49, 0, -1]


def test_who_stops_has_asked_so_many_questions():
    env = gym.make_vec(
        INTERVIEW, num_envs=3, num_turns=4, allow_stop=True, cost=0.5, autoreset_mode="Disabled"
    ).unwrapped
    env.reset(seed=0)
    env.step(np.array([1, 50, 2]))
    shown, reward, over, _, _ = env.step(np.array([50, 3, 4]))
    assert over.tolist() == [True, True, False]
    assert env.users.length.tolist() == [1, 0, 4]
    assert reward[:2].tolist() == [0, 0]
    assert Transcript(shown).turn.tolist() == [1, 0, 2]
    assert shown["actions"][0].tolist() == [1, -1, -1, -1]


def test_who_stops_goes_on_knowing_what_was_known():
    """Also who stops before the first question: the prior is what is known then."""
    env = batch(INTERVIEW, 40, num_turns=6, allow_stop=True, cost=0.9, parameters="human")
    agent = InfomaxAgent(env.task)
    trace = rollout(env, agent, agent, np.arange(40), np.zeros((40, 6)))
    assert (trace.length == 0).all()  # no first answer is expected to tell so much
    for name, expected in (
        ("log_score", trace.interview_stats[:, 0, 0]),
        ("unasked_nll", trace.interview_stats[:, 0, STATISTICS.index("unasked_nll")]),
        ("questions", np.zeros(40)),
    ):
        assert_array_equal(METRICS[name].statistics(trace)[:, 0], expected)
        assert_array_equal(METRICS[name].by_turn(trace)[..., 0], np.repeat(expected[:, None], 6, 1))
    some = replace(trace, length=np.arange(40, dtype=np.int16) % 7)
    found = np.arange(40 * 7.0).reshape(40, 7, 1) + np.zeros_like(trace.interview_stats)
    some = replace(some, interview_stats=found)
    for row in range(40):
        length = int(some.length[row])
        assert METRICS["log_score"].statistics(some)[row, 0] == found[row, length, 0]
        curve = METRICS["log_score"].by_turn(some)[row, :, 0]
        assert curve.tolist() == [found[row, min(t, length), 0] for t in range(1, 7)]
        assert METRICS["questions"].by_turn(some)[row, :, 0].tolist() == [
            min(t, length) for t in range(1, 7)
        ]


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_to_stop_is_no_truncation_even_with_impatient_people(mode):
    arguments = {"num_turns": 9, "allow_stop": True, "quirks": "impatience:0.9"}
    env = gym.make_vec(INTERVIEW, num_envs=6, autoreset_mode=mode, **arguments)
    env.reset(seed=0)
    _, _, terminated, truncated, _ = env.step(np.array([50, 50, 50, 0, 1, 2]))
    assert terminated[:3].all()
    assert not truncated[:3].any()
    assert truncated[3:].any()  # the others are asked, and most leave after it
    alone = gym.make(INTERVIEW, **arguments)
    alone.reset(seed=0)
    assert alone.step(50)[2:4] == (True, False)


def test_scores_stay_finite_where_all_but_nothing_is_left():
    env = batch("acquaint/Identify-v0", 3, num_raters=40, width=0.1, num_turns=50)
    meet(env)
    known = env._episodes._scorer._answers  # nobody like the raters
    known[:] = 4 - known
    rewards = [env.step(np.full(3, turn))[1] for turn in range(50)]
    assert np.isfinite(rewards).all()
    assert np.isfinite(env.interview_stats()[:, 0]).all()
    assert env.interview_stats()[:, 0].min() < -600  # less than the smallest number would be


def test_what_one_stops_for_is_the_cost():
    env = batch(INTERVIEW, 40, num_turns=50, allow_stop=True, cost=0.25)
    agent = InfomaxAgent(env.task)
    trace = rollout(env, agent, agent, np.arange(40), np.zeros((40, 50)))
    assert (trace.length < 50).all()
    assert len(set(trace.length.tolist())) > 1
    # At the end no answer is expected to tell more than a question costs; before it one was.
    for row in range(5):
        told = transcript_of(trace).rows(np.array([row]))
        for turn, more in ((trace.length[row], False), (trace.length[row] - 1, True)):
            posterior = env.task.make_posterior()
            belief = condition(posterior, told.at(np.array([turn]), env.task))
            free = np.ones(50, dtype=bool)
            free[trace.actions[row, :turn]] = False
            best = agent.information(belief)[0][free].max()
            assert (best > 0.25) == more


def test_one_stops_although_what_was_asked_would_tell_more():
    """Only what is left to ask counts against the cost."""
    task = small(parameters="human", levels=5, num_turns=50, allow_stop=True)
    observation, agent = told(task, 5, (35, 40, 45, 48, 49), levels=5), InfomaxAgent(task)
    for row in range(5):
        posterior = by_enumeration(task, observation, row)
        gains = np.array([gain(task, posterior, stimulus) for stimulus in task.offered])
        free = task.legal(observation)[row, :50]
        left = np.where(free, gains, -np.inf)
        most = left.max()
        assert gains.max() > most + 1e-4
        for cost, action in (((most + gains.max()) / 2, 50), (0.9 * most, left.argmax())):
            task.cost = cost
            assert agent.act(observation, np.zeros(5)).action[row] == action


@pytest.mark.parametrize("form", ["factored", "joint"])
def test_what_is_found_is_what_enumeration_finds(form):
    env = batch(INTERVIEW, 5, levels=2, num_turns=5, posterior=form)
    shown, rng = meet(env), np.random.Generator(np.random.Philox(3))
    task, users = env.task, env.users
    for _ in range(3):
        shown = Transcript(env.step(rng.integers(50, size=5))[0])
    found = dict(zip(STATISTICS, env.interview_stats().T, strict=False))
    mean, truth = np.split(env.interview_stats()[:, len(STATISTICS) :], 2, axis=1)
    levels = task.population.levels
    for row in range(5):
        posterior = by_enumeration(task, shown, row)
        true = int(np.flatnonzero((levels == users.levels[row]).all(axis=1))[0])
        assert_allclose(found["log_score"][row], np.log(posterior[true]))
        assert_allclose(found["posterior_entropy"][row], entr(posterior).sum())
        assert_allclose(mean[row], posterior @ task.population.grid[levels], atol=1e-12)
        assert_allclose(truth[row], task.population.grid[users.levels[row]])
        left = np.setdiff1d(np.arange(50), shown["actions"][row, :3])
        probs = task.model.probs(levels[:, None], task.offered[left][None])
        predicted, given = np.einsum("p,pnk->nk", posterior, probs), users.answers[row, left]
        nll = -np.log(predicted[np.arange(len(left)), given]).mean()
        assert_allclose(found["unasked_nll"][row], nll)
        top = (predicted >= predicted.max(axis=1, keepdims=True) - 1e-9).argmax(axis=1)
        assert_allclose(found["unasked_accuracy"][row], (top == given).mean())


def test_whose_profile_nobody_knows_is_compared_with_what_all_answers_say(tmp_path):
    path = respondents(tmp_path / "people.csv", generator(1).integers(1, 6, (6, 50)))
    env = batch(INTERVIEW, 6, parameters="human", respondents=path, split="all", num_turns=50)
    meet(env)
    for turn in range(50):
        env.step(np.full(6, turn))
    found = env.interview_stats()
    mean, truth = np.split(found[:, len(STATISTICS) :], 2, axis=1)
    assert_allclose(mean, truth)
    # The mean log posterior under the posterior itself is minus its entropy.
    assert_allclose(found[:, 0], -found[:, 1])
    assert np.isnan(found[:, 2:4]).all()  # nothing is left to predict


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**30), st.integers(1, 12), st.sampled_from(["profile", "unasked", "traits"]))
def test_rewards_add_up_whatever_is_asked(seed, turns, reward):
    env = batch(INTERVIEW, 4, levels=3, num_turns=turns, reward=reward)
    meet(env, first=seed)
    first, total = env.interview_stats(), np.zeros(4)
    rng = np.random.Generator(np.random.Philox(seed))
    for _ in range(turns):
        total += env.step(rng.integers(50, size=4))[1]
    last = env.interview_stats()
    if reward == "traits":
        errors = [
            np.square(np.subtract(*np.split(found[:, len(STATISTICS) :], 2, axis=1))).mean(axis=1)
            for found in (first, last)
        ]
        expected = errors[0] - errors[1]
    else:
        name, sign = ("log_score", 1) if reward == "profile" else ("unasked_nll", -1)
        expected = sign * (last - first)[:, STATISTICS.index(name)]
    assert_allclose(total, expected, rtol=0, atol=1e-7)


def test_metrics_of_a_trace_are_those_of_what_was_found():
    env = batch(INTERVIEW, 30, num_turns=6)
    agent = InfomaxAgent(env.task)
    trace = rollout(env, agent, agent, np.arange(30), np.zeros((30, 6)))
    found = env.interview_stats()
    assert_array_equal(trace.interview_stats[:, -1], found)
    assert trace.interview_stats.shape == (30, 7, len(STATISTICS) + 10)
    assert_array_equal(METRICS["log_score"].statistics(trace)[:, 0], found[:, 0])
    assert_array_equal(METRICS["log_score"].by_turn(trace)[:, 2, 0], trace.interview_stats[:, 3, 0])
    mean, truth = np.split(found[:, len(STATISTICS) :], 2, axis=1)
    rmse = METRICS["rmse"]
    assert_allclose(
        rmse.combine(rmse.statistics(trace).mean(axis=0)),
        np.sqrt(np.square(mean - truth).mean()),
    )
    r = METRICS["theta_correlation"]
    expected = np.mean([np.corrcoef(mean[:, f], truth[:, f])[0, 1] for f in range(5)])
    assert_allclose(r.combine(r.statistics(trace).mean(axis=0)), expected)
    assert METRICS["questions"].statistics(trace).tolist() == [[6.0]] * 30
    assert not METRICS["accuracy"].applies(trace.agent_asks)
    assert METRICS["log_score"].applies(trace.agent_asks)


def test_asking_beats_chance_and_the_printed_order():
    """The order of the suite's interviewers, same people for all, paired."""
    env = batch(INTERVIEW, 400, num_turns=10, parameters="human", split="test")
    scores = {}
    for name in ("random", "fisher", "infomax"):
        agent = parse_agent(name, []).build(lambda **_: env.task, {})
        uniform = np.random.Generator(np.random.Philox(5)).random((400, 10))
        trace = rollout(env, agent, agent, np.arange(400), uniform)
        scores[name] = METRICS["log_score"].statistics(trace)[:, 0]
    for worse, better in (("random", "fisher"), ("fisher", "infomax")):
        difference = scores[better] - scores[worse]
        assert difference.mean() > 2 * difference.std() / 20


def test_actions_beyond_the_alphabet_have_letters_of_their_own():
    task = make_task(TASK, labels="letters", allow_stop=True)
    assert task.replies[25:28] == ("Z", "AA", "AB")
    assert len(set(task.replies)) == 51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_turns": 0}, "num_turns=0; ipip50 has 1..50 items"),
        ({"num_turns": 51}, "num_turns=51"),
        ({"reward": "profiles"}, "Did you mean 'profile'"),
        ({"cost": -1.0}, "cost=-1.0; expected at least 0"),
        ({"reward": "traits", "population": "classes"}, "reward=traits needs traits"),
        ({"quirks": "drift:0.1"}, "where agents ask, people stay as they are"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_task(TASK, **arguments)


def test_predictions_of_a_model_that_mixes_factors_goes_over_all_types():
    """Stimuli that inform several factors: the joint belief is all there is."""
    flights = make_task("acquaint_gym.envs.tasks.flights:Flights", levels=3)
    posterior = flights.make_posterior()
    rng = np.random.Generator(np.random.Philox(4))
    env = batch("acquaint/Flights-v0", 3, levels=3)
    meet(env)
    stimuli = env.users.stimuli[0]
    weights = rng.dirichlet(np.ones(len(flights.population.prior)), size=(2, 1))
    predicted = posterior.predict_all(weights, stimuli)
    information = posterior.information(weights, stimuli)
    for row, place in product(range(2), range(len(stimuli))):
        probs = flights.model.probs(flights.population.levels, stimuli[place])
        belief = weights[row, 0]
        assert_allclose(predicted[row, place], belief @ probs, atol=1e-12)
        mutual = entr(belief @ probs).sum() - belief @ entr(probs).sum(axis=1)
        assert_allclose(information[row, place], mutual, atol=1e-9)


def test_classes_have_no_thetas():
    env = batch(INTERVIEW, 2, population="classes", num_turns=2)
    meet(env)
    env.step(np.array([3, 4]))
    found = env.interview_stats()
    assert np.isfinite(found[:, : len(STATISTICS)]).all()
    assert np.isnan(found[:, len(STATISTICS) :]).all()
