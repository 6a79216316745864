"""The contract of an agent, as checks to run on an agent of one's own.

    from acquaint_gym.agents.contract import CHECKS

    for check in CHECKS:
        check(MyAgent, "acquaint/Questionnaire-v0", num_turns=5)

A check takes a function that builds the agent from a task, the id of an environment, and arguments
of the environment. It returns None, or raises an `AssertionError` that says in a sentence what the
agent breaks and how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable

from acquaint_gym.agents.contract.form import check_belief, check_decision
from acquaint_gym.agents.contract.function import (
    check_batch,
    check_generators,
    check_inputs_kept,
    check_no_memory,
    check_no_peeking,
    check_order,
    check_repeatable,
)

__all__ = [
    "CHECKS",
    "Check",
    "check_batch",
    "check_belief",
    "check_decision",
    "check_generators",
    "check_inputs_kept",
    "check_no_memory",
    "check_no_peeking",
    "check_order",
    "check_repeatable",
]

Check = Callable[..., None]
"""Takes how an agent is built, the id of an environment and arguments of it."""

CHECKS: tuple[Check, ...] = (
    check_decision,
    check_belief,
    check_repeatable,
    check_generators,
    check_inputs_kept,
    check_batch,
    check_order,
    check_no_memory,
    check_no_peeking,
)
"""All checks, from the form of a decision to what it must not depend on."""
