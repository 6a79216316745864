"""Chat completions over HTTP, with retries and through a cache. Knows no task."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from time import sleep
from typing import Any
from urllib.request import HTTPErrorProcessor, Request, build_opener

from acquaint_gym.agents.api.cache import AnswerCache, Usage, digest
from acquaint_gym.agents.api.reply import Message, RefusedError, read_message
from acquaint_gym.agents.core import OutsideError

Body = dict[str, Any]

# Seconds: longest pause of our own between two tries, and longest that a server may ask for.
LONGEST_PAUSE, LONGEST_WAIT = 60.0, 600.0


class _AsItIs(HTTPErrorProcessor):
    """Leaves every status to the caller; a redirect would carry the key to another server."""

    def http_response(self, request: Any, response: Any) -> Any:
        """The response, whatever its status."""
        return response

    https_response = http_response


class ChatServer:
    """An OpenAI-compatible server, asked through a cache on disk.

    An answer is kept, as soon as it comes, under a digest of the address and the whole request
    (never of the key): what was asked once is not asked again, in this run or another. `usage/`
    beside the answers has a file for each process: how often it asked, how many tokens, at what
    cost.

    Args:
        base_url: address of the server up to `/v1`.
        model: name of the model, as the server calls it.
        key_variable: environment variable that holds the key; unset for a server that wants none.
            It is read for every request and kept nowhere.
        concurrency: requests at a time.
        retries: further tries after status 408, 429, 500 and above, no connection, or no answer.
        backoff: seconds before the first of them, doubled before each other; a `Retry-After` of
            the server goes first.
        timeout: seconds without a sign of the server.
        cache: folder of the answers.
        price_in: of a million tokens of prompts, in whatever currency.
        price_out: of a million tokens of messages.

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
    ) -> None:
        if not re.fullmatch(r"https?://[^/@\s]+(/[^?#\s]*)?", base_url):
            raise ValueError(f"base_url={base_url!r}; expected e.g. http://localhost:8000/v1.")
        at_least(1, concurrency=concurrency)
        at_least(0, retries=retries, backoff=backoff, price_in=price_in, price_out=price_out)
        at_least(0.001, timeout=timeout)
        self.url = f"{base_url.rstrip('/')}/chat/completions"
        self._cache = AnswerCache(cache, model)
        about = {"model": model, "url": self.url}
        self.usage = Usage(self._cache.folder / "usage", about, price_in, price_out)
        self._key_variable, self._concurrency, self._retries = key_variable, concurrency, retries
        self._backoff, self._timeout = backoff, timeout
        self._opener = build_opener(_AsItIs)

    def ask(self, requests: Sequence[tuple[Body, int]]) -> list[Message]:
        """Answers to requests, in their order; equal ones are sent once.

        Args:
            requests: bodies, each with a number that tells repetitions of the same body apart.

        Raises:
            RefusedError: the server will not answer one of them.
            ValueError: it cannot be reached or does not speak this language, or an answer in the
                cache is damaged.
        """
        keys = [digest([self.url, *request]) for request in requests]
        bodies = {key: body for key, (body, _) in zip(keys, requests, strict=True)}
        try:
            with ThreadPoolExecutor(self._concurrency) as pool:
                messages = pool.map(self._answer, bodies, bodies.values())
                answers = dict(zip(bodies, messages, strict=True))
        finally:
            self.usage.save()
        return [answers[key] for key in keys]

    def refusal(self, body: Body, plain: Body) -> str:
        """Why the server refuses a request, if it answers a plainer one; empty if it does not.

        Kept like an answer.

        Raises:
            ValueError: it does not answer the plainer one either.
        """
        try:
            self.ask([(body, 0)])
        except RefusedError as error:
            self.ask([(plain, 0)])
            self._cache.keep(digest([self.url, body, 0]), {"refused": str(error)})
            return str(error)
        return ""

    def _answer(self, key: str, body: Body) -> Message:
        """The answer that is kept, else the server's, which is kept from now on."""
        if self._cache.file(key).exists():
            self.usage.add(from_cache=1)
        else:
            self._cache.keep(key, self._fetch(body))
        return self._cache.load(key)

    def _fetch(self, body: Body) -> Any:
        """A completion from the server, with what the request asked for in it."""
        status, raw = self._send(body)
        if status != 200:
            reason = f"HTTP {status}, {self._words(raw)}"
            raise RefusedError(f"{self.url}: {reason}. {self._hint(status)}")
        try:
            response = json.loads(raw)
            message = read_message(response)
        except ValueError as error:
            reason = f"{error}: {self._words(raw)}"
            raise OutsideError(f"{self.url}: {reason}. {self._hint(404)}") from error
        prompt, written = message.tokens or (0, 0)
        self.usage.add(requests=1, prompt_tokens=prompt, completion_tokens=written)
        self.usage.add(without_usage=message.tokens is None)
        if body.get("logprobs") and message.openings is None:
            raise RefusedError(
                f"{self.url}: no log-probabilities of alternatives came back. Set logprobs: false "
                "to have messages read as text."
            )
        return response

    def _send(self, body: Body) -> tuple[int, bytes]:
        """Status and content of what the server says in the end."""
        for attempt in range(self._retries + 1):
            pause = min(self._backoff * 2**attempt, LONGEST_PAUSE)
            try:
                with self._opener.open(self._request(body), timeout=self._timeout) as response:
                    status, raw, wish = response.status, response.read(), response.headers
                if status < 500 and status not in (408, 429):
                    return status, raw
                problem = f"HTTP {status}, {self._words(raw)}"
                advice = "Fewer requests at a time (concurrency) or more retries may help."
                pause = _seconds(wish.get("Retry-After"), pause)
            except (OSError, HTTPException) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
                advice = f"Is the server running, base_url right, timeout={self._timeout} enough?"
            if pause > LONGEST_WAIT:
                problem += f", to be asked again in {pause:.0f} s"
                break
            if attempt < self._retries:
                self.usage.add(retries=1)
                sleep(pause)
        raise OutsideError(
            f"{self.url}: {problem}. Given up at try {attempt + 1}. {advice} What was answered is "
            "kept: the same command goes on from there."
        )

    def _request(self, body: Body) -> Request:
        # Some hosts turn away urllib's own User-Agent.
        headers = {"Content-Type": "application/json", "User-Agent": "acquaint"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        return Request(self.url, json.dumps(body).encode(), headers)

    def _key(self) -> str:
        """The key; empty for none. One that HTTP cannot carry would be shown by its error."""
        key = os.environ.get(self._key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError(f"{self._key_variable}: holds characters that no key can have.")
        return key

    def _words(self, raw: bytes) -> str:
        """A server's own words in one line, without the key."""
        text = raw.decode("utf-8", "replace")
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        while isinstance(content, dict):
            parts = (content[name] for name in ("error", "message", "detail") if content.get(name))
            content = next(parts, str(content))
        line, key = " ".join(str(content).split()), self._key()
        line = line.replace(key, "[key]") if key else line
        return line[:300].rstrip(".") or "without a word"

    def _hint(self, status: int) -> str:
        """What to do about a status."""
        if status in (401, 403):
            state = "set" if self._key() else "not set"
            return f"The key is read from the variable {self._key_variable}, which is {state}."
        if status in (400, 422):
            return "`extra` adds fields to a request or, with null, leaves one out."
        return "Is base_url right (most end in /v1), and is this model served there?"


def at_least(least: float, **numbers: float) -> None:
    """Refuses arguments that are too small.

    Raises:
        ValueError: one that is.
    """
    for name, number in numbers.items():
        if not number >= least:
            raise ValueError(f"{name}={number}; expected at least {least}.")


def _seconds(wish: str | None, otherwise: float) -> float:
    """What a `Retry-After` header asks for: a number of seconds, or a date."""
    try:
        return max(0.0, float(wish or ""))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(wish or "")
    except ValueError:
        return otherwise
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
