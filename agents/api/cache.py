"""Answers of a server on disk, and what they cost."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

from acquaint_gym.agents.api.completion import Message, RefusedError, read_completion
from acquaint_gym.envs.files import FileError, atomic, write_json

COUNTS = (
    "decisions",
    "unparsed",
    "requests",
    "from_cache",
    "retries",
    "prompt_tokens",
    "completion_tokens",
    "without_usage",
)


class AnswerCache:
    """A folder of answers, each a file named after the digest of its whole request.

    Several processes may share it. The first answer to a request stays. After `start_afresh` those
    from before are not there any more, though their files are until others take their place.

    Args:
        folder: where it lies; `~` is the home folder.
        name: of the model; its answers have a folder of their own.
        url: of the server; `start_afresh` is about its answers.

    Raises:
        ValueError: the folder cannot be made.
    """

    def __init__(self, folder: str, name: str, url: str) -> None:
        # Two folders down: `eval.runs.fingerprint` looks at the entries of a folder that a setting
        # names, and an answer that is added must not change what it sees.
        home = Path(folder).expanduser() / "chat" / "completions"
        self.folder = home / re.sub(r"[^\w.=-]", "_", name)
        self._afresh = self.folder / f"afresh-{request_key(url)[:16]}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cache={folder!r}: cannot make {self.folder} ({error}).") from error

    def file(self, key: str) -> Path:
        """Where the answer with this digest lies, or would."""
        return self.folder / key[:2] / f"{key}.json"

    @property
    def age(self) -> int:
        """When answers were asked for afresh, as the time of a file in nanoseconds; 0 for never."""
        return _changed(self._afresh)

    def start_afresh(self) -> None:
        """Lets go of all answers from before now, of whatever process."""
        with atomic(self._afresh) as partial:
            partial.touch()

    def has(self, key: str) -> bool:
        """Whether there is an answer with this digest."""
        return _changed(self.file(key)) >= max(self.age, 1)

    def keep(self, key: str, answer: Any) -> None:
        """Keeps an answer, unless another process was faster."""
        if not self.has(key):
            with atomic(self.file(key)) as partial:
                partial.write_text(json.dumps(answer), "utf-8")

    def load(self, key: str) -> Message:
        """The answer with this digest.

        Raises:
            RefusedError: the answer was a refusal, see `keep_refusal`.
            FileError: its file is damaged.
        """
        file = self.file(key)
        try:
            answer = json.loads(file.read_text("utf-8"))
            if "refused" not in answer:
                return read_completion(answer)
            refusal = RefusedError(answer["refused"], answer["status"], answer["words"])
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise FileError.unreadable(file, error) from error
        raise refusal

    def keep_refusal(self, key: str, error: RefusedError) -> None:
        """Keeps a refusal in place of an answer."""
        content = {"refused": str(error), "status": error.status, "words": error.words}
        self.keep(key, content)


class Usage:
    """Counts of one process, in a file of its own: sums over files are sums over processes.

    Args:
        folder: where the file comes to lie.
        about: what stands in it beside the counts.
        price_in: of a million tokens of prompts, in whatever currency.
        price_out: of a million tokens of messages.
    """

    def __init__(
        self, folder: Path, about: dict[str, str], price_in: float, price_out: float
    ) -> None:
        self._file = folder / f"{time.time_ns()}-{os.getpid()}.json"
        self._about, self._price_in, self._price_out = about, price_in, price_out
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, **numbers: int) -> None:
        """Adds to the counts."""
        with self._lock:
            self._counts.update(numbers)

    def total(self) -> dict[str, float]:
        """The counts, and the cost at the given prices."""
        counts = {name: self._counts[name] for name in COUNTS}
        cost = counts["prompt_tokens"] * self._price_in
        cost += counts["completion_tokens"] * self._price_out
        return {**counts, "cost": cost / 1e6}

    def save(self) -> None:
        """Writes the total."""
        write_json(self._file, {**self._about, **self.total()})


def _changed(file: Path) -> int:
    """When a file was changed, in nanoseconds; 0 if there is none."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def request_key(content: Any) -> str:
    """The SHA-256 of this content, plain JSON, in 64 digits: tells it from any other content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
