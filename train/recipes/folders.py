"""Folders of results: which may be written to, and which replaced."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from acquaint_gym.envs.files import atomic
from acquaint_gym.eval.runs.store import differences

RECIPE = "recipe.yaml"


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


def check_recipe(out: Path, table: Mapping[str, Any]) -> None:
    """Raises a `ValueError` where a folder holds anything but a run of this recipe."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (found := _recipe(out)):
        raise ValueError(
            f"{out} is not empty, and holds no {RECIPE} that can be read, as a run would; choose "
            "another --out."
        )
    if differing := differences(found, table):
        raise ValueError(
            f"{out} holds a run of another recipe: {differing}. Choose another --out, or --fresh "
            "to replace it."
        )


def check_replaceable(out: Path, ours: Callable[[Mapping[str, Any]], bool]) -> None:
    """Raises a `ValueError` where `--fresh` would replace what no run of this command left.

    Args:
        out: the folder.
        ours: whether the recipe in it is of such a run.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not ours(_recipe(out)):
        raise ValueError(
            f"{out} holds something else than a run of this command, which --fresh does not "
            "replace; choose another --out."
        )


def keep_recipe(out: Path, table: Mapping[str, Any]) -> None:
    """Makes the folder of a run, and writes its recipe."""
    with atomic(out / RECIPE) as partial:
        partial.write_text(yaml.safe_dump(table, sort_keys=False), "utf-8")


def clear(out: Path, written: Sequence[str]) -> None:
    """Removes what a run left, files and folders of these patterns; what else lies there stays."""
    for path in [found for pattern in written for found in out.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _recipe(out: Path) -> Mapping[str, Any]:
    """The recipe in a folder; empty where there is none that can be read."""
    try:
        found = yaml.safe_load((out / RECIPE).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, Mapping) else {}
