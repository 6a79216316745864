"""What an agent sees of a conversation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.users.response_models import Floats

Observation = Mapping[str, Floats]
"""Transcripts: `turn` `[B, 1]`, `stimuli` `[B, T * S]`, `actions` `[B, T]`, `answers` `[B, T]`.

-1 where nothing stands yet. The stimulus of the present turn is shown, its answer is not; with
`feedback="accept"` 1 and 0 stand for accepted and rejected actions among the answers. All parts
are flat, as Stable-Baselines3 wants them; `stimuli_of` gives the stimuli turn by turn."""


def stimuli_of(observation: Observation) -> Floats:
    """`[..., T, S]` what each turn asked; -1 where nothing was asked yet."""
    return observation["stimuli"].reshape(*observation["answers"].shape, -1)


def present_stimulus(observation: Observation) -> Floats:
    """`[B, S]` the stimulus to which each person's answer is due."""
    turn = observation["turn"][:, 0].astype(np.int64)
    return stimuli_of(observation)[np.arange(len(turn)), turn]
