"""Folders of results: which may be written to, and which replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def check_out(out: str, inputs: Sequence[str]) -> None:
    """Raises a `ValueError` for a folder of results that is a file, or is mixed up with inputs."""
    folder = Path(out).resolve()
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"out={out!r}: {path} is a file; expected a folder.")
    for name in inputs:
        read_from = Path(name).resolve()
        if read_from.exists() and (
            folder.is_relative_to(read_from) or read_from.is_relative_to(folder)
        ):
            raise ValueError(f"out={out!r} and {name!r}, which is read: choose folders apart.")


def check_replaceable(out: Path, ours: Callable[[Mapping[str, Any]], bool]) -> None:
    """Raises a `ValueError` where `--fresh` would replace what no run of this command left.

    Args:
        out: the folder.
        ours: whether the `recipe.yaml` in it is of such a run.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return
    file = out / "recipe.yaml"
    found = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else None
    if not isinstance(found, Mapping) or not ours(found):
        raise ValueError(
            f"{out} holds something else than a run of this command, which --fresh does not "
            "replace; choose another --out."
        )
