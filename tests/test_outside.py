"""What a stranger's people, scorer or posterior gets wrong is said in a line that names it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tiny_llm import questionnaire, seen

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import TooLongError
from acquaint_gym.agents.llm.scorer import make_scorer
from acquaint_gym.envs.inference import exact
from acquaint_gym.envs.inference.exact import FactoredPosterior
from acquaint_gym.envs.inference.posterior import PosteriorError, make_posterior
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.users.outside import OutsideSource
from acquaint_gym.envs.users.people import PeopleError
from acquaint_gym.eval.run import main

TASK = questionnaire(num_turns=3)
PEOPLE = np.arange(4)


class Source(Simulator):
    """The simulator's people, of whom one array is changed."""

    def __init__(self, **changes):
        super().__init__(TASK, "test", 0)
        self._changes = changes

    def draw(self, person):
        users = super().draw(person)
        return users._replace(
            **{k: change(getattr(users, k)) for k, change in self._changes.items()}
        )


def test_people_as_they_should_be_pass():
    drawn = OutsideSource("own:Source", Source(), TASK).draw(PEOPLE)
    for mine, plain in zip(drawn, Simulator(TASK, "test", 0).draw(PEOPLE), strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("answers", lambda a: a[:1], r"answers is int8 \[1, 3\], expected whole numbers \[4, 3\]"),
        ("answers", lambda a: a + 0.9, r"answers is float64 \[4, 3\], expected whole numbers"),
        ("answers", lambda a: a + 99, r"answers are \d+..\d+, expected 0..4, and -1"),
        ("answers", lambda a: np.full_like(a, -1), r"answers are -1..-1, expected 0..4"),
        ("levels", lambda a: a[:, :2], r"levels is int32 \[4, 2\]"),
        ("left", lambda a: a.astype(float), r"left is float64 \[4\], expected true or false"),
    ],
)
def test_other_people_are_named(name, change, message):
    with pytest.raises(PeopleError, match=rf"people='own:Source': {message}"):
        OutsideSource("own:Source", Source(**{name: change}), TASK).draw(PEOPLE)


def test_a_source_without_its_parts_is_named():
    with pytest.raises(PeopleError, match="'own:Nothing' has no num_people, stride, draw"):
        OutsideSource("own:Nothing", object(), TASK)
    source = Source()
    source.draw = lambda person: "people"
    with pytest.raises(PeopleError, match=r"draw\(\) gave str, expected"):
        OutsideSource("own:Source", source, TASK).draw(PEOPLE)


@pytest.mark.parametrize(
    ("part", "number", "message"),
    [
        ("stride", 0, "stride is 0, expected a whole number of at least 1"),
        ("stride", -1, "stride is -1, expected a whole number of at least 1"),
        ("stride", 1.5, r"stride is 1\.5, expected"),
        ("stride", "1", "stride is '1', expected"),
        ("num_people", 0, "num_people is 0, expected a whole number of at least 1"),
        ("num_people", 2.5, r"num_people is 2\.5, expected"),
        ("num_people", 2**40, "stride 2 and num_people 1099511627776 have a common"),
    ],
)
def test_people_that_cannot_be_counted_are_named(part, number, message):
    # With a stride of 2 and 2**40 people a lane would meet a part of them.
    numbers = {"stride": 2, "num_people": None, part: number}
    source = type("Counted", (Source,), numbers)()
    with pytest.raises(PeopleError, match=rf"^people='own:Counted': {message}"):
        OutsideSource("own:Counted", source, TASK)


class Words:
    def replies(self, texts):
        return [[n] for n in range(len(texts))]

    def encode(self, messages):
        from types import SimpleNamespace

        return SimpleNamespace(ids=[1])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((2, 4)), r"Scorer Fixed gave \[2, 4\], expected \[2, 5\]"),
        (np.full((2, 5), 3.0), "log-probabilities up to 3.0"),
        (np.full((2, 5), np.nan), "none of them NaN"),
    ],
)
def test_a_scorer_that_is_wrong_is_named(scores, message):
    class Fixed:
        def score(self, conversations, replies):
            return scores

    agent = ChoiceAgent(TASK, Words(), Fixed())
    with pytest.raises(OutsideError, match=message):
        agent.act(seen(TASK, 1, 2), np.zeros(2))


class Broken:
    def __init__(self, **arguments):
        if arguments:
            raise RuntimeError("no device")

    def score(self, conversations, replies):
        raise RuntimeError("engine\ndied")


def test_a_scorer_that_raises_is_named(monkeypatch):
    agent, waiting = ChoiceAgent(TASK, Words(), Broken()), seen(TASK, 1, 2)
    place = r"\(.*test_outside\.py, line \d+\)"
    with pytest.raises(OutsideError, match=rf"^Scorer Broken: RuntimeError: engine died {place}"):
        agent.act(waiting, np.zeros(2))
    with pytest.raises(ValueError, match=rf"^Scorer '.*:Broken': RuntimeError: no device {place}"):
        make_scorer(f"{__name__}:Broken", model="x")
    # A fault of our own engine is no stranger's.
    monkeypatch.setattr(Broken, "__module__", "acquaint_gym.agents.llm.hugging_face")
    with pytest.raises(RuntimeError, match="engine\ndied"):
        agent.act(waiting, np.zeros(2))


def test_a_scorer_that_cannot_score_is_named():
    with pytest.raises(OutsideError, match=r"Scorer object has no method score\(\)"):
        ChoiceAgent(TASK, Words(), object()).act(seen(TASK, 1, 2), np.zeros(2))


def test_a_conversation_that_is_too_long_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(TooLongError("too long", 3)))
    assert (str(error), error.turns) == ("too long", 3)


class Half:
    def __init__(self, population, model):
        self.tolerance = 0.1


def test_a_posterior_without_its_parts_is_named(monkeypatch):
    monkeypatch.setattr(exact, "Half", Half, raising=False)
    name = "acquaint_gym.envs.inference.exact:Half"
    with pytest.raises(ValueError, match="has no bytes_per_person, start, update, predict"):
        make_posterior(name, True, TASK.population, TASK.model)


class Changed(FactoredPosterior):
    """The exact one, of which one method gives something else."""

    method, change = "", staticmethod(lambda numbers: numbers)

    def __getattribute__(self, name):
        mine = super().__getattribute__(name)
        if name != Changed.method:
            return mine
        return lambda *given, **more: Changed.change(mine(*given, **more))


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("predict", lambda p: p[:1], r"predict\(\) gave float64 \[1, 5\], expected numbers \[4, 5"),
        ("predict", lambda p: p * np.nan, r"predict\(\) gave \[nan.*that sum to 1"),
        ("predict", lambda p: 2 * p, r"predict\(\) gave .*that sum to 1"),
        ("predict", lambda p: p[:, :4], r"predict\(\) .*expected numbers \[4, 5\]"),
        ("predict_all", lambda p: p[:, 0], r"predict_all\(\) .*numbers \[4, 2, 5\]"),
        ("information", lambda i: i - 1, r"information\(\) gave -.*nats of at least 0"),
        ("marginals", lambda m: m[:, :2], r"marginals\(\) gave float64 \[4, 2, 5\]"),
        ("log_prob", lambda p: p + 9, r"log_prob\(\) gave .*nats of at most 0"),
        (
            "marginals",
            lambda m: m[:1],
            r"marginals\(\) gave float64 \[1, 5, 5\], expected numbers \[4,",
        ),
        ("information", lambda i: i[:1], r"information\(\) gave float64 \[1, 4\], expected numb"),
        ("sample", lambda s: s + 5, r"sample\(\) gave int64 .*expected whole levels 0..4"),
        ("sample", lambda s: s * np.nan, r"sample\(\) gave float64 nan"),
        ("sample", lambda s: s.astype(str), r"sample\(\) gave <U21 \[4, 5\], expected numbers"),
    ],
)
def test_a_posterior_that_is_wrong_is_named(method, change, message, monkeypatch):
    monkeypatch.setattr(Changed, "method", method)
    monkeypatch.setattr(Changed, "change", staticmethod(change))
    posterior = make_posterior(f"{__name__}:Changed", True, TASK.population, TASK.model)
    belief, items = posterior.start(4), np.zeros((4, 1))
    calls = {
        "predict": lambda: posterior.predict(belief, items),
        "predict_all": lambda: posterior.predict_all(belief, items[:2]),
        "information": lambda: posterior.information(belief, items),
        "marginals": lambda: posterior.marginals(belief),
        "log_prob": lambda: posterior.log_prob(belief, np.zeros((4, 5), dtype=int)),
        "sample": lambda: posterior.sample(belief, np.full(4, 0.5)),
    }
    with pytest.raises(PosteriorError, match=rf"posterior='{__name__}:Changed': {message}"):
        calls[method]()


def broken_off(numbers):
    raise KeyError("x")


@pytest.mark.parametrize("method", ["start", "update", "predict", "take"])
def test_a_posterior_that_raises_is_named_with_the_place(method, monkeypatch):
    monkeypatch.setattr(Changed, "method", method)
    monkeypatch.setattr(Changed, "change", staticmethod(broken_off))
    posterior = make_posterior(f"{__name__}:Changed", True, TASK.population, TASK.model)
    zeros = np.zeros(2, dtype=int)

    def ask():
        belief = posterior.update(posterior.start(2), np.zeros((2, 1)), zeros)
        posterior.predict(posterior.take(belief, zeros), np.zeros((2, 1)))

    with pytest.raises(PosteriorError, match=r"Changed': KeyError: 'x' \(.*test_outside.py, line"):
        ask()


def test_a_run_with_it_ends_in_a_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(Changed, "method", "predict")
    monkeypatch.setattr(Changed, "change", staticmethod(lambda probs: probs[:1]))
    command = ["--agent", "bayes", "--users", "2", "--set", f"posterior={__name__}:Changed"]
    assert main([*command, "--workers", "1", "--out", str(tmp_path)]) == 2
    assert f"posterior='{__name__}:Changed': predict() gave" in capsys.readouterr().err
