"""Language models behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, hosted."""

from __future__ import annotations

from typing import Any

import numpy as np

from acquaint_gym.agents.api.chat import ChatModel
from acquaint_gym.agents.api.client import ChatServer
from acquaint_gym.agents.api.reply import by_opening, by_text
from acquaint_gym.agents.core import Agent, Decision, decide, sample
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats


class ApiAgent(Agent):
    """Sends the task's prompt as messages: one request per person and turn.

    Where the server has log-probabilities, replies have those of the first token, see
    `agents.api.reply.by_opening`. Elsewhere the message itself must be a reply, see `by_text`, and
    is a point: it has all the probability, and where the person answers otherwise the negative
    log-likelihood is infinite, which reports count as failed. Of several `samples` the frequencies
    count, after one more of each reply (Laplace). A message that is no legal reply is `unparsed`
    and lowers the answer mass; where nothing else came the decision is even, and the action drawn.

    Args:
        task: gives the prompt and the replies.
        model: its name on the server.
        base_url: address of the server; by default vLLM's on this machine.
        key_variable: environment variable that holds the key.
        logprobs, top_logprobs, samples, temperature, max_tokens, extra: see
            `agents.api.chat.ChatModel`.
        concurrency, retries, backoff, timeout, cache, price_in, price_out: see
            `agents.api.client.ChatServer`.

    Raises:
        ValueError: an argument out of range, or log-probabilities asked for in a task two of whose
            replies begin alike, as 1 and 10: a first token does not tell them apart.
    """

    def __init__(
        self,
        task: UserTask,
        model: str,
        base_url: str = "http://localhost:8000/v1",
        key_variable: str = "OPENAI_API_KEY",
        logprobs: bool | str = "auto",
        top_logprobs: int = 20,
        samples: int = 1,
        temperature: float | None = None,
        max_tokens: int = 8,
        extra: Any = None,
        concurrency: int = 8,
        retries: int = 5,
        backoff: float = 0.5,
        timeout: float = 120.0,
        cache: str = "~/.cache/acquaint",
        price_in: float = 0.0,
        price_out: float = 0.0,
    ) -> None:
        super().__init__(task)
        if len({reply[0] for reply in task.replies}) < len(task.replies):
            if logprobs is True:
                raise ValueError(f"logprobs: two of {task.replies} begin alike; choose false.")
            logprobs = False
        self._server = ChatServer(
            base_url,
            model,
            key_variable,
            concurrency,
            retries,
            backoff,
            timeout,
            cache,
            price_in,
            price_out,
        )
        self._model = ChatModel(
            self._server, model, logprobs, top_logprobs, samples, temperature, max_tokens, extra
        )

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        task, legal = self.task, self.task.legal(observation)
        people = [observation.person(row) for row in range(len(legal))]
        messages = self._model.ask([task.prompt(person) for person in people])
        read = by_opening if self._model.gives_log_probs() else by_text
        pairs = zip(messages, legal, strict=True)
        readings = [read(sent, task.replies, allowed) for sent, allowed in pairs]
        weights, mass, unparsed = (np.array(part) for part in zip(*readings, strict=True))
        self._server.usage.add(decisions=len(readings), unparsed=int(unparsed.sum()))
        self._server.usage.save()
        decision = decide(legal, weights)
        nothing = unparsed == [len(sent) for sent in messages]
        drawn = sample(decision.action_probs, uniform)
        action = np.where(nothing, drawn, decision.action)
        return decision._replace(action=action, answer_mass=mass)
