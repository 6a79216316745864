"""What agents that choose what to ask have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.inference.posterior import Belief
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior, join_blocks
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


def require_questions(task: UserTask) -> AskingTask:
    """The task, for an agent that asks.

    Raises:
        ValueError: a task in which agents predict.
    """
    if not isinstance(task, AskingTask):
        raise ValueError(
            f"{type(task).__name__}: agents predict answers here, this one chooses what to ask; "
            f"take another, e.g. {task.teacher}."
        )
    return task


class Interviewer(Agent):
    """Asks what is worth most under the task's posterior; the first of equals.

    Where it may stop it does so once no answer is expected to tell more nats than it costs.

    Args:
        task: one in which agents ask.

    Attributes:
        posterior: the task's.

    Raises:
        ValueError: another task.
    """

    task: AskingTask

    def __init__(self, task: UserTask) -> None:
        super().__init__(require_questions(task))
        self._beliefs = TranscriptPosterior(task)
        self.posterior = self._beliefs.posterior

    def information(self, belief: Belief, marginals: Floats | None = None) -> Floats:
        """`[b, N]` nats that the answer to each question is expected to tell."""
        return self.posterior.information(belief, self.task.offered, marginals)

    def utility(
        self, belief: Belief, marginals: Floats | None, free: npt.NDArray[np.bool_]
    ) -> Floats:
        """`[b, N]` what each question is worth; by default information.

        Args:
            belief: about b people.
            marginals: `[b, F, L]` of the belief; None where levels are unordered.
            free: `[b, N]` what may be asked.
        """
        return self.information(belief, marginals)

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal, reported, chosen = self.task.legal(observation), [], []
        free = legal[:, : self.task.num_stimuli]
        for rows, belief in self._beliefs.after(observation):
            marginals = self.posterior.marginals(belief)
            ask = best(np.where(free[rows], self.utility(belief, marginals, free[rows]), -np.inf))
            if self.task.allow_stop:
                information = np.where(free[rows], self.information(belief, marginals), 0)
                stops = information.max(axis=1) <= self.task.cost
                ask = np.where(stops, self.task.num_stimuli, ask)
            reported.append(marginals)
            chosen.append(ask)
        action = np.concatenate(chosen)
        return Decision(action, np.eye(legal.shape[1])[action], join_blocks(reported))

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: the marginal posterior of each trait."""
        return self._beliefs.marginals(observation)
