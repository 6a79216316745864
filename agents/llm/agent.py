"""Causal language models of Hugging Face as agents."""

from __future__ import annotations

from agents.llm.choice import ChoiceAgent
from agents.llm.dialogue import Dialogue
from envs.core import UserTask


class LLMAgent(ChoiceAgent):
    """A causal language model of Hugging Face, from a folder or the hub.

    Args:
        task, probe: see `ChoiceAgent`.
        model, adapter, revision, dtype, device, attention: see `agents.llm.hugging_face.load`.
        batch_size, cache: see `agents.llm.hugging_face.HuggingFaceScorer`.

    Raises:
        ValueError: what cannot be had, and where it could be.
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
    ) -> None:
        """Loads model and tokenizer."""
        try:
            from agents.llm.hugging_face import HuggingFaceScorer, load
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}: pip install -e '.[llm]'") from error
        loaded, tokenizer = load(model, adapter, revision, dtype, device, attention)
        scorer = HuggingFaceScorer(loaded, batch_size, cache)
        super().__init__(task, Dialogue(tokenizer, model), scorer, probe)
