"""Contract checks about what a task says of itself: its manual page, its rewards, its prompts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from itertools import pairwise, product
from typing import Any

import numpy as np

from acquaint_gym.envs.contract.play import (
    batch,
    choose,
    generator,
    meet,
    prompts_of,
    scalar,
    to_pickle,
    watch,
)
from acquaint_gym.envs.core import PROBABILITY_FLOOR, UserTask
from acquaint_gym.envs.interviews.scoring import STATISTICS
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

HEADINGS = (
    "Description",
    "Hidden person",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Information",
    "Arguments",
    "References",
    "Version History",
)


def check_manual(env_id: str, **settings: Any) -> None:
    """The task's docstring is its manual page, with every heading and every argument."""
    task_class = type(scalar(env_id, **settings).task)
    first, *parts = (inspect.getdoc(task_class) or "").split("\n## ")
    name = task_class.__name__
    assert first.strip(), f"{env_id}: {name} has no docstring; write its manual page."
    text = dict(part.partition("\n")[::2] for part in parts)
    headings = [heading for heading in text if heading in HEADINGS]
    missing = [heading for heading in HEADINGS if not text.get(heading, "").strip()]
    assert not missing, (
        f"{env_id}: the docstring of {name} says nothing under "
        f"{', '.join(f'`## {heading}`' for heading in missing)}."
    )
    assert headings == list(HEADINGS), (
        f"{env_id}: the docstring's headings stand in the order {', '.join(headings)}; expected "
        f"{', '.join(HEADINGS)}."
    )
    for argument in inspect.signature(task_class).parameters:
        assert f"`{argument}`" in text["Arguments"], (
            f"{env_id}: the docstring's `## Arguments` do not list `{argument}`."
        )


def check_rewards(env_id: str, **settings: Any) -> None:
    """A hit earns 1 and a miss 0, honest probabilities the most, or questions what they teach."""
    task = scalar(env_id, **settings).task
    if isinstance(task, AskingTask):
        _check_gains(env_id, task, **settings)
        return
    both = "reward" in inspect.signature(type(task)).parameters
    for one in ({"reward": "accuracy"}, {"reward": "log_score"}) if both else ({},):
        task = scalar(env_id, **{**settings, **one}).task
        _check_proper(env_id, task) if task.states_distribution else _check_hits(env_id, task)


def _check_gains(env_id: str, task: AskingTask, **settings: Any) -> None:
    """What an interview earns is its last score less its first, less what the questions cost."""
    env = batch(env_id, 6, **settings)
    observation = meet(env)
    place = {"profile": "log_score", "unasked": "unasked_nll"}.get(task.goal, "")
    sign = -1 if place == "unasked_nll" else 1

    def score() -> Floats:
        stats = env.interview_stats()
        if place:
            return sign * stats[:, STATISTICS.index(place)]
        mean, truth = np.split(stats[:, len(STATISTICS) :], 2, axis=1)
        return -np.square(mean - truth).mean(axis=1)

    first = score()
    total = np.sum([moment.reward for moment in watch(env, observation)], axis=0)
    expected = score() - first - task.cost * env.users.length
    assert np.allclose(total, expected, rtol=0, atol=1e-7), (
        f"{env_id}: interviews earn {total}; the last score less the first, less the questions' "
        f"cost, is {expected}."
    )


def _check_hits(env_id: str, task: UserTask) -> None:
    """1 for an action equal to the answer, else 0."""
    size = len(task.actions)
    action, answer = (index.ravel() for index in np.indices((size, size)))
    earned = task.reward(action, answer)
    assert np.array_equal(earned, action == answer), (
        f"{env_id}: with reward='accuracy' an action equal to the answer must earn 1 and any other "
        f"0; rewards of every action (row) for every answer are\n{earned.reshape(size, size)}"
    )


def _check_proper(env_id: str, task: UserTask) -> None:
    """Finite for whatever is stated; greatest in expectation for those who state what they believe.

    That is what makes a scoring rule proper: Gneiting and Raftery (2007), JASA 102.
    """
    size, rng = len(task.actions), generator()
    believed = rng.dirichlet(np.ones(size), 40)
    believed = np.maximum(believed, 2 * PROBABILITY_FLOOR)
    believed /= believed.sum(axis=1, keepdims=True)
    corners = np.concatenate([np.eye(size), np.zeros((1, size)), np.ones((1, size))])
    nearby = np.clip(believed + rng.normal(0, 0.02, believed.shape), 0, 1)
    action = task.to_box(np.concatenate([believed, corners, nearby, believed * 0.5]))
    earned = np.stack(
        [task.reward(action, np.full(len(action), answer)) for answer in range(size)], axis=1
    )
    assert np.isfinite(earned).all(), (
        f"{env_id}: reward() is not a finite number for every stated distribution and every "
        "answer; floor small probabilities before taking a logarithm."
    )
    expected = believed @ earned.T  # [beliefs, statements]
    honest = np.diagonal(expected)
    lost = (expected.max(axis=1) - honest).max()
    # Statements are float32, so what is stated is a rounding error away from what is believed.
    assert lost < 1e-6, (
        f"{env_id}: by stating other probabilities than it believes an agent can earn {lost:.2g} "
        "more in expectation; take a proper score such as the logarithm of the normalised weight."
    )


def check_turn_form(env_id: str, **settings: Any) -> None:
    """The observation `turn` is the end of the transcript, in every turn."""
    whole = batch(env_id, 3, observation="transcript", **settings)
    latest = batch(env_id, 3, observation="turn", **settings)
    rng = generator()
    for first in (0, 3):  # what the second people see shows whether the first ones are gone
        transcript, over = meet(whole, first), np.zeros(3, dtype=bool)
        ended: Mapping[str, Floats] = meet(latest, first)
        _check_end(env_id, transcript, ended)
        while not over.all():
            action = choose(whole.task, whole.action_masks(), rng)
            observation, _, terminated, truncated, _ = whole.step(action)
            transcript, over = Transcript(observation), terminated | truncated
            ended = latest.step(action)[0]
            _check_end(env_id, transcript, ended)


def _check_end(env_id: str, transcript: Transcript, ended: Mapping[str, Floats]) -> None:
    """One observation `turn` is the end of one transcript."""
    for key, value in transcript.latest().items():
        assert np.array_equal(ended[key], value), (
            f"{env_id}: at turn {transcript.turn} `{key}` of observation='turn' is "
            f"{ended[key].tolist()}, the transcript ends with {value.tolist()}."
        )


def check_prompts(env_id: str, **settings: Any) -> None:
    """A prompt is a chat that shows all options, and every answer once it is given."""
    env = batch(env_id, 2, **settings)
    task = env.task
    replies = task.replies
    assert len(set(replies)) == len(replies) == len(task.actions), (
        f"{env_id}: task.replies are {replies}; expected {len(task.actions)} different texts."
    )
    moments = watch(env, meet(env))
    for turn, moment in enumerate(moments):
        words = f"{env_id}: the prompt at turn {turn}"
        for messages in moment.prompts:
            roles = [message["role"] for message in messages]
            exchanges = len(roles) // 2 - 1
            assert roles == ["system", *("user", "assistant") * exchanges, "user"], (
                f"{words} has the roles {', '.join(roles)}; expected system, then user and "
                "assistant in turn, user last."
            )
            content = [message["content"] for message in messages]
            strange = set(content[2::2]) - set(replies)
            assert not strange, (
                f"{words} lets the assistant say {strange.pop()!r}; expected one of task.replies, "
                f"{', '.join(replies)}."
            )
            assert all(isinstance(text, str) and text.strip() for text in content), (
                f"{words} has a message without text."
            )
            missing = [name for name in task.actions if not any(name in text for text in content)]
            assert not missing, (
                f"{words} does not show the option {missing[0]!r}; write out all of task.actions."
            )
    for turn, (before, after) in enumerate(pairwise(moments), start=1):
        for row in map(int, np.flatnonzero(env.users.length >= turn)):
            words = f"{env_id}: the prompt at turn {turn}"
            assert before.prompts[row] != after.prompts[row], f"{words} is that of the turn before."
            other = deepcopy(after.observation.person(row))
            values = 2 if task.binary_feedback else len(task.categories)
            other["answers"][turn - 1] = (other["answers"][turn - 1] + 1) % values
            assert task.prompt(other) != after.prompts[row], (
                f"{words} is the same whatever the last answer was; show the answers given so far."
            )
    again = prompts_of(task, moments[-1].observation)
    assert again == moments[-1].prompts, f"{env_id}: prompt() renders one observation in two ways."


def check_stateless(env_id: str, **settings: Any) -> None:
    """A task keeps nothing about the people it has served."""
    env = batch(env_id, 3, **settings)
    watch(env, meet(env))  # whatever is computed once and for all is there afterwards
    before = to_pickle(vars(env.task), "The task")
    moments = watch(env, meet(env, first=3))
    assert to_pickle(vars(env.task), "The task") == before, (
        f"{env_id}: the task's attributes changed while it served people. Set them in the "
        "constructor only; what concerns a person belongs into stimuli and answers."
    )
    meet(env, first=6)
    for words, task in (
        ("has met others", env.task),
        ("is new", batch(env_id, 3, **settings).task),
    ):
        for turn, moment in enumerate(moments):
            legal = task.legal(moment.observation)
            again = moment._replace(legal=legal, prompts=prompts_of(task, moment.observation))
            assert not moment.difference(again), (
                f"{env_id}: for the same observation (turn {turn}) a task that {words} gives "
                f"another {moment.difference(again)}. Compute it from the observation only."
            )


def check_words(env_id: str, **settings: Any) -> None:
    """Every wording, order and kind of label asks what is asked; a context can be put in words."""
    env = batch(env_id, 8, **settings)
    meet(env)
    stimuli = np.unique(env.users.stimuli[:, 0], axis=0)
    if env.task.agent_asks:
        stimuli = env.users.stimuli[0]
    orders, labels = ("printed", "reversed"), ("numbers", "letters")
    wording_of: dict[str, int] = {}
    for wording, order, label in product(range(env.task.wordings), orders, labels):
        words = {"wording": wording, "option_order": order, "labels": label}
        name = f"{env_id} with {', '.join(f'{key}={word}' for key, word in words.items())}"
        task = scalar(env_id, **{**settings, **words}).task
        try:
            opening, method = task.instructions(), "question()"
            asked = [task.question(stimulus) for stimulus in stimuli]
            if task.agent_asks:  # what is asked is not known in advance
                asked, method = (
                    [task.context_line(stimulus, 0) for stimulus in stimuli],
                    "context_line()",
                )
        except IndexError as error:
            raise AssertionError(
                f"{name} has no words ({error}); give phrase() as many as `wordings`."
            ) from error
        assert opening.strip(), f"{name}: instructions() is empty; say what the agent is to do."
        assert len(set(asked)) == len(stimuli), (
            f"{name}: {method} says {asked[0]!r} for different stimuli; write out what is asked."
        )
        other = wording_of.setdefault(opening, wording)
        assert other == wording, f"{name}: instructions() are those of wording {other}."
    for answer in range(len(env.task.categories)):
        note = env.task.context_line(stimuli[0], answer)
        one_line = bool(note.strip()) and "\n" not in note.strip()
        assert one_line, (
            f"{env_id}: context_line() is {note!r}; expected one line, as another task's context."
        )
