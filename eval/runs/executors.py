"""Where evaluations run: in processes of this machine, or on whatever an Executor reaches.

Anything that is a `concurrent.futures.Executor` will do. With Dask, for instance, a file
`cluster.py` in the folder of the command:

    from distributed import Client

    def executor():
        return Client("tcp://scheduler:8786").get_executor(pure=False)

and `python -m eval.run ... --executor cluster:executor`. Workers need this package, those of
`--import` and of the agents, and the files that the command names and writes, under the same
paths. Where a worker dies Dask gives its part to another; otherwise the same command goes on with
what is missing. Each worker should see an accelerator of its own: started with
`CUDA_VISIBLE_DEVICES=0 dask worker ...`, the next one with 1, and so on.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from threading import Thread

from acquaint_gym.envs.names import name_outsider, resolve

DEVICES = "CUDA_VISIBLE_DEVICES"


def executor_of(target: str) -> Executor:
    """What a factory makes, called without arguments.

    Args:
        target: `module:factory`.

    Raises:
        ValueError: no such factory, a cluster that cannot be reached, or what the factory makes is
            no `concurrent.futures.Executor`.
    """
    factory = resolve(target, "--executor")
    with name_outsider(f"--executor {target}", ValueError, "Is the cluster up?"):
        made = factory() if callable(factory) else factory
    if not isinstance(made, Executor):
        raise ValueError(
            f"--executor {target}: expected something that makes a concurrent.futures.Executor, "
            f"e.g. distributed.Client(address).get_executor(); got {type(made).__qualname__}."
        )
    return made


def processes(workers: int) -> Executor:
    """Processes of this machine; of its accelerators each process sees one, in turn.

    They are started afresh (`spawn`): threads and accelerators do not survive a fork.

    Args:
        workers: how many.
    """
    context = get_context("spawn")
    return ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=start_worker,
        initargs=(context.Value("i", 0), devices()),
    )


def devices() -> list[str]:
    """Accelerators that this process may use: those of CUDA_VISIBLE_DEVICES, else all of NVIDIA."""
    if DEVICES in os.environ:
        return [name for name in os.environ[DEVICES].split(",") if name]
    # Without CUDA's libraries, which would take memory of the first device.
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def start_worker(started: Synchronized[int], names: list[str]) -> None:
    """Makes a process ready: it has a device, and goes when the process that started it goes.

    A process that is killed (`kill -9`, the kernel for want of memory) can tell nobody, and its
    workers would wait for work for ever, with their memory and their devices.

    Args:
        started: see `take_device`.
        names: see `take_device`.
    """
    take_device(started, names)
    parent = parent_process()
    assert parent is not None  # of a process of a pool

    def follow() -> None:
        parent.join()
        os._exit(1)  # from a thread, in the midst of whatever the process is about

    Thread(target=follow, daemon=True).start()


def take_device(started: Synchronized[int], names: list[str]) -> None:
    """Takes the next device for this process, before anything in it looks for one.

    Args:
        started: how many processes have taken one; shared.
        names: the devices. Without any nothing happens.
    """
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    if names:
        os.environ[DEVICES] = names[number % len(names)]
