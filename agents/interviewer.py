"""What agents that choose what to ask have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.core import Agent, Decision, best
from agents.posterior import Posterior, joined
from envs.asking import AskingTask
from envs.core import UserTask
from envs.information import Outlook
from envs.transcript import Observation
from envs.users.response_models import Floats


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
        if not isinstance(task, AskingTask):
            raise ValueError(
                f"{type(task).__name__}: agents predict answers here, this one chooses what to "
                f"ask; take another, e.g. {task.teacher}."
            )
        super().__init__(task)
        self.posterior = Posterior(task)
        self.outlook = Outlook(self.posterior.engine, task.offered)

    def worth(self, weights: Floats, free: npt.NDArray[np.bool_]) -> Floats:
        """`[b, N]` what each question is worth to beliefs `[b, F, H]`; by default information.

        Args:
            weights: the beliefs.
            free: `[b, N]` what may be asked.
        """
        return self.outlook.information(weights)

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        legal, beliefs, chosen = self.task.legal(observation), [], []
        free = legal[:, : self.task.num_stimuli]
        for rows, weights in self.posterior.after(observation):
            worth = np.where(free[rows], self.worth(weights, free[rows]), -np.inf)
            ask = best(worth)
            if self.task.allow_stop:
                told = np.where(free[rows], self.outlook.information(weights), 0).max(axis=1)
                ask = np.where(told <= self.task.cost, self.task.num_stimuli, ask)
            beliefs.append(self.posterior.engine.marginals(weights))
            chosen.append(ask)
        action = np.concatenate(chosen)
        return Decision(action, np.eye(legal.shape[1])[action], joined(beliefs))

    def believe(self, observation: Observation) -> Floats | None:
        """See `Agent.believe`: the exact marginal posterior of each trait."""
        return self.posterior.marginals(observation)
