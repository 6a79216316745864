"""What a task has to set before anything can be done with it, each named in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import ResponseModel

# Answers are kept in 8 bits, with -1 for none.
MOST_CATEGORIES = 127


class _Part(NamedTuple):
    """An attribute of a task: what it is, an example, and whether a value is one."""

    what: str
    fits: Callable[[Any], bool]


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | np.integer) and int(value) >= least


def _is_row(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf"


def _are_words(value: Any) -> bool:
    words = isinstance(value, tuple | list) and all(isinstance(word, str) for word in value)
    return words and len(value) >= 2


PARTS = {
    "num_turns": _Part("how many turns a conversation has, a whole number from 1", _whole(1)),
    "num_uniforms": _Part("how many random numbers draw_stimuli() takes, 0 or more", _whole(0)),
    "actions": _Part("two or more words, what an agent chooses among", _are_words),
    "categories": _Part("two or more words, what people answer", _are_words),
    "stimulus_low": _Part("smallest values of a stimulus, an array [S]", _is_row),
    "stimulus_high": _Part("largest values of a stimulus, an array [S]", _is_row),
    "population": _Part(
        "who may be behind the screen, e.g. Population.profiles(...)",
        lambda value: isinstance(value, Population),
    ),
    "model": _Part(
        "how people answer, an object of a class derived from ResponseModel",
        lambda value: isinstance(value, ResponseModel),
    ),
}


class TaskFormError(ValueError):
    """A task that lacks something without which nothing can be done with it."""


def check_class(task_class: type[UserTask]) -> None:
    """Holds a task's class to the methods that it has to write.

    Raises:
        TaskFormError: it lacks some; one line that names them.
    """
    lacking = sorted(getattr(task_class, "__abstractmethods__", ()))
    if lacking:
        methods = ", ".join(f"{name}()" for name in lacking)
        raise TaskFormError(f"{task_class.__name__} lacks {methods}: see UserTask in envs/core.py.")


def check_form(task: UserTask) -> None:
    """Holds a task to the attributes that its constructor has to set.

    Raises:
        TaskFormError: the first that is missing or something else; one line that says what to set.
    """
    name = type(task).__name__
    if not hasattr(task, "states_distribution"):
        raise TaskFormError(
            f"{name}: call super().__init__(reward, feedback) first in its constructor."
        )
    for key, (what, fits) in PARTS.items():
        try:
            value = getattr(task, key)
        except AttributeError as error:
            raise TaskFormError(
                f"{name} sets no `{key}`; set self.{key} in its constructor: {what}."
            ) from error
        if not fits(value):
            raise TaskFormError(f"{name}: `{key}` is {_short(value)}; expected {what}.")
    low, high = task.stimulus_low, task.stimulus_high
    if low.shape != high.shape or not (low <= high).all():
        raise TaskFormError(
            f"{name}: `stimulus_low` is {_short(low)} and `stimulus_high` {_short(high)}; expected "
            "as many numbers, none of the first above that of the second."
        )
    if len(task.categories) > MOST_CATEGORIES:
        raise TaskFormError(
            f"{name}: people answer in {len(task.categories)} categories; at most "
            f"{MOST_CATEGORIES} are kept. Join neighbouring ones, e.g. percents in steps of two."
        )


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
