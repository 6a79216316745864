"""What agents that choose what to ask have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.agents.posterior import Posterior, joined
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.inference.information import AnswerPredictor
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


def asking(task: UserTask) -> AskingTask:
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
    """Asks what is worth most under the exact posterior; the first of equals.

    Where it may stop it does so once no answer is expected to tell more nats than it costs.

    Args:
        task: one in which agents ask.

    Raises:
        ValueError: another task.
    """

    task: AskingTask

    def __init__(self, task: UserTask) -> None:
        """Builds the engine of inference."""
        super().__init__(asking(task))
        self.posterior = Posterior(task)
        self.predictor = AnswerPredictor(self.posterior.engine, self.task.offered)
        self._ordered = self.predictor.separable and task.population.grid is not None

    def utility(self, weights: Floats, beliefs: Floats, free: npt.NDArray[np.bool_]) -> Floats:
        """`[b, N]` what each question is worth; by default information.

        Args:
            weights: `[b, F, H]` the beliefs.
            beliefs: `[b, F, L]` the same by factor, see `AnswerPredictor.beliefs`.
            free: `[b, N]` what may be asked.
        """
        return self.predictor.information(weights, beliefs)

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal, reported, chosen = self.task.legal(observation), [], []
        free = legal[:, : self.task.num_stimuli]
        for rows, weights in self.posterior.after(observation):
            beliefs = self.predictor.beliefs(weights)
            ask = best(np.where(free[rows], self.utility(weights, beliefs, free[rows]), -np.inf))
            if self.task.allow_stop:
                told = np.where(free[rows], self.predictor.information(weights, beliefs), 0)
                told = told.max(axis=1)
                ask = np.where(told <= self.task.cost, self.task.num_stimuli, ask)
            reported.append(beliefs.copy() if self._ordered else None)
            chosen.append(ask)
        action = np.concatenate(chosen)
        return Decision(action, np.eye(legal.shape[1])[action], joined(reported))

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: the exact marginal posterior of each trait."""
        return self.posterior.marginals(observation)
