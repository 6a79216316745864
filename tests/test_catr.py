"""Our interviewers beside recorded runs of the R package catR; `golden/catr.R` is their call."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from acquaint_gym.agents.interviewers.psychometric import FisherAgent
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import TableModel, graded_information, graded_response

CATR = json.loads((Path(__file__).parent / "golden" / "catr.json").read_text())
A, B = np.array(CATR["bank"])[:, 0], np.array(CATR["bank"])[:, 1:]
PEOPLE = range(len(CATR["answers"]))


class OneTrait(AskingTask):
    """catR's ten items, and its theta: a standard normal on 161 points, by the trapezoidal rule."""

    def __init__(self):
        names = tuple(f"item {n}" for n in range(1, 11))
        bank = ItemBank(
            name="catr",
            item_ids=names,
            aliases=names,
            text=names,
            traits=("theta",),
            trait=np.zeros(10, dtype=int),
            keying=np.ones(10, dtype=int),
            codes=(0, 1, 2, 3, 4),
            labels=("never", "seldom", "at times", "often", "always"),
        )
        super().__init__(bank, 10, "profile", allow_stop=False, cost=0.0)
        grid = np.linspace(-4, 4, 161)
        prior = np.exp(-np.square(grid) / 2)
        prior[[0, -1]] /= 2
        levels = np.arange(161)[:, None]
        self.population = Population(("theta",), levels, prior / prior.sum(), grid, False)
        self.graded = GradedParameters(A, B, None)
        self.model = TableModel(bank.response_table(grid, self.graded), bank.trait)


def transcript(task, asked, given):
    """One person's, after `given` answers, item by item, to the questions `asked`."""
    told = np.full((2, 1, 10), -1.0)
    told[0, 0, : len(asked)], told[1, 0, : len(asked)] = asked, given[asked]
    stimuli, answers = told
    return Transcript.of(np.array([len(asked)]), stimuli[..., None], stimuli, answers)


def moments(task, weights):
    """Posterior mean and variance of theta of each row of `[n, 1, 161]`."""
    grid, chance = task.population.grid, weights[:, 0]
    mean = chance @ grid
    return mean, chance @ np.square(grid) - mean**2


def test_the_record_is_complete():
    assert len(CATR["fisher"]) == len(CATR["variance"]) == len(PEOPLE) == 3
    for run in (*CATR["fisher"], *CATR["variance"]):
        assert sorted(run["item"]) == list(range(1, 11))
        assert {len(run[key]) for key in ("value", "theta", "sd", "epv")} == {10}
    orders = {tuple(run["item"]) for run in CATR["fisher"]}
    assert len(orders) == 3  # who answers otherwise is asked otherwise


@pytest.mark.parametrize("place", range(4))
def test_probabilities_and_fisher_information_are_those_of_catr(place):
    theta = CATR["at"][place]
    probs = graded_response(np.array([theta]), A, B)[:, 0]
    assert_allclose(probs, CATR["probs"][place], rtol=0, atol=1e-13)
    information = graded_information(np.full(10, theta), A, B)
    assert_allclose(information, CATR["information"][place], rtol=1e-11)


@pytest.mark.parametrize("person", PEOPLE)
def test_fisher_asks_and_learns_what_catr_does(person):
    """The whole adaptive test: items, information, posterior mean and deviation, step by step."""
    task, run = OneTrait(), CATR["fisher"][person]
    agent, given = FisherAgent(task), np.array(CATR["answers"][person])
    asked: list[int] = []
    for step in range(10):
        told = transcript(task, asked, given)
        weights = condition(agent.posterior, told)
        worth = agent.utility(
            weights, agent.posterior.marginals(weights), np.ones((1, 10), dtype=bool)
        )
        asked.append(int(agent.act(told, np.zeros(1)).action[0]))
        assert asked[-1] + 1 == run["item"][step]
        assert_allclose(worth[0, asked[-1]], run["value"][step], rtol=1e-11)
        after = condition(agent.posterior, transcript(task, asked, given))
        mean, variance = moments(task, after)
        assert_allclose(mean[0], run["theta"][step], rtol=0, atol=1e-12)
        assert_allclose(np.sqrt(variance[0]), run["sd"][step], rtol=1e-11)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("criterion", ["fisher", "variance"])
def test_what_each_possible_answer_would_teach_is_what_catr_expects(criterion, person):
    """The posterior variance that an item is expected to leave, of every item at every step.

    catR weighs the next answers by how probable they are at the posterior mean, where we take the
    whole posterior (as `Posterior.predict_all`); so its weights are used here.
    """
    task, run = OneTrait(), CATR[criterion][person]
    posterior, given = task.make_posterior(), np.array(CATR["answers"][person])
    compared = 0
    for step in range(10):
        asked = [item - 1 for item in run["item"][:step]]
        weights = condition(posterior, transcript(task, asked, given))
        likely = graded_response(moments(task, weights)[0], A, B)[:, 0]
        expected = np.full(10, np.nan)
        for item in set(range(10)) - set(asked):
            stimuli = np.repeat(task.offered[[item]], 5, axis=0)
            after = posterior.update(np.repeat(weights, 5, axis=0), stimuli, np.arange(5))
            expected[item] = likely[item] @ moments(task, after)[1]
            compared += 1
        assert_allclose(expected, np.array(run["epv"][step], dtype=float), rtol=1e-11)
        if criterion == "variance":
            assert np.nanargmin(expected) + 1 == run["item"][step]
    assert compared == 55
