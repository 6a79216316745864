"""A posterior of somebody else's, held to the shapes and ranges of `Posterior`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.inference.posterior import Belief, Posterior, PosteriorError
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel


class OutsidePosterior(Posterior):
    """A posterior `posterior="module:Class"` whose numbers are checked as they come.

    A wrong shape would be stretched, and NaN would be put down to the agent that passes it on.

    Args:
        name: `module:Class`, for the message.
        posterior: what was made of it.
        population: says which levels there are.
        model: says how many answers.

    Attributes:
        posterior: as given.

    Raises:
        PosteriorError: it lacks a part of `Posterior`.
    """

    def __init__(
        self, name: str, posterior: Posterior, population: Population, model: ResponseModel
    ) -> None:
        parts = [*Posterior.__annotations__, *(n for n in vars(Posterior) if n[0] != "_")]
        if missing := [part for part in parts if not hasattr(posterior, part)]:
            raise PosteriorError(
                f"posterior={name!r} has no {', '.join(missing)}; see envs.inference.posterior."
            )
        self._name, self.posterior = name, posterior
        self._population, self._model = population, model
        self.tolerance, self.bytes_per_person = posterior.tolerance, posterior.bytes_per_person

    def start(self, batch: int) -> Belief:
        """See `Posterior.start`."""
        return self.posterior.start(batch)

    def update(
        self,
        belief: Belief,
        stimulus: Floats,
        feedback: Ints,
        action: Ints | None = None,
        turn: Floats | Ints | None = None,
    ) -> Belief:
        """See `Posterior.update`."""
        return self.posterior.update(belief, stimulus, feedback, action, turn)

    def predict(
        self, belief: Belief, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """See `Posterior.predict`."""
        probs = self.posterior.predict(belief, stimulus, turn)
        return self._distributions("predict", probs, (len(stimulus), self._answers(stimulus)))

    def predict_all(self, belief: Belief, stimuli: Floats) -> Floats:
        """See `Posterior.predict_all`."""
        probs = self.posterior.predict_all(belief, stimuli)
        shape = (-1, len(stimuli), self._answers(stimuli))
        return self._distributions("predict_all", probs, shape)

    def information(
        self, belief: Belief, stimuli: Floats, marginals: Floats | None = None
    ) -> Floats:
        """See `Posterior.information`."""
        nats = self.posterior.information(belief, stimuli, marginals)
        nats = self._numbers("information", nats, (-1, len(stimuli)))
        if not (nats >= -self.tolerance).all():
            raise self._error("information", f"gave {nats.min()}, expected nats of at least 0")
        return nats

    def log_prob(self, belief: Belief, levels: Ints) -> Floats:
        """See `Posterior.log_prob`."""
        nats = self._numbers("log_prob", self.posterior.log_prob(belief, levels), (len(levels),))
        if not (nats <= self.tolerance).all():
            raise self._error("log_prob", f"gave {nats.max()}, expected nats of at most 0")
        return nats

    def marginals(self, belief: Belief) -> Floats | None:
        """See `Posterior.marginals`."""
        if (probs := self.posterior.marginals(belief)) is None:
            return None
        return self._distributions("marginals", probs, (-1, *self._population.marginals.shape))

    def sample(self, belief: Belief, uniform: Floats) -> Ints:
        """See `Posterior.sample`."""
        levels = self.posterior.sample(belief, uniform)
        return self._numbers("sample", levels, (len(uniform), len(self._population.factors)))

    def take(self, belief: Belief, rows: Ints) -> Belief:
        """See `Posterior.take`."""
        return self.posterior.take(belief, rows)

    def put(self, belief: Belief, rows: Ints, part: Belief) -> Belief:
        """See `Posterior.put`."""
        return self.posterior.put(belief, rows, part)

    def _answers(self, stimuli: Floats) -> int:
        """K, the number of answers."""
        return self._model.probs(self._population.levels[:1], stimuli[0]).shape[-1]

    def _numbers(
        self, method: str, array: npt.NDArray[Any], shape: tuple[int, ...]
    ) -> npt.NDArray[Any]:
        """The array, if it is of this shape, -1 for any length."""
        array = np.asarray(array)
        same = len(array.shape) == len(shape) and all(
            size in (-1, here) for size, here in zip(shape, array.shape, strict=True)
        )
        if not same or array.dtype.kind not in "fiu":
            words = str(list(shape)).replace("-1", "people")
            raise self._error(
                method, f"gave {array.dtype} {list(array.shape)}, expected numbers {words}"
            )
        return array

    def _distributions(self, method: str, probs: Floats, shape: tuple[int, ...]) -> Floats:
        """The array, if its last axis holds distributions."""
        probs = self._numbers(method, probs, shape)
        good = (probs >= 0).all(axis=-1) & (np.abs(probs.sum(axis=-1) - 1) < 1e-6)
        if not good.all():
            raise self._error(
                method,
                f"gave {probs[~good][0].tolist()}, expected probabilities that sum to 1",
            )
        return probs

    def _error(self, method: str, words: str) -> PosteriorError:
        """What is wrong with which method of whose."""
        return PosteriorError(f"posterior={self._name!r}: {method}() {words}.")
