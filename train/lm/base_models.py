"""Language models to be trained: the base, the adapter, and what is recorded of both."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from acquaint_gym.agents.llm.adapter import (
    config_digest,
    prompt_digest,
    token_digest,
    weights_digest,
)
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import load_stored
from acquaint_gym.agents.llm.tokenizer import load_tokenizer
from acquaint_gym.agents.weights import model_folder
from acquaint_gym.train.recipes.language_model import LanguageModelRecipe
from acquaint_gym.train.recipes.provenance import provenance
from acquaint_gym.train.sources import TraceSource

PACKAGES = ("acquaint-gym", "torch", "transformers", "peft", "accelerate")


def load_base(recipe: LanguageModelRecipe) -> tuple[Any, Any]:
    """The base and its tokenizer; on the processor, from where the trainer moves it.

    Raises:
        ValueError: it is not there, or damaged.
    """
    settings = {"dtype": recipe.dtype, "attn_implementation": recipe.attention}
    name = model_folder(recipe.model)
    tokenizer = load_tokenizer(name, recipe.revision)
    return load_stored(name, recipe.revision, **settings), tokenizer


def lora_config(recipe: LanguageModelRecipe) -> Any:
    """The adapter that a recipe describes; None for full tuning."""
    if recipe.tuning == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=recipe.lora_targets,
        r=recipe.lora_r,
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.lora_dropout,
        use_rslora=recipe.use_rslora,
        use_dora=recipe.use_dora,
    )


def with_adapter(model: Any, recipe: LanguageModelRecipe, seed: int) -> Any:
    """The model, frozen, with a new adapter in training; or the model, to be trained as a whole."""
    config = lora_config(recipe)
    if config is None:
        return model
    from peft import get_peft_model

    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"lora_targets={recipe.lora_targets!r}: {reason}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without what libraries tell each other about their next versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def adapter_card(
    method: str,
    recipe: LanguageModelRecipe,
    sources: Sequence[TraceSource],
    dialogue: Dialogue,
    model: Any,
) -> dict[str, Any]:
    """What `adapter.json` says; see `agents.llm.adapter` for who reads it.

    Args:
        method: how it is trained, e.g. `distill`.
        recipe: the settings.
        sources: the traces.
        dialogue: of the base's tokenizer.
        model: the base.
    """
    where = model_folder(recipe.model)
    environments = [
        {
            **source.describe(),
            "prompts": prompt_digest(source.task),
            "tokens": token_digest(source.task, dialogue),
        }
        for source in sources
    ]
    base = {
        "model": Path(recipe.model).name if Path(where).is_dir() else recipe.model,
        "revision": recipe.revision or getattr(model.config, "_commit_hash", None),
        "weights": weights_digest(where, recipe.revision),
        "config": config_digest(where, recipe.revision),
    }
    table = recipe.plain()
    return provenance(
        method,
        table,
        environments,
        PACKAGES,
        tuning=recipe.tuning,
        base=base,
        chat_template=dialogue.template.identity(),
    )
