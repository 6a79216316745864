"""How a command was started, where its results are printed, and how far it is."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

Entry = TypeVar("Entry")
# Seconds to the first log line; each pause is twice the one before, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 60.0


def program(module: str) -> str:
    """A command's name as it was typed: `python -m eval.run`, or `acquaint run`.

    Args:
        module: what follows `python -m` in the checkout, e.g. `eval.run`.
    """
    if sys.argv[0].startswith("acquaint "):  # written there by `acquaint_gym.__main__`
        return sys.argv[0]
    started = getattr(sys.modules["__main__"], "__spec__", None)
    long_name = f"acquaint_gym.{module}"  # in a folder other than the checkout
    return f"python -m {long_name if started and started.name == long_name else module}"


def screen() -> Console:
    """Where tables are printed; a pipe has no width, and may know no arrows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(width=None if sys.stdout.isatty() else 120)


class ProgressBars(Progress):
    """How far a command is: bars on a terminal, elsewhere a log line now and then.

    Every command that takes more than two seconds has one. A line gives the time of day, what is
    done, how fast it goes and what is left:

        14:03:22 micro on acquaint/Questionnaire-v0: 1,024 of 2,000 people, 51.2/s, 0:00:19 left

    Args:
        console: by default the error stream, so that tables can be piped.
        unit: what is counted, e.g. `people`.
        disable: show nothing at all.
    """

    def __init__(
        self, console: Console | None = None, unit: str = "", disable: bool = False
    ) -> None:
        console = console or Console(stderr=True)
        drawn = console.is_terminal or console.is_jupyter
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=disable or not drawn,
        )
        self._unit = unit
        self._logs = not (disable or drawn)
        # When the last task moved; and of each task that moved, since when and from where.
        self._moved = monotonic()
        self._since: dict[TaskID, tuple[float, float]] = {}
        self._pause, self._due = FIRST_PAUSE, self._moved + FIRST_PAUSE

    def add_task(self, *arguments: Any, **fields: Any) -> TaskID:
        """See `rich.progress.Progress.add_task`."""
        self._moved = monotonic()
        return super().add_task(*arguments, **fields)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """See `rich.progress.Progress.advance`."""
        before = self.tasks[task_id].completed
        super().advance(task_id, advance)
        self._log(task_id, before)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """See `rich.progress.Progress.update`."""
        before = self.tasks[task_id].completed
        super().update(task_id, **fields)
        self._log(task_id, before)

    def _log(self, task_id: TaskID, before: float) -> None:
        """Writes a line where one is due, or a task that took a while is done."""
        if not self._logs:
            return
        task, now = self.tasks[task_id], monotonic()
        # Tasks wait for one another, so a task's clock starts where the last one's stopped.
        started, first = self._since.setdefault(task_id, (self._moved, before))
        moved = task.completed != before
        self._moved = now if moved else self._moved
        if now < self._due and not (moved and task.finished and now - started > FIRST_PAUSE):
            return
        name = f"{task.description}: " if task.description else ""
        line = f"{datetime.now():%H:%M:%S} {name}{task.completed:,.0f}"
        line += f" of {task.total:,.0f} {self._unit}".rstrip() if task.total is not None else ""
        if task.completed > first and now > started:
            rate = (task.completed - first) / (now - started)
            line += f", {rate:.3g}/s"
            if task.total is not None and not task.finished:
                line += f", {timedelta(seconds=round((task.total - task.completed) / rate))} left"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._due = now + self._pause


def track(entries: Sequence[Entry], description: str, unit: str = "") -> Iterator[Entry]:
    """The entries, one by one, while `ProgressBars` show how far it is."""
    with ProgressBars(unit=unit) as bars:
        row = bars.add_task(description, total=len(entries))
        for entry in entries:
            yield entry
            bars.advance(row)
