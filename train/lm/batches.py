"""Training examples as tensors: padded batches, of examples of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from acquaint_gym.train.lm.objectives import Choices
from acquaint_gym.train.lm.token_choices import TrainingExample

Group = Sequence[TrainingExample]
"""The conversation with a person, first, and questions about that person."""


class Examples(Dataset[Group]):
    """Groups of training examples, in memory: about four bytes a token."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.groups)

    def __getitem__(self, index: int) -> Group:
        """One group."""
        return self.groups[index]


class Collator:
    """Pads to the right: no position sees what follows it, so no attention mask is needed.

    Args:
        pad: token to pad with.
        belief_weight: of a question about a trait, beside the mean of the conversation's replies.
    """

    def __init__(self, pad: int, belief_weight: float = 1.0) -> None:
        self._pad, self._belief_weight = pad, belief_weight

    def __call__(self, groups: Sequence[Group]) -> dict[str, torch.Tensor]:
        """A batch of R sequences, L tokens the longest, n positions.

        Returns:
            `input_ids` `[R, L]`, `answer_mask` `[R, L]` true at the n positions, `tokens` `[R]`
            lengths, and the parts of `Choices`, positions in the order of the mask.
        """
        rows = [example for group in groups for example in group]
        nodes = [row.replies.choices(row) for row in rows]
        width = max(len(row.ids) for row in rows)
        most = max(node.options.shape[1] for node in nodes)
        ids = np.full((len(rows), width), self._pad, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=bool)
        for number, (row, node) in enumerate(zip(rows, nodes, strict=True)):
            ids[number, : len(row.ids)] = row.ids
            mask[number, node.positions] = True
        weights = [self._weight(example, group) for group in groups for example in group]
        sizes = [len(node.positions) for node in nodes]
        columns = {
            name: np.concatenate([_widen(getattr(node, name), most) for node in nodes])
            for name in ("options", "legal", "target")
        } | {
            name: np.concatenate([getattr(node, name) for node in nodes])
            for name in ("action", "answer", "begins")
        }
        columns["weight"] = np.repeat(np.array(weights, dtype=np.float32), sizes)
        columns["asks_belief"] = np.repeat([row.asks_belief for row in rows], sizes)
        whole = {
            "input_ids": ids,
            "answer_mask": mask,
            "tokens": np.array([len(row.ids) for row in rows]),
            **columns,
        }
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in whole.items()}

    def _weight(self, example: TrainingExample, group: Group) -> float:
        """1 for a reply; questions weigh together as much as all replies, times their weight."""
        if not example.asks_belief:
            return 1.0
        replies = sum(len(one.positions) for one in group if not one.asks_belief)
        questions = sum(len(one.positions) for one in group if one.asks_belief)
        return self._belief_weight * replies / questions


def _widen(part: Any, width: int) -> Any:
    """`[n, C]` with zeros up to `[n, width]`."""
    return np.pad(part, ((0, 0), (0, width - part.shape[1])))


def choices(batch: dict[str, torch.Tensor]) -> Choices:
    """What is to be chosen in a batch."""
    return Choices(**{name: batch[name] for name in Choices._fields})


def generator(*seeds: int) -> np.random.Generator:
    """Random numbers that belong to these seeds."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seeds)))


class ByLength(Sampler[int]):
    """Examples at random, but neighbours of similar length, so that little is padding.

    The order of an epoch depends on seed and epoch alone: it is the same in every process, and
    after training was interrupted.

    Args:
        lengths: of each example.
        batch_size: examples between two updates of the weights.
        seed: of the order.
    """

    _BATCHES_SORTED_TOGETHER = 50

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = np.asarray(lengths), batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Indices of one epoch."""
        rng = generator(self._seed, self._epoch)
        order, batches = rng.permutation(len(self._lengths)), []
        together = self._batch_size * self._BATCHES_SORTED_TOGETHER
        for start in range(0, len(order), together):
            rows = order[start : start + together]
            rows = rows[np.argsort(-self._lengths[rows], kind="stable")]
            batches += [
                rows[at : at + self._batch_size] for at in range(0, len(rows), self._batch_size)
            ]
        # A last batch that is not full stays the last one.
        places = rng.permutation(len(batches) - 1)
        for place in [*places, len(batches) - 1]:
            yield from batches[place].tolist()
