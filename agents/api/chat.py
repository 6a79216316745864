"""How a model behind a server is asked: for log-probabilities, or for messages to be read."""

from __future__ import annotations

import warnings
from typing import Any

from acquaint_gym.agents.api.cache import digest
from acquaint_gym.agents.api.client import Body, ChatServer, at_least
from acquaint_gym.agents.api.reply import Message

Messages = list[dict[str, str]]


class ChatModel:
    """One model with its sampling parameters.

    Args:
        server: where it runs.
        model: its name there.
        logprobs: True, False, or `auto`: whether the server has any is asked at the first use, and
            the answer kept like any other, so that a repeated run does what the first did. Those
            of a model that thinks aloud begin its thoughts: it needs False and room for them.
        top_logprobs: alternatives to ask for.
        samples: messages for each chat; several are for reading, and turn `auto` into False.
        temperature: by default 0 for a single message to be read, else 1: there servers that
            scale log-probabilities and servers that do not report the same.
        max_tokens: longest message.
        extra: further fields of a request; None leaves one out.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        server: ChatServer,
        model: str,
        logprobs: bool | str,
        top_logprobs: int,
        samples: int,
        temperature: float | None,
        max_tokens: int,
        extra: Any,
    ) -> None:
        if logprobs not in (True, False, "auto"):
            raise ValueError(f"logprobs={logprobs!r}; expected true, false or auto.")
        if not isinstance(extra, dict | None):
            raise ValueError(f"extra={extra!r}; expected a mapping of fields to values.")
        at_least(1, top_logprobs=top_logprobs, samples=samples, max_tokens=max_tokens)
        if logprobs is True and samples > 1:
            raise ValueError(f"samples={samples} are for reading; choose logprobs: false.")
        self._gives_log_probs = None if logprobs == "auto" and samples == 1 else logprobs is True
        self._server, self._top, self._samples = server, top_logprobs, samples
        chosen = {} if temperature is None else {"temperature": temperature}
        self._fields = {"model": model, "max_tokens": max_tokens, "top_p": 1, **chosen}
        self._fields |= extra or {}

    def gives_log_probs(self) -> bool:
        """Whether messages come with log-probabilities; asks the server if nobody knows yet."""
        if self._gives_log_probs is None:
            hello = [{"role": "user", "content": "Reply with the number 1."}]
            asking, plain = self._body(hello, 0, True), self._body(hello, 0, False)
            if refusal := self._server.refusal(asking, plain):
                warnings.warn(f"Messages are read as text. {refusal}", stacklevel=2)
            self._gives_log_probs = not refusal
        return self._gives_log_probs

    def ask(self, chats: list[Messages]) -> list[list[Message]]:
        """The messages with which each chat goes on, as many as there are samples."""
        log_probs, numbers = self.gives_log_probs(), range(self._samples)
        requests = [(self._body(chat, n, log_probs), n) for chat in chats for n in numbers]
        messages = self._server.ask(requests)
        return [messages[i : i + self._samples] for i in range(0, len(messages), self._samples)]

    def _body(self, chat: Messages, number: int, log_probs: bool) -> Body:
        """The request for a message, or for its log-probabilities."""
        own: Body = {"messages": chat, "temperature": 1}
        if log_probs:
            own |= {"logprobs": True, "top_logprobs": self._top}
        elif self._samples > 1:
            # Another seed for another chat, or the same luck would meet everybody.
            own["seed"] = int(digest([chat, number])[:7], 16)
        else:
            own["temperature"] = 0
        return {name: value for name, value in {**own, **self._fields}.items() if value is not None}
