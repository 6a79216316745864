"""Tokenizers of Hugging Face, from a folder or the hub; without any weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for such uses
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

from acquaint_gym.agents.llm.limits import Limits, limits_of

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


def compile_template(template: str) -> Any:
    """A chat template as `apply_chat_template` of a tokenizer compiles it.

    That method passes no functions on to a template, e.g. no clock, hence this.

    Raises:
        jinja2.TemplateError: it is none.
    """
    return _compile_jinja_template(template)


def load_limits(model: str, revision: str | None = None) -> Limits:
    """How much a model can read, without its weights.

    Nothing is known where its configuration cannot be read: an engine may know what it is, and the
    one of transformers says what is wrong with it.

    Args:
        model: folder or hub id.
        revision: commit of a hub model.
    """
    try:
        return limits_of(AutoConfig.from_pretrained(model, **load_arguments(model, revision)))
    except DAMAGED:
        return Limits()


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
