"""How a model behind a server is asked, and how it is found out what the server takes."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

from acquaint_gym.agents.api.cache import request_key
from acquaint_gym.agents.api.client import Body, ChatServer, at_least
from acquaint_gym.agents.api.completion import Message, RefusedError
from acquaint_gym.agents.api.connection import BROKEN
from acquaint_gym.envs.prompt import without_system

Messages = list[dict[str, str]]

GREETING = [
    {"role": "system", "content": "Reply with a number."},
    {"role": "user", "content": "One?"},
]


class Form(NamedTuple):
    """How requests are written for a server.

    Attributes:
        alternatives: log-probabilities to ask for, `top_logprobs`; 0 for none.
        knows_system: whether it takes a system turn; otherwise its text opens the first user turn.
        limit: the field that holds the longest message.
    """

    alternatives: int
    knows_system: bool = True
    limit: str = "max_tokens"

    def words(self) -> str:
        """How requests are written, in a sentence."""
        turn = "" if self.knows_system else ", the system turn opens the first question"
        asked = f"{self.alternatives} alternatives to a token are asked for"
        kind = asked if self.alternatives else "Messages are read as text"
        return f"{kind}{turn}, {self.limit}."


class ChatModel:
    """One model with its sampling parameters.

    Args:
        server: where it runs.
        model: its name there.
        logprobs: True, False, or `auto`: whether the server has any that can be read. Those of a
            model that thinks aloud begin its thoughts: it needs False and room for them.
        top_logprobs: alternatives to ask for, fewer if the server says so.
        samples: messages for each chat; several are for reading, and turn `auto` into False.
        temperature: by default 0 for a single message to be read, else 1: there servers that
            scale log-probabilities and servers that do not report the same.
        max_tokens: longest message; `max_completion_tokens` where the server asks for that.
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
        self._auto = logprobs == "auto" and samples == 1
        self._first = Form(top_logprobs if self._auto or logprobs is True else 0)
        self._server, self._samples, self._max_tokens = server, samples, max_tokens
        self._form: Form | None = None
        self._age = -1
        chosen = {} if temperature is None else {"temperature": temperature}
        self._fields = {"model": model, "top_p": 1, **chosen}
        self._extra = extra or {}

    def form(self) -> Form:
        """How the server is asked, which is found out with a greeting: first of all, every time.

        Where it refuses the greeting, what it says is followed (fewer alternatives, another name
        of a field), or it is greeted more plainly: without a system turn, without log-probabilities
        (`auto` only), without both. Refusals are kept, so that a repeated run does as the first.

        Raises:
            RefusedError: it refuses all of them; the first refusal.
        """
        if self._form is None or self._age != self._server.age:
            self._age, self._form = self._server.age, self._negotiate()
        return self._form

    def gives_log_probs(self) -> bool:
        """Whether messages come with log-probabilities."""
        return self.form().alternatives > 0

    def ask(self, chats: list[Messages]) -> list[list[Message]]:
        """The messages with which each chat goes on, as many as there are samples."""
        form, numbers = self.form(), range(self._samples)
        requests = [(self._body(chat, n, form), n) for chat in chats for n in numbers]
        messages = self._server.ask(requests)
        return [messages[i : i + self._samples] for i in range(0, len(messages), self._samples)]

    def _negotiate(self) -> Form:
        """See `form`."""
        forms, refusals = [self._first], dict[Form, RefusedError]()
        for form in forms:  # which grows: the nearest forms come first
            try:
                self._server.greet(self._body(GREETING, 0, form), patient=not refusals)
            except RefusedError as error:
                refusals[form] = error
                forms += [other for other in self._others(form, error) if other not in forms]
                continue
            for refused, refusal in refusals.items():
                self._server.keep_refusal(self._body(GREETING, 0, refused), refusal)
            if refusals:
                warnings.warn(f"{form.words()} {refusals[self._first]}", stacklevel=3)
            return form
        raise refusals[self._first]

    def _others(self, form: Form, error: RefusedError) -> list[Form]:
        """What to try after a refusal."""
        if error.status not in (200, 400, 404, 422, *BROKEN):  # it is not about the form
            return []
        if "max_completion_tokens" in error.words and form.limit == "max_tokens":
            return [form._replace(limit="max_completion_tokens")]
        if form.alternatives and "logprob" in error.words:
            numbers = map(int, re.findall(r"\d+", error.words))
            if fewer := [n for n in numbers if 0 < n < form.alternatives]:
                return [form._replace(alternatives=max(fewer))]
        plainer = []
        if form.knows_system and error.status != 200:
            plainer.append(form._replace(knows_system=False))
        if form.alternatives and self._auto:
            plainer.append(form._replace(alternatives=0))
        return plainer

    def _body(self, chat: Messages, number: int, form: Form) -> Body:
        """The request for a message, or for its log-probabilities."""
        messages = chat if form.knows_system else without_system(chat)
        own: Body = {"messages": messages, "temperature": 1, form.limit: self._max_tokens}
        if form.alternatives:
            own |= {"logprobs": True, "top_logprobs": form.alternatives}
        elif self._samples > 1:
            # Another seed for another chat, or the same luck would meet everybody.
            own["seed"] = int(request_key([chat, number])[:7], 16)
        else:
            own["temperature"] = 0
        fields = {**own, **self._fields, **self._extra}
        return {name: value for name, value in fields.items() if value is not None}
