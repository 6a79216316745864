"""Difficult people: how they depart from the response model, and what an exact teacher can do."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

NONE = "none"


@dataclass(frozen=True)
class Quirks:
    """How strongly people depart from the response model; 0 means not at all.

    Attributes:
        careless: share of answers, 0..1, that are given at random, every category alike (Meade &
            Craig, 2012, Psychological Methods 17).
        acquiescence: log-odds by which the last category gains on the first (Van Vaerenbergh &
            Thomas, 2013, Int. J. Public Opinion Research 25); negative for the first.
        extremity: log-odds by which both outer categories gain on the middle; negative for the
            middle.
        skepticism: share of right recommendations, 0..1, that are rejected all the same; where
            people accept or reject.
        impatience: probability, 0..1, of leaving after any turn; the episode is then truncated.
        drift: probability, 0..1, that a factor moves one level up or down, either alike, between
            two turns; a move to a level or a type that there is not does not take place. People of
            one split may so become a type of another.
        incoherence: growth of the temperature a turn: at turn t = 0, 1, ... answers have
            probabilities p^(1 / (1 + incoherence t)), normalised.
    """

    careless: float = 0.0
    acquiescence: float = 0.0
    extremity: float = 0.0
    skepticism: float = 0.0
    impatience: float = 0.0
    drift: float = 0.0
    incoherence: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Quirks:
        """Reads `none`, `careless:0.2` or `careless:0.2+drift:0.05`.

        Raises:
            ValueError: an unknown quirk, or a strength out of range.
        """
        known = [field.name for field in fields(cls)]
        strengths: dict[str, float] = {}
        for part in text.split("+") if text != NONE else []:
            name, separator, strength = part.strip().partition(":")
            if name not in known:
                raise ValueError(f"Unknown quirk {closest(name, known)}")
            try:
                value = float(strength)
            except ValueError:
                separator, value = "", np.nan
            unsigned = name not in ("acquiescence", "extremity")
            most = np.inf if name == "incoherence" or not unsigned else 1.0
            fits = np.isfinite(value) and (0.0 if unsigned else -np.inf) <= value <= most
            if not separator or not fits or name in strengths:
                expected = "a number" if not unsigned else "0 or more" if most > 1 else "0..1"
                raise ValueError(f"quirks={text}: expected {name}:STRENGTH, {expected}, once.")
            strengths[name] = value
        return cls(**strengths)

    @property
    def changes_responses(self) -> bool:
        """Whether the probabilities of answers change."""
        return any((self.careless, self.acquiescence, self.extremity, self.incoherence))


class DistortedModel(ResponseModel):
    """A response model as careless, styled or incoherent people answer it.

    With incoherence the last number of a stimulus is the turn, 0, 1, ..., see `timed`.

    Args:
        model: how they would answer.
        quirks: how they depart from it.
    """

    def __init__(self, model: ResponseModel, quirks: Quirks) -> None:
        self._model, self._quirks = model, quirks

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        turn, stimulus = self._without_turn(stimulus)
        return self._distort(self._model.probs(levels, stimulus), turn)

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.likelihoods`."""
        turn, stimulus = self._without_turn(stimulus)
        plain = np.moveaxis(self._model.likelihoods(levels, stimulus), 1, -1)
        distorted = self._distort(plain, None if turn is None else turn[:, None])
        return np.moveaxis(distorted, -1, 1)

    def factor(self, stimulus: Floats) -> int | None:
        """See `ResponseModel.factor`."""
        return self._model.factor(self._without_turn(stimulus)[1])

    @property
    def recurring(self) -> bool:
        """As the model that it distorts."""
        return self._model.recurring

    @property
    def separable(self) -> bool:
        """As the model that it distorts."""
        return self._model.separable

    @property
    def timed(self) -> bool:
        """See `ResponseModel.timed`: with incoherence."""
        return self._quirks.incoherence > 0

    def _without_turn(self, stimulus: Floats) -> tuple[Floats | None, Floats]:
        """The turn, if it stands at the end of a stimulus, and the stimulus without it."""
        return (stimulus[..., -1], stimulus[..., :-1]) if self.timed else (None, stimulus)

    def _distort(self, probs: Floats, turn: Floats | None) -> Floats:
        """`[..., K]` probabilities after style, temperature and carelessness, in this order."""
        quirks, size = self._quirks, probs.shape[-1]
        place = np.linspace(-1.0, 1.0, size)
        log_probs = np.log(probs) + quirks.acquiescence / 2 * place + quirks.extremity * place**2
        if turn is not None:
            log_probs = log_probs / (1 + quirks.incoherence * turn[..., None].astype(np.float64))
        distorted = np.exp(log_probs - log_probs.max(axis=-1, keepdims=True))
        distorted /= distorted.sum(axis=-1, keepdims=True)
        return (1 - quirks.careless) * distorted + quirks.careless / size


class Drift:
    """Every factor of a person moves one level with some probability between two turns.

    Args:
        population: whose levels are ordered.
        rate: probability of a move, half of it either way, of each factor by itself.

    Raises:
        ValueError: a population whose levels have no order, or that lacks most combinations of
            them, so that hardly any move would lead to a type that there is.
    """

    def __init__(self, population: Population, rate: float) -> None:
        if population.grid is None:
            raise ValueError("quirks=drift needs ordered levels; these people have none.")
        self.rate = rate
        size, levels = population.num_levels, population.levels
        if len(levels) < 0.9 * size ** levels.shape[1]:
            raise ValueError(
                f"quirks=drift needs nearly all {size ** levels.shape[1]:,} combinations of levels;"
                f" these people are a sample of {len(levels):,} types."
            )
        shape = (size,) * levels.shape[1]
        number = np.full(size ** levels.shape[1], -1)
        number[np.ravel_multi_index(tuple(levels.T), shape)] = np.arange(len(levels))
        everyone, steps = np.arange(len(levels)), np.eye(levels.shape[1], dtype=np.int64)
        # [F, 2, P] the type one level lower and higher; itself where there is no such type.
        self._types = np.stack(
            [
                np.stack([_move(levels + way * step, number, shape, everyone) for way in (-1, 1)])
                for step in steps
            ]
        )
        level = np.arange(size)
        self._levels = np.stack([np.maximum(level - 1, 0), np.minimum(level + 1, size - 1)])

    def move(self, types: Ints, uniform: Floats) -> Ints:
        """`[B]` types after one turn, from `[B]` types and `[B, F]` numbers in [0, 1)."""
        for (lower, higher), number in zip(self._types, uniform.T, strict=True):
            moved = np.where(number < self.rate / 2, lower[types], types)
            types = np.where(number >= 1 - self.rate / 2, higher[types], moved)
        return types

    def spread(self, weights: Floats, factored: bool) -> Floats:
        """`[B, F, H]` the belief about the next turn, from that about this one.

        Being a neighbour is mutual, so what flows into a level is what its neighbours hold.
        """
        for lower, higher in [self._levels] if factored else self._types:
            inflow = weights[..., lower] + weights[..., higher]
            weights = (1 - self.rate) * weights + self.rate / 2 * inflow
        return weights


def _move(
    levels: Ints, number: Ints, shape: tuple[int, ...], everyone: Ints
) -> npt.NDArray[np.int64]:
    """`[P]` which type has these levels `[P, F]`; everyone's own where none has."""
    inside = np.all((levels >= 0) & (levels < shape[0]), axis=1, keepdims=True)
    code = np.ravel_multi_index(tuple(np.where(inside, levels, 0).T), shape)
    neighbour = number[np.asarray(code)]
    return np.where(inside[:, 0] & (neighbour >= 0), neighbour, everyone)
