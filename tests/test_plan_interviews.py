"""Interviews planned in hindsight: the search, the agent that follows it, and what is recorded."""

from __future__ import annotations

from itertools import combinations, permutations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import generator, play, respondents
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.interviewers.infomax import InfomaxAgent
from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.eval.compare import gather
from acquaint_gym.eval.oracles.hindsight import Hindsight, _distinct, search
from acquaint_gym.eval.runs.store import load_runs
from acquaint_gym.train import plan_interviews
from acquaint_gym.train.sources import load_sources, transcripts

IDENTIFY, INTERVIEW = "acquaint/Identify-v0", "acquaint/Interview-v0"
TASKS = [
    (IDENTIFY, {"num_raters": 15}),
    (INTERVIEW, {"levels": 2, "parameters": "human"}),
    (INTERVIEW, {"levels": 2, "posterior": "factored"}),
]


def room(env_id, num=4, **arguments):
    env = gym.make_vec(env_id, num_envs=num, autoreset_mode="Disabled", **arguments).unwrapped
    env.reset(options={"person": np.arange(num)})
    return env


def log_score(trace):
    return trace.interview_stats[:, :, STATISTICS.index("log_score")]


def posterior(task, answers, items):
    """`[P]` over all types of people, in plain steps."""
    weights = task.population.prior.copy()
    for item in items:
        probs = task.model.probs(task.population.levels, task.offered[item])
        weights *= probs[:, answers[item]]
    return weights / weights.sum()


def truth(task, users, row):
    return int((task.population.levels == users.levels[row]).all(axis=1).argmax())


# The search.


@pytest.mark.parametrize(("env_id", "arguments"), TASKS, ids=str)
@pytest.mark.parametrize("sequence", [0, 1, 3])
def test_the_greedy_plan_is_that_of_plain_steps(env_id, arguments, sequence):
    env = room(env_id, num_turns=4, **arguments)
    task, users = env.task, env.users
    plans, gains = search(task, users, 1, sequence)
    for row in range(4):
        true, items = truth(task, users, row), []
        for turn in range(4):
            after = {
                item: posterior(task, users.answers[row], [*items, item])[true]
                for item in range(task.num_stimuli)
                if item not in items
            }
            ranked = sorted(after, key=lambda item: -round(after[item], 9))
            items.append(ranked[max(sequence - 1, 0) if turn == 0 else 0])
            assert plans[row, turn + 1].tolist() == items + [-1] * (3 - turn)
            gain = np.log(after[items[-1]] / task.population.prior[true])
            assert gains[row, turn + 1] == pytest.approx(gain, abs=1e-9)


@pytest.mark.parametrize(("env_id", "arguments"), TASKS, ids=str)
def test_a_beam_that_holds_all_sets_finds_the_best(env_id, arguments):
    env = room(env_id, num=6, num_turns=2, **arguments)
    task, users = env.task, env.users
    plans, gains = search(task, users, 50)
    greedy = search(task, users, 1)[1]
    assert (gains >= greedy - 1e-9).all()
    logs = np.log(task.model.probs(task.population.levels[:, None], task.offered[None]))
    for row in range(6):
        true = truth(task, users, row)
        told = logs[:, np.arange(50), users.answers[row]]  # [P, I]
        sets = np.array(list(combinations(range(50), 2)))
        joint = np.exp(told[:, sets].sum(axis=2)) * task.population.prior[:, None]
        best = np.log(joint[true] / joint.sum(axis=0)).max() - np.log(task.population.prior[true])
        assert gains[row, 2] == pytest.approx(best, abs=1e-9)
        found = posterior(task, users.answers[row], plans[row, 2])[true]
        assert np.log(found / task.population.prior[true]) == pytest.approx(best, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 4))
def test_a_set_is_kept_once_however_it_is_reached(seed, width):
    rng = np.random.Generator(np.random.Philox(seed))
    worth = rng.integers(0, 9, (2, 5)) / 4  # of items, so that sets reached twice score the same
    pairs = np.array(list(combinations(range(5), 2)))[rng.permutation(10)[:4]]
    asked = np.zeros((2, 4, 5), dtype=bool)
    asked[:, np.arange(4)[:, None], pairs] = True
    total = np.where(
        asked, -np.inf, (asked * worth[:, None]).sum(axis=2)[..., None] + worth[:, None]
    )
    parent, item = _distinct(total, asked, width)
    for row in range(2):
        left = {
            frozenset({*pairs[p], i}): total[row, p, i]
            for p in range(4)
            for i in range(5)
            if i not in pairs[p]
        }
        expected = sorted(left.values(), reverse=True)[:width]
        sets = [frozenset({*pairs[p], i}) for p, i in zip(parent[row], item[row], strict=True)]
        assert len(set(sets)) == width
        assert_allclose([left[one] for one in sets], expected)


def test_the_whole_bank_can_be_planned():
    env = room(INTERVIEW, levels=2, num_turns=50)
    plans, gains = search(env.task, env.users, 3)
    assert (np.sort(plans[:, 50], axis=1) == np.arange(50)).all()
    everything = posterior(env.task, env.users.answers[0], range(50))
    true = truth(env.task, env.users, 0)
    final = np.log(everything[true] / env.task.population.prior[true])
    assert gains[0, 50] == pytest.approx(final, abs=1e-9)


# The agent.


@pytest.mark.parametrize(("env_id", "arguments"), TASKS, ids=str)
def test_what_is_played_gains_what_was_planned_and_more_than_any_agent(env_id, arguments):
    env = room(env_id, num=20, num_turns=5, **arguments)
    plans, gains = search(env.task, env.users, 8)
    trace = play(Hindsight(env.task), env.num_envs, env=env)
    assert_array_equal(trace.actions, plans[:, 5])
    assert_allclose(log_score(trace)[:, 5] - log_score(trace)[:, 0], gains[:, 5], atol=1e-9)
    assert_allclose(trace.rewards.sum(axis=1), gains[:, 5], atol=1e-9)
    infomax = play(InfomaxAgent(env.task), env.num_envs, env=env)
    assert (log_score(trace)[:, 5] >= log_score(infomax)[:, 5] - 1e-9).all()


def test_an_interview_ends_where_the_plan_gains_most_after_costs():
    env = room(IDENTIFY, num=30, num_raters=99, num_turns=6, allow_stop=True, cost=0.1)
    gains = search(env.task, env.users, 8)[1]
    trace = play(Hindsight(env.task), env.num_envs, env=env)
    net = gains - 0.1 * np.arange(7)
    assert_array_equal(trace.length, net.argmax(axis=1))
    assert len(np.unique(trace.length)) > 2  # lanes stop at different turns, the rest goes on
    assert_allclose(trace.rewards.sum(axis=1), net.max(axis=1), atol=1e-9)


def test_people_who_leave_do_not_confuse_the_others():
    env = room(IDENTIFY, num=40, num_raters=15, num_turns=5, quirks="impatience:0.3")
    plans = search(env.task, env.users, 8)[0]
    trace = play(Hindsight(env.task), env.num_envs, env=env)
    assert len(np.unique(trace.length)) > 2
    for row, length in enumerate(trace.length):
        assert trace.actions[row, :length].tolist() == plans[row, 5, :length].tolist()


def test_off_its_plan_it_goes_on_with_what_is_left():
    env = room(IDENTIFY, num=3, num_raters=15, num_turns=4)
    agent = Hindsight(env.task)
    agent.observe_truth(env.users, env.task)
    plan = search(env.task, env.users, 8)[0][:, 4]
    # The second question of the plan was asked first, then something that was not planned.
    other = [next(i for i in range(50) if i not in row) for row in plan]
    for asked in (plan[:, 1], np.array(other)):
        shown = Transcript(env.step(asked)[0])
    assert_array_equal(agent.act(shown, np.zeros(3)).action, plan[:, 0])


def test_people_whom_nobody_knows_have_plans_too(tmp_path):
    path = respondents(tmp_path / "people.csv", generator(2).integers(1, 6, (4, 50)))
    given = {"respondents": path, "split": "all", "parameters": "human"}
    env = room(INTERVIEW, levels=2, num_turns=3, **given)
    task, answers = env.task, env.users.answers
    plans, gains = search(task, env.users, 1)
    for row in range(4):
        informed = posterior(task, answers[row], range(50))
        before = informed @ np.log(task.population.prior)
        after = [informed @ np.log(posterior(task, answers[row], [i])) for i in range(50)]
        assert plans[row, 1, 0] == np.argmax(after)
        assert gains[row, 1] == pytest.approx(max(after) - before, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"), [({"beam": 0}, "beam=0"), ({"sequence": 51}, "and 0 to 50")]
)
def test_numbers_out_of_range_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Hindsight(room(IDENTIFY, num_raters=3).task, **arguments)


def test_where_answers_are_predicted_there_is_nothing_to_plan():
    task = room("acquaint/Questionnaire-v0").task
    with pytest.raises(ValueError, match="agents predict answers here") as refused:
        Hindsight(task)
    assert str(refused.value).endswith("take another, e.g. bayes.")


# The command.

SHORT = ["--env", IDENTIFY, "--set", "num_raters=15", "--set", "num_turns=4", "--users", "12"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("plans")
    arguments = [*SHORT, "--sequences", "2", "--beam", "3", "--threshold", "0.3"]
    assert plan_interviews.main([*arguments, "--out", str(out)]) == 0
    return out, arguments


def test_every_plan_is_an_agent_with_another_first_question(folder):
    runs = load_runs(folder[0] / "train")
    assert [run.agent for run in runs] == ["hindsight-1", "hindsight-2"]
    one, two = (run.trace for run in runs)
    assert (one.actions[:, 0] != two.actions[:, 0]).all()
    assert one.length.min() < 4  # the threshold
    gained = np.diff(log_score(one), axis=1)
    last = gained[np.arange(12), np.maximum(one.length.astype(int) - 1, 0)]
    assert (last[one.length > 0] >= 0.3).all()
    assert "hindsight-1" in (folder[0] / "train" / "report.md").read_text("utf-8")
    assert list(gather([folder[0] / "train"])[IDENTIFY]) == ["hindsight-1", "hindsight-2"]


def test_a_student_is_taught_the_plans_or_the_teacher(folder):
    for source in load_sources([str(folder[0])], imitate="agent"):
        (target, action), trace = source.target, source.run.trace
        turn_mask = trace.turn_mask
        assert_array_equal(target[turn_mask].argmax(axis=1), action[turn_mask])
        assert (target[turn_mask].max(axis=1) == 1).all()
        told = transcripts(source)
        assert_array_equal(told["actions"][turn_mask], trace.actions[turn_mask])
        assert_array_equal(told["answers"][turn_mask], trace.answers[turn_mask])
    taught = load_sources([str(folder[0])])[0].target[1]
    assert (taught[:, 0] == taught[0, 0]).all()  # before any answer infomax asks everybody the same


def test_the_same_command_goes_on_and_another_is_refused(folder, capsys, monkeypatch):
    def never(*_):
        raise AssertionError

    out, arguments = folder
    monkeypatch.setattr("acquaint_gym.eval.runs.evaluation.Evaluation.evaluate", never)
    assert plan_interviews.main([*arguments, "--out", str(out)]) == 0
    capsys.readouterr()
    assert plan_interviews.main([*arguments, "--beam", "4", "--out", str(out)]) == 2
    assert "traces of another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--env", "acquaint/Questionnaire-v0"],
            "agents do not ask in 'acquaint/Questionnaire-v0'",
        ),
        (["--env", "acquaint/Identify-v1"], "Did you mean 'acquaint/Identify-v0'?"),
        (["--sequences", "0"], "--sequences 0: expected at least 1."),
        (["--split", "train", "train"], "each may be named once"),
        (["--threshold", "0.1", "--set", "cost=3.0"], "--set cost: --threshold sets it"),
        (["--beam", "0"], "beam=0"),
        (["--threshold", "-1"], "cost=-1.0"),
        (["--split", "holdout"], "Unknown split 'holdout'"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_in_a_line(arguments, words, tmp_path, capsys):
    assert plan_interviews.main([*SHORT, *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not list(tmp_path.rglob("*.npz"))


def test_the_order_of_a_set_does_not_matter():
    env = room(INTERVIEW, levels=2, num_turns=3)
    beliefs = [
        posterior(env.task, env.users.answers[0], order) for order in permutations((3, 9, 20))
    ]
    assert_allclose(beliefs, beliefs[:1] * 6, rtol=1e-12)
