"""Causal language models as agents: one folder of weights, in whatever engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acquaint_gym.agents.llm.adapter import check_adapter, model_info
from acquaint_gym.agents.llm.choice import ChoiceAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.length import check_length
from acquaint_gym.agents.llm.scorer import make_scorer
from acquaint_gym.agents.weights import model_folder
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.files import find_folder


class LLMAgent(ChoiceAgent):
    """A causal language model with a tokenizer of Hugging Face, from a folder or the hub.

    Args:
        task, probe: see `ChoiceAgent`.
        model, adapter, revision, dtype, device, batch_size: see `agents.llm.scorer.ScorerClass`;
            see `agents.llm.adapter` for when an adapter is refused.
        attention: of our own engine, see `agents.llm.hugging_face.load_model`; another one gets it
            only where it is set.
        cache: whether our own engine keeps keys and values from turn to turn; another one gets it
            only where it is false.
        made_by: the command that makes the adapter, for the message where it is missing.
        scorer: the engine that computes, `module:Class`; see `agents.llm.scorer.ScorerClass`.
        scorer_options: further arguments of that class.
        template: path of a Jinja file, or a chat template, in place of the tokenizer's own.
        template_arguments: for the chat template, e.g. `{enable_thinking: false}`.

    Raises:
        ValueError: what is not there, and where it could be; an adapter that was trained on
            another base or on prompts that are written otherwise; a chat template that will not do,
            with the arguments that it needs; or conversations that the model cannot read.
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
        scorer: str = "acquaint_gym.agents.llm.hugging_face:load_scorer",
        scorer_options: Mapping[str, Any] | None = None,
        template: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        model = model_folder(model)
        if adapter is not None:
            adapter = find_folder(adapter)
            if made_by and not Path(adapter).is_dir():
                raise ValueError(f"There is no adapter {adapter!r} yet; make it with: {made_by}")
        try:
            from acquaint_gym.agents.llm.tokenizer import load_limits, load_tokenizer
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}: pip install -e '.[llm]'") from error
        words, limits = load_tokenizer(model, revision), load_limits(model, revision)
        dialogue = Dialogue(words, model, template, template_arguments, limits)
        check_adapter(adapter or model, model, revision, dialogue)
        check_length(task, dialogue, probe)
        options: dict[str, Any] = {} if attention is None else {"attention": attention}
        loaded = make_scorer(
            scorer,
            model=model,
            adapter=adapter,
            revision=revision,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            **options,
            **({} if cache else {"cache": cache}),
            **(scorer_options or {}),
        )
        super().__init__(task, dialogue, loaded, probe)
        self._identity = model, revision, adapter

    def model_info(self) -> dict[str, str]:
        """See `Agent.model_info`: folders or hub ids, revision, digests of weights and template."""
        template = self.dialogue.template.identity()["template"]
        return {**model_info(*self._identity), "chat_template": template}
