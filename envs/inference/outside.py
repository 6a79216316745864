"""A posterior of somebody else's, held to the shapes and ranges of `Posterior`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.inference.posterior import Belief, Posterior, PosteriorError
from acquaint_gym.envs.names import name_outsider
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel


class _People(NamedTuple):
    """A belief of the other posterior, and about how many people it is."""

    num: int
    belief: Any


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
        PosteriorError: it lacks a part of `Posterior`, or its tolerance is no number from 0 to 1.
            Every method: numbers of another shape or range, or whatever the other one raises.
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
        if not 0 <= self.tolerance < 1:
            raise PosteriorError(
                f"posterior={name!r}: tolerance is {self.tolerance}; it is of probabilities, 0 or "
                "more and below 1."
            )

    def start(self, batch: int) -> Belief:
        """See `Posterior.start`."""
        return _People(batch, self._call("start", batch))

    def update(
        self,
        belief: Belief,
        stimulus: Floats,
        feedback: Ints,
        action: Ints | None = None,
        turn: Floats | Ints | None = None,
    ) -> Belief:
        """See `Posterior.update`."""
        new = self._call("update", belief.belief, stimulus, feedback, action, turn)
        return _People(belief.num, new)

    def predict(
        self, belief: Belief, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """See `Posterior.predict`."""
        shape = (belief.num, self._answers(stimulus))
        return self._distributions("predict", shape, belief.belief, stimulus, turn)

    def predict_all(self, belief: Belief, stimuli: Floats) -> Floats:
        """See `Posterior.predict_all`."""
        shape = (belief.num, len(stimuli), self._answers(stimuli))
        return self._distributions("predict_all", shape, belief.belief, stimuli)

    def information(
        self, belief: Belief, stimuli: Floats, marginals: Floats | None = None
    ) -> Floats:
        """See `Posterior.information`."""
        shape = (belief.num, len(stimuli))
        nats = self._numbers("information", shape, belief.belief, stimuli, marginals)
        if not (nats >= -self.tolerance).all():
            raise self._error("information", f"gave {nats.min()}, expected nats of at least 0")
        return nats

    def log_prob(self, belief: Belief, levels: Ints) -> Floats:
        """See `Posterior.log_prob`."""
        nats = self._numbers("log_prob", (belief.num,), belief.belief, levels)
        if not (nats <= self.tolerance).all():
            raise self._error("log_prob", f"gave {nats.max()}, expected nats of at most 0")
        return nats

    def marginals(self, belief: Belief) -> Floats | None:
        """See `Posterior.marginals`."""
        if self._population.grid is None:
            return None
        shape = (belief.num, *self._population.marginals.shape)
        return self._distributions("marginals", shape, belief.belief)

    def sample(self, belief: Belief, uniform: Floats) -> Ints:
        """See `Posterior.sample`."""
        shape = (belief.num, len(self._population.factors))
        levels = self._numbers("sample", shape, belief.belief, uniform)
        size = self._population.num_levels
        if levels.dtype.kind not in "iu" or levels.min() < 0 or levels.max() >= size:
            raise self._error(
                "sample",
                f"gave {levels.dtype} {levels.min()}..{levels.max()}, expected whole levels "
                f"0..{size - 1}",
            )
        return levels

    def take(self, belief: Belief, rows: Ints) -> Belief:
        """See `Posterior.take`."""
        num = len(np.arange(belief.num)[rows])
        return _People(num, self._call("take", belief.belief, rows))

    def put(self, belief: Belief, rows: Ints, part: Belief) -> Belief:
        """See `Posterior.put`."""
        return _People(belief.num, self._call("put", belief.belief, rows, part.belief))

    def _answers(self, stimuli: Floats) -> int:
        """K, the number of answers."""
        return self._model.probs(self._population.levels[:1], stimuli[0]).shape[-1]

    def _call(self, method: str, *arguments: Any) -> Any:
        """What a method of the other posterior gives; what it raises names it."""
        with name_outsider(f"posterior={self._name!r}", PosteriorError):
            return getattr(self.posterior, method)(*arguments)

    def _numbers(self, method: str, shape: tuple[int, ...], *arguments: Any) -> npt.NDArray[Any]:
        """The numbers that a method gives, if they are of this shape."""
        array = np.asarray(self._call(method, *arguments))
        if array.shape != shape or array.dtype.kind not in "fiu":
            came = f"{array.dtype} {list(array.shape)}"
            raise self._error(method, f"gave {came}, expected numbers {list(shape)}")
        return array

    def _distributions(self, method: str, shape: tuple[int, ...], *arguments: Any) -> Floats:
        """The numbers that a method gives, if their last axis holds distributions."""
        probs = self._numbers(method, shape, *arguments)
        good = (probs >= 0).all(axis=-1) & (np.abs(probs.sum(axis=-1) - 1) < 1e-6)
        if not good.all():
            raise self._error(
                method, f"gave {probs[~good][0].tolist()}, expected probabilities that sum to 1"
            )
        return probs

    def _error(self, method: str, words: str) -> PosteriorError:
        """What is wrong with which method of whose."""
        return PosteriorError(f"posterior={self._name!r}: {method}() {words}.")
