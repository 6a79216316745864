"""The folder of a run of training: whose it is, whether the run goes on, and what it replaces."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from acquaint_gym.envs.files import atomic
from acquaint_gym.eval.runs.store import differences

RECIPE = "recipe.yaml"


class RunFolder:
    """The folder of one run: its recipe, its checkpoints, and in the end its result.

    The same command goes on with an unfinished run and leaves a finished one as it is. What another
    recipe left is refused. `fresh` replaces it, but only what a run of the same command left.
    Nothing is written or removed before `start`.

    Args:
        out: the folder.
        recipe: the table that is kept in it as `recipe.yaml`.
        fresh: replace the run that lies there.
        console: where to say how it goes.
        inputs: folders that are read, which may neither lie in `out` nor hold it.
        leaves: patterns of all files and folders that a run leaves beside its recipe.
        ours: whether the recipe found in a folder is of a run of this command.

    Attributes:
        path: the folder.
        fresh: the same.
        console: the same.

    Raises:
        ValueError: the folder is a file, is mixed up with inputs, or holds something else.
    """

    def __init__(
        self,
        out: str,
        recipe: Mapping[str, Any],
        fresh: bool,
        console: Console,
        *,
        inputs: Sequence[str] = (),
        leaves: Sequence[str],
        ours: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self.path, self.fresh, self.console = Path(out), fresh, console
        self._recipe, self._leaves = recipe, leaves
        check_out(out, inputs)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        before = _recipe(self.path)
        if fresh and not ours(before):
            raise ValueError(
                f"{self.path} holds something else than a run of this command, which --fresh does "
                "not replace; choose another --out."
            )
        if not fresh:
            self._compare_recipes(before)

    def _compare_recipes(self, before: Mapping[str, Any]) -> None:
        """Refuses to go on with a run of another recipe, or with what no run left."""
        if not before:
            raise ValueError(
                f"{self.path} is not empty, and holds no {RECIPE} that can be read, as a run "
                "would; choose another --out."
            )
        if differing := differences(before, self._recipe):
            raise ValueError(
                f"{self.path} holds a run of another recipe: {differing}. Choose another --out, or "
                "--fresh to replace it."
            )

    def compare_inputs(
        self, before: Sequence[str], now: Sequence[tuple[str, str]], others: str
    ) -> None:
        """Refuses to go on with, or to keep, what was made of other inputs.

        Args:
            before: digests of what the run in the folder read.
            now: name and digest of what this run reads, in the same order.
            others: what to call other inputs.

        Raises:
            ValueError: some differ; it says which.
        """
        names, digests = zip(*now, strict=True)
        differing = [
            f"{name or 'further traces'} were {was}, are {digest}"
            for name, was, digest in zip_longest(names, before, digests)
            if was != digest
        ]
        if differing:
            raise ValueError(
                f"{self.path} holds a run on {others}: {'; '.join(differing)}. Choose another "
                "--out, or --fresh to replace it."
            )

    def start(self) -> None:
        """Removes the run that is to be replaced, makes the folder and writes the recipe.

        The old recipe stays until the new one replaces it, so that a folder which was being emptied
        is still known as a run's.
        """
        if self.fresh:
            clear(self.path, self._leaves)
        with atomic(self.path / RECIPE) as partial:
            partial.write_text(yaml.safe_dump(dict(self._recipe), sort_keys=False), "utf-8")

    def say(self, text: str) -> None:
        """Says how the run goes."""
        self.console.print(f"{self.path}: {text}", highlight=False)


@dataclass(frozen=True)
class Finished:
    """A run that is finished already: to run it again changes nothing.

    Attributes:
        folder: where it lies.
        result: what running it gave.
    """

    folder: RunFolder
    result: Any = None

    def run(self) -> Any:
        """Says so; gives the result."""
        self.folder.say("finished already; --fresh trains again.")
        return self.result


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


def clear(out: Path, patterns: Sequence[str]) -> None:
    """Removes files and folders of these patterns; what else lies there stays."""
    for path in [path for pattern in patterns for path in out.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _recipe(out: Path) -> Mapping[str, Any]:
    """The recipe in a folder; empty where there is none that can be read."""
    try:
        recipe = yaml.safe_load((out / RECIPE).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return recipe if isinstance(recipe, Mapping) else {}
