"""An agent of a model behind a server: how it is built, what it costs, what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from acquaint_gym.agents.api.cache import AnswerCache
from acquaint_gym.agents.api.chat import ChatModel
from acquaint_gym.agents.api.client import ChatServer, chat_url
from acquaint_gym.agents.api.completion import Message
from acquaint_gym.agents.api.reply import Labels
from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.transcript import Transcript


class ServedAgent(Agent):
    """Sends the task's prompt as messages: one request per person and turn, after a greeting.

    Args:
        task: gives the prompt, the replies and their words.
        model: its name on the server.
        base_url: address of the server; by default vLLM's on this machine.
        key_variable: environment variable that holds the key.
        logprobs, top_logprobs, samples, temperature, max_tokens, extra: see
            `agents.api.chat.ChatModel`.
        concurrency, retries, backoff, timeout, cache, price_in, price_out, check_fingerprint: see
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
        check_fingerprint: bool = True,
    ) -> None:
        super().__init__(task)
        if len({reply[0] for reply in task.replies}) < len(task.replies):
            if logprobs is True:
                raise ValueError(f"logprobs: two of {task.replies} begin alike; choose false.")
            logprobs = False
        manners = (key_variable, concurrency, retries, backoff, timeout)
        kept = (cache, price_in, price_out, check_fingerprint)
        self._server = ChatServer(base_url, model, *manners, *kept)
        self._labels = Labels(task.replies, task.action_names)
        self._model = ChatModel(
            self._server, model, logprobs, top_logprobs, samples, temperature, max_tokens, extra
        )

    def messages(self, observation: Transcript) -> list[list[str]]:
        """See `Agent.messages`."""
        return [[message.text for message in sent] for sent in self._ask(observation)]

    def usage(self) -> dict[str, float]:
        """See `Agent.usage`; `cost` at the given prices, of what was not kept already."""
        return self._server.usage.total()

    def model_info(self) -> dict[str, str]:
        """See `Agent.model_info`: what the server calls itself."""
        return self._server.identity

    @classmethod
    def start_afresh(cls, arguments: Mapping[str, Any]) -> None:
        """See `Agent.start_afresh`."""
        given = signature(cls).bind(None, **arguments)
        given.apply_defaults()
        url = chat_url(given.arguments["base_url"])
        AnswerCache(given.arguments["cache"], given.arguments["model"], url).start_afresh()

    def _ask(self, observation: Transcript) -> list[list[Message]]:
        people = [observation.person(row) for row in range(observation.num_people)]
        return self._model.ask([self.task.prompt(person) for person in people])
