"""Keys and values of many conversations that grow by different numbers of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


@dataclass
class _Window:
    """What one forward pass of `b` rows and `m` new tokens writes and sees; shared by all layers.

    Attributes:
        slots: number of slots.
        capacity: tokens for which a slot has room.
        width: cached tokens of the longest row; the other rows have masked columns before theirs.
        write: `[b * m]` places of the new tokens; place = slot * capacity + position.
        read: `[b, width + m]` places of all tokens that the new ones see, rows ending together.
        buffers: memory to collect keys and values in, for each device and shape: layer after layer
            in the same memory, as new memory would cost more than the copying.
    """

    slots: int
    capacity: int = 0
    width: int = 0
    write: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    read: torch.Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.long))
    buffers: dict[Any, torch.Tensor] = field(default_factory=dict)

    def exchange(self, name: str, store: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Writes `[b, heads, m, size]` into `[places, heads, size]`; returns what is seen of it."""
        # The first layer brings the places to its device, where the next ones find them.
        self.write, self.read = self.write.to(new.device), self.read.to(new.device)
        store.index_copy_(0, self.write, new.transpose(1, 2).flatten(0, 1))
        key, number = (name, store.device, store.shape[1:]), self.read.numel()
        buffer = self.buffers.get(key, store[:0])
        if len(buffer) < number:
            self.buffers[key] = buffer = store.new_empty(number * 5 // 4, *store.shape[1:])
        seen = torch.index_select(store, 0, self.read.flatten(), out=buffer[:number])
        return seen.view(*self.read.shape, *store.shape[1:]).transpose(1, 2)


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]  # a hook of transformers
    """One layer's keys and values, `[slots, capacity, heads, size]`.

    Tokens are kept beyond a sliding window too: what may be seen is a matter of the mask.
    """

    def __init__(self, window: _Window) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._window = window

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keeps the new tokens' keys and values `[b, heads, m, size]`; returns all they see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, keys = self._place("keys", self.keys, key_states)
        self.values, values = self._place("values", self.values, value_states)
        return keys, values

    def get_seq_length(self) -> int:
        """Columns before the new tokens."""
        return self._window.width

    def _place(self, name: str, kept: Any, new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The store with the new tokens in it, and what they see of it."""
        window, (_, heads, _, size) = self._window, new.shape
        if kept.numel() == 0 or kept.shape[1] < window.capacity:
            grown = new.new_empty(window.slots, window.capacity, heads, size)
            if kept.numel():
                grown[:, : kept.shape[1]] = kept
            kept = grown
        return kept, window.exchange(name, kept.flatten(0, 1), new)


class SlotCache(Cache):
    """A cache of `transformers` in which each conversation has a slot of its own.

    A slot holds a token at its position, so a conversation that goes on from an earlier point
    overwrites what followed. Rows of a pass may have cached different numbers of tokens, but bring
    equally many new ones: nothing is computed for padding. Slot 0 is for what all begin with.

    Args:
        layers: of the model.
        slots: conversations, and one.
    """

    def __init__(self, layers: int, slots: int) -> None:
        self._window = _Window(slots)
        self._kept = [_Layer(self._window) for _ in range(layers)]
        super().__init__(layers=[*self._kept])
        self.known: list[list[int]] = [[] for _ in range(slots)]

    def aim(
        self, slots: Sequence[int], starts: Sequence[int], new: int
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Prepares a pass of `new` tokens a row after the first `starts` tokens of these slots.

        Returns:
            `[b, width + new]` attention mask, None without gaps, and `[b, new]` position ids.
        """
        window, slot, start = self._window, torch.tensor(slots)[:, None], torch.tensor(starts)
        window.width = max(starts)
        if window.width + new > window.capacity:
            # Room for a quarter more: what is copied then stays small beside what is computed.
            window.capacity = (window.width + new) * 5 // 4
        positions = start[:, None] + torch.arange(new)
        columns = torch.arange(window.width + new) - (window.width - start[:, None])
        window.write = (slot * window.capacity + positions).flatten()
        window.read = slot * window.capacity + columns.clamp(min=0)
        mask = columns >= 0
        return None if bool(mask.all()) else mask.long(), positions

    def share(self, slots: Sequence[int], start: int, stop: int) -> None:
        """Copies tokens `start..stop-1` of slot 0 into these slots."""
        for layer in self._kept:
            for kept in (layer.keys, layer.values):
                assert kept is not None  # slot 0 has been computed
                kept[list(slots), start:stop] = kept[0, start:stop].clone()

    @property
    def gib(self) -> float:
        """Memory in use, in GiB."""
        kept = [part for layer in self._kept for part in (layer.keys, layer.values)]
        return sum(part.numel() * part.element_size() for part in kept if part is not None) / 2**30
