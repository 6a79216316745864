"""Causal language models of Hugging Face as agents."""

from __future__ import annotations

from pathlib import Path

from acquaint_gym.agents.llm.adapter import check_adapter
from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.core import UserTask

# Where the folders lie that this project ships, e.g. agents/models/micro.
ROOT = Path(__file__).parent.parent.parent


class LLMAgent(ChoiceAgent):
    """A causal language model of Hugging Face, from a folder or the hub.

    Args:
        task, probe: see `ChoiceAgent`.
        model, revision, dtype, device, attention: see `agents.llm.hugging_face.load`.
        adapter: folder of a PEFT adapter; see `agents.llm.adapter` for when it is refused.
        batch_size, cache: see `agents.llm.hugging_face.HuggingFaceScorer`.
        made_by: the command that makes the adapter, for the message where it is missing.

    Raises:
        ValueError: what cannot be had, and where it could be; or an adapter that was trained on
            another base or on prompts that are written otherwise.
    """

    def __init__(
        self,
        task: UserTask,
        model: str,
        adapter: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        attention: str | None = None,
        batch_size: int = 32,
        cache: bool = True,
        probe: str | None = None,
        made_by: str | None = None,
    ) -> None:
        """Loads model and tokenizer."""
        try:
            from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer, load
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}: pip install -e '.[llm]'") from error
        model = folder(model)
        if adapter is not None:
            adapter = folder(adapter)
            if made_by and not Path(adapter).is_dir():
                raise ValueError(f"There is no adapter {adapter!r} yet; make it with: {made_by}")
        loaded, tokenizer = load(model, adapter, revision, dtype, device, attention)
        dialogue = Dialogue(tokenizer, model)
        check_adapter(adapter or model, model, revision, dialogue)
        super().__init__(task, dialogue, HuggingFaceScorer(loaded, batch_size, cache), probe)


def folder(name: str) -> str:
    """A folder as named, or else the one of that name that is shipped; a hub id as it is."""
    return str(ROOT / name) if not Path(name).is_dir() and (ROOT / name).is_dir() else name
