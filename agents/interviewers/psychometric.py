"""Interviewers of psychometrics: maximum Fisher information, and the forms on paper."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.interviewers.base import Interviewer
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.posterior import Belief
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.response_models import Floats, graded_information


class FisherAgent(Interviewer):
    """Asks the item of maximum Fisher information at the posterior mean of its trait.

    The standard of computerised adaptive testing (Lord, 1980, Applications of Item Response
    Theory); see `envs.users.response_models.graded_information`.

    Args:
        task: an interview about traits, with graded items.

    Raises:
        ValueError: another task.
    """

    def __init__(self, task: UserTask) -> None:
        super().__init__(task)
        if self.task.graded is None:
            raise ValueError(f"{type(task).__name__}: no graded items here; take infomax.")
        self._items = self.task.graded

    def utility(
        self, belief: Belief, marginals: Floats | None, free: npt.NDArray[np.bool_]
    ) -> Floats:
        """See `Interviewer.utility`."""
        assert marginals is not None  # traits have an order
        mean = marginals @ np.asarray(self.task.population.grid)
        theta = mean[:, self.task.bank.trait]
        return graded_information(theta, self._items.discrimination, self._items.thresholds)


class ShortFormAgent(Interviewer):
    """Asks the items of a printed short form, whoever answers, and then the others.

    In both parts the items that tell most about somebody unknown come first.

    Args:
        task: one in which agents ask.
        items: ids of the short form's items, separated by blanks.

    Raises:
        ValueError: another task, or an item that its bank has not.
    """

    def __init__(self, task: UserTask, items: str) -> None:
        super().__init__(task)
        bank = self.task.bank
        for item in items.split():
            if item not in bank.item_ids:
                raise ValueError(f"{bank.name} has no item {closest(item, bank.item_ids)}")
        listed = np.isin(bank.item_ids, items.split())
        information = self.information(self.posterior.start(1))[0]
        # More than any information, so that what is listed comes first.
        self._utility = information + listed * (1 + information.max())

    def utility(
        self, belief: Belief, marginals: Floats | None, free: npt.NDArray[np.bool_]
    ) -> Floats:
        """See `Interviewer.utility`."""
        return np.broadcast_to(self._utility, free.shape)


class PrintedAgent(Interviewer):
    """Asks the items in the order in which they are printed, whoever answers."""

    def utility(
        self, belief: Belief, marginals: Floats | None, free: npt.NDArray[np.bool_]
    ) -> Floats:
        """See `Interviewer.utility`: they are all equal, and the first of equals is asked."""
        return np.zeros(free.shape)
