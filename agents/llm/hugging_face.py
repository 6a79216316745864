"""Models of Hugging Face transformers, whose keys and values are kept from turn to turn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.agents.llm.cache import SlotCache
from acquaint_gym.agents.llm.dialogue import common
from acquaint_gym.agents.llm.scorer import Ids
from acquaint_gym.agents.llm.slots import align, common_prefix
from acquaint_gym.agents.llm.tokenizer import DAMAGED, load_arguments, load_error
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.response_models import Floats

ATTENTION = {"full_attention", "sliding_attention"}
DTYPES = ("auto", "float32", "float64", "bfloat16", "float16")


def load_scorer(
    model: str,
    adapter: str | None,
    revision: str | None,
    dtype: str,
    device: str | None,
    batch_size: int,
    attention: str | None = None,
    cache: bool = True,
) -> HuggingFaceScorer:
    """Our own `agents.llm.scorer.ScorerClass`: loads a model and scores with it.

    For the arguments see `load_model`, and `HuggingFaceScorer` for `batch_size` and `cache`.
    """
    loaded = load_model(model, adapter, revision, dtype, device, attention)
    return HuggingFaceScorer(loaded, batch_size, cache)


def load_model(
    model: str,
    adapter: str | None = None,
    revision: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    attention: str | None = None,
) -> Any:
    """A causal model, ready for `HuggingFaceScorer`.

    Args:
        model: folder or hub id; weights as safetensors only, and no code of its own.
        adapter: folder of a PEFT adapter. In float32 it is added to the weights, which is faster;
            in shorter types, where the sum would be rounded, it stays beside them.
        revision: commit of a hub model, so that a score belongs to fixed weights.
        dtype: `auto` (as stored), `float32`, `float64`, `bfloat16` or `float16`.
        device: `cpu`, `cuda`, `cuda:1`, or `auto` to spread a large model over all of them; by
            default the first accelerator, or else the processor.
        attention: implementation, e.g. `sdpa`, `eager`, `flash_attention_2`; by default the
            model's own.

    Raises:
        ValueError: weights or adapter that are not there or damaged, or no such type or device.
    """
    if dtype not in DTYPES:
        raise ValueError(f"Unknown dtype {closest(dtype, DTYPES)}")
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if place != "auto":
        _check_device(place)
    settings = {"dtype": dtype, "attn_implementation": attention, "device_map": place}
    loaded = load_stored(model, revision, **settings)
    if adapter is not None:
        loaded = _adapt(loaded, adapter)
    return loaded.train(False)


def load_stored(model: str, revision: str | None, **settings: Any) -> Any:
    """A causal model as it is stored, to be scored with or trained.

    Args:
        model: folder or hub id.
        revision: commit of a hub model.
        settings: further arguments of `from_pretrained`.

    Raises:
        ValueError: weights that are not there or damaged.
    """
    auto: Any = AutoModelForCausalLM
    try:
        with _without_bar():
            return auto.from_pretrained(
                model, use_safetensors=True, **load_arguments(model, revision), **settings
            )
    except DAMAGED as error:
        raise load_error(model, error) from error


@contextmanager
def _without_bar() -> Iterator[None]:
    """Weights are read from disk without a bar of their own; downloads keep theirs."""
    before = logging.set_tqdm_hook(
        lambda bar, arguments, settings: bar(*arguments, **{**settings, "disable": True})
    )
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _check_device(place: str) -> None:
    """Puts something there: each way of not being there has an error of its own."""
    try:
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={place!r} cannot be used here: {reason}") from error


def _adapt(model: Any, adapter: str) -> Any:
    """The model with a PEFT adapter."""
    from peft import PeftModel  # takes seconds, and only adapters need it

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (Path(adapter) / name).is_file():
            raise ValueError(
                f"Adapter {adapter!r} cannot be loaded: it has no {name}. Expected a folder "
                "that PEFT saved as safetensors."
            )
    with warnings.catch_warnings():
        # PEFT still uses a name that Transformers is about to drop.
        warnings.filterwarnings("ignore", ".is_gradient_checkpointing", FutureWarning)
        try:
            adapted: Any = PeftModel.from_pretrained(model, adapter)
        except (RuntimeError, ValueError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"Adapter {adapter!r} does not fit the model: {reason}") from error
    return adapted.merge_and_unload() if model.dtype == torch.float32 else adapted


class HuggingFaceScorer:
    """Probabilities of replies under a causal language model; see `ChoiceScorer`.

    Between calls the keys and values of all conversations are kept. A call compares its
    conversations, token by token, with what is known of them, and computes the rest: the new turns
    of conversations that went on, and once for all what the others begin with. Results are those
    of encoding everything anew. The order of people is to be kept from call to call, though some
    may leave; otherwise nothing is known of them, and everything is computed.

    Memory: each conversation of a call takes 2 x layers x key-value heads x head size numbers per
    token until a call with more of them, and up to a quarter beside. `batch_size` bounds what a
    pass takes beside that.

    Args:
        model: in evaluation mode; its weights must not change as long as the scorer is used.
        batch_size: conversations in a forward pass.
        cache: whether keys and values are kept. Without, each call encodes everything.

    Raises:
        ValueError: a model in training mode, or one whose layers do not keep keys and values.

    Attributes:
        tokens_computed: tokens that went through the model so far.
    """

    def __init__(self, model: Any, batch_size: int = 32, cache: bool = True) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; expected at least 1.")
        if model.training:
            raise ValueError("The model is in training mode; call model.eval() first.")
        config = model.config.get_text_config(decoder=True)
        plain = set(getattr(config, "layer_types", None) or ATTENTION) <= ATTENTION
        shared = getattr(config, "num_kv_shared_layers", 0)
        if cache and (shared or not plain or getattr(model, "_is_stateful", False)):
            raise ValueError(
                f"Not every layer of {type(model).__name__} keeps keys and values of its own, and "
                "nothing else; set cache=False."
            )
        self.tokens_computed = 0
        self._model = model
        self._batch_size = batch_size
        self._layers = config.num_hidden_layers if cache else 0
        self._cache = SlotCache(self._layers, 1)

    @torch.inference_mode()
    def score(self, conversations: Sequence[Ids], replies: Sequence[Ids]) -> Floats:
        """See `ChoiceScorer.score`."""
        try:
            # The first tokens of all replies are read from one distribution.
            scores = self._log_probs(conversations, [[reply[0] for reply in replies]])[:, 0]
            for column, reply in enumerate(replies):
                if len(reply) > 1:
                    begun = [[*ids, *reply[:-1]] for ids in conversations]
                    rest = self._log_probs(begun, [[token] for token in reply[1:]])
                    scores[:, column] += rest.sum(axis=(1, 2))
        except torch.OutOfMemoryError as error:
            raise OutsideError(
                f"{len(conversations)} people at a time do not fit into memory, where their keys "
                f"and values take {self._cache.gib:.1f} GiB so far; meet fewer at a time "
                f"(--batch-size of eval.run), or set agent.batch_size below {self._batch_size}."
            ) from error
        return scores

    def _log_probs(self, sequences: Sequence[Ids], wanted: Sequence[Ids]) -> Floats:
        """`[B, n, J]` log-probabilities of J wanted tokens after each of the last n tokens."""
        slots, starts = self._places(sequences, len(wanted))
        new = [len(ids) - start for ids, start in zip(sequences, starts, strict=True)]
        order = sorted(range(len(sequences)), key=lambda row: (new[row], starts[row]))
        result = np.empty((len(sequences), len(wanted), len(wanted[0])))
        targets = torch.tensor(wanted, device=self._model.device)
        while order:
            rows = [row for row in order[: self._batch_size] if new[row] == new[order[0]]]
            order = order[len(rows) :]
            logits = self._logits(
                [sequences[row] for row in rows],
                [slots[row] for row in rows],
                [starts[row] for row in rows],
                keep=len(wanted),
            )
            scores = logits.float().log_softmax(-1)
            taken = scores.gather(-1, targets.expand(len(rows), -1, -1))
            result[rows] = taken.double().cpu().numpy()
        return result

    def _places(self, sequences: Sequence[Ids], keep: int) -> tuple[list[int], list[int]]:
        """Each row's slot and how many of its tokens are known there, all but `keep` at most."""
        if not self._layers:
            return [0] * len(sequences), [0] * len(sequences)
        if len(self._cache.known) <= len(sequences):
            self._cache = SlotCache(self._layers, 1 + len(sequences))
        known = self._cache.known
        slots, begins = align(sequences, known[1:])
        slots = [1 + slot for slot in slots]  # slot 0 is for what all begin with
        starts = [min(n, len(ids) - keep) for n, ids in zip(begins, sequences, strict=True)]
        # What all begin with is computed in slot 0, for all who do not have it yet.
        shortest = min(map(len, sequences)) - keep
        shared = sequences[0][: min(shortest, common(min(sequences), max(sequences)))]
        behind = [row for row, start in enumerate(starts) if start < len(shared)]
        if len(behind) > 1:
            start = common_prefix(shared, known[0])
            if start < len(shared):
                self._logits([shared], [0], [start], keep=1)
            since = min(starts[row] for row in behind)
            self._cache.share([slots[row] for row in behind], since, len(shared))
            for row in behind:
                known[slots[row]], starts[row] = list(shared), len(shared)
        return slots, starts

    def _logits(
        self, sequences: Sequence[Ids], slots: list[int], starts: list[int], keep: int
    ) -> torch.Tensor:
        """`[b, keep, V]` logits after the last tokens of b rows with equally many new ones."""
        device, new = self._model.device, len(sequences[0]) - starts[0]
        tokens = [ids[start:] for ids, start in zip(sequences, starts, strict=True)]
        settings: dict[str, Any] = {"use_cache": False}
        if self._layers:
            for slot, ids, start in zip(slots, sequences, starts, strict=True):
                # Until the pass is over a slot holds no more than it did: it may be interrupted.
                self._cache.known[slot] = ids[:start]
            mask, positions = self._cache.aim(slots, starts, new)
            settings = {
                "use_cache": True,
                "past_key_values": self._cache,
                "attention_mask": None if mask is None else mask.to(device),
                "position_ids": positions.to(device),
            }
        given = torch.tensor(tokens, device=device)
        logits: torch.Tensor = self._model(input_ids=given, logits_to_keep=keep, **settings).logits
        self.tokens_computed += given.numel()
        if self._layers:
            for slot, sequence in zip(slots, sequences, strict=True):
                self._cache.known[slot] = list(sequence)
        return logits
