"""Tasks that are not ours, looked at before anything is scored on them."""

from __future__ import annotations

import json
from functools import cache

from acquaint_gym.envs.contract import QUICK_CHECKS
from acquaint_gym.envs.names import name_outsider
from acquaint_gym.envs.task_form import TaskFormError

ADVICE = "`acquaint check` runs all checks of a task."


@cache
def check_plug_in(env_id: str, settings: str) -> None:
    """The quick part of the contract, once, of an environment whose task is somebody else's.

    Scores of a task whose probabilities sum to two look like any other scores.

    Args:
        env_id: id of a registered environment.
        settings: arguments of its task, as JSON.

    Raises:
        ValueError: the task breaks the contract, so that scores would mean nothing.
    """
    for check in QUICK_CHECKS:
        with name_outsider(env_id, TaskFormError, ADVICE):
            try:
                check(env_id, **json.loads(settings))
            except AssertionError as error:
                raise TaskFormError(f"{error} {ADVICE}") from error
