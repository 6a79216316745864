"""The contract of an environment, as checks to run on a task of one's own.

    from acquaint_gym.envs.contract import CHECKS

    for check in CHECKS:
        check("hotels/Hotels-v0", num_turns=5)

`python -m envs.check` does it on the command line. A check takes the id of an environment that
`envs.registration.register_task` registered, and arguments of the environment other than
`observation` and `render_mode`. It returns None, or raises an `AssertionError` that says in a
sentence what the task breaks and how to mend it. With `respondents=PATH`, or
`people="module:Class"`, run `RESPONDENT_CHECKS`: the others speak of simulated people.
"""

from __future__ import annotations

from collections.abc import Callable

from acquaint_gym.envs.contract.environment import (
    check_actions,
    check_gymnasium,
    check_masks,
    check_pickle,
    check_render,
    check_resets,
    check_seeds,
    check_spec,
    check_vector,
)
from acquaint_gym.envs.contract.people import (
    check_future_hidden,
    check_no_leak,
    check_same_person,
    check_splits,
)
from acquaint_gym.envs.contract.posterior import check_posterior
from acquaint_gym.envs.contract.task import (
    check_manual,
    check_prompts,
    check_rewards,
    check_stateless,
    check_turn_form,
    check_words,
)
from acquaint_gym.envs.contract.teacher import (
    check_calibrated_teacher,
    check_response_model,
    check_sampler,
)

__all__ = [
    "CHECKS",
    "QUICK_CHECKS",
    "RESPONDENT_CHECKS",
    "Check",
    "check_actions",
    "check_calibrated_teacher",
    "check_future_hidden",
    "check_gymnasium",
    "check_manual",
    "check_masks",
    "check_no_leak",
    "check_pickle",
    "check_posterior",
    "check_prompts",
    "check_render",
    "check_resets",
    "check_response_model",
    "check_rewards",
    "check_same_person",
    "check_sampler",
    "check_seeds",
    "check_spec",
    "check_splits",
    "check_stateless",
    "check_turn_form",
    "check_vector",
    "check_words",
]

Check = Callable[..., None]
"""Takes the id of an environment and arguments of it; an `AssertionError` says what is broken."""

RESPONDENT_CHECKS: tuple[Check, ...] = (
    check_manual,
    check_gymnasium,
    check_spec,
    check_pickle,
    check_seeds,
    check_same_person,
    check_vector,
    check_resets,
    check_actions,
    check_masks,
    check_rewards,
    check_turn_form,
    check_future_hidden,
    check_no_leak,
    check_stateless,
    check_prompts,
    check_words,
    check_render,
)
"""The checks that also hold where people are not simulated, so that nobody knows their levels."""

QUICK_CHECKS: tuple[Check, ...] = (check_masks, check_response_model)
"""What a run makes sure of first where a task is somebody else's: a fraction of a second."""

CHECKS: tuple[Check, ...] = (
    *RESPONDENT_CHECKS,
    check_splits,
    check_response_model,
    check_sampler,
    check_posterior,
    check_calibrated_teacher,
)
"""All checks, from the manual page to the statistics of the teacher."""
