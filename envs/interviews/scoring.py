"""What interviews have taught: the exact posterior about each person, and what it is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr, xlogy

from acquaint_gym.envs.core import best
from acquaint_gym.envs.episodes import Rows
from acquaint_gym.envs.inference.exact import exact
from acquaint_gym.envs.inference.likelihoods import TINY
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats, Ints

STATISTICS = ("log_score", "posterior_entropy", "unasked_accuracy", "unasked_nll", "identified")
"""What `InterviewScorer.interview_stats` begins with: nats, nats, share, nats, 1 or 0 for whether
the most probable hypothesis is the true one. Then the F posterior means of theta, and the F true
thetas."""


class InterviewScorer:
    """Follows B interviews with the task's own posterior, on the evaluator's side of the wall.

    Args:
        task: the task.
        num: B.

    Raises:
        ValueError: a task whose posterior is not exact: rewards must not depend on how well one
            approximates.
    """

    def __init__(self, task: AskingTask, num: int) -> None:
        self._task = task
        self._posterior = exact(
            task.make_posterior(),
            f"{type(task).__name__}: to score interviews, which an agent of another posterior "
            "(--agent NAME:posterior=...) can hold as well,",
        )
        self._belief = self._posterior.start(num)
        # -1 where nobody knows them. Then what somebody would believe who knew all answers stands
        # in for the true levels.
        self._levels = np.full((num, len(task.population.factors)), -1, dtype=np.int64)
        self._informed = np.zeros_like(self._belief[:0])
        self._answers = np.full((num, task.num_stimuli), -1, dtype=np.int64)
        self._asked = np.zeros(self._answers.shape, dtype=bool)
        self._score = np.zeros(num)

    def begin(self, rows: Rows, users: Users) -> None:
        """New people on some lanes, `[n]` of them."""
        lanes = np.arange(len(self._belief))[rows]
        known: npt.NDArray[np.bool_] = np.asarray((users.levels >= 0).all(axis=1))
        prior = self._posterior.start(len(lanes))
        self._belief = self._posterior.put(self._belief, lanes, prior)
        self._answers[lanes], self._asked[lanes] = users.answers, False
        self._levels[lanes] = np.where(known[:, None], users.levels, -1)
        if not known.all():
            if not len(self._informed):
                self._informed = np.zeros_like(self._belief)
            self._informed[lanes[~known]] = self._after_all(users.answers[~known])
        self._score[lanes] = self._utility(prior, lanes)

    def _after_all(self, answers: Ints) -> Floats:
        """`[n, R, H]` the belief after all answers `[n, N]`."""
        offered = self._task.offered
        asked = np.broadcast_to(np.arange(len(offered)), answers.shape)
        stimuli = np.broadcast_to(offered, (len(answers), *offered.shape))
        turn = np.full(len(answers), len(offered))
        return condition(self._posterior, Transcript.of(turn, stimuli, asked, answers))

    def learn(self, lanes: Ints, action: Ints) -> Floats:
        """`[n]` gain in score on lanes `[n]` by the answers to questions `[n]`."""
        self._asked[lanes, action] = True
        feedback, stimulus = self._answers[lanes, action], self._task.offered[action]
        part = self._posterior.take(self._belief, lanes)
        part = self._posterior.update(part, stimulus, feedback)
        self._belief = self._posterior.put(self._belief, lanes, part)
        before, after = self._score[lanes], self._utility(part, lanes)
        self._score[lanes] = after
        # Sums over other batches differ in their last digits, and lanes earn the same in any batch.
        return np.round(after - before, 9)

    def _utility(self, belief: Floats, lanes: Ints) -> Floats:
        """`[n]` the score that is rewarded, of the beliefs about these lanes."""
        if self._task.goal == "profile":
            return self._log_score(belief, lanes)
        if self._task.goal == "unasked":
            return -self._unasked(belief, lanes)[1]
        mean, truth = self._means(belief, lanes)
        return -np.square(mean - truth).mean(axis=1)

    def _log_score(self, belief: Floats, lanes: Ints) -> Floats:
        levels = self._levels[lanes]
        known = levels[:, 0] >= 0
        if known.all():
            return self._posterior.log_prob(belief, levels)
        score = np.empty(len(lanes))
        score[known] = self._posterior.log_prob(belief[known], levels[known])
        # What is all but impossible may be rounded to nothing, and a score stays finite.
        probs = np.maximum(belief[~known], TINY)
        score[~known] = xlogy(self._informed[lanes[~known]], probs).sum(axis=(1, 2))
        return score

    def _identified(self) -> Floats:
        """`[B]` 1 where the first of the most probable hypotheses is the true one, else 0.

        NaN where nobody knows it.
        """
        most_probable = self._posterior.most_probable(self._belief)
        same = (most_probable == self._levels).all(axis=1)
        return np.where(self._levels[:, 0] < 0, np.nan, same)

    def target(self) -> Floats:
        """`[B, R, H]` the distribution under which the mean log posterior is the log score."""
        known = self._levels[:, 0] >= 0
        target = np.empty_like(self._belief)
        target[known] = self._posterior.certain(self._levels[known])
        target[~known] = self._informed[~known] if len(self._informed) else 0
        return target

    def _unasked(self, belief: Floats, lanes: Ints) -> tuple[Floats, Floats]:
        """`[n]` share of hits and mean negative log-likelihood of what was not asked.

        With nothing left to predict a share is unknown, and nothing is lost.
        """
        predictive = self._posterior.predict_all(belief, self._task.offered)
        answers, left = self._answers[lanes], ~self._asked[lanes]
        given = np.take_along_axis(predictive, answers[..., None], axis=2)[..., 0]
        count = left.sum(axis=1)
        hits = (best(predictive) == answers).sum(axis=1, where=left)
        share = np.where(count > 0, hits / np.maximum(count, 1), np.nan)
        return share, -np.log(given).sum(axis=1, where=left) / np.maximum(count, 1)

    def _means(self, belief: Floats, lanes: Ints) -> tuple[Floats, Floats]:
        """`[n, F]` posterior means of theta, and the true thetas; NaN without a grid."""
        grid, levels = self._task.population.grid, self._levels[lanes]
        if grid is None:
            nothing = np.full(levels.shape, np.nan)
            return nothing, nothing
        truth = grid[levels]
        if (unknown := levels[:, 0] < 0).any():
            informed = self._informed[lanes[unknown]]
            truth[unknown] = self._posterior.by_factor(informed) @ grid
        return self._posterior.by_factor(belief) @ grid, truth

    def interview_stats(self) -> Floats:
        """`[B, 5 + 2F]` all that is known now of all lanes, see `STATISTICS`."""
        belief, everyone = self._belief, np.arange(len(self._belief))
        entropy = entr(belief).sum(axis=(1, 2))
        share, nll = self._unasked(belief, everyone)
        nll = np.where(np.isnan(share), np.nan, nll)  # with nothing left there is none
        numbers = [self._log_score(belief, everyone), entropy, share, nll, self._identified()]
        means = self._means(belief, everyone)
        return np.concatenate([np.stack(numbers, axis=1), *means], axis=1)
