"""Context: the same person in another task, as people, teachers and errors see it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from acquaint_gym.envs.inference.exact import FactoredPosterior
from acquaint_gym.envs.inference.joint import JointPosterior
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.eval.run import main

FLIGHTS = "acquaint_gym.envs.tasks.flights:Flights"
QUESTIONNAIRE = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
FORCED = "acquaint_gym.envs.tasks.forced_choice:ForcedChoice"
PEOPLE = np.arange(40)


def test_a_person_is_the_same_in_every_personality_task():
    tasks = [FLIGHTS, QUESTIONNAIRE, FORCED]
    levels = [Simulator(make_task(t), "test", 0).draw(PEOPLE).levels for t in tasks]
    for other in levels[1:]:
        np.testing.assert_array_equal(levels[0], other)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_context_is_what_the_person_says_in_that_task(split):
    task = make_task(FLIGHTS, context="answers:10")
    stimuli, answers = task.context.unpack(
        {"context": Simulator(task, split, 3).draw(PEOPLE).context}
    )
    own = Simulator(make_task(QUESTIONNAIRE), split, 3).draw(PEOPLE)
    np.testing.assert_array_equal(stimuli, own.stimuli[:, :10])
    np.testing.assert_array_equal(answers, own.answers[:, :10])


def test_careless_people_were_careless_before():
    quirks = "careless:0.3+acquiescence:1+incoherence:0.1"
    task = make_task(FLIGHTS, context="answers:20", quirks=f"{quirks}+drift:0.2")
    _, answers = task.context.unpack({"context": Simulator(task, "test", 0).draw(PEOPLE).context})
    own = Simulator(make_task(QUESTIONNAIRE, quirks=quirks), "test", 0).draw(PEOPLE)
    np.testing.assert_array_equal(answers, own.answers[:, :20])
    plain = Simulator(make_task(QUESTIONNAIRE), "test", 0).draw(PEOPLE)
    assert (answers != plain.answers[:, :20]).mean() > 0.1
    # Who does not know believes in the plain model there too.
    assert not make_task(FLIGHTS, context="answers:20").context.task.quirks.changes_responses


def test_a_context_changes_nobody():
    plain = Simulator(make_task(FLIGHTS), "test", 0).draw(PEOPLE)
    for context in ("traits", "answers:50", "acquaint/ForcedChoice-v0:4"):
        told = Simulator(make_task(FLIGHTS, context=context), "test", 0).draw(PEOPLE)
        for name in ("levels", "stimuli", "answers", "length"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(told, name))


def test_stated_traits_are_the_levels():
    task = make_task(FLIGHTS, context="traits")
    users = Simulator(task, "test", 0).draw(PEOPLE)
    stimuli, answers = task.context.unpack({"context": users.context})
    np.testing.assert_array_equal(answers, users.levels)
    np.testing.assert_array_equal(stimuli[0, :, 0], np.arange(5))
    before = example_transcripts(task, users, np.zeros(len(PEOPLE), dtype=np.int64))
    conditioned = TranscriptPosterior(task)
    marginals = conditioned.posterior.marginals(conditioned.begin(before))
    picked = np.take_along_axis(marginals, users.levels[..., None].astype(np.int64), axis=2)
    assert picked.min() > 1 - 1e-6


@pytest.mark.parametrize("parameters", ["study", "human"])
@pytest.mark.parametrize("context", ["answers:12", "acquaint/SingleTraitOpenness-v0:3"])
def test_the_belief_before_the_first_turn_is_bayes_rule(context, parameters):
    """Brute force over all 3,125 profiles; `human` has a prior that does not factorise."""
    task = make_task(FORCED, context=context, parameters=parameters)
    users = Simulator(task, "test", 0).draw(PEOPLE[:6])
    before = example_transcripts(task, users, np.zeros(6, dtype=np.int64))
    weights = TranscriptPosterior(task).begin(before)[:, 0]
    model, levels = task.context.task.model, task.population.levels
    for row, (stimuli, answers) in enumerate(zip(*task.context.unpack(before), strict=True)):
        expected = task.population.prior.copy()
        for stimulus, answer in zip(stimuli, answers, strict=True):
            expected = expected * model.probs(levels, stimulus)[:, int(answer)]
        np.testing.assert_allclose(weights[row], expected / expected.sum(), rtol=0, atol=1e-12)


def test_a_factored_context_leaves_a_factored_task_factored():
    factored = make_task(QUESTIONNAIRE, context="traits").make_posterior()
    assert isinstance(factored, FactoredPosterior)
    # What three traits decide together ties their posteriors.
    joint = make_task(QUESTIONNAIRE, context="acquaint/Flights-v0:2")
    assert isinstance(joint.make_posterior(), JointPosterior)
    with pytest.raises(ValueError, match="needs posterior='joint'"):
        joint.make_posterior("factored")


def test_knowing_more_helps():
    """The teacher's first recommendation, before anything is learned in the task itself."""
    hits = []
    for context in ("none", "answers:10", "answers:50", "traits"):
        task = make_task(FLIGHTS, context=context)
        users = Simulator(task, "test", 0).draw(np.arange(2000))
        conditioned = TranscriptPosterior(task)
        first = example_transcripts(task, users, np.zeros(2000, dtype=np.int64))
        belief = conditioned.begin(first)
        predictive = conditioned.posterior.predict(belief, users.stimuli[:, 0])
        hits.append((predictive.argmax(axis=1) == users.answers[:, 0]).mean())
    # A standard error is 0.011.
    assert hits[0] + 0.2 < hits[1] < hits[2] + 0.01
    assert hits[2] < hits[3] + 0.01


@pytest.mark.parametrize(
    ("context", "problem"),
    [
        ("trait", "expected none, traits, answers:K or ID:K"),
        ("traits:3", "expected none, traits, answers:K or ID:K"),
        ("answers", "expected none, traits, answers:K or ID:K"),
        ("answers:0", "expected none, traits, answers:K or ID:K"),
        ("answers:51", r"51 turns; Questionnaire has 1\.\.50"),
        ("acquaint/Nowhere-v0:3", "expected none, traits, answers:K or ID:K"),
        ("CartPole-v1:3", "expected none, traits, answers:K or ID:K"),
        ("acquaint/FlightChoice-v0:3", "about other people"),
        ("acquaint/Flights-v0:3", "this task itself"),
    ],
)
def test_what_is_no_context_is_refused(context, problem):
    with pytest.raises(ValueError, match=problem):
        make_task(FLIGHTS, context=context)


def test_latent_classes_have_no_context():
    with pytest.raises(ValueError, match="about other people"):
        make_task(QUESTIONNAIRE, population="classes", context="traits")


def test_the_context_is_part_of_the_observation():
    env = gym.make("acquaint/Flights-v0", context="answers:7", disable_env_checker=True)
    space = env.observation_space["context"]
    assert space.shape == (14,)
    for _ in range(3):
        observation, _ = env.reset()
        assert env.observation_space.contains(observation)
    assert "context" not in gym.make("acquaint/Flights-v0").observation_space.spaces


def test_a_teacher_with_another_context_is_refused(tmp_path, capsys):
    """The agent's transcripts hold no such context: refused before anything runs."""
    command = ["--agent", "bayes:context=traits", "--env", "acquaint/Flights-v0", "--users", "3"]
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "context of 5 turns of StatedTraits, the environment tells nothing" in " ".join(
        capsys.readouterr().err.split()
    )
    # An agent that ignores the context is none.
    deaf = ["--agent", "bayes", "bayes:context=none", *command[2:], "--set", "context=traits"]
    assert main([*deaf, "--out", str(tmp_path)]) == 0
