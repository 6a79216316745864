"""One server over HTTP: what it says to a request in the end, after retries."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from time import sleep
from typing import Any
from urllib.request import HTTPErrorProcessor, Request, build_opener

from acquaint_gym.agents.api.completion import RefusedError, error_inside
from acquaint_gym.agents.core import OutsideError

# Seconds: longest pause of our own between two tries, and longest that a server may ask for.
LONGEST_PAUSE, LONGEST_WAIT = 60.0, 600.0
# Statuses of a server that breaks down; again and again, it is the request that it cannot answer.
BROKEN = (500, 501)


class _AsItIs(HTTPErrorProcessor):
    """Leaves every status to the caller; a redirect would carry the key to another server."""

    def http_response(self, request: Any, response: Any) -> Any:
        """The response, whatever its status."""
        return response

    https_response = http_response


class Connection:
    """A server's address, and how patiently it is asked.

    Args:
        url: where requests go.
        key_variable: environment variable that holds the key, read for every request.
        backoff: seconds before the second try, doubled before each other.
        timeout: seconds without a sign of the server.
        count: is told of each retry, `retries=1`.
    """

    def __init__(
        self,
        url: str,
        key_variable: str,
        backoff: float,
        timeout: float,
        count: Callable[..., None],
    ) -> None:
        self.url, self._key_variable = url, key_variable
        self._backoff, self._timeout, self._count = backoff, timeout, count
        self._opener = build_opener(_AsItIs)

    def post(self, body: Any, retries: int, patient: bool) -> bytes:
        """What the server answers with status 200, and no error inside.

        Args:
            body: the request.
            retries: further tries after status 408, 429, 500 and above, no connection or no answer.
            patient: whether these are for a server that breaks down at it (500, 501) as well.

        Raises:
            RefusedError: it refuses, or breaks down at it every time.
            OutsideError: it cannot be reached, or has too much to do.
        """
        status, words = 0, ""
        for attempt in range(retries + 1):
            pause = min(self._backoff * 2**attempt, LONGEST_PAUSE)
            try:
                with self._opener.open(self._request(body), timeout=self._timeout) as response:
                    status, raw, wish = response.status, response.read(), response.headers
                status = _error_status(raw) or status if status == 200 else status
                if status == 200:
                    return raw
                words = self.words(raw)
                problem = f"HTTP {status}, {words}"
                if status < 500 and status not in (408, 429):
                    raise RefusedError(f"{self.url}: {problem}. {self.hint(status)}", status, words)
                advice = "Fewer requests at a time (concurrency) or more retries may help."
                pause = _seconds(wish.get("Retry-After"), pause)
                if status in BROKEN and not patient:
                    break
            except (OSError, HTTPException) as error:
                status, problem = 0, str(getattr(error, "reason", error)) or type(error).__name__
                advice = f"Is the server running, base_url right, timeout={self._timeout} enough?"
            if pause > LONGEST_WAIT:
                problem += f", to be asked again in {pause:.0f} s"
                break
            if attempt < retries:
                self._count(retries=1)
                sleep(pause)
        reason = (
            f"{self.url}: {problem}. Given up at try {attempt + 1}. {advice} What was answered is "
            "kept: the same command goes on from there."
        )
        raise RefusedError(reason, status, words) if status in BROKEN else OutsideError(reason)

    def _request(self, body: Any) -> Request:
        # Some hosts turn away urllib's own User-Agent.
        headers = {"Content-Type": "application/json", "User-Agent": "acquaint"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        return Request(self.url, json.dumps(body).encode(), headers)

    def _key(self) -> str:
        """The key; empty for none. One that HTTP cannot carry would be shown by its error."""
        key = os.environ.get(self._key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise OutsideError(f"{self._key_variable}: holds characters that no key can have.")
        return key

    def words(self, raw: bytes) -> str:
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

    def hint(self, status: int) -> str:
        """What to do about a status."""
        if status in (401, 403):
            state = "set" if self._key() else "not set"
            return f"The key is read from the variable {self._key_variable}, which is {state}."
        if status in (400, 422):
            return "`extra` adds fields to a request or, with null, leaves one out."
        return "Is base_url right (most end in /v1), and is this model served there?"


def _error_status(raw: bytes) -> int:
    """Status of an error inside HTTP 200; 0 for none."""
    try:
        return error_inside(json.loads(raw))
    except ValueError:
        return 0


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
