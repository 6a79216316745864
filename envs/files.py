"""Files: written whole or not at all, told by their digests, found where they lie."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

# The folder in which the packages lie, in a checkout and where the wheel was installed.
SHIPPED = Path(__file__).parent.parent


class FileError(ValueError):
    """A file is damaged, or cannot be written; the message names it and says what to do."""

    @classmethod
    def unreadable(cls, path: Path, error: Exception) -> FileError:
        """What is said of a file that was written by this package and cannot be read."""
        reason = " ".join(str(error).split()) or type(error).__name__
        return cls(f"{path}: damaged ({reason}). Delete it and run again.")

    @classmethod
    def unwritable(cls, path: Path, error: OSError) -> FileError:
        """What is said of a file for which there is no room, or no permission."""
        return cls(
            f"{path}: cannot be written ({error.strerror or error}). Free space there or choose "
            "another folder, and run the command again; what was written before is kept."
        )


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A file to write in place of `path`, which takes its place when it is complete.

        with atomic(Path("runs/a.json")) as partial:
            partial.write_text("{}", "utf-8")

    After an error `path` is what it was before, and nothing is left behind. Several threads,
    processes and machines may write the same `path` at once: the last one wins.

    Args:
        path: a file; folders above it are made.

    Raises:
        FileError: the disk is full, or the folder may not be written to.
    """
    partial = path.with_name(f"{path.name}.{uuid4().hex[:12]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise FileError.unwritable(path, error) from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing was
            partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON, see `atomic`; NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(_plain(content), indent=2, allow_nan=False))


def write_text(path: Path, text: str) -> None:
    """Writes a text and the end of its last line, see `atomic`."""
    with atomic(path) as partial:
        partial.write_text(f"{text}\n", "utf-8")


def _plain(value: Any) -> Any:
    """The same with None in place of NaN and infinity."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def digest(parts: Iterable[bytes]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of these parts, one after the other."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in 64 hexadecimal digits."""
    with path.open("rb") as whole:
        return hashlib.file_digest(whole, "sha256").hexdigest()


def find_folder(name: str) -> str:
    """A folder as named, or the one of that name that is shipped or was fetched; else the name."""
    for place in (Path(), SHIPPED, weights_folder()):
        if os.path.isdir(place / name):  # of pathlib it raises for long texts
            return name if place == Path() else str(place / name)
    return name


def weights_folder() -> Path:
    """Where fetched weights are kept, in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "acquaint" / "weights"


def locate(path: str) -> Path:
    """A file of data: where it says, or else below the folder that ACQUAINT_DATA names."""
    folder = os.environ.get("ACQUAINT_DATA")
    if folder and not Path(path).exists():
        places = sorted(Path(folder).glob(f"**/{path}"))
        return places[0] if places else Path(path)
    return Path(path)
