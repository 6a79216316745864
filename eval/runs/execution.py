"""Evaluations and the folders of their traces: what is missing is computed, here or elsewhere."""

from __future__ import annotations

import argparse
import json
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from traceback import format_exc

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


Part = tuple[PlannedRun, int, int]  # people [first, end) of a run


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
        InputError: an agent breaks its contract or cannot go on, a worker dies, or its files are
            not in the folder.
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
    for run, first, end in [part for part in left if shards == 1 or part in own]:
        whose = _workers(options.workers, options.executor)
        raise InputError(
            f"{whose}: {run.label}, people {first}..{end - 1} are done, but the workers' files are "
            f"not in {run.store.folder}. Do all workers share this folder, under the same path?"
        )
    if left:
        run, first, end = left[0]
        console.print(
            f"Shard {options.shard} is done. Missing are {len(left)} parts of other shards, e.g. "
            f"{run.label}, people {first}..{end - 1}. Whoever finishes last writes the report.",
            highlight=False,
            soft_wrap=True,
        )
    return not left


def _missing(runs: Sequence[PlannedRun], users: int, batch_size: int) -> list[Part]:
    """Batches of people `[first, end)` whose traces are not there."""
    return [
        (run, first, end) for run in runs for first, end in run.store.missing(users, batch_size)
    ]


def _compute(
    parts: Sequence[Part], workers: int, executor: str | None
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
        futures: dict[Future[Exception | None], tuple[PlannedRun, int]] = {}
        try:
            for run, first, end in parts:
                # A worker may have another working directory.
                evaluate = partial(_evaluate, run.out.resolve(), first, end, run.evaluation)
                with _executor_errors(_workers(workers, executor)):
                    futures[pool.submit(evaluate)] = run, end - first
            for future in as_completed(futures):
                with _executor_errors(_workers(workers, executor)):
                    error = future.result()
                if isinstance(error, Exception):
                    raise error
                yield futures[future]
        finally:
            for future in futures:
                future.cancel()


def _evaluate(out: Path, first: int, end: int, evaluation: Evaluation) -> Exception | None:
    """What a worker does. Its errors are returned: what is raised there is then the executor's."""
    try:
        evaluation.evaluate(out, first, end)
    except Exception as error:
        error.add_note(format_exc())  # a traceback does not travel
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # some errors do not travel either
            return RuntimeError(format_exc())
        return error
    return None


def _workers(workers: int, executor: str | None) -> str:
    """Who computes, as typed."""
    return f"--workers {workers}" if executor is None else f"--executor {executor}"


@contextmanager
def _executor_errors(whose: str) -> Iterator[None]:
    """Turns whatever an executor raises of itself, its workers or the way to them into a line."""
    try:
        yield
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
        raise InputError(
            f"{whose}: a worker died, perhaps for want of memory, or cannot be reached ({words}). "
            "Nothing that was done is lost: the same command goes on with what is missing."
        ) from error
