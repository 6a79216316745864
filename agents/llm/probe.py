"""What a language model reports about a person, beside how it acts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.users.response_models import Floats

# Steps of the projection, after which a belief of five levels is within 0.02 of the nearest.
_STEPS = 2000


class Probe(ABC):
    """Questions to ask where a transcript stands, and what the replies say about traits.

    Attributes:
        questions: `Q` texts.
        replies: `R` texts, one of which answers a question.
    """

    questions: tuple[str, ...]
    replies: tuple[str, ...]

    @abstractmethod
    def belief(self, reported: Floats) -> Floats:
        """`[B, F, L]` belief from the probabilities `[B, Q, R]` of the replies."""


class LevelsProbe(Probe):
    """Asks for each trait where the person stands: the distribution over levels is the report."""

    def __init__(self, task: UserTask) -> None:
        grid = _grid(task)
        self.replies = tuple(str(number) for number in range(1, len(grid) + 1))
        levels = "\n".join(
            f"{reply}. {_height(theta)}" for reply, theta in zip(self.replies, grid, strict=True)
        )
        self.questions = tuple(
            f"Compared with people in general, where does this person stand on {factor}? Reply "
            f"with the number of one option:\n{levels}"
            for factor in task.population.factors
        )

    def belief(self, reported: Floats) -> Floats:
        """See `Probe.belief`: the report itself."""
        return reported


class ItemsProbe(Probe):
    """Asks for each item of the bank what the person would answer.

    The belief about a trait is the distribution over its levels whose predictions for the trait's
    items are nearest to the reported ones: the smallest Kullback-Leibler divergence, summed over
    items, of the mixture of the levels' answer probabilities from the report. What an exact
    Bayesian reports about items, its own marginal posterior predicts exactly. The minimum is
    approached from the prior by expectation maximisation for the weights of a mixture.
    """

    def __init__(self, task: UserTask) -> None:
        grid, model = _grid(task), task.model
        if task.bank is None or not model.separable:
            raise ValueError("probe='items' needs a task with items that inform one trait each.")
        items = np.arange(task.bank.num_items, dtype=np.float32)[:, None]
        self.questions = tuple(task.question(item) for item in items)
        self.replies = task.replies
        self._prior = task.population.marginals
        self._factor = np.array([model.factor(item) for item in items])
        level = np.broadcast_to(np.arange(len(grid))[:, None], self._prior.T.shape)
        self._table = np.stack([model.probs(level, item) for item in items])  # [I, L, K]

    def belief(self, reported: Floats) -> Floats:
        """See `Probe.belief`: the nearest mixture of levels."""
        belief = np.repeat(self._prior[None], len(reported), axis=0)
        for factor in np.unique(self._factor):
            items = np.flatnonzero(self._factor == factor)
            # [L, i * K]: items and categories side by side.
            table = self._table[items].transpose(1, 0, 2).reshape(belief.shape[2], -1)
            asked = reported[:, items].reshape(len(reported), -1) / len(items)
            weights = belief[:, factor]
            for _ in range(_STEPS):
                weights *= (asked / (weights @ table)) @ table.T
        return belief / belief.sum(axis=2, keepdims=True)


PROBES: dict[str, type[LevelsProbe] | type[ItemsProbe]] = {
    "levels": LevelsProbe,
    "items": ItemsProbe,
}


def _grid(task: UserTask) -> Floats:
    """`[L]` theta of the levels."""
    if task.population.grid is None:
        raise ValueError(
            "A probe asks about traits, and this population has none with ordered levels; leave "
            "out `probe`, or let the agent believe in one that has (NAME:population=profiles)."
        )
    return task.population.grid


def _height(theta: float) -> str:
    """A level in words; the unit of theta is the population's standard deviation."""
    if theta == 0:
        return "average"
    unit = "standard deviation" if abs(theta) == 1 else "standard deviations"
    return f"{abs(theta):g} {unit} {'above' if theta > 0 else 'below'} average"
