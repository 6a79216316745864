"""Language models that choose among the task's replies instead of typing freely."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.core import Agent, Decision, decide
from envs.core import UserTask
from envs.transcript import Observation
from envs.users.response_models import Floats


class LLMAgent(Agent):
    """A causal language model: probabilities of whole replies after the task's prompt.

    Each reply's tokens are scored after the chat as the model's own template writes it, illegal
    actions are masked, the rest is normalised. Nothing is generated and nothing parsed.

    Args:
        task: gives the prompt and the replies.
        model: folder or hub id of a causal model with a chat template; safetensors only.
        revision: commit of a hub model, so that a score belongs to fixed weights.
        dtype: `auto` (as stored), `float32`, `bfloat16` or `float16`.
        device: where it runs, e.g. `cpu`, `cuda`, `cuda:1`.
        batch_size: sequences scored at a time.

    Raises:
        OSError: the model is neither a folder nor to be had from the hub.
        ValueError: its tokenizer has no chat template.
    """

    def __init__(
        self,
        task: UserTask,
        model: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "cuda" if torch.cuda.is_available() else "cpu",
        batch_size: int = 32,
    ) -> None:
        """Loads model and tokenizer."""
        super().__init__(task)
        self._tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
        if not self._tokenizer.chat_template:
            raise ValueError(f"{model} has no chat template; choose an instruction-tuned model.")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            model, revision=revision, dtype=dtype, use_safetensors=True
        )
        self._model.to(device)  # type: ignore[arg-type]  # transformers wraps away `self`
        self._model.train(False)
        self._batch_size = batch_size

    def act(self, observation: Observation, uniform: Floats) -> Decision:
        """See `Agent.act`: the most probable legal reply."""
        sequences, starts = [], []
        replies = [self._tokens(reply) for reply in self.task.replies]
        for row in range(len(observation["turn"])):
            messages = self.task.prompt({key: value[row] for key, value in observation.items()})
            chat = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            prompt = self._tokens(str(chat))
            sequences += [prompt + reply for reply in replies]
            starts += [len(prompt)] * len(replies)
        scores = np.concatenate(
            [
                self._scores(sequences[i : i + self._batch_size], starts[i : i + self._batch_size])
                for i in range(0, len(sequences), self._batch_size)
            ]
        ).reshape(-1, len(replies))
        return decide(self.task, observation, softmax(scores, axis=1))

    def _tokens(self, text: str) -> list[int]:
        """Token ids of a text; the template has written the special ones already."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    @torch.inference_mode()
    def _scores(self, sequences: list[list[int]], starts: list[int]) -> Floats:
        """`[n]` log-probability of each sequence from its start on, in float64."""
        longest = max(map(len, sequences))
        # Padding stands to the right, where a causal model's earlier tokens cannot see it.
        ids = torch.tensor([s + [0] * (longest - len(s)) for s in sequences])
        mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in sequences])
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        log_probs = logits[:, :-1].float().log_softmax(-1).cpu()
        taken = log_probs.gather(-1, ids[:, 1:, None])[..., 0].double().numpy()
        position = np.arange(1, longest)
        start, end = np.array(starts)[:, None], np.array([len(s) for s in sequences])[:, None]
        return np.where((position >= start) & (position < end), taken, 0.0).sum(axis=1)
