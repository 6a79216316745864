"""The loop: what it records, that batches do not matter, and that it holds agents to the rules."""

from __future__ import annotations

import weakref
from dataclasses import fields

import numpy as np
import pytest
from kit import generator, play, respondents, transcript_of, vector
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.baselines import PriorAgent, RandomAgent
from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.core import PROBABILITY_FLOOR, best
from acquaint_gym.envs.files import write_json
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.tasks.questionnaire import Questionnaire
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.people import Users
from acquaint_gym.eval.oracles.clairvoyant import Clairvoyant
from acquaint_gym.eval.runs.evaluation import Evaluation, People, Player, plan
from acquaint_gym.eval.trace import Trace

ENV = "acquaint/Questionnaire-v0"
TASK = Questionnaire()
TURNS = 50
AGENTS = {
    "random": RandomAgent,
    "prior": PriorAgent,
    "bayes": BayesTeacher,
    "forgetful": lambda task: BayesTeacher(task, discount=0.8),
    "clairvoyant": Clairvoyant,
}


def assert_same(a: Trace, b: Trace) -> None:
    """Equal in all that is counted or drawn, to 1e-9 in what is computed."""
    for field in fields(Trace):
        one, other = getattr(a, field.name), getattr(b, field.name)
        assert one.dtype == other.dtype
        if field.name in ("action_probs", "teacher_probs", "rewards"):
            assert_allclose(one, other, rtol=0, atol=1e-9, err_msg=field.name)
        elif field.name == "belief":  # stored as float32
            assert_allclose(one, other, rtol=0, atol=1e-6, err_msg=field.name)
        else:
            assert_array_equal(one, other, err_msg=field.name)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Nine respondents, some of whom left questions open; and how many each answered."""
    answers = generator(4).integers(1, 6, size=(9, 50))
    answers[1, 3] = answers[2, 10:] = answers[4, 1:] = answers[7, ::2] = 0
    path = tmp_path_factory.mktemp("data") / "people.csv"
    return respondents(path, answers, separator="\t"), answers


# Batches do not matter.


@pytest.mark.parametrize(
    ("name", "order"), [*((name, "fixed") for name in AGENTS), ("bayes", "shuffled")]
)
def test_traces_are_the_same_in_batches_of_1_and_7_and_64(name, order):
    def parts(size: int, people: int = 64) -> Trace:
        # One agent for all batches, as in a run: what it met before must not matter.
        agent, teacher = AGENTS[name](TASK), BayesTeacher(TASK)
        cuts = np.split(np.arange(people), range(size, people, size))
        return Trace.join([play(agent, people, teacher, order=order) for people in cuts])

    whole = parts(64)
    assert_same(parts(7), whole)
    assert_same(parts(1, people=8), whole.select(slice(8)))


@pytest.mark.parametrize("name", AGENTS)
def test_traces_are_the_same_for_people_in_any_order(name):
    people = np.array([5, 0, 1000, 17, 3, 4, 2**40])
    whole = play(AGENTS[name](TASK), people)
    backwards = play(AGENTS[name](TASK), people[::-1])
    assert_same(backwards.select(slice(None, None, -1)), whole)


@pytest.mark.parametrize("name", ["random", "prior", "bayes", "forgetful"])
def test_traces_of_ragged_respondents_are_the_same_alone_and_together(name, recorded):
    path, _ = recorded
    agent, teacher = AGENTS[name](TASK), BayesTeacher(TASK)
    data = {"respondents": path, "split": "all"}
    whole = play(agent, np.arange(9), teacher, **data)
    alone = [play(agent, [person], teacher, **data) for person in range(9)]
    assert_same(Trace.join(alone), whole)
    halves = [play(agent, part, teacher, **data) for part in np.split(np.arange(9), [4])]
    assert_same(Trace.join(halves), whole)


# What is recorded.


def test_every_agent_meets_the_same_people_who_answer_alike():
    traces = [play(make(TASK), np.arange(20)) for make in AGENTS.values()]
    for trace in traces:
        assert_array_equal(trace.answers, traces[0].answers)
        assert_array_equal(trace.levels, traces[0].levels)
        assert_array_equal(trace.stimuli, traces[0].stimuli)
        assert_array_equal(trace.person, np.arange(20))


def test_shapes_and_values_of_a_complete_trace():
    trace = play(RandomAgent(TASK), np.arange(8), BayesTeacher(TASK))
    assert trace.turn_mask.all()
    assert trace.actions.shape == trace.answers.shape == trace.rewards.shape == (8, TURNS)
    assert trace.action_probs.shape == trace.teacher_probs.shape == (8, TURNS, 5)
    assert ((trace.answers >= 0) & (trace.answers < 5)).all()
    assert_array_equal(trace.stimuli[0, :, 0], np.arange(TURNS))
    assert_allclose(trace.action_probs, 0.2)
    assert_array_equal(np.unique(trace.actions), np.arange(5))


def test_rewards_are_the_hits():
    trace = play(BayesTeacher(TASK), np.arange(20))
    assert_array_equal(trace.rewards, (trace.actions == trace.answers).astype(float))
    assert 0 < trace.rewards.mean() < 1


def test_the_teacher_is_asked_about_the_agents_transcripts():
    beside = play(RandomAgent(TASK), np.arange(20), BayesTeacher(TASK))
    itself = play(BayesTeacher(TASK), np.arange(20))
    # What a person answers does not depend on predictions, so the two transcripts say the same.
    assert_array_equal(beside.teacher_actions, itself.actions)
    assert_allclose(beside.teacher_probs, itself.action_probs, rtol=0, atol=1e-12)
    assert_array_equal(itself.teacher_actions, itself.actions)
    assert_array_equal(itself.teacher_probs, itself.action_probs)


def test_a_teacher_that_is_the_agent_is_asked_once_a_turn():
    class Counting(BayesTeacher):
        calls = 0

        def act(self, observation, uniform):
            Counting.calls += 1
            return super().act(observation, uniform)

    play(Counting(TASK), np.arange(3))
    assert Counting.calls == TURNS


def test_agents_get_each_persons_own_random_number_of_the_turn():
    class Asking(RandomAgent):
        def act(self, observation, uniform):
            turn = int(observation.turn[0])
            assert_array_equal(uniform, lent[:, turn])
            return super().act(observation, uniform)

    lent = PersonStreams(0, "agents", TURNS).uniform(np.array([3, 9]))
    trace = play(Asking(TASK), [3, 9])
    assert_array_equal(trace.actions, np.minimum((lent * 5).astype(int), 4))


def test_beliefs_are_recorded_before_each_turn_and_after_the_last():
    trace = play(BayesTeacher(TASK), np.arange(6))
    assert trace.belief.shape == (6, TURNS + 1, 5, 5)
    posterior = TASK.make_posterior()
    for turn in (0, 1, 7, 49, 50):
        told = transcript_of(trace, turn)
        expected = posterior.marginals(condition(posterior, told))
        assert_allclose(trace.belief[:, turn], expected, rtol=0, atol=1e-6)
    assert_allclose(trace.belief[:, 0], 0.2, rtol=0, atol=1e-6)
    assert np.abs(trace.belief[:, 50] - trace.belief[:, 49]).max() > 0.001


def test_an_agent_without_a_belief_records_none():
    assert play(RandomAgent(TASK), np.arange(3)).belief.shape == (3, 0, 0, 0)


def test_a_prior_belief_is_recorded_unchanged_throughout():
    trace = play(PriorAgent(TASK), np.arange(3))
    assert_allclose(trace.belief, 0.2, rtol=0, atol=1e-6)
    assert trace.belief.shape == (3, TURNS + 1, 5, 5)


def test_nothing_is_recorded_where_nothing_happened(recorded):
    path, answers = recorded
    data = {"respondents": path, "split": "all"}
    trace = play(RandomAgent(TASK), np.arange(9), BayesTeacher(TASK), **data)
    length = (answers > 0).sum(axis=1)
    assert_array_equal(trace.length, length)
    assert_array_equal(trace.levels, -1)
    for row in range(9):
        given = np.flatnonzero(answers[row])
        assert_array_equal(trace.stimuli[row, : length[row], 0], given)
        assert_array_equal(trace.answers[row, : length[row]], answers[row, given] - 1)
    over = ~trace.turn_mask
    assert over.sum() == 9 * TURNS - length.sum()
    for column in (trace.actions, trace.answers, trace.teacher_actions, trace.stimuli[..., 0]):
        assert_array_equal(column[over], -1)
        assert (column[~over] >= 0).all()
    assert_array_equal(trace.rewards[over], 0)
    for probs in (trace.action_probs, trace.teacher_probs):
        assert np.isnan(probs[over]).all()
        assert_allclose(probs[~over].sum(axis=1), 1)


def test_the_last_belief_of_people_who_left_early_stands_after_their_last_answer(recorded):
    path, answers = recorded
    trace = play(BayesTeacher(TASK), np.arange(9), respondents=path, split="all")
    posterior = TASK.make_posterior()
    for row, length in enumerate(trace.length):
        assert_allclose(trace.belief[row, : length + 1].sum(axis=2), 1, rtol=0, atol=1e-5)
        assert np.isnan(trace.belief[row, length + 1 :]).all()
        given = np.flatnonzero(answers[row])
        replies = answers[row, given][None] - 1
        told = Transcript.of(np.array([length]), given[None, :, None], replies, replies)
        expected = posterior.marginals(condition(posterior, told))[0]
        assert_allclose(trace.belief[row, length], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("ragged", [False, True])
def test_a_stated_distribution_earns_its_logarithm(ragged, recorded):
    people = {"respondents": recorded[0], "split": "all"} if ragged else {}
    task = Questionnaire(reward="log_score")
    trace = play(BayesTeacher(task), np.arange(9), reward="log_score", **people)
    rows, turns = np.nonzero(trace.turn_mask)
    answer = trace.answers[rows, turns]
    stated = np.maximum(trace.action_probs[rows, turns], PROBABILITY_FLOOR)
    expected = np.log(stated[np.arange(len(rows)), answer] / stated.sum(axis=1))
    # Actions travel as float32.
    assert_allclose(trace.rewards[rows, turns], expected, rtol=0, atol=1e-4)
    assert_array_equal(trace.rewards[~trace.turn_mask], 0)
    assert_array_equal(trace.actions[rows, turns], best(trace.action_probs[rows, turns]))
    uniform = play(RandomAgent(task), np.arange(9), reward="log_score", **people)
    assert_allclose(uniform.rewards[uniform.turn_mask], -np.log(5), rtol=0, atol=1e-6)


def test_a_trace_is_read_as_it_was_saved_and_joined_as_it_was_cut(tmp_path):
    trace = play(BayesTeacher(TASK), np.arange(5))
    trace.save(tmp_path / "deep" / "trace.npz")
    assert_same(Trace.load(tmp_path / "deep" / "trace.npz"), trace)
    assert_same(Trace.join([trace.select(slice(2)), trace.select(slice(2, None))]), trace)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["trace.npz"]


def test_a_file_that_is_no_trace_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "other.npz", person=np.arange(3))
    with pytest.raises(ValueError, match=r"other\.npz: not a trace, it lacks \['levels'"):
        Trace.load(tmp_path / "other.npz")


def test_numbers_that_are_none_are_null_in_json(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [float("inf"), (1.5,)]})
    assert (tmp_path / "a.json").read_text("utf-8").split() == [
        "{", '"x":', "null,", '"y":', "[", "null,", "[", "1.5", "]", "]", "}",
    ]  # fmt: skip


# Agents are held to the contract.


class Breaking(Agent):
    """Keeps the contract until turn 3, then hands out what it was given."""

    def __init__(self, decision):
        super().__init__(TASK)
        self._decision = decision

    def act(self, observation, uniform):
        num = len(uniform)
        if observation.turn[0] < 3:
            return Decision(np.zeros(num, dtype=np.int64), np.full((num, 5), 0.2))
        return self._decision


FINE_ACTION, FINE_PROBS = np.zeros(4, dtype=np.int64), np.full((4, 5), 0.2)


def spoilt(value: float, row: int = 2):
    """Good distributions but for one number."""
    probs = FINE_PROBS.copy()
    probs[row, 1] = value
    return probs


@pytest.mark.parametrize(
    ("action", "probs", "message"),
    [
        (FINE_ACTION, spoilt(0.3), "row 2 are no distribution"),
        (FINE_ACTION, spoilt(0.2 + 1e-5), "row 2 are no distribution"),
        (FINE_ACTION, spoilt(np.nan), "row 2 are no distribution"),
        (FINE_ACTION, np.tile([1.2, -0.2, 0, 0, 0], (4, 1)), "row 0 are no distribution"),
        (FINE_ACTION, FINE_PROBS[:, :4], r"expected action_probs \[4, 5\], got \[4, 4\]"),
        (FINE_ACTION, FINE_PROBS[:3], r"expected action_probs \[4, 5\], got \[3, 5\]"),
        (FINE_ACTION, FINE_PROBS[0], r"expected action_probs \[4, 5\], got \[5\]"),
        (np.array([0, 0, 5, 0]), FINE_PROBS, r"actions must be in 0\.\.4, got 0\.\.5"),
        (np.array([0, -1, 0, 0]), FINE_PROBS, r"actions must be in 0\.\.4, got -1\.\.0"),
        (FINE_ACTION.astype(float), FINE_PROBS, "expected 4 whole actions, got float64"),
        (FINE_ACTION[:3], FINE_PROBS, r"expected 4 whole actions, got int64 \(3,\)"),
        (FINE_ACTION[:, None], FINE_PROBS, r"expected 4 whole actions, got int64 \(4, 1\)"),
    ],
)
def test_a_decision_that_breaks_the_contract_is_refused_with_the_agents_name(
    action, probs, message
):
    agent = Breaking(Decision(action, probs))
    with pytest.raises(ValueError, match=f"Breaking: .*{message}"):
        play(agent, np.arange(4), BayesTeacher(TASK))


def test_rounding_is_no_breach():
    agent = Breaking(Decision(FINE_ACTION, spoilt(0.2 + 1e-8)))
    assert play(agent, np.arange(4), BayesTeacher(TASK)).actions.shape == (4, TURNS)


def test_an_agent_with_another_number_of_categories_is_refused():
    agent = BayesTeacher(Questionnaire(questionnaire="bfi25", parameters="human"))
    with pytest.raises(ValueError, match=r"BayesTeacher: expected action_probs \[4, 5\]"):
        play(agent, np.arange(4), BayesTeacher(TASK))


# The clairvoyant.


def test_the_clairvoyant_refuses_people_whose_levels_nobody_knows(recorded):
    path, _ = recorded
    with pytest.raises(ValueError, match="recorded respondents have none"):
        play(Clairvoyant(TASK), np.arange(9), respondents=path, split="all")


@pytest.mark.parametrize("levels", [3, 4, 7])
def test_the_clairvoyant_refuses_people_of_another_population(levels):
    # With more levels than the people have the numbers would fit and mean something else.
    agent = Clairvoyant(Questionnaire(levels=levels))
    with pytest.raises(ValueError, match="no task settings of its own"):
        play(agent, np.arange(50))


def test_the_clairvoyant_refuses_people_of_latent_classes():
    users = Users(
        np.arange(2),
        np.zeros((2, 1), dtype=np.int16),
        np.zeros((2, 1, 1), dtype=np.float32),
        np.zeros((2, 1), dtype=np.int8),
        np.ones(2, dtype=np.int16),
        np.zeros(2, dtype=bool),
        np.ones((2, 1), dtype=bool),
        np.zeros((2, 0), dtype=np.float32),
    )
    with pytest.raises(ValueError, match="no task settings of its own"):
        Clairvoyant(TASK).observe_truth(users, Questionnaire(population="classes"))


def test_the_clairvoyant_cannot_decide_before_it_has_looked():
    observation = Transcript(vector(2).reset(seed=0)[0])
    with pytest.raises(ValueError, match="observe_truth"):
        Clairvoyant(TASK).act(observation, np.zeros(2))


def test_the_clairvoyant_says_what_the_model_says_of_the_true_levels():
    trace = play(Clairvoyant(TASK), np.arange(5))
    for row in range(5):
        for turn in range(TURNS):
            level = trace.levels[row, TASK.bank.trait[turn]]
            known = TASK.model.table[turn, level]
            assert_allclose(trace.action_probs[row, turn], known, rtol=1e-12)


def test_an_agent_is_gone_before_the_next_one_is_made(tmp_path, monkeypatch):
    """Two large models may not fit into memory side by side."""
    made, former, alive = Evaluation.agents, [], []

    def watched(job: Evaluation) -> tuple[Agent, Agent]:
        alive.append(sum(agent() is not None for agent in former))
        agents = made(job)
        former.append(weakref.ref(agents[0]))
        return agents

    monkeypatch.setattr(Evaluation, "agents", watched)
    jobs = plan(ENV, ["random", "prior", "bayes"], People("test", 7, None), {"num_turns": 2})
    for job in jobs:
        job.evaluate(tmp_path, 0, 2)
        job.evaluate(tmp_path, 2, 3)
    assert alive == [0, 0, 0]  # and made once for both batches


def test_a_player_takes_agents_of_ones_own_and_keeps_its_environment():
    [evaluation] = plan(ENV, ["random"], People("test", 0, None), {})
    player, person = Player(evaluation), np.arange(4)
    own = player.play(person)
    assert_same(own, play(RandomAgent(TASK), person, BayesTeacher(TASK)))
    env = player.environment(4)
    given = player.play(person, BayesTeacher(TASK))
    assert player.environment(4) is env
    assert_same(given, play(BayesTeacher(TASK), person, BayesTeacher(TASK)))
    assert_same(player.play(person[:1]), own.select(slice(1)))
    assert player.environment(1) is not env
