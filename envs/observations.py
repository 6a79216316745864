"""Observations of a task: their space, and transcripts of people whom nobody has played with."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Ints


def observation_space(task: UserTask, form: str) -> spaces.Dict:
    """Space of the `transcript` observation of one person, or of this `turn` only."""
    low = np.minimum(task.stimulus_low, -1).astype(np.float32)
    high = task.stimulus_high.astype(np.float32)
    turns = task.num_turns
    last_action, last_answer = float(len(task.actions) - 1), float(len(task.categories) - 1)
    parts: dict[str, spaces.Space[object]] = {"turn": spaces.Box(0, turns, (1,), np.float32)}
    if form == "turn":
        parts["stimulus"] = spaces.Box(low, high, dtype=np.float32)
        parts["action"] = spaces.Box(-1, last_action, (1,), np.float32)
        parts["answer"] = spaces.Box(-1, last_answer, (1,), np.float32)
    else:
        parts["stimuli"] = spaces.Box(np.tile(low, turns), np.tile(high, turns))
        parts["actions"] = spaces.Box(-1, last_action, (turns,), np.float32)
        parts["answers"] = spaces.Box(-1, last_answer, (turns,), np.float32)
    if task.context is not None:
        parts["context"] = task.context.space
    if task.agent_asks:
        parts["action_mask"] = spaces.Box(0, 1, (len(task.actions),), np.float32)
    return spaces.Dict(parts)


def example_transcripts(task: UserTask, users: Users, turn: Ints) -> Transcript:
    """Transcripts of B people after `turn` `[B]` turns, without an environment or an agent.

    The actions are right ones; where people only accept or reject them, every other one is wrong.
    Where agents choose what to ask, every person is asked in another order.
    """
    turn = np.minimum(turn, users.length)
    stimuli, answers, column = users.stimuli, users.answers, np.arange(task.num_turns)
    if task.agent_asks:
        order = np.random.Generator(np.random.Philox(0)).permutation(answers.shape[1])
        actions = order[(np.arange(len(turn))[:, None] + column) % len(order)]
        answers = np.take_along_axis(answers, actions, axis=1)
        stimuli = np.take_along_axis(stimuli, actions[..., None], axis=1)
    else:
        actions = (answers + task.binary_feedback * (column % 2)) % len(task.actions)
    shown = task.feedback_of(actions, answers, users.would_accept)
    context = None if task.context is None else users.context
    return Transcript.of(turn, stimuli, actions, shown, context=context).at(turn, task)
