"""Evaluations and the folders of their traces: what is missing is computed, here or elsewhere."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from acquaint_gym.agents.core import OutsideError
from acquaint_gym.eval.rollout import BrokenAgentError
from acquaint_gym.eval.runs.command import input_errors
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.store import Store
from acquaint_gym.eval.trace import Trace


class PlannedRun:
    """An evaluation, and the folder below which its traces lie, or will.

    Args:
        evaluation: one agent on one environment.
        out: the folder.
        fresh: whether traces that lie there are about to be replaced.

    Raises:
        ValueError: traces of another configuration lie there, or the folder cannot be made.
    """

    def __init__(self, evaluation: Evaluation, out: Path, fresh: bool) -> None:
        self.evaluation, self.out, self._fresh = evaluation, out, fresh
        self.store = Store(out, evaluation.config(), fresh)

    @property
    def label(self) -> str:
        """What the progress bar calls it."""
        return f"{self.evaluation.agent.label} on {self.evaluation.env}"

    def dry_run(self, users: int) -> None:
        """Plays one turn, unless the traces of all people are there; see `Evaluation.dry_run`."""
        if self._fresh or self.store.missing(users, users):
            self.evaluation.dry_run()

    def trace(self, users: int) -> Trace:
        """The trace of all people, when they have been met.

        Raises:
            InputError: a damaged file.
        """
        with input_errors():
            return self.store.load(users)


def run_all(
    runs: Sequence[PlannedRun], users: int, options: argparse.Namespace, console: Console
) -> None:
    """Computes the traces that are not there yet, with a progress bar; with `--fresh`, all.

    Raises:
        InputError: an agent breaks its contract, or cannot go on.
    """
    for run in runs if options.fresh else []:  # only now: a refused command loses nothing
        run.store.clear()
    parts = [
        (run, first, end)
        for run in runs
        for first, end in run.store.missing(users, options.batch_size)
    ]
    with progress(console) as bar, input_errors(BrokenAgentError, OutsideError):
        rows = {
            label: bar.add_task(label, total=users * count, completed=users * count)
            for label, count in Counter(run.label for run in runs).items()
        }
        for run, first, end in parts:
            bar.advance(rows[run.label], first - end)
        for run, people in _done(parts, options.workers):
            bar.advance(rows[run.label], people)


def _done(
    parts: list[tuple[PlannedRun, int, int]], workers: int
) -> Iterator[tuple[PlannedRun, int]]:
    """Meets everybody, here or in several processes; yields each run with how many were met."""
    if workers == 1:
        for run, first, end in parts:
            run.evaluation.evaluate(run.out, first, end)
            yield run, end - first
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(run.evaluation.evaluate, run.out, first, end): (run, end - first)
            for run, first, end in parts
        }
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """A progress bar on the error stream, so that tables can be piped."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("people"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar
