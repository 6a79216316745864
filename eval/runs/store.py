"""Where traces lie: `DIR/traces/<env>/<agent>/config.json` and `people-<first>-<last>.npz`.

Beside each `.npz` a `.json` of the same name says who answered and what it took, see `Notes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acquaint_gym.agents.core import AnotherModelError
from acquaint_gym.envs.files import FileError, write_json
from acquaint_gym.eval.trace import Notes, Trace


@dataclass(frozen=True)
class Run:
    """One agent on one environment, as found on disk."""

    env: str
    agent: str
    config: dict[str, Any]
    trace: Trace


class OtherTracesError(ValueError):
    """A folder holds traces of another configuration; names what differs."""


class Store:
    """The folder of one agent on one environment.

    Args:
        out: the run's DIR.
        config: all that decides the traces, with `env` and `agent`; compared with what is there.
        fresh: whether the traces that are there are about to be removed, see `clear`.

    Raises:
        ValueError: the folder holds traces of another configuration, or cannot be made.
    """

    def __init__(self, out: Path, config: dict[str, Any], fresh: bool = False) -> None:
        self.folder = out / "traces" / slug(config["env"]) / slug(config["agent"])
        self._config = config
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"--out {out}: cannot make {self.folder} ({error}).") from error
        if self.have() and not fresh:
            self._compare()

    def clear(self) -> None:
        """Removes the traces that are there."""
        for have in self.have():
            self.path(*have).unlink()
            self.path(*have).with_suffix(".json").unlink(missing_ok=True)

    def _compare(self) -> None:
        """Refuses to mix traces of two configurations."""
        if differing := differences(read_json(self.folder / "config.json"), self._config):
            raise OtherTracesError(
                f"{self.folder} holds traces of another configuration: {differing}. "
                "Choose another --out, or --fresh to replace what is there."
            )

    def save(self, first: int, end: int, trace: Trace, notes: Notes) -> None:
        """Keeps the trace of people `[first, end)`, and the notes about it.

        Raises:
            AnotherModelError: somebody else answered in the traces that are there.
            ValueError: the folder holds traces of another configuration by now.
        """
        if self.have():
            self._compare()
            was = self.notes().model_info
            if differing := differences(was, notes.model_info):
                raise AnotherModelError(
                    f"{self.folder} holds answers of another model: {differing}. Choose another "
                    "--out, or --fresh to ask this one for all."
                )
        else:
            write_json(self.folder / "config.json", self._config)
        write_json(self.path(first, end).with_suffix(".json"), notes._asdict())
        trace.save(self.path(first, end))

    def notes(self) -> Notes:
        """The notes about all traces that are there, in one.

        Raises:
            FileError: a file is missing or damaged.
        """
        files = [self.path(*have).with_suffix(".json") for have in self.have()]
        try:
            return Notes.total(map(read_json, files))
        except (AttributeError, KeyError, TypeError) as error:
            raise FileError(
                f"{self.folder}: notes about traces, people-*.json, are damaged ({error!r}); "
                "delete the folder and run again."
            ) from error

    def have(self) -> list[tuple[int, int]]:
        """Ranges of people `[first, end)` that are on disk, ascending."""
        names = (re.fullmatch(r"people-(\d+)-(\d+)\.npz", f.name) for f in self.folder.iterdir())
        return sorted((int(name[1]), int(name[2])) for name in names if name)

    def missing(self, users: int, batch_size: int) -> list[tuple[int, int]]:
        """Ranges of people below `users` that are not on disk, none longer than `batch_size`."""
        gaps, at = [], 0
        for first, end in [*self.have(), (users, users)]:
            for start in range(at, min(first, users), batch_size):
                gaps.append((start, min(start + batch_size, first, users)))
            at = max(at, end)
        return gaps

    def path(self, first: int, end: int) -> Path:
        """File of the people `[first, end)`."""
        return self.folder / f"people-{first:07d}-{end:07d}.npz"

    def load(self, users: int) -> Trace:
        """The trace of people 0..users-1.

        Raises:
            ValueError: some of them are missing.
        """
        if self.missing(users, users):
            raise ValueError(f"{self.folder}: people {self.missing(users, users)} are missing.")
        parts = [Trace.load(self.path(*have)) for have in self.have() if have[0] < users]
        trace = Trace.join(parts)
        # Two runs at once may have met somebody twice, with the same result.
        _, once = np.unique(trace.person, return_index=True)
        return trace.select(once[:users])


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which keys of two tables differ, and how; nothing if none does."""
    return "; ".join(
        f"{key} was {was.get(key)!r}, is {now.get(key)!r}"
        for key in sorted({*was, *now})
        if was.get(key) != now.get(key)
    )


def read_json(file: Path) -> dict[str, Any]:
    """The configuration of traces, or notes about some.

    Raises:
        FileError: there is none, or it is damaged.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"{type(content).__name__}, expected a table")
    except (OSError, TypeError, ValueError) as error:
        raise FileError(
            f"{file}: cannot be read ({error}); delete the folder {file.parent} and run again."
        ) from error
    return content


def load_runs(out: Path) -> list[Run]:
    """Every agent on every environment in a run's DIR, as far as the people reach.

    Raises:
        ValueError: no traces there.
    """
    runs = []
    for file in sorted(out.glob("traces/*/*/config.json")):
        config = read_json(file)
        if not {"env", "agent"} <= config.keys():
            raise FileError.unreadable(file, KeyError("no env or no agent"))
        store = Store(out, config)
        if store.have():
            trace = store.load(store.have()[-1][1])
            runs.append(Run(config["env"], config["agent"], config, trace))
    if not runs:
        raise ValueError(f"{out}: no traces there; expected a folder that eval.run --out wrote.")
    return runs


def slug(name: str) -> str:
    """A name as a folder: letters, digits, `.`, `-`, `=` and `,` stay, the rest becomes `_`."""
    return re.sub(r"[^\w.=,-]", "_", name)
