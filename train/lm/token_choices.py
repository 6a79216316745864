r"""Replies as tokens: choosing a reply of several tokens is choosing token by token.

A replies `y`, none of which begins another, form a trie of tokens. Its inner nodes are the prefixes
after which another token is due, its leaves the replies. The student's probability of a reply is
the product of those of its tokens, so its divergence from the teacher `p` is a sum over the nodes
`v`, the chain rule of the Kullback-Leibler divergence:

    KL(p || q) = sum over v of p(v) * KL(p(. | v) || q(. | v)),

where `p(v)` is what the teacher gives all replies that begin with `v`, 1 at the root.

An example. A tokenizer writes the replies 7, 12 and 15 digit by digit; the teacher gives them 0.5,
0.3 and 0.2. The student gives 7 and 1 first 0.6 and 0.4, and after a 1 the 2 and the 5 0.5 each:

                 teacher                    student
                root 1.0                     root
               /        \                  /      \
            7 0.5      1 0.5             7 0.6    1 0.4
                      /     \                    /     \
                   2 0.3   5 0.2              2 0.5   5 0.5

    whole replies:  0.5 ln(0.5/0.6) + 0.3 ln(0.3/0.2) + 0.2 ln(0.2/0.2)              = 0.0305 nats
    at the root:    1.0 * (0.5 ln(0.5/0.6) + 0.5 ln(0.5/0.4))                        = 0.0204
    after the 1:    0.5 * (0.6 ln(0.6/0.5) + 0.4 ln(0.4/0.5))                        = 0.0101

A conversation shows the student only the nodes on the way to the replies that stand in it. Where 7
was given there is the root's part alone; where 12 was given both. So the loss is the whole
divergence where the teacher is certain and its own reply stands there, and otherwise a lower bound
of it, which is still least where the student is the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.response_models import Floats, Ints


class TrainingExample(NamedTuple):
    """One sequence of tokens, and the T positions in it at which one of A replies is due.

    Attributes:
        ids: `[n]` int32 tokens, up to where the last token of the last reply is predicted.
        positions: `[T]` where the model predicts the first token of a reply, ascending.
        replies: among which it chooses.
        given: `[T]` which of them stand there.
        legal: `[T, A]` which of them may be chosen.
        target: `[T, A]` float32 the teacher's distribution.
        action: `[T]` the teacher's choice.
        answer: `[T]` the person's own answer, -1 where it is no reply.
        asks_belief: whether a belief is asked for at the positions, not an action.
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int64]
    replies: ReplyTrie
    given: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]
    target: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    asks_belief: bool = False


class TokenChoices(NamedTuple):
    """P positions of an example at which one of at most C tokens is chosen: nodes of the trie.

    Nodes that neither the teacher nor a hard label passes are left out.

    Attributes:
        positions: `[P]` at which the token is predicted.
        options: `[P, C]` tokens; any where there are fewer.
        legal: `[P, C]` which of them may be chosen.
        target: `[P, C]` float32 the teacher's probability of the replies that go on so, in the
            example above 0.5 and 0.5 at the root, and 0.3 and 0.2 after the 1. A row sums to what
            the teacher gives all replies that pass this node, 1 at first tokens.
        action: `[P]` index of the teacher's choice among the options; -1 where it does not pass.
        answer: `[P]` index of the person's own answer, likewise.
        begins: `[P]` whether it is the first token of a reply.
    """

    positions: npt.NDArray[np.int64]
    options: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]
    target: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    begins: npt.NDArray[np.bool_]


class ReplyTrie:
    """A replies, none of which begins another, as a trie of tokens.

    Args:
        tokens: of each reply, one or more.

    Attributes:
        tokens: the same.
    """

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        self.tokens = [list(reply) for reply in tokens]
        prefixes = dict.fromkeys(
            tuple(reply[:length]) for reply in self.tokens for length in range(len(reply))
        )
        node = {prefix: number for number, prefix in enumerate(prefixes)}
        # The nodes that each reply passes, from the root on.
        self._paths = [[node[tuple(r[:n])] for n in range(len(r))] for r in self.tokens]
        # [nodes, A] which of a node's options a reply takes, -1 where it does not pass.
        self._taken = np.full((len(node), len(self.tokens)), -1)
        options: list[list[int]] = [[] for _ in node]
        for number, (reply, path) in enumerate(zip(self.tokens, self._paths, strict=True)):
            for token, here in zip(reply, path, strict=True):
                if token not in options[here]:
                    options[here].append(token)
                self._taken[here, number] = options[here].index(token)
        most = max(map(len, options))
        self._options = np.array([[*row, *[0] * (most - len(row))] for row in options])

    def rest(self, reply: int) -> list[int]:
        """What has to be read before the last token of a reply can be predicted."""
        return self.tokens[reply][:-1]

    def choices(self, example: TrainingExample) -> TokenChoices:
        """The choices of an example, token by token."""
        paths = [self._paths[reply] for reply in example.given]
        node: Ints = np.concatenate(paths)
        turn = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
        depth = np.concatenate([np.arange(len(path)) for path in paths])
        taken = self._taken[node]
        passes = taken[:, :, None] == np.arange(self._options.shape[1])  # [P, A, C]
        target: Floats = np.einsum("pa,pac->pc", example.target[turn], passes)
        every = np.arange(len(node))
        action, answer = (
            np.where(label[turn] < 0, -1, taken[every, label[turn]])
            for label in (example.action, example.answer)
        )
        kept: Ints = np.flatnonzero((target.sum(axis=1) > 0) | (action >= 0) | (answer >= 0))
        return TokenChoices(
            positions=(example.positions[turn] + depth)[kept],
            options=self._options[node][kept],
            legal=(example.legal[turn][:, :, None] & passes).any(axis=1)[kept],
            target=target[kept].astype(np.float32),
            action=action[kept],
            answer=answer[kept],
            begins=depth[kept] == 0,
        )
