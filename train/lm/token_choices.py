"""Replies as tokens: choosing one of several tokens is choosing token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.response_models import Floats, Ints


class Lesson(NamedTuple):
    """One sequence, and the positions in it at which a reply is due; A replies, T of them.

    Attributes:
        ids: `[n]` int32 tokens, up to where the last token of the last reply is predicted.
        positions: `[T]` where the model predicts the first token of a reply, ascending.
        replies: among which it chooses.
        given: `[T]` which of them stand there.
        legal: `[T, A]` which of them may be chosen.
        target: `[T, A]` float32 the teacher's distribution.
        action: `[T]` the teacher's choice.
        answer: `[T]` the person's own answer, -1 where it is no reply.
        report: whether the positions ask for a belief, not for an action.
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int64]
    replies: Replies
    given: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]
    target: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    report: bool = False


class Steps(NamedTuple):
    """P positions of a lesson at which one of at most C tokens is chosen.

    The probability of a reply is the product of those of its tokens, so the divergence from a
    teacher is a sum over the places where replies part: there the teacher chooses among the tokens
    that go on, and the place weighs what the teacher gives all replies that pass it (the chain rule
    of the Kullback-Leibler divergence). A conversation shows the places on the way to the replies
    that were given: all of the sum where the teacher is certain and they are its own. Otherwise it
    is the first tokens' part and that of the places shown, a lower bound of the divergence whose
    least value is still at the teacher. Places that nobody wants to pass are left out.

    Attributes:
        positions: `[P]` at which the token is predicted.
        options: `[P, C]` tokens; any where there are fewer.
        legal: `[P, C]` which of them may be chosen.
        target: `[P, C]` float32 the teacher's probability of the replies that go on so; sums to
            what it gives all that pass this place, 1 at first tokens.
        action: `[P]` the token of the teacher's choice; -1 where that does not pass.
        answer: `[P]` the token of the person's own answer, likewise.
        begins: `[P]` whether it is the first of a reply.
    """

    positions: npt.NDArray[np.int64]
    options: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]
    target: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    begins: npt.NDArray[np.bool_]


class Replies:
    """A replies, none of which begins another, as a tree of tokens.

    Args:
        tokens: of each reply, one or more.

    Attributes:
        tokens: the same.
    """

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        """Lays out the places at which replies part."""
        self.tokens = [list(reply) for reply in tokens]
        starts = dict.fromkeys(
            tuple(reply[:length]) for reply in self.tokens for length in range(len(reply))
        )
        place = {start: number for number, start in enumerate(starts)}
        self._ways = [[place[tuple(r[:n])] for n in range(len(r))] for r in self.tokens]
        # [n, A] which of a place's options a reply takes, -1 where it does not pass.
        self._taken = np.full((len(place), len(self.tokens)), -1)
        options: list[list[int]] = [[] for _ in place]
        for number, (reply, way) in enumerate(zip(self.tokens, self._ways, strict=True)):
            for token, here in zip(reply, way, strict=True):
                if token not in options[here]:
                    options[here].append(token)
                self._taken[here, number] = options[here].index(token)
        most = max(map(len, options))
        self._options = np.array([[*some, *[0] * (most - len(some))] for some in options])

    def rest(self, reply: int) -> list[int]:
        """What has to be read before the last token of a reply can be predicted."""
        return self.tokens[reply][:-1]

    def steps(self, lesson: Lesson) -> Steps:
        """The choices of a lesson, token by token."""
        ways = [self._ways[reply] for reply in lesson.given]
        here: Ints = np.concatenate(ways)
        turn = np.repeat(np.arange(len(ways)), [len(way) for way in ways])
        far = np.concatenate([np.arange(len(way)) for way in ways])
        taken = self._taken[here]
        passes = taken[:, :, None] == np.arange(self._options.shape[1])  # [P, A, C]
        target: Floats = np.einsum("pa,pac->pc", lesson.target[turn], passes)
        every = np.arange(len(here))
        action, answer = (
            np.where(chosen[turn] < 0, -1, taken[every, chosen[turn]])
            for chosen in (lesson.action, lesson.answer)
        )
        wanted: Ints = np.flatnonzero((target.sum(axis=1) > 0) | (action >= 0) | (answer >= 0))
        return Steps(
            positions=(lesson.positions[turn] + far)[wanted],
            options=self._options[here][wanted],
            legal=(lesson.legal[turn][:, :, None] & passes).any(axis=1)[wanted],
            target=target[wanted].astype(np.float32),
            action=action[wanted],
            answer=answer[wanted],
            begins=far[wanted] == 0,
        )
