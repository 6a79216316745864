"""Weights in GGUF, the format of llama.cpp, as a folder that `transformers` reads."""

from __future__ import annotations

import struct
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from acquaint_gym.agents.llm.tokenizer import DAMAGED


class GGUFError(ValueError):
    """A file that cannot be converted; says why, in one line."""


def convert(file: Path, folder: Path) -> None:
    """Writes the model as float32 safetensors, with its tokenizer and chat template.

    Quantised weights are scales times small integers, so that float32 holds them exactly: the
    folder's model and the file's give the same logits.

    Args:
        file: weights of the llama family.
        folder: where to; it exists.

    Raises:
        GGUFError: another family, no chat template, a damaged file, or no package `gguf`.
    """
    try:
        where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        stored = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        if not isinstance(stored, LlamaForCausalLM):
            raise GGUFError(f"{file}: {type(stored).__name__}; expected the llama family.")
        if tokenizer.chat_template is None:
            raise GGUFError(f"{file}: no chat template; expected an instruct model.")
        # A model that came from GGUF says so and cannot be saved; one of the same config can.
        config = type(stored.config)(
            **{k: v for k, v in stored.config.to_dict().items() if k != "quantization_config"}
        )
        model = LlamaForCausalLM(config)
        model.load_state_dict(stored.state_dict())
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except GGUFError:
        raise
    except (*DAMAGED, struct.error, IndexError) as error:
        reason = " ".join(str(error).split())
        raise GGUFError(f"{file} cannot be read as GGUF: {reason}") from error
