"""What the networks of `train.gru` read, and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from acquaint_gym.agents.networks.recurrent import Network, events, reads
from acquaint_gym.envs.users.response_models import Ints
from acquaint_gym.train.networks.recipe import GruRecipe
from acquaint_gym.train.sources import TraceSource, transcripts


class Batch(NamedTuple):
    """The finished conversations of N people.

    Attributes:
        events: `[N, T, S + 1]` float32, see `agents.networks.recurrent.events`.
        stimuli: `[N, T, S]` float32.
        answers: `[N, T]` int64 the people's own answers.
        target: `[N, T, A]` float32 the distributions to be learned.
        choice: `[N, T]` int64 the choices to be learned.
        length: `[N]` int64 turns that took place.
    """

    events: Tensor
    stimuli: Tensor
    answers: Tensor
    target: Tensor
    choice: Tensor
    length: Tensor


def batch_of(sources: Sequence[TraceSource], rows: Sequence[Ints]) -> Batch:
    """The conversations of the people in rows `[n]`, one entry of `rows` for each of the traces."""
    parts = []
    for source, row in zip(sources, rows, strict=True):
        observation, trace = transcripts(source), source.run.trace
        target, choice = source.target
        read = events(observation, reads(source.task))
        columns = (read, observation.stimuli, trace.answers, target, choice, trace.length)
        parts.append([np.nan_to_num(column[row]) for column in columns])
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    kinds = (np.float32, np.float32, np.int64, np.float32, np.int64, np.int64)
    return Batch._make(
        torch.as_tensor(column.astype(kind)) for column, kind in zip(joined, kinds, strict=True)
    )


def shuffle(batch: Batch, rng: np.random.Generator) -> Batch:
    """The same people, each one's turns in a new order; what did not take place stays last."""
    num, turns = batch.answers.shape
    key = torch.as_tensor(rng.random((num, turns)))
    order = torch.where(torch.arange(turns) < batch.length[:, None], key, 2.0).argsort(1)

    def move(column: Tensor) -> Tensor:
        index = order if column.ndim == 2 else order[..., None].expand(column.shape)
        return column.gather(1, index)

    return Batch._make([*map(move, batch[:-1]), batch.length])


def loss(network: Network, batch: Batch, at: Tensor, recipe: GruRecipe) -> Tensor:
    """Mean over people's turns `at` `[B, P]`, those beyond their length left out.

    With `kl` the divergence from the distribution of that turn; with `answers` the negative
    log-likelihood, averaged over that turn and all later ones, of which nothing is known yet.
    """
    num, turns = batch.answers.shape
    memory = network.before(batch.events, at).flatten(0, 1)
    person, turn = torch.arange(num).repeat_interleave(at.shape[1]), at.flatten()
    alive = turn < batch.length[person]
    if recipe.objective == "answers":
        asked = torch.arange(turns)
        due = (asked >= turn[:, None]) & (asked < batch.length[person, None])
        log_probs = network(memory, batch.stimuli[person])
        cells = -log_probs.gather(2, batch.answers[person, :, None].clamp_min(0))[..., 0]
        row = (cells * due).sum(1) / due.sum(1).clamp_min(1)
    else:
        log_probs = network(memory, batch.stimuli[person, turn][:, None])[:, 0]
        target = batch.target[person, turn]
        row = (torch.xlogy(target, target) - target * log_probs).sum(1)
        if recipe.choice_weight:
            choice = batch.choice[person, turn].clamp_min(0)
            row = row - recipe.choice_weight * log_probs.gather(1, choice[:, None])[:, 0]
    return (row * alive).sum() / alive.sum().clamp_min(1)


def holdout_split(source: TraceSource, holdout: float) -> tuple[Ints, Ints]:
    """Rows `[n]` of the people who are learned from, and of those held out, evenly spread."""
    row = np.arange(len(source.run.trace.person))
    held = np.floor((row + 1) * holdout) > np.floor(row * holdout)
    return row[~held], row[held]
