"""What an agent sees of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from acquaint_gym.envs.users.response_models import Floats, Ints

if TYPE_CHECKING:
    from acquaint_gym.envs.core import UserTask

Observation = Mapping[str, Floats]
"""Transcripts: `turn` `[B, 1]`, `stimuli` `[B, T * S]`, `actions` `[B, T]`, `answers` `[B, T]`.

-1 where nothing stands yet. The stimulus of the present turn is shown, unless the agent is to
choose it; its answer is not. With `feedback="accept"` 1 and 0 stand for accepted and rejected
actions among the answers. Where the task has a context, `context` `[B, C * (S' + 1)]` holds what is
known of the person from another task: C times a stimulus of that task and the person's answer.
Where the agent chooses what to ask, `action_mask` `[B, A]` is 1 for what it may choose now. All
parts are flat, as Stable-Baselines3 wants them; `stimuli_of` gives the stimuli turn by turn."""


def stimuli_of(observation: Observation) -> Floats:
    """`[..., T, S]` what each turn asked; -1 where nothing was asked yet."""
    return observation["stimuli"].reshape(*observation["answers"].shape, -1)


def present_stimulus(observation: Observation) -> Floats:
    """`[B, S]` the stimulus to which each person's answer is due."""
    turn = observation["turn"][:, 0].astype(np.int64)
    return stimuli_of(observation)[np.arange(len(turn)), turn]


def as_of(task: UserTask, observation: Observation, turn: Ints) -> dict[str, Floats]:
    """These transcripts as they were at earlier turns `[B]`; one transcript serves many turns."""
    turns = np.arange(task.num_turns)
    told, asked = turns < turn[:, None], turns < turn[:, None] + (not task.agent_asks)
    stimuli = np.where(asked[:, :, None], stimuli_of(observation), -1)
    then = {
        **observation,
        "turn": turn[:, None].astype(np.float32),
        "stimuli": stimuli.reshape(len(turn), -1),
        **{key: np.where(told, observation[key], -1) for key in ("actions", "answers")},
    }
    return masked(task, then)


def masked(task: UserTask, told: Observation) -> dict[str, Floats]:
    """Transcripts with what may be chosen now, in a task in which agents choose what to ask."""
    mask = {"action_mask": task.legal(told).astype(np.float32)} if task.agent_asks else {}
    return {**told, **mask}


def observation_space(task: UserTask, form: str) -> spaces.Dict:
    """Space of the `transcript` observation, or of this `turn` only."""
    low = np.minimum(task.stimulus_low, -1).astype(np.float32)
    high = task.stimulus_high.astype(np.float32)
    turns = task.num_turns
    most, last = float(len(task.actions) - 1), float(len(task.categories) - 1)
    parts: dict[str, spaces.Space[object]] = {"turn": spaces.Box(0, turns, (1,), np.float32)}
    if form == "turn":
        parts["stimulus"] = spaces.Box(low, high, dtype=np.float32)
        parts["action"] = spaces.Box(-1, most, (1,), np.float32)
        parts["answer"] = spaces.Box(-1, last, (1,), np.float32)
    else:
        parts["stimuli"] = spaces.Box(np.tile(low, turns), np.tile(high, turns))
        parts["actions"] = spaces.Box(-1, most, (turns,), np.float32)
        parts["answers"] = spaces.Box(-1, last, (turns,), np.float32)
    if task.context is not None:
        parts["context"] = task.context.space
    if task.agent_asks:
        parts["action_mask"] = spaces.Box(0, 1, (len(task.actions),), np.float32)
    return spaces.Dict(parts)
