"""What a student is rewarded for at the positions where it chooses a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Tensor = torch.Tensor

# Under this the logarithm of a teacher's probability is cut off where it weighs a student's.
FLOOR = 1e-8


class Choices(NamedTuple):
    """n positions at which one of at most C tokens is chosen, see `train.lm.token_choices.Steps`.

    Where a reply is one token, tokens are replies.

    Attributes:
        options: `[n, C]` tokens; any where there are fewer.
        legal: `[n, C]` which of them may be chosen.
        target: `[n, C]` the teacher's distribution, zero where not legal; sums to less than 1
            within replies that it may not give.
        action: `[n]` the teacher's choice, -1 where it has none.
        answer: `[n]` what the person answered, likewise.
        weight: `[n]` of this position in the sum.
        reports: `[n]` whether a belief is asked for here, not an action.
        begins: `[n]` whether it is the first token of a reply.
    """

    options: Tensor
    legal: Tensor
    target: Tensor
    action: Tensor
    answer: Tensor
    weight: Tensor
    reports: Tensor
    begins: Tensor


class Scored(NamedTuple):
    """What a student says at n positions.

    Attributes:
        among: `[n, C]` log-probabilities of the legal options, among them; 0 where not legal.
        elsewhere: `[n]` minus the logarithm of the probability that it takes a legal one at all.
    """

    among: Tensor
    elsewhere: Tensor


def scored(logits: Tensor, choices: Choices) -> Scored:
    """A student's logits `[n, V]`, split into the choice among replies and the rest.

    log p(token) = among - elsewhere. `among` depends on the logits of the replies alone, so what
    is asked of it moves no other token; `elsewhere` moves replies against all other tokens.
    """
    exact = logits if logits.dtype == torch.float64 else logits.float()
    replies = exact.gather(1, choices.options).masked_fill(~choices.legal, -torch.inf)
    among = replies.log_softmax(1).masked_fill(~choices.legal, 0.0)
    return Scored(among, exact.logsumexp(1) - replies.logsumexp(1))


def kl(said: Scored, choices: Choices) -> Tensor:
    """`[n]` Kullback-Leibler divergence of the student from the teacher, nats, times its mass."""
    target = choices.target.to(said.among.dtype)
    mass = target.sum(1).masked_fill(choices.begins, 1.0)  # where it is 1, but for rounding
    return (torch.xlogy(target, target) - target * said.among).sum(1) - torch.xlogy(mass, mass)


def reverse_kl(said: Scored, choices: Choices) -> Tensor:
    """`[n]` divergence of the teacher, floored, from the student: prefers one mode to all.

    Only where replies are single tokens: what else it would weigh depends on the student.
    """
    teacher = choices.target.to(said.among.dtype).clamp_min(FLOOR).log()
    student = said.among.exp() * choices.legal
    return (student * (said.among - teacher)).sum(1)


def cross_entropy(said: Scored, index: Tensor) -> Tensor:
    """`[n]` minus the log-probability of one option `[n]` each, among all; 0 for index -1."""
    return -said.among.gather(1, index.clamp_min(0)[:, None])[:, 0] * (index >= 0)


Objective = Callable[[Scored, Choices], Tensor]
OBJECTIVES: dict[str, Objective] = {
    "kl": kl,
    "ce-teacher": lambda said, choices: cross_entropy(said, choices.action),
    "ce-user": lambda said, choices: cross_entropy(said, choices.answer),
    "reverse-kl": reverse_kl,
    "kl+belief": kl,
}
"""By name. `kl+belief` asks for more, see `train.lm.examples`; what it rewards is the same."""
