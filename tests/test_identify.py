"""Raters as hypotheses: who they are, how they answer anew, and who is told from whom."""

from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest
from kit import generator, respondents
from numpy.testing import assert_allclose, assert_array_equal

from acquaint_gym.agents.interviewers.infomax import InfomaxAgent
from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.interview import Interview
from acquaint_gym.envs.users.classes import load_classes
from acquaint_gym.envs.users.humans import split_rows
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.raters import kernel, load_raters, response_table
from acquaint_gym.eval.metrics import all_metrics
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.train import fit_raters

METRICS = all_metrics()
IDENTIFY = "acquaint/Identify-v0"
TASK = "acquaint_gym.envs.tasks.identify:Identify"
BANK = ItemBank.load("ipip50")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A file of 60 people, four of whom left an item out, with published rows of their own."""
    answers = generator(3).integers(1, 6, (60, 50))
    table = np.column_stack([np.arange(60) * 7 + 3, answers])
    table[[5, 11, 20, 41], 9] = 0
    return respondents(tmp_path_factory.mktemp("raters") / "people.csv", table), table


def met(agent=InfomaxAgent, **arguments):
    """The trace of everybody in a split of a file, or of 30 simulated people."""
    env = gym.make_vec(IDENTIFY, num_envs=1, **arguments).unwrapped
    num = env.num_people or 30
    env = gym.make_vec(IDENTIFY, num_envs=num, autoreset_mode="Disabled", **arguments).unwrapped
    asks = agent(env.task)
    return env, rollout(env, asks, asks, np.arange(num), np.zeros((num, env.task.num_turns)))


def number(trace, name):
    """`[N, T + 1]` one of the scorer's numbers."""
    return trace.interview_stats[:, :, STATISTICS.index(name)]


@pytest.mark.parametrize(("categories", "width"), [(5, 1.0), (7, 0.4), (2, 3.0)])
def test_the_kernel_falls_with_the_distance_and_is_a_distribution(categories, width):
    probs = kernel(categories, width)
    for recorded in range(categories):
        weights = [np.exp(-abs(k - recorded) / width) for k in range(categories)]
        assert_allclose(probs[recorded], [w / sum(weights) for w in weights], rtol=1e-12)
    answers = np.arange(6).reshape(2, 3) % categories
    table = response_table(answers, categories, width)
    assert table.shape == (3, 2, categories)
    for rater, item in np.ndindex(2, 3):
        assert_array_equal(table[item, rater], probs[answers[rater, item]])


def test_the_posterior_is_that_of_plain_sums_over_raters():
    env, trace = met(num_raters=25, num_turns=4, width=0.7)
    recorded = env.task.model.table.argmax(axis=2).T  # a kernel peaks at what was recorded
    for row in range(30):
        weights = np.ones(25)
        for turn in range(5):
            share = weights[trace.levels[row, 0]] / weights.sum()
            assert number(trace, "log_score")[row, turn] == pytest.approx(np.log(share), abs=1e-9)
            if turn < 4:
                item, answer = int(trace.stimuli[row, turn, 0]), int(trace.answers[row, turn])
                for rater in range(25):
                    weights[rater] *= kernel(5, 0.7)[recorded[rater, item], answer]
    assert_allclose(trace.rewards.sum(axis=1), np.diff(number(trace, "log_score")).sum(axis=1))


def test_raters_are_the_interviews_first_people():
    task = make_task(TASK, num_raters=12)
    source = Simulator(Interview(parameters="human"), "train", 0)
    answers = source.draw(np.arange(12)).answers
    assert_array_equal(task.model.table.argmax(axis=2).T, answers)
    assert len(np.unique(answers, axis=0)) == 12


def test_raters_are_complete_people_of_the_training_split(people):
    path, table = people
    fits = split_rows(table[:, 0], "train") & (table[:, 1:] > 0).all(axis=1)
    every = load_raters(BANK, path, 0)
    assert 30 < fits.sum() < 56
    assert_array_equal(every.row, table[fits, 0])
    assert_array_equal(every.answers, table[fits, 1:] - 1)
    few, more = (load_raters(BANK, path, num).row for num in (8, 20))
    assert set(few) < set(more) < set(every.row)
    # Spread over the file: in every third of it there are some.
    assert np.histogram(few, 3, (0, 60 * 7))[0].min() >= 1


def test_who_is_in_the_bank_is_known_by_the_published_row(people):
    path, table = people
    task = make_task(TASK, raters=path, num_raters=20)
    bank = load_raters(BANK, path, 20)
    found = task.known_levels(table[:, 0], table[:, 1:] - 1)[:, 0]
    for row, rater in zip(table[:, 0], found, strict=True):
        inside = np.flatnonzero(bank.row == row)
        assert rater == (inside[0] if len(inside) else -1)
    assert (found >= 0).sum() == 20
    # People of another file have the same row numbers and other answers.
    assert (task.known_levels(table[:, 0], table[::-1, 1:] - 1) == -1).all()
    invented = make_task(TASK, num_raters=20)
    assert (invented.known_levels(table[:, 0], table[:, 1:] - 1) == -1).all()


def test_raters_are_identified_and_outsiders_have_no_identity(people):
    path, _ = people
    given = {"raters": path, "respondents": path, "num_raters": 0}
    env, trace = met(split="train", num_turns=50, **given)
    assert_array_equal(np.sort(trace.levels[:, 0]), np.arange(env.num_people))
    assert number(trace, "identified")[:, 0].sum() == 1  # of equals the first
    assert (number(trace, "identified")[:, -1] == 1).all()
    assert (METRICS["identified"].statistics(trace) == 1).all()
    _, outside = met(split="dev", num_turns=5, **given)
    assert (outside.levels == -1).all()
    assert np.isnan(number(outside, "identified")).all()
    assert np.isfinite(number(outside, "unasked_nll")).all()


def test_the_score_of_outsiders_is_the_mean_under_all_their_answers(people):
    path, _ = people
    env, trace = met(raters=path, respondents=path, num_raters=9, split="dev", num_turns=2)
    recorded = load_raters(BANK, path, 9).answers

    def posterior(items, answers):
        given = zip(items, answers, strict=True)
        logs = sum(np.log(kernel(5, 1.0)[recorded[:, item], answer]) for item, answer in given)
        return np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()

    for row in range(env.num_people):
        informed = posterior(range(50), env.users.answers[row])
        told = posterior(trace.stimuli[row, :, 0].astype(int), trace.answers[row])
        assert_allclose(number(trace, "log_score")[row, 2], informed @ np.log(told), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 0.05}, "width=0.05; expected at least 0.1."),
        ({"reward": "traits"}, "raters have no traits"),
        ({"num_raters": 1}, "expected at least 2 simulated raters"),
        ({"raters": "PATH", "num_raters": 58}, "in its training split who answered"),
        ({"raters": "nowhere.csv"}, "nowhere.csv: no such file"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_a_line(arguments, words, people):
    given = {key: people[0] if value == "PATH" else value for key, value in arguments.items()}
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        make_task(TASK, **given)
    assert "\n" not in str(refused.value)


# The width of the kernel.


def test_scores_of_a_width_are_those_of_plain_sums():
    rng = np.random.Generator(np.random.Philox(8))
    raters, others = rng.integers(0, 5, (6, 4)), rng.integers(0, 5, (3, 4))
    found = fit_raters.scores(raters, others, 5, 0.8, np.random.Generator(np.random.Philox(1)))
    order = np.random.Generator(np.random.Philox(1)).permutation(4)
    surprise, hits = 0.0, 0
    for person in others:
        weights = np.ones(6)
        for item in order:
            likelihood = kernel(5, 0.8)[raters[:, item]]
            predicted = weights @ likelihood / weights.sum()
            surprise -= np.log(predicted[person[item]])
            hits += predicted.argmax() == person[item]
            weights *= likelihood[:, person[item]]
    assert_allclose(found, [hits / 12, surprise / 12], rtol=1e-12)


def test_widths_are_compared_in_a_table(people, capsys):
    assert fit_raters.main(["--data", people[0], "--others", "9", "--width", "0.5", "2"]) == 0
    printed = capsys.readouterr().out
    assert "raters of ipip50" in printed
    assert len(re.findall(r"│ (0\.5|2) +│ 0\.\d{4} +│ [12]\.\d{4} +│", printed)) == 2
    with pytest.raises(SystemExit):
        fit_raters.main(["--data", people[0], "--others", "99"])
    assert "--others 99: expected 1.." in capsys.readouterr().err


# The larger banks.


@pytest.mark.parametrize(("name", "items", "categories"), [("spi128", 128, 6), ("ambi181", 181, 7)])
def test_a_larger_bank_is_whole(name, items, categories):
    bank = ItemBank.load(name)
    assert (bank.num_items, bank.num_categories) == (items, categories)
    assert len(set(bank.text)) == len(set(bank.item_ids)) == items
    assert all(text.endswith((".", '."')) for text in bank.text)
    assert not re.search(r"\b([Dd]ont|cant|Im|peoples)\b", " ".join(bank.text))
    prior, probs = load_classes(bank, "classes")
    assert probs.shape == (len(prior), items, categories)


def test_who_answered_the_ambi_can_be_told_from_others(tmp_path):
    bank = ItemBank.load("ambi181")
    rng = np.random.Generator(np.random.Philox(4))
    header, path = ",".join(f"{item},Q{n}I" for n, item in enumerate(bank.item_ids)), tmp_path / "a"
    answers = rng.integers(1, 8, (9, 2 * 181))
    np.savetxt(path, answers, "%d", ",", header=header, comments="")
    given = {"questionnaire": "ambi181", "raters": str(path), "respondents": str(path)}
    _, trace = met(num_raters=0, num_turns=12, split="train", **given)
    assert 5 < len(trace.person) < 9
    assert (number(trace, "identified")[:, -1] == 1).all()


def test_the_spi_asks_about_five_traits_and_nothing_of_another_publisher():
    bank = ItemBank.load("spi128")
    assert set(bank.traits) == set(BANK.traits)
    assert not {item for item in bank.item_ids if item.startswith("q_4")} - {"q_422", "q_493"}
    graded = GradedParameters.load(bank, "human")
    # Items of clear direction: the keys are those a reader expects.
    keyed = dict(zip(bank.item_ids, bank.keying, strict=True))
    expected = {"q_1989": -1, "q_1201": 1, "q_312": -1, "q_253": 1, "q_2745": 1, "q_501": -1}
    assert {item: keyed[item] for item in expected} == expected
    assert graded.correlation.shape == (5, 5)


@pytest.mark.parametrize("population", ["profiles", "classes"])
def test_real_people_can_be_interviewed_over_the_spi(population, tmp_path):
    path = respondents(tmp_path / "spi.csv", generator(4).integers(1, 7, (3, 128)), "spi128")
    env = gym.make_vec(
        "acquaint/Interview-v0",
        num_envs=3,
        autoreset_mode="Disabled",
        respondents=path,
        split="all",
        questionnaire="spi128",
        parameters="human",
        population=population,
        num_turns=4,
    ).unwrapped
    agent = InfomaxAgent(env.task)
    trace = rollout(env, agent, agent, np.arange(3), np.zeros((3, 4)))
    recorded = env.users.answers
    for row, turn in np.ndindex(3, 4):
        assert trace.answers[row, turn] == recorded[row, int(trace.stimuli[row, turn, 0])]
    assert np.isfinite(number(trace, "log_score")).all()
