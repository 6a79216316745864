"""The contract of an agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats, Ints


class Decision(NamedTuple):
    """What an agent does in one turn, for a batch of people.

    Attributes:
        action: `[B]` int, the action taken.
        action_probs: `[B, A]` float64, rows sum to one, zero where an action is illegal. The stated
            distribution: what metrics score and students imitate.
        belief: `[B, F, L]` distribution over the levels of each trait, or None without one.
        answer_mass: `[B]` probability that a language model put on the legal replies, before they
            were normalised; None for agents that choose among actions and nothing else.
        unparsed: `[B]` int, how many messages of this turn nobody could read as a legal reply; None
            for agents that write none.
    """

    action: Ints
    action_probs: Floats
    belief: Floats | None = None
    answer_mass: Floats | None = None
    unparsed: Ints | None = None

    def check(self, name: str, legal: npt.NDArray[np.bool_]) -> None:
        """Holds the decision to the contract: a legal action and a distribution for each person.

        Args:
            name: of the agent, for the message.
            legal: `[B, A]` which actions the environment allows.

        Raises:
            BrokenAgentError: it breaks the contract.
        """
        action, probs = np.asarray(self.action), self.action_probs
        num, size = legal.shape
        if action.shape != (num,) or action.dtype.kind not in "iu":
            raise BrokenAgentError(
                f"{name}: expected {num} whole actions, got {action.dtype} {action.shape}."
            )
        if (action < 0).any() or (action >= size).any():
            raise BrokenAgentError(
                f"{name}: actions must be in 0..{size - 1}, got {action.min()}..{action.max()}."
            )
        if probs.shape != (num, size):
            raise BrokenAgentError(
                f"{name}: expected action_probs [{num}, {size}], got {list(probs.shape)}."
            )
        off = ~((probs >= 0).all(axis=1) & np.isclose(probs.sum(axis=1), 1.0, rtol=0, atol=1e-6))
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise BrokenAgentError(
                f"{name}: action_probs of row {row} are no distribution: {probs[row]}."
            )
        if not legal[np.arange(num), action].all() or probs[~legal].any():
            raise BrokenAgentError(
                f"{name}: took an illegal action, or gave one a probability above zero."
            )


class BrokenAgentError(ValueError):
    """A decision that breaks the agent's contract."""


class OutsideError(ValueError):
    """What an agent relies on fails in the midst of things, e.g. a server; says what to do."""


class AnotherModelError(OutsideError):
    """What an agent relies on is not what gave the answers that are there already."""


class Agent(ABC):
    """A function of transcripts. Keeps nothing about people between calls.

    An agent is built from a task, which tells the rules and a model of people but holds no person,
    and receives observations only. A cache is allowed where no result depends on it.

    Args:
        task: what the agent believes the task to be; may differ from the environment's.

    Attributes:
        task: as given.
        tolerance: by how much a probability may differ where sums are taken in another order, as in
            a batch of another size; float32 weights need more than the default of 1e-9.
    """

    tolerance: float = 1e-9

    def __init__(self, task: UserTask) -> None:
        self.task = task

    @abstractmethod
    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """Decides, for each of B people who are waiting for an action.

        Args:
            observation: transcripts, see `envs.transcript.Transcript`.
            uniform: `[B]` in [0, 1), each person's own random number of this turn, for agents that
                randomise; a result depends on nothing else that is random.
        """

    def believe(self, observation: Transcript) -> Floats | None:
        """`[B, F, L]` belief after these transcripts, finished ones too; None without one."""
        return None

    def usage(self) -> dict[str, float]:
        """What this agent has used since it was built, as counts and sums that reports add up.

        Reports know `prompt_tokens` (read), `completion_tokens` (written) and `cost` (in the
        currency of the prices); other names are copied as they are.
        """
        return {}

    def model_info(self) -> dict[str, str]:
        """Which model this is: `model`, `revision`, `weights` (their digest); empty without one.

        Asked after decisions, as servers say it with each answer. Traces of others are refused.
        """
        return {}

    def messages(self, observation: Transcript) -> list[list[str]] | None:
        """What a model wrote to decide for each of B people; None for agents that write nothing."""
        return None

    @classmethod  # noqa: B027 - nothing is kept
    def start_afresh(cls, arguments: Mapping[str, Any]) -> None:
        """For `--fresh`: what agents of these constructor arguments keep is read no more."""

    def observe_truth(self, users: Users, task: UserTask) -> None:  # noqa: B027 - nothing to see
        """Called before a conversation; only the evaluator's oracles (`eval.oracles`) override it.

        Args:
            users: the people whose transcripts come next, row by row.
            task: the environment's own, by which they answer. What an oracle cannot go by is a
                ValueError.
        """


def require_predictions(task: UserTask) -> UserTask:
    """The task, for an agent that predicts answers.

    Raises:
        ValueError: a task in which agents ask.
    """
    if task.agent_asks:
        raise ValueError(
            f"{type(task).__name__}: agents ask here, this one predicts answers; take another, "
            f"e.g. {task.teacher}."
        )
    return task


def decide(
    legal: npt.NDArray[np.bool_],
    probs: Floats,
    belief: Floats | None = None,
    scores: Floats | None = None,
) -> Decision:
    """The legal action of the highest score, by default of the highest probability.

    Args:
        legal: `[B, A]` what may be done, see `UserTask.legal`.
        probs: `[B, A]`; what illegal actions have goes to the others.
        belief: `[B, F, L]` to report.
        scores: `[B, A]` where the action is not to be the most probable one.
    """
    allowed = probs * legal
    allowed /= allowed.sum(axis=1, keepdims=True)
    action = best(allowed if scores is None else np.where(legal, scores, -np.inf))
    return Decision(action, allowed, belief)
