"""Messages about arguments: unknown names, and values of the wrong type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, get_args, get_type_hints


def closest(name: object, known: Iterable[str]) -> str:
    """`'nmae'. Did you mean 'name'? Available: ...`, to end a sentence about an unknown name."""
    options = list(known)
    near = get_close_matches(str(name), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name!r}.{hint} Available: {', '.join(options)}."


def check_types(whose: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Compares arguments that came as text with the annotations of the function they go to.

    Raises:
        ValueError: a value of another type; a whole number passes as a float.
    """
    hints = get_type_hints(getattr(function, "__init__", function))
    for key, value in arguments.items():
        wanted = get_args(hints.get(key)) or (hints.get(key),)
        plain = [kind for kind in wanted if kind in (bool, int, float, str, NoneType)]
        given = type(value)
        if not plain or given in plain or (given is int and float in plain):
            continue
        names = " or ".join("nothing" if kind is NoneType else kind.__name__ for kind in plain)
        raise ValueError(f"{whose}: {key}={value!r} is {given.__name__}, expected {names}.")
