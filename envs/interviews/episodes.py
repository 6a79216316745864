"""Interviews side by side, in arrays: episodes in which the agent chooses what is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.episodes import Episodes, Rows
from acquaint_gym.envs.interviews.scoring import InterviewScorer
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.users.people import Users, UserSource
from acquaint_gym.envs.users.response_models import Floats


class Interviews(Episodes):
    """B interviews. What was asked before is not asked again: the next statement is, in order.

    Args:
        task: the task.
        source: where its people come from.
        num: B.
        observation: `transcript` or `turn`.
        keep_transcript: keep it even if it is not observed, to be rendered.
    """

    task: AskingTask

    def __init__(
        self,
        task: AskingTask,
        source: UserSource,
        num: int,
        observation: str,
        keep_transcript: bool = False,
    ) -> None:
        super().__init__(task, source, num, observation, keep_transcript)
        self._replies = np.full((num, task.num_stimuli), -1, dtype=np.int8)
        self._free = np.ones((num, len(task.actions)), dtype=bool)
        self._scorer = InterviewScorer(task, num)

    @property
    def users(self) -> Users:
        """See `Episodes.users`; the answers are those to all that can be asked."""
        everything = np.broadcast_to(self.task.offered, (*self._replies.shape, 1))
        return super().users._replace(stimuli=everything, answers=self._replies)

    def _put(self, rows: Rows, users: Users) -> None:
        """See `Episodes._put`."""
        self._replies[rows], self._free[rows] = users.answers, True
        self._scorer.begin(rows, users)

    def advance(self, rows: Rows, action: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """See `Episodes.advance`."""
        lanes = np.arange(len(self.person))[rows]
        chosen = self.task.first_free_action(action.astype(np.int64), self._free[lanes])
        asking, earned = chosen < self.task.num_stimuli, np.zeros(len(lanes))
        if not asking.all():
            stopped = lanes[~asking]
            # Who is asked nothing more has not left.
            self.length[stopped], self.leaves[stopped] = self.turn[stopped], False
            lanes, chosen = lanes[asking], chosen[asking]
        if len(lanes):
            turn = self.turn[lanes]
            self._free[lanes, chosen] = False
            earned[asking] = self._scorer.learn(lanes, chosen) - self.task.cost
            answer = self._replies[lanes, chosen]
            if self._kept:
                self._seen_stimuli[lanes, turn] = self.task.offered[chosen]
                self._seen_actions[lanes, turn] = chosen
                self._seen_answers[lanes, turn] = answer
            if self._latest_only:
                self._last_action[lanes, 0] = chosen
                self._last_answer[lanes, 0] = answer
            self.turn[lanes] += 1
        return earned

    def legal(self) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are allowed now."""
        return self._free.copy()

    def _besides(self) -> dict[str, npt.NDArray[np.float32]]:
        """See `Episodes._besides`: what may be chosen now."""
        return {**super()._besides(), "action_mask": self._free.astype(np.float32)}

    def interview_stats(self) -> Floats:
        """See `Episodes.interview_stats`."""
        return self._scorer.interview_stats()
