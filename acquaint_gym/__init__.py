"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

_FOLDERS = ("acquaint_gym", "agents", "envs", "eval", "train")


def _is_command(argv: list[str], interpreter: list[str]) -> bool:
    """Whether a process runs a command of ours, or is a worker of some command.

    Args:
        argv: `sys.argv`: the script `acquaint` has its name in front.
        interpreter: `sys.orig_argv`: what Python was called with, e.g. `python -m eval.run`.
    """
    words = [*interpreter, "", ""]
    module = words[words.index("-m") + 1] if "-m" in interpreter else ""
    ours = module.partition(".")[0] in _FOLDERS or Path(argv[0]).stem == "acquaint"
    return ours or "--multiprocessing-fork" in interpreter


def _quiet_interrupts() -> None:
    """Commands end with a line where Ctrl-C would end them with a traceback.

    To import what a command needs takes a second or two, long before it can catch anything. The
    exit status is that of an interrupt, 130 to a shell. Programs that only import this package are
    left alone.
    """
    if _is_command(sys.argv, sys.orig_argv):
        sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """See `sys.excepthook`."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    elif "--multiprocessing-fork" not in sys.orig_argv:  # workers leave the word to the command
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - before any console is made


try:
    _quiet_interrupts()  # before anything that takes time is imported
    from acquaint_gym import envs
except ImportError as error:
    # In the checkout Python finds this folder, but `envs/` beside it belongs to the name only once
    # the package is installed. Any other import that fails is what it says.
    if error.name != __name__:
        raise
    raise ImportError(
        "acquaint_gym is not installed in this Python. In the checkout: "
        "`source .venv/bin/activate` after `make demo` or `make test`, or `pip install -e .`"
    ) from error

__all__ = ["agents", "envs", "eval", "train"]
