"""Small networks that read what a person answered and guess the next answer. Needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from acquaint_gym.agents.core import require_predictions
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints

FILE, WEIGHTS = "gru.json", "gru.safetensors"


def reads(task: UserTask) -> dict[str, Any]:
    """What a network of this task reads and says, as JSON: two tasks share one where it is equal.

    Raises:
        ValueError: a task in which agents ask, or with a context, which no network reads.
    """
    task = require_predictions(task)
    if task.context is not None:
        raise ValueError("gru reads no context; tell the agent context=none, or leave it out.")
    return {
        "items": None if task.bank is None else list(task.bank.item_ids),
        "actions": list(task.actions),
        "accepts": task.binary_feedback,
        "low": np.asarray(task.stimulus_low, dtype=np.float64).tolist(),
        "high": np.asarray(task.stimulus_high, dtype=np.float64).tolist(),
    }


def events(observation: Transcript, form: Mapping[str, Any]) -> Floats:
    """`[B, T, S + 1]` each turn's stimulus and what followed; without meaning from `turn` on.

    What followed is the person's answer; where only acceptance is shown, twice the agent's action
    plus whether it was accepted. Nowhere else is the agent's own action read: it says nothing of
    the person, and a student that reads its teacher's is lost among its own.
    """
    followed = observation["answers"]
    if form["accepts"]:
        followed = 2 * observation["actions"] + followed
    return np.concatenate([observation.stimuli, followed[..., None]], axis=2)


def polynomials(categories: int) -> Tensor:
    """`[K, K]` of K categories in order: orthogonal columns, the d-th of degree d and size 1 / d.

    Where numbers are learned for the columns and not for each category, neighbours move together:
    where on the scale an answer lies is learned fastest, what tells neighbours apart slowest.
    """
    place = np.arange(categories) - (categories - 1) / 2
    columns = np.linalg.qr(np.vander(place, increasing=True))[0] * categories**0.5
    size = np.sign(columns[-1]) / np.maximum(np.arange(categories), 1)  # libraries differ in signs
    return torch.tensor(columns * size, dtype=torch.float32)


class Network(nn.Module):
    """A memory of the answers, and what it says of a question.

    Args:
        form: of `reads`.
        memory: `gru`, gated recurrent units (Cho et al., 2014); or `sum`, the answers' vectors
            added up, which forgets their order and learns faster from few people.
        width: W, numbers in the memory.
        blocks: residual layers between memory and guess.
        dropout: share of numbers left out at random in training.
        ordinal: the categories of answers to items are in order, see `polynomials`.

    Raises:
        ValueError: `ordinal` where no items are answered.
    """

    low: Tensor
    high: Tensor
    basis: Tensor | None

    def __init__(
        self,
        form: Mapping[str, Any],
        memory: str,
        width: int,
        blocks: int,
        dropout: float,
        ordinal: bool = False,
    ) -> None:
        super().__init__()
        self.items = len(form["items"] or ())
        self.actions = len(form["actions"])
        self.outcomes = 2 * self.actions if form["accepts"] else self.actions
        self.register_buffer("low", torch.tensor(form["low"]), persistent=False)
        self.register_buffer("high", torch.tensor(form["high"]), persistent=False)
        if ordinal and (not self.items or form["accepts"]):
            raise ValueError("ordinal=True: there are no answers to items, in order; leave it out.")
        basis = polynomials(self.actions) if ordinal else None
        self.register_buffer("basis", basis, persistent=False)
        numbers = len(form["low"])
        self.start = nn.Parameter(torch.zeros(width))
        self.drop = nn.Dropout(dropout)
        if self.items:  # an item is one of a list, not a quantity
            self.event: nn.Module = nn.Embedding(self.items * self.outcomes, width)
            nn.init.normal_(self.event.weight, std=self.items**-0.5)
        else:
            inside = nn.Linear(numbers + self.outcomes, width)
            self.event = nn.Sequential(inside, nn.GELU(), nn.Linear(width, width))
            self.join = nn.Linear(width + numbers, width)
        self.memory: nn.GRU | None = None
        if memory == "gru":  # whose gates begin half shut, so that early answers are kept
            self.memory = nn.GRU(width, width, batch_first=True)
            nn.init.constant_(self.memory.get_parameter("bias_hh_l0")[width : 2 * width], 2.0)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(2 * width, width),
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.say = nn.Linear(width, max(self.items, 1) * self.actions)

    def follow(self, events: Tensor, state: Tensor) -> Tensor:
        """`[B, t, W]` the memory after each of `[B, t, S + 1]` events, which was `[B, W]`."""
        written = self._write_value(events)
        if self.memory is None:
            return state[:, None] + written.cumsum(1)
        after: Tensor = self.memory(self.drop(written), state[None].contiguous())[0]
        return after

    def before(self, events: Tensor, turn: Tensor) -> Tensor:
        """`[B, P, W]` the memory before turns `[B, P]` of whole conversations `[B, T, S + 1]`."""
        if self.memory is None:  # of few turns this is faster than of all
            past = (torch.arange(events.shape[1]) < turn[..., None]).to(self.start.dtype)
            if not self.items:
                return self.start + past @ self._write_value(events)
            code = self._code(events)[:, None].expand(past.shape)
            count = past.new_zeros(*turn.shape, self.items * self.outcomes)
            return self.start + count.scatter_add(2, code, past) @ self._vectors()
        begin = self.start.expand(len(events), -1)
        every = torch.cat([begin[:, None], self.follow(events, begin)], dim=1)
        return every.gather(1, turn[..., None].expand(-1, -1, every.shape[2]))

    def _write_value(self, events: Tensor) -> Tensor:
        """`[B, t, W]` events as vectors."""
        if self.items:
            return nn.functional.embedding(self._code(events), self._vectors())
        followed = events[..., -1].long().clamp_min(0)
        outcome = nn.functional.one_hot(followed, self.outcomes).to(self.start.dtype)
        written: Tensor = self.event(torch.cat([self._scale(events[..., :-1]), outcome], dim=-1))
        return written

    def _code(self, events: Tensor) -> Tensor:
        """`[B, t]` which answer to which item events are."""
        item, followed = events[..., 0].long(), events[..., -1].long()
        return item.clamp_min(0) * self.outcomes + followed.clamp_min(0)

    def _vectors(self) -> Tensor:
        """`[I * A, W]` of each answer to each item."""
        weight = self.event.get_parameter("weight")
        if self.basis is None:
            return weight
        return (self.basis @ weight.view(self.items, self.outcomes, -1)).flatten(0, 1)

    def forward(self, state: Tensor, stimulus: Tensor) -> Tensor:
        """`[N, Q, A]` log-probabilities of the answers to `[N, Q, S]`, given memories `[N, W]`."""
        inside = state
        if not self.items:
            asked = self._scale(stimulus)
            known = state[:, None].expand(-1, asked.shape[1], -1)
            inside = self.join(torch.cat([known, asked], dim=-1))
        for block in self.blocks:
            inside = inside + block(inside)
        scores: Tensor = self.say(self.drop(self.norm(inside)))
        if self.items:
            scores = scores.reshape(-1, self.items, self.actions)
            if self.basis is not None:
                scores = scores @ self.basis.T
            item = stimulus[..., :1].long().clamp_min(0).expand(-1, -1, self.actions)
            scores = scores.gather(1, item)
        return scores.log_softmax(-1)

    def _scale(self, stimulus: Tensor) -> Tensor:
        """Numbers between -1 and 1, where they lie between their bounds."""
        span = (self.high - self.low).clamp_min(1e-6)
        return ((stimulus.to(self.start.dtype) - self.low) / span * 2 - 1).clamp(-2, 2)


class Ensemble(nn.Module):
    """Several networks, whose distributions are averaged.

    Args:
        form: of `reads`.
        networks: how many.
        **sizes: of each, see `Network`.
    """

    def __init__(self, form: Mapping[str, Any], networks: int, **sizes: Any) -> None:
        super().__init__()
        self.form, self.sizes = dict(form), {"networks": networks, **sizes}
        self.members = nn.ModuleList(Network(form, **sizes) for _ in range(networks))

    @property
    def each(self) -> list[Network]:
        """The M networks."""
        return cast("list[Network]", list(self.members))

    @torch.no_grad()
    def start(self, num: int) -> Tensor:
        """`[M, B, W]` the memories of M networks before the first event."""
        return torch.stack([member.start.expand(num, -1) for member in self.each])

    @torch.no_grad()
    def remember(self, events: Floats, count: Ints, state: Tensor) -> Tensor:
        """`[M, B, W]` the memories after each person's first `count` `[B]` of `[B, t, S + 1]`."""
        steps = torch.as_tensor(events)
        for step in range(events.shape[1]):
            one = steps[:, step : step + 1]
            after = torch.stack(
                [m.follow(one, s)[:, 0] for m, s in zip(self.each, state, strict=True)]
            )
            state = torch.where(torch.as_tensor(count > step)[None, :, None], after, state)
        return state

    @torch.no_grad()
    def guess(self, state: Tensor, stimulus: Floats) -> Floats:
        """`[B, A]` float64 distributions over the answers to `[B, S]`."""
        asked = torch.as_tensor(stimulus)[:, None]
        guesses = [m(s, asked)[:, 0].exp() for m, s in zip(self.each, state, strict=True)]
        probs: Floats = torch.stack(guesses).mean(0).numpy().astype(np.float64)
        return probs


def load(folder: Path, task: UserTask) -> Ensemble:
    """The networks in a folder of `train.gru`, in float64, in which batches sum alike.

    Raises:
        ValueError: damaged files, or networks of a task that is asked or answered otherwise.
    """
    try:
        made = json.loads((folder / FILE).read_text("utf-8"))
        trained_on, sizes = dict(made["reads"]), dict(made["sizes"])
        names = ", ".join(env["env"] for env in made["environments"])
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder}: no networks of train.gru ({error!r}); train again.") from error
    form = reads(task)
    differing = [key for key in form if trained_on.get(key) != form[key]]
    if differing:
        raise ValueError(
            f"{folder}: trained on {names}, whose {' and '.join(differing)} are not those of "
            f"{task.stream} as it is set here; train one on it with python -m train.gru."
        )
    try:
        networks = Ensemble(form, **sizes)
        networks.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / WEIGHTS}: not of these sizes; train again.") from error
    return networks.double().eval()
