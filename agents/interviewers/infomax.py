"""The interviewer that asks for the most information."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.interviewers.base import Interviewer
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.posterior import Belief
from acquaint_gym.envs.users.response_models import Floats


class InfomaxAgent(Interviewer):
    """Asks what is expected to tell most about the person, one or two questions ahead.

    Args:
        task: one in which agents ask.
        ahead: 1 for the expected information of the next answer; 2 adds, for the most promising
            questions, what the best question after each of its answers is expected to tell.
        candidates: how many questions are looked at two steps ahead.

    Raises:
        ValueError: another task, or numbers out of range.
    """

    def __init__(self, task: UserTask, ahead: int = 1, candidates: int = 5) -> None:
        super().__init__(task)
        if ahead not in (1, 2) or candidates < 1:
            raise ValueError(f"ahead={ahead}, candidates={candidates}; expected 1 or 2, 1 or more.")
        self._ahead, self._candidates = ahead, candidates

    def utility(
        self, belief: Belief, marginals: Floats | None, free: npt.NDArray[np.bool_]
    ) -> Floats:
        """See `Interviewer.utility`."""
        now = self.information(belief, marginals)
        # Nothing follows the last question of the budget, or of the bank.
        left = self.task.num_turns - self.task.num_stimuli + free.sum(axis=1)
        further = np.flatnonzero(left > 1)
        if self._ahead == 1 or not len(further):
            return now
        utility = np.where(free, now, -np.inf)
        part = self.posterior.take(belief, further)
        utility[further] = self._two_ahead(part, free[further], utility[further])
        return utility

    def _two_ahead(self, belief: Belief, free: npt.NDArray[np.bool_], now: Floats) -> Floats:
        """`[b, N]` information `now` `[b, N]` of a question and of the best one that follows."""
        posterior, everyone = self.posterior, np.arange(len(now))
        likely = posterior.predict_all(belief, self.task.offered)
        utility = np.full(now.shape, -np.inf)
        order = np.argsort(-now, axis=1, kind="stable")[:, : self._candidates]
        for ask in order.T:
            others = free.copy()
            others[everyone, ask] = False
            stimulus, total = self.task.offered[ask], now[everyone, ask]
            for answer in range(likely.shape[2]):
                given = np.full(len(ask), answer)
                then = posterior.update(posterior.take(belief, everyone), stimulus, given)
                following = np.where(others, self.information(then), 0).max(axis=1)
                total = total + likely[everyone, ask, answer] * following
            utility[everyone, ask] = total
        return utility
