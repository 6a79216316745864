"""Exact posteriors: what all have in common, and that of independent factors."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from acquaint_gym.envs.inference.likelihoods import (
    TINY,
    AnswerPredictor,
    Likelihoods,
    blocks,
    shared_stimuli,
)
from acquaint_gym.envs.inference.posterior import Posterior
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.quirks import Drift
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel


class ExactPosterior(ABC):
    """Bayes' rule, summed over every hypothesis, in float64.

    A belief is an array of weights `[B, R, H]`: R posteriors over H hypotheses each; every row sums
    to one over H. `FactoredPosterior` has a row per factor, R = F and H = L; `JointPosterior` one
    over all types of people, R = 1 and H = P.

    Args:
        population: the people and their prior.
        model: the likelihood of their answers.
        acceptance: where people only accept or reject an action instead of giving their answer,
            the probability that they accept the one that equals it; None where they give it.
        drift: how their levels change from turn to turn; None if they do not.
        block_bytes: people whose stimuli differ are worked on in blocks of this size, see `blocks`.

    Attributes:
        prior: `[R, H]`.
    """

    _factored: bool
    """Whether there is a row per factor."""
    tolerance = 1e-9

    def __init__(
        self,
        population: Population,
        model: ResponseModel,
        acceptance: float | None = None,
        drift: Drift | None = None,
        block_bytes: int = 2**20,
    ) -> None:
        self.population, self.model = population, model
        self._acceptance, self._drift, self._timed = acceptance, drift, model.timed
        hypotheses, self.prior = self._lay_out()
        self.bytes_per_person, self._block_bytes = self.prior.nbytes, block_bytes
        self._likelihoods = Likelihoods(model, hypotheses, self._factored)
        self._predictor: AnswerPredictor | None = None

    # What the two forms decide.

    @abstractmethod
    def _lay_out(self) -> tuple[Ints, Floats]:
        """`[H, F]` levels of the hypotheses, and the prior `[R, H]`."""

    @abstractmethod
    def by_factor(self, belief: Floats) -> Floats:
        """`[B, F, L]` probabilities of each factor's levels; may be the belief itself."""

    @abstractmethod
    def joint(self, belief: Floats) -> Floats:
        """`[B, 1, P]` the belief about all types of people; may be the belief itself."""

    @abstractmethod
    def index(self, levels: Ints) -> Ints:
        """`[B, R]` which hypotheses people of levels `[B, F]` are."""

    @abstractmethod
    def levels(self, index: Ints) -> Ints:
        """`[B, F]` levels of the hypotheses `[B, R]`."""

    # What callers of any posterior need.

    def start(self, batch: int) -> Floats:
        """See `Posterior.start`."""
        return np.repeat(self.prior[None], batch, axis=0)

    def update(
        self,
        belief: Floats,
        stimulus: Floats,
        feedback: Ints,
        action: Ints | None = None,
        turn: Floats | Ints | None = None,
    ) -> Floats:
        """See `Posterior.update`: weights times likelihood, normalised, in place."""
        answer = feedback
        if self._timed:
            stimulus = self.model.at_turn(stimulus, turn)
        if self._acceptance is not None:
            if action is None:
                raise ValueError("People accept or reject an action: update() needs `action`.")
            answer = action
        self._learn(belief, stimulus, answer, feedback)
        return belief if self._drift is None else self._drift.spread(belief, self._factored)

    def predict(
        self, belief: Floats, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """See `Posterior.predict`: the sum over h of weight(h) p(answer | h, stimulus)."""
        predictive = None
        if self._timed:
            stimulus = self.model.at_turn(stimulus, turn)
        for rows, one in shared_stimuli(stimulus):
            row, likelihood = self._likelihoods.of(one)
            if predictive is None:
                predictive = np.empty((len(stimulus), len(likelihood)))
            predictive[rows] = belief[rows, row] @ likelihood.T
        assert predictive is not None  # a batch has at least one person
        return predictive

    def predict_all(self, belief: Floats, stimuli: Floats) -> Floats:
        """See `Posterior.predict_all`."""
        return self._prepare(stimuli).predict(self._informed(belief))

    def information(
        self, belief: Floats, stimuli: Floats, marginals: Floats | None = None
    ) -> Floats:
        """See `Posterior.information`."""
        if marginals is None or not self.model.separable:
            marginals = self._informed(belief)
        return self._prepare(stimuli).information(marginals)

    def log_prob(self, belief: Floats, levels: Ints) -> Floats:
        """See `Posterior.log_prob`; finite, as probabilities rounded to 0 count as the smallest."""
        everyone, index = np.arange(len(belief))[:, None], self.index(levels)
        probs = belief[everyone, np.arange(belief.shape[1]), index]
        log_probs: Floats = np.log(np.maximum(probs, TINY)).sum(axis=1)
        return log_probs

    def marginals(self, belief: Floats) -> Floats | None:
        """See `Posterior.marginals`."""
        if self.population.grid is None:
            return None
        by_factor = self.by_factor(belief)
        return by_factor.copy() if by_factor is belief else by_factor

    def sample(self, belief: Floats, uniform: Floats) -> Ints:
        """See `Posterior.sample`: inverse transform, row after row.

        One number serves all rows: what is left of it between the bounds of the hypothesis that
        it hit, stretched to [0, 1), draws the next. With two levels of probability .5, 0.6 draws
        the second; (0.6 - 0.5) / 0.5 = 0.2 is left and draws the first level of the next factor.
        """
        everyone, left = np.arange(len(belief)), uniform.astype(np.float64)
        index = np.empty(belief.shape[:2], dtype=np.int64)
        for row, weights in enumerate(belief.transpose(1, 0, 2)):
            cumulative = weights.cumsum(axis=1)
            # The last one of positive weight catches what rounding leaves above the sum.
            last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
            drawn = np.minimum((left[:, None] >= cumulative).sum(axis=1), last)
            chance = weights[everyone, drawn]
            left = (left - (cumulative[everyone, drawn] - chance)) / chance
            index[:, row] = drawn
        return self.levels(index)

    def take(self, belief: Floats, rows: Ints) -> Floats:
        """See `Posterior.take`."""
        return belief[rows]

    def put(self, belief: Floats, rows: Ints, part: Floats) -> Floats:
        """See `Posterior.put`."""
        belief[rows] = part
        return belief

    # What only a posterior with a probability for every hypothesis can say.

    def adopt(self, belief: Floats, before: ExactPosterior) -> Floats:
        """What another exact posterior believes about the same people, in this one's form."""
        return belief if self._factored else before.joint(belief)

    def most_probable(self, belief: Floats) -> Ints:
        """`[B, F]` levels of the first of the most probable hypotheses.

        Hypotheses that are equally probable may differ by a rounding error.
        """
        top = belief.max(axis=2, keepdims=True)
        return self.levels((belief >= top * (1 - 1e-9)).argmax(axis=2))

    def certain(self, levels: Ints) -> Floats:
        """`[B, R, H]` the belief that these levels `[B, F]` are the people's, for sure."""
        return (self.index(levels)[..., None] == np.arange(self.prior.shape[1])).astype(float)

    def forget(self, belief: Floats, discount: float) -> Floats:
        """The belief raised to the power `discount`, times the prior to the rest, in place."""
        belief[...] = belief**discount * self.prior ** (1 - discount)
        belief /= belief.sum(axis=2, keepdims=True)
        return belief

    def expected_log_likelihood(self, belief: Floats, stimulus: Floats) -> Floats:
        """`[B, K]` mean under the belief of log p(answer | hypothesis) to one stimulus `[S]`."""
        row, likelihood = self._likelihoods.of(stimulus)
        return belief[:, row] @ np.log(likelihood).T

    # How.

    def _learn(self, belief: Floats, stimulus: Floats, answer: Ints, feedback: Ints) -> None:
        """Bayes' rule, in place; of `answer` `[B]` the likelihood counts, see `update`."""
        if (stimulus == stimulus[:1]).all():
            row, by_answer = self._likelihoods.of(stimulus[0])
            self._multiply(belief[:, row], by_answer[answer], feedback, stimulus)
            return
        for rows in blocks(len(belief), self.bytes_per_person, self._block_bytes):
            row_of, likelihood = self._likelihoods.of_answers(stimulus[rows], answer[rows])
            # A view where there is one row, else a copy that is written back.
            informed = (np.arange(len(belief))[rows], row_of) if self._factored else (rows, 0)
            posterior = belief[informed]
            self._multiply(posterior, likelihood, feedback[rows], stimulus[rows])
            belief[informed] = posterior

    def _multiply(
        self, posterior: Floats, likelihood: Floats, feedback: Ints, stimulus: Floats
    ) -> None:
        """Bayes' rule on `[b, H]`, in place; a rejected action has the complement's likelihood."""
        if self._acceptance is not None:
            accepted = self._acceptance * likelihood
            likelihood = np.where(feedback[:, None] == 1, accepted, 1 - accepted)
        posterior *= likelihood
        total = posterior @ np.ones(posterior.shape[1])
        if not total.all():
            raise ValueError(
                f"Every hypothesis gives probability 0 to what was shown after stimulus "
                f"{stimulus[total == 0][0].tolist()}; the response model needs a floor above zero."
            )
        posterior *= 1 / total[:, None]

    def _informed(self, belief: Floats) -> Floats:
        """`[B, F, L]` by factor where each stimulus informs one, else the belief itself."""
        return self.by_factor(belief) if self.model.separable else belief

    def _prepare(self, stimuli: Floats) -> AnswerPredictor:
        """What predicts the answers to these stimuli; laid out anew when they are others."""
        known = self._predictor
        if known is None or not np.array_equal(known.stimuli, stimuli):
            self._predictor = known = AnswerPredictor(self.population, self.model, stimuli)
        return known


class FactoredPosterior(ExactPosterior):
    """A belief is `[B, F, L]`: the probabilities of each factor's levels.

    Exact where the prior is a product over factors and every stimulus informs one factor, which
    the model names: an answer then changes the belief about that factor and no other. Five traits
    with five levels are 25 numbers a person instead of the 3,125 of all profiles.
    """

    _factored = True

    def _lay_out(self) -> tuple[Ints, Floats]:
        """See `ExactPosterior._lay_out`: one hypothesis a level, the same on every factor."""
        shape = (self.population.num_levels, len(self.population.factors))
        return np.broadcast_to(np.arange(shape[0])[:, None], shape), self.population.marginals

    def by_factor(self, belief: Floats) -> Floats:
        """See `ExactPosterior.by_factor`."""
        return belief

    def joint(self, belief: Floats) -> Floats:
        """See `ExactPosterior.joint`: a type is as probable as its levels together."""
        joint = np.ones((len(belief), len(self.population.levels)))
        for factor, level in enumerate(self.population.levels.T):
            joint *= belief[:, factor, level]
        return joint[:, None]

    def index(self, levels: Ints) -> Ints:
        """See `ExactPosterior.index`."""
        return levels

    def levels(self, index: Ints) -> Ints:
        """See `ExactPosterior.levels`."""
        return index


def exact(posterior: Posterior, purpose: str) -> ExactPosterior:
    """The posterior, for who needs a probability for every hypothesis.

    Args:
        posterior: of a task.
        purpose: who needs it; begins the message.

    Raises:
        ValueError: one that keeps none, as particles do.
    """
    if not isinstance(posterior, ExactPosterior):
        raise ValueError(
            f"{purpose} needs a probability for every hypothesis, and the task's posterior keeps "
            "none; take posterior=auto, factored or joint."
        )
    return posterior
