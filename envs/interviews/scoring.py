"""What interviews have taught: the exact posterior about each person, and what it is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr, xlogy

from acquaint_gym.envs.core import best
from acquaint_gym.envs.inference.information import AnswerPredictor
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints

Rows = slice | npt.NDArray[np.int64]
TINY = np.finfo(np.float64).tiny
STATISTICS = ("log_score", "posterior_entropy", "unasked_accuracy", "unasked_nll", "identified")
"""What `InterviewScorer.interview_stats` begins with: nats, nats, share, nats, 1 or 0 for whether
the most probable hypothesis is the true one. Then the F posterior means of theta, and the F true
thetas."""


class InterviewScorer:
    """Follows B interviews with the task's own inference, on the evaluator's side of the wall.

    Args:
        task: the task.
        num: B.
    """

    def __init__(self, task: AskingTask, num: int) -> None:
        """Starts without people."""
        self._task, self._engine = task, task.inference()
        self._predictor = AnswerPredictor(self._engine, task.offered)
        self._weights = self._engine.start(num)
        # The true hypothesis of each factor, -1 where nobody knows it. Then what somebody would
        # believe who knew all answers stands in for it.
        self._truth = np.full(self._weights.shape[:2], -1, dtype=np.int64)
        self._factors = np.arange(self._weights.shape[1])
        self._informed = np.zeros_like(self._weights[:0])
        self._answers = np.full((num, task.num_stimuli), -1, dtype=np.int64)
        self._asked = np.zeros(self._answers.shape, dtype=bool)
        self._score = np.zeros(num)
        self._levels = np.full((num, len(task.population.factors)), -1, dtype=np.int64)
        self._types = _types(task.population)

    def begin(self, rows: Rows, users: Users) -> None:
        """New people on some lanes, `[n]` of them."""
        self._weights[rows] = self._engine.start(len(users.person))
        self._answers[rows], self._asked[rows] = users.answers, False
        known = (users.levels >= 0).all(axis=1)
        truth = users.levels.astype(np.int64)
        if not self._engine.factored:
            truth = np.where(known, self._types[tuple(truth.T)], -1)[:, None]
        self._truth[rows], self._levels[rows] = truth, users.levels
        if not known.all():
            if not len(self._informed):
                self._informed = np.zeros_like(self._weights)
            lanes = np.arange(len(self._weights))[rows][~known]
            self._informed[lanes] = self._told(users.answers[~known].astype(np.int64))
        self._score[rows] = self._worth(rows)

    def _told(self, answers: Ints) -> Floats:
        """`[n, F, H]` the belief after all answers `[n, N]`."""
        offered = self._task.offered
        turn, order = np.full(len(answers), len(offered)), np.arange(len(offered))
        stimuli = np.broadcast_to(offered, (len(answers), *offered.shape))
        actions = np.broadcast_to(order, answers.shape)
        return self._engine.condition(Transcript.of(turn, stimuli, actions, answers))

    def learn(self, rows: Rows, action: Ints) -> Floats:
        """`[n]` gain in score on some lanes by the answers to `[n]` questions."""
        self._asked[rows, action] = True
        shown, stimulus = self._answers[rows, action], self._task.offered[action]
        self._weights[rows] = self._engine.update(self._weights[rows], stimulus, shown)
        before, after = self._score[rows].copy(), self._worth(rows)
        self._score[rows] = after
        # Sums over other batches differ in their last digits, and lanes earn the same in any batch.
        return np.round(after - before, 9)

    def _worth(self, rows: Rows) -> Floats:
        """`[n]` the score that is rewarded."""
        if self._task.goal == "profile":
            return self._log_score(rows)
        if self._task.goal == "unasked":
            return -self._unasked(rows)[1]
        mean, truth = self._means(rows)
        return -np.square(mean - truth).mean(axis=1)

    def _log_score(self, rows: Rows) -> Floats:
        weights, truth = self._weights[rows], self._truth[rows]
        # What is all but impossible may be rounded to nothing, and a score stays finite.
        chance = np.maximum(weights[np.arange(len(truth))[:, None], self._factors, truth], TINY)
        score = np.log(chance).sum(axis=1)
        if (unknown := truth[:, 0] < 0).any():
            informed, chance = self._informed[rows][unknown], np.maximum(weights[unknown], TINY)
            score[unknown] = xlogy(informed, chance).sum(axis=(1, 2))
        return score

    def _identified(self) -> Floats:
        """`[B]` 1 where the first of the most probable hypotheses is the true one, else 0.

        NaN where nobody knows it.
        """
        top = self._weights.max(axis=2, keepdims=True)
        # Hypotheses that are equally probable may differ by a rounding error.
        found = (self._weights >= top * (1 - 1e-9)).argmax(axis=2)
        return np.where(self._truth[:, 0] < 0, np.nan, (found == self._truth).all(axis=1))

    def target(self) -> Floats:
        """`[B, F, H]` the distribution under which the mean log posterior is the log score."""
        target = (self._truth[..., None] == np.arange(self._weights.shape[2])).astype(float)
        if (unknown := self._truth[:, 0] < 0).any():
            target[unknown] = self._informed[unknown]
        return target

    def _unasked(self, rows: Rows) -> tuple[Floats, Floats]:
        """`[n]` share of hits and mean negative log-likelihood of what was not asked.

        With nothing left to predict a share is unknown, and nothing is lost.
        """
        predictive = self._predictor.predict(self._weights[rows])
        answers, left = self._answers[rows], ~self._asked[rows]
        given = np.take_along_axis(predictive, answers[..., None], axis=2)[..., 0]
        count = left.sum(axis=1)
        hits = (best(predictive) == answers).sum(axis=1, where=left)
        share = np.where(count > 0, hits / np.maximum(count, 1), np.nan)
        return share, -np.log(given).sum(axis=1, where=left) / np.maximum(count, 1)

    def _means(self, rows: Rows) -> tuple[Floats, Floats]:
        """`[n, F]` posterior means of theta, and the true thetas; NaN without a grid."""
        population, levels = self._task.population, self._levels[rows]
        if population.grid is None:
            nothing = np.full(levels.shape, np.nan)
            return nothing, nothing
        truth = population.grid[levels]
        if (unknown := levels[:, 0] < 0).any():
            informed = self._informed[rows][unknown]
            truth[unknown] = self._engine.by_factor(informed) @ population.grid
        return self._engine.by_factor(self._weights[rows]) @ population.grid, truth

    def interview_stats(self) -> Floats:
        """`[B, 5 + 2F]` all that is known now of all lanes, see `STATISTICS`."""
        everyone = slice(None)
        entropy = entr(self._weights).sum(axis=(1, 2))
        share, nll = self._unasked(everyone)
        nll = np.where(np.isnan(share), np.nan, nll)  # with nothing left there is none
        numbers = [self._log_score(everyone), entropy, share, nll, self._identified()]
        return np.concatenate([np.stack(numbers, axis=1), *self._means(everyone)], axis=1)


def _types(population: Population) -> Ints:
    """`[L, ..., L]` which type of person has these levels."""
    types = np.zeros((population.num_levels,) * len(population.factors), dtype=np.int64)
    types[tuple(population.levels.T)] = np.arange(len(population.levels))
    return types
