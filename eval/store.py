"""Where traces lie: `DIR/traces/<env>/<agent>/config.json` and `people-<first>-<last>.npz`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.trace import Trace, write_json


@dataclass(frozen=True)
class Run:
    """One agent on one environment, as found on disk."""

    env: str
    agent: str
    config: dict[str, Any]
    trace: Trace


class Store:
    """The folder of one agent on one environment.

    Args:
        out: the run's DIR.
        config: all that decides the traces, with `env` and `agent`; compared with what is there.

    Raises:
        ValueError: the folder holds traces of another configuration.
    """

    def __init__(self, out: Path, config: dict[str, Any]) -> None:
        """Opens the folder, or makes it."""
        self.folder = out / "traces" / slug(config["env"]) / slug(config["agent"])
        file = self.folder / "config.json"
        try:
            if not file.exists():
                write_json(file, config)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"--out {out}: {error.filename} is a file, not a folder.") from error
        found = json.loads(file.read_text("utf-8"))
        differing = [
            f"{key} was {found.get(key)!r}, is {config.get(key)!r}"
            for key in sorted({*found, *config})
            if found.get(key) != config.get(key)
        ]
        if differing:
            raise ValueError(
                f"{self.folder} holds traces of another configuration: {'; '.join(differing)}. "
                "Choose another --out, or delete that folder."
            )

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
            ValueError: some of them are missing, or there twice.
        """
        if self.missing(users, users):
            raise ValueError(f"{self.folder}: people {self.missing(users, users)} are missing.")
        parts = [Trace.load(self.path(*have)) for have in self.have() if have[0] < users]
        trace = Trace.join(parts).select(slice(users))
        if not np.array_equal(trace.person, np.arange(users)):
            raise ValueError(f"{self.folder}: files overlap; delete the folder and run again.")
        return trace


def load_runs(out: Path) -> list[Run]:
    """Every agent on every environment in a run's DIR, as far as the people reach.

    Raises:
        ValueError: no traces there.
    """
    runs = []
    for file in sorted(out.glob("traces/*/*/config.json")):
        config = json.loads(file.read_text("utf-8"))
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
