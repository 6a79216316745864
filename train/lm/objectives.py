"""Losses at the positions where a student chooses a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Tensor = torch.Tensor

# Under this the logarithm of a teacher's probability is cut off where it weighs a student's.
FLOOR = 1e-8


class Choices(NamedTuple):
    """n positions at which one of at most C tokens is chosen, see `lm.token_choices.TokenChoices`.

    Where a reply is one token, tokens are replies.

    Attributes:
        options: `[n, C]` tokens; any where there are fewer.
        legal: `[n, C]` which of them may be chosen.
        target: `[n, C]` the teacher's distribution, zero where not legal; sums to less than 1
            within replies that it may not give.
        action: `[n]` the teacher's choice, -1 where it has none.
        answer: `[n]` what the person answered, likewise.
        weight: `[n]` of this position in the sum.
        asks_belief: `[n]` whether a belief is asked for here, not an action.
        begins: `[n]` whether it is the first token of a reply.
    """

    options: Tensor
    legal: Tensor
    target: Tensor
    action: Tensor
    answer: Tensor
    weight: Tensor
    asks_belief: Tensor
    begins: Tensor


class StudentChoices(NamedTuple):
    """How a student chooses at n positions: log q(token) = log_probs - legal_nll.

    Attributes:
        log_probs: `[n, C]` log-probabilities of the legal options, given that one of them is
            chosen; 0 where not legal.
        legal_nll: `[n]` minus the logarithm of the probability that a legal option is chosen at
            all. The training log calls it `elsewhere`.
    """

    log_probs: Tensor
    legal_nll: Tensor


def student_choices(logits: Tensor, choices: Choices) -> StudentChoices:
    """A student's logits `[n, V]`, split into the choice among replies and the rest.

    `log_probs` depends on the logits of the replies alone, so a loss of it moves no other token;
    `legal_nll` moves replies against all other tokens.
    """
    exact = logits if logits.dtype == torch.float64 else logits.float()
    replies = exact.gather(1, choices.options).masked_fill(~choices.legal, -torch.inf)
    log_probs = replies.log_softmax(1).masked_fill(~choices.legal, 0.0)
    return StudentChoices(log_probs, exact.logsumexp(1) - replies.logsumexp(1))


def kl(student: StudentChoices, choices: Choices) -> Tensor:
    """`[n]` Kullback-Leibler divergence of the student from the teacher, nats, times its mass.

    With teacher's mass m = p(v) of a node and targets t = p(v, token), which sum to m:
    m * KL(t / m || q) = sum of t * (log t - log q) - m * log m.
    """
    target = choices.target.to(student.log_probs.dtype)
    mass = target.sum(1).masked_fill(choices.begins, 1.0)  # where it is 1, but for rounding
    divergence = (torch.xlogy(target, target) - target * student.log_probs).sum(1)
    return divergence - torch.xlogy(mass, mass)


def reverse_kl(student: StudentChoices, choices: Choices) -> Tensor:
    """`[n]` divergence of the teacher, floored, from the student: prefers one mode to all.

    Only where replies are single tokens: within longer ones a node's weight depends on the student.
    """
    teacher = choices.target.to(student.log_probs.dtype).clamp_min(FLOOR).log()
    probs = student.log_probs.exp() * choices.legal
    return (probs * (student.log_probs - teacher)).sum(1)


def cross_entropy(student: StudentChoices, index: Tensor) -> Tensor:
    """`[n]` minus the log-probability of one option `[n]` each, among all; 0 for index -1."""
    return -student.log_probs.gather(1, index.clamp_min(0)[:, None])[:, 0] * (index >= 0)


Objective = Callable[[StudentChoices, Choices], Tensor]
OBJECTIVES: dict[str, Objective] = {
    "kl": kl,
    "ce-teacher": lambda student, choices: cross_entropy(student, choices.action),
    "ce-user": lambda student, choices: cross_entropy(student, choices.answer),
    "reverse-kl": reverse_kl,
    "kl+belief": kl,
}
"""By name. `kl+belief` asks for more, see `train.lm.examples`; what it rewards is the same."""
