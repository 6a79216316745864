"""What is checked of all recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field
from difflib import get_close_matches
from math import inf
from typing import Any

from acquaint_gym.envs.names import closest


def one_of(name: str, word: str, known: Sequence[str]) -> None:
    """Raises a `ValueError` for a word that is not known."""
    if word not in known:
        raise ValueError(f"Unknown {name} {closest(word, known)}")


def at_least(name: str, number: float, smallest: float) -> None:
    """Raises a `ValueError` for a number that is too small."""
    if not smallest <= number < inf:  # NaN is neither
        raise ValueError(f"{name}={number}; expected at least {smallest}.")


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Turns a package that is not installed into a `ValueError` that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: pip install -e '.[{extra}]'") from error


def check_keys(
    source: str,
    given: Mapping[str, Any],
    own: Sequence[Field[Any]],
    others: Sequence[str] = (),
    beside: str = "",
) -> None:
    """Raises a `ValueError` for a key of a recipe that nobody knows, or for one that is missing.

    Args:
        source: where the recipe comes from, for error messages.
        given: the recipe.
        own: keys of its own; one without a default has to be there.
        others: keys that are passed on.
        beside: names the latter in the message.
    """
    names = [entry.name for entry in own]
    for key in map(str, given):
        if key not in names and key not in others:
            [hint] = get_close_matches(key, [*names, *others], n=1) or [""]
            hint = hint and f" Did you mean {hint!r}?"
            known = f"{', '.join(names)}{beside}"
            raise ValueError(f"{source}: unknown key {key!r}.{hint} Available: {known}.")
    needed = [f.name for f in own if f.default is MISSING and f.default_factory is MISSING]
    for name in needed:
        if name not in given:
            raise ValueError(f"{source}: `{name}` is missing; say --{name} VALUE, or put it there.")
