"""Evaluations and the folders of their traces: what is missing is computed, here or elsewhere."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from acquaint_gym.agents.core import AnotherModelError, BrokenAgentError, OutsideError
from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.files import FileError
from acquaint_gym.envs.inference.posterior import PosteriorError
from acquaint_gym.envs.registration import environment_spec
from acquaint_gym.envs.users.people import PeopleError
from acquaint_gym.eval.runs.command import InputError, input_errors, parse_shard
from acquaint_gym.eval.runs.evaluation import Evaluation, forget
from acquaint_gym.eval.runs.fingerprint import is_ours
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
            evaluation = self.evaluation
            if not is_ours(environment_spec(evaluation.env).kwargs["task"]):
                from acquaint_gym.eval.runs.plug_ins import check_plug_in  # most runs meet none

                check_plug_in(evaluation.env, json.dumps(dict(evaluation.settings)))
            # What was kept of another model is about to be let go of.
            with suppress(*[AnotherModelError] if self._fresh else []):
                evaluation.dry_run()

    def trace(self, users: int) -> Trace:
        """The trace of all people, when they have been met.

        Raises:
            InputError: a damaged file.
        """
        with input_errors():
            return self.store.load(users)


def run_all(
    runs: Sequence[PlannedRun], users: int, options: argparse.Namespace, console: Console
) -> bool:
    """Computes the traces that are not there yet, and shows how far it is; with `--fresh`, all.

    Of several shards (`--shard K/N`) each computes a part, and says in the end what others have
    still to do.

    Args:
        runs: what is to be computed.
        users: how many people each of them meets.
        options: see `add_options`.
        console: for the bar, and for what is missing.

    Returns:
        Whether all traces are there now: then it is time for the report.

    Raises:
        InputError: an agent breaks its contract or cannot go on, or a worker dies.
    """
    for run in runs if options.fresh else []:  # only now: a refused command loses nothing
        run.store.clear()
        run.evaluation.agent.start_afresh()
    parts = _missing(runs, users, options.batch_size)
    shard, shards = parse_shard(options.shard)
    # A part's place does not move when others of the same batch size are done meanwhile.
    own = [
        (run, first, end)
        for run, first, end in parts
        if (runs.index(run) + first // options.batch_size) % shards == shard - 1
    ]
    with (
        ProgressBars(console, "people") as bar,
        input_errors(BrokenAgentError, FileError, OutsideError, PeopleError, PosteriorError),
    ):
        missing: Counter[str] = Counter()
        for run, first, end in parts:
            missing[run.label] += end - first
        rows = {
            label: bar.add_task(
                label, total=users * count, completed=users * count - missing[label]
            )
            for label, count in Counter(run.label for run in runs).items()
        }
        for run, people in _compute(own, options.workers, options.executor):
            bar.advance(rows[run.label], people)
    left = _missing(runs, users, options.batch_size)
    if left:
        run, first, end = left[0]
        console.print(
            f"Shard {options.shard} is done. Missing are {len(left)} parts of other shards, e.g. "
            f"{run.label}, people {first}..{end - 1}. Whoever finishes last writes the report.",
            highlight=False,
            soft_wrap=True,
        )
    return not left


def _missing(
    runs: Sequence[PlannedRun], users: int, batch_size: int
) -> list[tuple[PlannedRun, int, int]]:
    """Batches of people `[first, end)` whose traces are not there."""
    return [
        (run, first, end) for run in runs for first, end in run.store.missing(users, batch_size)
    ]


def _compute(
    parts: Sequence[tuple[PlannedRun, int, int]], workers: int, executor: str | None
) -> Iterator[tuple[PlannedRun, int]]:
    """Meets everybody, here or elsewhere; yields each run with how many people were met."""
    if not parts:
        return
    if executor is None and workers == 1:
        for run, first, end in parts:
            run.evaluation.evaluate(run.out, first, end)
            yield run, end - first
        return
    # Imported here: most runs need one process, and a short start.
    from acquaint_gym.eval.runs.executors import executor_of, processes

    forget()
    with input_errors():
        pool = processes(workers) if executor is None else executor_of(executor)
    with pool:
        futures: dict[Future[None], tuple[PlannedRun, int]] = {}
        try:
            for run, first, end in parts:
                # A worker may have another working directory.
                evaluate = partial(run.evaluation.evaluate, run.out.resolve(), first, end)
                futures[pool.submit(evaluate)] = run, end - first
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except Exception as error:
            if not _of_executor(error, pool):
                raise
            raise InputError(
                f"A worker died ({type(error).__name__}: {error}), perhaps for want of memory. "
                "Nothing that was done is lost: the same command goes on with what is missing."
            ) from error
        finally:
            for future in futures:
                future.cancel()


def _of_executor(error: Exception, pool: Executor) -> bool:
    """Whether an error is about the workers, and not about what they were doing.

    A cluster's own errors (Dask's `KilledWorker`) come from the package of its executor.
    """
    packages = [type(one).__module__.partition(".")[0] for one in (error, pool)]
    own = packages[0] == packages[1] and packages[0] not in ("builtins", "acquaint_gym")
    return own or isinstance(error, BrokenExecutor | CancelledError)
