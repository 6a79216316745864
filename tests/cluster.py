"""Factories for `--executor`, and an agent that takes its worker down, as failing machines do."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import parent_process
from pathlib import Path

from acquaint_gym.agents.baselines import RandomAgent


def two_workers() -> Executor:
    """Dask's, on two processes of this machine."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    return Client(cluster).get_executor(pure=False)


def no_executor() -> object:
    return object()


def unreachable() -> Executor:
    raise TimeoutError("timed out during handshake while connecting to tcp://127.0.0.1:1")


class Fragile(RandomAgent):
    """The first worker that comes here when two parts are done is killed; FUSE names the folder."""

    def act(self, observation, uniform):
        if parent_process() is not None:
            folder = Path(os.environ["FUSE"])
            if len(list(folder.rglob("people-*.npz"))) >= 2:
                try:
                    (folder / "fuse").touch(exist_ok=False)
                except FileExistsError:
                    pass  # it has blown
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
        return super().act(observation, uniform)


class Elsewhere(Executor):
    """Workers whose disk is their own: they say that it is done, and no file of theirs is here."""

    def submit(self, function, /, *arguments, **settings):
        future = Future()
        future.set_result(None)
        return future


class Closed(Executor):
    """Takes no work."""

    def submit(self, function, /, *arguments, **settings):
        raise RuntimeError("cannot schedule new futures")


class Cut(Executor):
    """Loses the way to its workers, with an error that is not its own."""

    def submit(self, function, /, *arguments, **settings):
        future = Future()
        future.set_exception(ConnectionError("lost"))
        return future


class WorkerKilledError(Exception):
    """What this module's cluster says of its workers, as Dask has a `KilledWorker`."""


class Dying(Executor):
    """A cluster whose workers die with everything they are given."""

    def submit(self, function, /, *arguments, **settings):
        future = Future()
        future.set_exception(WorkerKilledError("tried 4 times"))
        return future


def asleep() -> Executor:
    raise RuntimeError("the scheduler\nsleeps")


def thread() -> Executor:
    return ThreadPoolExecutor(1)
