"""People, transcripts and comparisons for the checks of an agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.contract.play import batch, generator, meet
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats

MakeAgent = Callable[[UserTask], Agent]
PEOPLE = 5


def meet_people(env_id: str, **settings: Any) -> tuple[UserTask, Users]:
    """A task, and five people who are complete from the start."""
    env = batch(env_id, PEOPLE, **settings)
    meet(env)
    return env.task, env.users


def several(task: UserTask, users: Users) -> list[Transcript]:
    """Transcripts that wait for an action: after none, one, half, all but one, unequal answers."""
    last = users.length - 1
    unequal = last * np.arange(PEOPLE) // (PEOPLE - 1)
    turns = (0 * last, np.minimum(1, last), last // 2, last, unequal)
    return [example_transcripts(task, users, turn) for turn in turns]


def possible(task: UserTask, transcripts: Transcript) -> npt.NDArray[np.bool_]:
    """`[B]` whether people could have said this: not where an answer has probability zero.

    By the first type of people: where it never gives an answer, nobody does.
    """
    turns = np.arange(task.num_turns)
    probs = task.model.probs(
        task.population.levels[0], task.model.at_turn(transcripts.stimuli, turns)
    )
    responses = transcripts["actions" if task.binary_feedback else "answers"].astype(np.int64)
    given = np.take_along_axis(probs, np.maximum(responses, 0)[..., None], axis=2)[..., 0] > 0
    if task.binary_feedback:
        given |= transcripts["answers"] == 0
    return np.all(given | (turns >= transcripts.turn[:, None]), axis=1)


def uniforms(number: int = PEOPLE) -> Floats:
    """`[B]` the people's random numbers."""
    return generator(7).random(number)


def difference(one: Decision, other: Decision, tolerance: float) -> str:
    """What differs between two decisions by more than that, in words; empty if nothing does."""
    if not np.array_equal(one.action, other.action):
        return f"actions {np.asarray(one.action)} against {np.asarray(other.action)}"
    for name, mine, yours in (
        ("action_probs", one.action_probs, other.action_probs),
        ("belief", one.belief, other.belief),
    ):
        if not equal(mine, yours, tolerance):
            return name
    return ""


def equal(one: Floats | None, other: Floats | None, tolerance: float) -> bool:
    """Whether two distributions, or their absence, differ by no more than that."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=tolerance))


def part_of(decision: Decision, rows: Any) -> Decision:
    """Some rows of a decision."""
    action, probs, belief = decision[:3]
    return Decision(action[rows], probs[rows], None if belief is None else belief[rows])
