"""Files: written whole or not at all, told by their digests, found where they lie."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

# The folder in which the packages lie, in a checkout and where the wheel was installed.
SHIPPED = Path(__file__).parent.parent


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A file to write in place of `path`, which takes its place when it is complete.

        with atomic(Path("runs/a.json")) as partial:
            partial.write_text("{}", "utf-8")

    After an error `path` is what it was before, and nothing is left behind. Several threads,
    processes and machines may write the same `path` at once: the last one wins.

    Args:
        path: a file; folders above it are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex[:12]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON, see `atomic`; NaN and infinity, which JSON lacks, become null."""
    text = json.dumps(_plain(content), indent=2, allow_nan=False)
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


def find_folder(name: str) -> str:
    """A folder as named, or the one of that name that is shipped or was fetched; else the name."""
    for place in (Path(), SHIPPED, weights_folder()):
        if (place / name).is_dir():
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
