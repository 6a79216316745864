"""Chat completions over HTTP, with retries and through a cache. Knows no task."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from acquaint_gym.agents.api.cache import AnswerCache, Usage, request_key
from acquaint_gym.agents.api.completion import Message, RefusedError, read_completion
from acquaint_gym.agents.api.connection import Connection
from acquaint_gym.agents.core import AnotherModelError, OutsideError

Body = dict[str, Any]


class ChatServer:
    """An OpenAI-compatible server, asked through a cache on disk.

    An answer is kept, as soon as it comes, under a digest of the address and the whole request
    (never of the key): what was asked once is not asked again, in this run or another. `usage/`
    beside the answers has a file for each process: how often it asked, how many tokens, at what
    cost. All answers must be of one model, kept ones too: what the server calls itself in the first
    one, `model` and `system_fingerprint`, it must call itself in every other.

    Args:
        base_url: address of the server up to `/v1`.
        model: name of the model, as the server calls it.
        key_variable: environment variable that holds the key; unset for a server that wants none.
            It is read for every request and kept nowhere.
        concurrency: requests at a time.
        retries: further tries after status 408, 429, 500 and above, an error of such a status
            inside HTTP 200, no connection, or no answer.
        backoff: seconds before the first of them, doubled before each other; a `Retry-After` of
            the server goes first.
        timeout: seconds without a sign of the server.
        cache: folder of the answers.
        price_in: of a million tokens of prompts, in whatever currency.
        price_out: of a million tokens of messages.
        check_fingerprint: whether `system_fingerprint` must stay; large hosts have several at once.

    Raises:
        ValueError: an argument out of range, or a folder that cannot be made.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str,
        concurrency: int,
        retries: int,
        backoff: float,
        timeout: float,
        cache: str,
        price_in: float,
        price_out: float,
        check_fingerprint: bool,
    ) -> None:
        if not re.fullmatch(r"https?://[^/@\s]+(/[^?#\s]*)?", base_url):
            raise ValueError(f"base_url={base_url!r}; expected e.g. http://localhost:8000/v1.")
        at_least(1, concurrency=concurrency)
        at_least(0, retries=retries, backoff=backoff, price_in=price_in, price_out=price_out)
        at_least(0.001, timeout=timeout)
        self.url = chat_url(base_url)
        self._cache = AnswerCache(cache, model, self.url)
        about = {"model": model, "url": self.url}
        self.usage = Usage(self._cache.folder / "usage", about, price_in, price_out)
        self._connection = Connection(self.url, key_variable, backoff, timeout, self.usage.add)
        self._concurrency, self._retries = concurrency, retries
        self._compared = ("model", "system_fingerprint")[: 1 + check_fingerprint]
        self.identity: dict[str, str] = {}

    @property
    def age(self) -> int:
        """See `AnswerCache.age`."""
        return self._cache.age

    def ask(self, requests: Sequence[tuple[Body, int]]) -> list[Message]:
        """Answers to requests, in their order; equal ones are sent once.

        Args:
            requests: bodies, each with a number that tells repetitions of the same body apart.

        Raises:
            RefusedError: the server will not answer one of them.
            AnotherModelError: an answer, kept or just given, is of another model than the first.
            OutsideError: it cannot be reached or does not speak this language, or an answer in the
                cache is damaged.
        """
        keys = [request_key([self.url, *request]) for request in requests]
        bodies = {key: body for key, (body, _) in zip(keys, requests, strict=True)}
        try:
            with ThreadPoolExecutor(self._concurrency) as pool:
                messages = pool.map(self._answer, bodies, bodies.values())
                answers = dict(zip(bodies, messages, strict=True))
        finally:
            self.usage.save()
        return [answers[key] for key in keys]

    def greet(self, body: Body, patient: bool) -> None:
        """Asks what stands behind the address now: in every process anew, before anything else.

        Where it cannot be asked but has answered the same before, what is kept is gone by.

        Args:
            body: a request.
            patient: whether to ask again where the server breaks down at it (500, 501).

        Raises:
            RefusedError: the server will not answer it, or would not before.
            AnotherModelError: it refuses (400, 422) what it answered before.
            OutsideError: it cannot be reached, and has not answered it before.
        """
        key = request_key([self.url, body, 0])
        if kept := self._cache.has(key):
            message = self._cache.load(key)
        try:
            answer, message = self._complete(body, 1 if kept else self._retries, patient)
        except OutsideError as error:
            if not kept:
                raise
            name = _named(message.identity)
            if isinstance(error, RefusedError) and error.status in (400, 422):
                raise AnotherModelError(
                    f"{self.url}: what answered the same before, {name}, is not what refuses it "
                    f"now, {error.words}. --fresh asks it for all that is kept again."
                ) from error
            warnings.warn(f"What is kept is used, of {name}. {error}", stacklevel=2)
        else:
            self._expect_openings(body, message)
            self._cache.keep(key, answer)
        finally:
            self.usage.save()
        self.identity = self._identity(message)

    def keep_refusal(self, body: Body, error: RefusedError) -> None:
        """Keeps a refusal, so that `greet` repeats it without asking."""
        self._cache.keep_refusal(request_key([self.url, body, 0]), error)

    def _answer(self, key: str, body: Body) -> Message:
        """The answer that is kept, else the server's, which is kept from now on.

        Raises:
            AnotherModelError: it is of another model than the server's first.
        """
        if kept := self._cache.has(key):
            self.usage.add(from_cache=1)
            message = self._cache.load(key)
        else:
            answer, message = self._complete(body, self._retries)
        served = self._identity(message)
        if served != self.identity:
            raise AnotherModelError(
                f"{self.url}: the first answer was of {_named(self.identity)}, one that "
                f"{'is kept from before' if kept else 'just came'} is of {_named(served)}. Answers "
                "of two models are not mixed. --fresh lets go of what is kept and asks for all of "
                "it again; check_fingerprint: false is for hosts that have several at once."
            )
        if not kept:
            self._expect_openings(body, message)
            self._cache.keep(key, answer)
        return message

    def _identity(self, message: Message) -> dict[str, str]:
        """What is compared of the names that the server gives itself with an answer."""
        return {k: name for k, name in message.identity.items() if k in self._compared}

    def _complete(self, body: Body, retries: int, patient: bool = True) -> tuple[Any, Message]:
        """A completion from the server, and what it says."""
        raw = self._connection.post(body, retries, patient)
        try:
            answer = json.loads(raw)
            message = read_completion(answer)
        except ValueError as error:
            reason = f"{error}: {self._connection.words(raw)}. {self._connection.hint(404)}"
            raise OutsideError(f"{self.url}: {reason}") from error
        prompt, written = message.tokens or (0, 0)
        self.usage.add(requests=1, prompt_tokens=prompt, completion_tokens=written)
        self.usage.add(without_usage=message.tokens is None)
        return answer, message

    def _expect_openings(self, body: Body, message: Message) -> None:
        """Refuses a completion without the log-probabilities that were asked for."""
        if body.get("logprobs") and message.openings is None:
            reason = "no log-probabilities of alternatives came back that can be read"
            advice = "Set logprobs: false to have messages read as text."
            raise RefusedError(f"{self.url}: {reason}. {advice}", 200, reason)


def chat_url(base_url: str) -> str:
    """Where chats of the server at this address go on."""
    return f"{base_url.rstrip('/')}/chat/completions"


def _named(identity: dict[str, str]) -> str:
    """`model 'm', system_fingerprint 'f'`."""
    return ", ".join(f"{key} {name!r}" for key, name in identity.items()) or "no name"


def at_least(least: float, **numbers: float) -> None:
    """Refuses arguments that are too small.

    Raises:
        ValueError: one that is.
    """
    for name, number in numbers.items():
        if not number >= least:
            raise ValueError(f"{name}={number}; expected at least {least}.")
