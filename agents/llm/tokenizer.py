"""Tokenizers of Hugging Face, from a folder or the hub; without any weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for such uses
from safetensors import SafetensorError
from transformers import AutoTokenizer

# What libraries raise for files that are damaged, or do not fit each other.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    ImportError,
    AttributeError,
    RuntimeError,
    SafetensorError,
)


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """The tokenizer of a model, with its chat template.

    Args:
        model: folder or hub id.
        revision: commit of a hub model.

    Raises:
        ValueError: there is none, it is damaged, or its hub cannot be reached.
    """
    try:
        return AutoTokenizer.from_pretrained(model, **load_arguments(model, revision))
    except DAMAGED as error:
        raise load_error(model, error) from error


def load_arguments(model: str, revision: str | None) -> dict[str, Any]:
    """Arguments of `from_pretrained` that say where a model's files are."""
    return {"revision": revision, "local_files_only": _out_of_reach(model)}


def load_error(model: str, error: Exception) -> ValueError:
    """The error to raise where a model's files are not there or damaged, in one line."""
    reason = " ".join(str(error).split())
    return ValueError(
        f"Model {model!r} cannot be loaded: {reason} Expected a folder with safetensors and a "
        f"tokenizer, or a hub id that `hf download {model}` can fetch (gated ones after "
        "`hf auth login`)."
    )


def _out_of_reach(model: str) -> bool:
    """Whether a model is on a hub that cannot be reached; its client tries half a minute a file."""
    if Path(model).is_dir():
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (httpx.TransportError, OfflineModeIsEnabled):
        return True
    return False
