"""Exact Bayesian inference about a person, over finitely many hypotheses.

A belief is an array `weights` `[B, F, H]`: the posterior probabilities of the H levels of each of F
independent factors; rows sum to one over H. In the factored form F and H are the population's
factors and levels; in the joint form F = 1 and H = P, all types of people. Every function serves
both forms. "Exact" means summed over every hypothesis, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from acquaint_gym.envs.inference.likelihoods import Likelihoods
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.population import Population, grid_marginals
from acquaint_gym.envs.users.quirks import Drift
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

if TYPE_CHECKING:
    from acquaint_gym.envs.core import Context

# Numbers in a block of posterior rows: 1 MiB, about what a core's own cache holds.
_BLOCK = 2**17


class Inference:
    """Bayes' rule for one population and one response model.

    Args:
        population: the hypotheses and their prior.
        model: their likelihood.
        form: `factored` keeps one posterior per factor, exact where the prior factorises and every
            stimulus informs one factor; `joint` keeps one over all types; `auto` takes the
            factored form where it is exact.
        acceptance: where people only accept or reject an action instead of giving their answer,
            the probability that they accept the one that equals it; None where they give it.
        drift: how their levels change from turn to turn; None if they do not.
        context: what is known of them before the first turn; None for nothing.

    Raises:
        ValueError: unknown form, or `factored` where it would not be exact.
    """

    def __init__(
        self,
        population: Population,
        model: ResponseModel,
        form: str = "auto",
        acceptance: float | None = None,
        drift: Drift | None = None,
        context: Context | None = None,
    ) -> None:
        """Chooses the form and lays out the prior."""
        separable = population.independent and model.separable
        self._context = context
        # The other task's own engine, in the cheaper form where that is exact.
        self._before: Inference | None = context.task.inference() if context else None
        separable = separable and (self._before is None or self._before.factored)
        if form not in ("auto", "factored", "joint"):
            raise ValueError(f"Unknown form {closest(form, ('auto', 'factored', 'joint'))}")
        if form == "factored" and not separable:
            raise ValueError(
                "form='factored' is exact only if the prior is a product over factors and every "
                "stimulus, of the context too, informs one factor; this task needs form='joint'."
            )
        self.population = population
        self.model = model
        self._acceptance, self._drift = acceptance, drift
        self.factored: bool = separable and form != "joint"
        self.prior = population.marginals if self.factored else population.prior[None, :]
        shape = (population.num_levels, len(population.factors))
        each_level: Ints = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        self._hypotheses = each_level if self.factored else population.levels
        # All combinations of levels in order: then marginals are sums over axes.
        self._complete = len(population.levels) == shape[0] ** shape[1] and np.array_equal(
            population.levels, np.indices((shape[0],) * shape[1]).reshape(shape[1], -1).T
        )
        # [P, F * L] otherwise, so that they are one product.
        one_hot = population.levels[: 0 if self._complete else None, :, None] == np.arange(shape[0])
        self._one_hot = one_hot.reshape(-1, shape[0] * shape[1]).astype(np.float64)
        # Stimuli that never recur are worked on all at once, which needs the one row of the joint
        # form; in the factored form each stimulus informs a row of its own.
        self._by_stimulus = self.factored or model.recurring
        self._known = Likelihoods(model, self._hypotheses, self.factored)

    def start(self, batch: int) -> Floats:
        """The prior as a belief about `batch` people, `[B, F, H]`."""
        return np.repeat(self.prior[None], batch, axis=0)

    def likelihood(self, stimulus: Floats) -> tuple[int, Floats]:
        """Row of the belief that a stimulus `[S]` informs, and p(answer | hypothesis) `[K, H]`."""
        return self._known.of(stimulus)

    def begin(self, observation: Transcript) -> Floats:
        """`[B, F, H]` the belief before the first turn of these transcripts: prior and context."""
        if self._context is None or self._before is None:
            return self.start(observation.num_people)
        stimuli, answers = self._context.unpack(observation)
        weights = self._before.start(len(answers))
        for turn in range(answers.shape[1]):
            answer, now = answers[:, turn].astype(np.int64), np.full(len(answers), turn)
            weights = self._before.update(weights, stimuli[:, turn], answer, turn=now)
        if self._before.factored and not self.factored:
            # Independent factors: a type is as probable as its levels together.
            joint = np.ones((len(weights), len(self.population.levels)))
            for factor, level in enumerate(self.population.levels.T):
                joint *= weights[:, factor, level]
            weights = joint[:, None]
        return weights

    def predict(
        self, weights: Floats, stimulus: Floats, turn: Floats | Ints | None = None
    ) -> Floats:
        """Posterior predictive of the next answer.

        Args:
            weights: `[B, F, H]` belief.
            stimulus: `[B, S]` what each person is asked.
            turn: `[B]` at which turn, 0, 1, ...; a model that is `timed` needs it.

        Returns:
            `[B, K]` probabilities, sum_h weights(h) p(answer | h, stimulus).
        """
        stimulus = self.model.at_turn(stimulus, turn)
        if not self._by_stimulus:
            likelihoods = self.model.likelihoods(self._hypotheses, stimulus)
            return (likelihoods @ weights[:, 0, :, None])[..., 0]
        predictive: Floats | None = None
        for rows, one in _shared(stimulus):
            factor, likelihood = self.likelihood(one)
            if predictive is None:
                predictive = np.empty((len(stimulus), len(likelihood)))
            predictive[rows] = weights[rows, factor] @ likelihood.T
        assert predictive is not None  # a batch has at least one person
        return predictive

    def update(
        self,
        weights: Floats,
        stimulus: Floats,
        shown: Ints,
        action: Ints | None = None,
        turn: Floats | Ints | None = None,
    ) -> Floats:
        """Posterior after an answer: weights times likelihood, normalised; may change `weights`.

        Where people drift, it is the belief about the next turn.

        Args:
            weights: `[B, F, H]` belief, overwritten.
            stimulus: `[B, S]`.
            shown: `[B]` the person's answer, or 1 and 0 for an accepted or rejected action.
            action: `[B]` what the agent did, where people accept or reject it.
            turn: `[B]` see `predict`.

        Returns:
            `[B, F, H]`.

        Raises:
            ValueError: an answer that every hypothesis rules out.
        """
        answer, stimulus = shown, self.model.at_turn(stimulus, turn)
        if self._acceptance is not None:
            if action is None:
                raise ValueError("People accept or reject an action: update() needs `action`.")
            answer = action
        if not self._by_stimulus:
            likelihoods = self.model.likelihoods(self._hypotheses, stimulus)
            likelihood = likelihoods[np.arange(len(answer)), answer]
            self._multiply(weights[:, 0], likelihood, shown, stimulus)
            return self._moved(weights)
        if (stimulus == stimulus[:1]).all():
            one, by_answer = self.likelihood(stimulus[0])
            self._multiply(weights[:, one], by_answer[answer], shown, stimulus)
            return self._moved(weights)
        for rows in self.blocks(len(weights)):
            factor, likelihood = self._known.of_answers(stimulus[rows], answer[rows])
            # A view in the joint form, else a copy that is written back.
            people: Ints | slice = np.arange(len(weights))[rows] if self.factored else rows
            informed = (people, factor if self.factored else 0)
            posterior = weights[informed]
            self._multiply(posterior, likelihood, shown[rows], stimulus[rows])
            weights[informed] = posterior
        return self._moved(weights)

    def _moved(self, weights: Floats) -> Floats:
        """The belief about the next turn, from that about this one."""
        return weights if self._drift is None else self._drift.spread(weights, self.factored)

    def _multiply(
        self, posterior: Floats, likelihood: Floats, shown: Ints, stimulus: Floats
    ) -> None:
        """Bayes' rule on `[b, H]`, in place; a rejected action has the complement's likelihood."""
        if self._acceptance is not None:
            accepted = self._acceptance * likelihood
            likelihood = np.where(shown[:, None] == 1, accepted, 1 - accepted)
        posterior *= likelihood
        total = posterior @ np.ones(posterior.shape[1])
        if not total.all():
            raise ValueError(
                f"Every hypothesis gives probability 0 to what was shown after stimulus "
                f"{stimulus[total == 0][0].tolist()}; the response model needs a floor above zero."
            )
        posterior *= 1 / total[:, None]

    def condition(
        self,
        observation: Transcript,
        weights: Floats | None = None,
        since: int = 0,
        discount: float = 1.0,
    ) -> Floats:
        """Posterior after all answers in a batch of transcripts.

        Args:
            observation: transcripts, see `envs.transcript.Transcript`.
            weights: `[B, F, H]` the belief after the first `since` turns, overwritten; by default
                prior and context.
            since: turns that `weights` already knows.
            discount: before each answer the belief is raised to this power, the prior to the rest.

        Returns:
            `[B, F, H]`.
        """
        turn, asked = observation.turn, observation.stimuli
        weights = self.begin(observation) if weights is None else weights
        for t in range(since, int(turn.max(initial=0))):
            # A view of all rows while nobody's transcript has ended, else a copy of some.
            seen = slice(None) if (turn > t).all() else np.flatnonzero(turn > t)
            part = weights[seen]
            if discount < 1:
                part[...] = part**discount * self.prior ** (1 - discount)
                part /= part.sum(axis=2, keepdims=True)
            shown, action = observation["answers"][seen, t].astype(np.int64), None
            if self._acceptance is not None:
                action = observation["actions"][seen, t].astype(np.int64)
            now = np.full(len(part), t)
            weights[seen] = self.update(part, asked[seen, t], shown, action, now)
        return weights

    def marginals(self, weights: Floats) -> Floats | None:
        """`[B, F, L]` posterior over the levels of each trait; None if levels are unordered."""
        if self.population.grid is None:
            return None
        return weights.copy() if self.factored else self.by_factor(weights)

    def by_factor(self, weights: Floats) -> Floats:
        """`[B, F, L]` posterior over the levels of each factor; `weights` itself if factored."""
        if self.factored:
            return weights
        if self._complete:
            return np.stack(grid_marginals(weights[:, 0], self.population.num_levels), axis=1)
        summed = weights[:, 0] @ self._one_hot
        return summed.reshape(len(weights), -1, self.population.num_levels)

    def blocks(self, batch: int) -> Iterator[slice]:
        """Rows of a belief to work on together, so that they stay in cache between passes."""
        size = max(1, _BLOCK // self.prior.size)
        return (slice(start, start + size) for start in range(0, batch, size))


def _shared(stimulus: Floats) -> Iterator[tuple[slice | Ints, Floats]]:
    """People who are asked the same: (their rows, the stimulus `[S]`), group by group."""
    if (stimulus == stimulus[:1]).all():
        yield slice(None), stimulus[0]
        return
    distinct, group = np.unique(stimulus, axis=0, return_inverse=True)
    group = group.ravel()  # NumPy 2.0 gives it a second axis
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(distinct)))
    for one, rows in zip(distinct, np.split(order, ends[:-1]), strict=True):
        yield rows, one
