"""What the exact teacher would say, for the info of environments that are asked for it."""

from __future__ import annotations

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class TeacherInfo:
    """The exact posterior predictive of the coming answer, for `info["teacher"]`.

    Args:
        task: the environment's own.

    Raises:
        ValueError: a task in which agents ask, where no answer is predicted.
    """

    def __init__(self, task: UserTask) -> None:
        if task.agent_asks:
            raise ValueError(
                f"{type(task).__name__}: agents ask here, so that the teacher predicts no answer; "
                "leave teacher_info out."
            )
        self._task, self._conditioned = task, TranscriptPosterior(task)

    def probs(self, transcript: Transcript) -> Floats:
        """`[n, A]` after transcripts of n people who are to answer, over what is legal."""
        turn, stimulus = transcript.turn, transcript.present_stimulus
        predictive = np.concatenate(
            [
                self._conditioned.posterior.predict(belief, stimulus[rows], turn[rows])
                for rows, belief in self._conditioned.after(transcript)
            ]
        )
        predictive = predictive * self._task.legal(transcript)
        return predictive / predictive.sum(axis=1, keepdims=True)
