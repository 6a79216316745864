"""Arguments as people type them: `key=value`, `module:Class`, unknown names, wrong types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from traceback import walk_tb
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import yaml


def closest(name: object, known: Iterable[str]) -> str:
    """`'nmae'. Did you mean 'name'? Available: ...`, to end a sentence about an unknown name."""
    options = list(known)
    near = get_close_matches(str(name), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name!r}.{hint} Available: {', '.join(options) or 'none'}."


def resolve(target: str, what: str) -> Any:
    """What `module:Class` names: how people name code of their own in YAML and on command lines.

    Args:
        target: as typed. Any module that Python can import, and a class or function in it.
        what: what it is to be, e.g. `Task`; begins the message.

    Raises:
        ValueError: another form, a module that cannot be imported, or nothing of that name in it;
            one line that says what came, what was expected and what to do.
    """
    module, _, name = target.partition(":")
    if not module or not name or module.startswith("."):
        raise ValueError(
            f"{what} {target!r}: expected module:Class, e.g. my_package.my_module:MyClass."
        )
    try:
        imported = import_module(module)
    except (ImportError, SyntaxError) as error:
        raise ValueError(
            f"{what} {target!r} cannot be loaded: {error}. A module of one's own must be installed "
            "or lie in this folder; language models need the extra llm (pip install -e '.[llm]')."
        ) from error
    if not hasattr(imported, name):
        public = [k for k, v in vars(imported).items() if callable(v) and not k.startswith("_")]
        raise ValueError(
            f"{what} {target!r} cannot be loaded: {module} has no {closest(name, public)}"
        )
    return getattr(imported, name)


@contextmanager
def name_outsider(whose: str, kind: type[ValueError], advice: str = "") -> Iterator[None]:
    """Turns whatever somebody else's code raises into one line that names it, and the place.

    What a plain `ValueError` says is kept: with it that code says itself what is wrong.

    Args:
        whose: begins the line, e.g. `people='my_people:Server'`.
        kind: of the error that is raised instead.
        advice: ends the line.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, kind):
            raise
        if type(error) is ValueError:
            raise kind(str(error)) from error
        *_, (frame, number) = walk_tb(error.__traceback__)
        place = f"{frame.f_code.co_filename}, line {number}"
        reason = " ".join(str(error).split())
        line = f"{whose}: {type(error).__name__}: {reason} ({place}). {advice}"
        raise kind(line.strip()) from error


def check_types(whose: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Compares arguments that came as text with the annotations of the function they go to.

    Raises:
        ValueError: a value of another type; a whole number passes as a float.
    """
    # Of a class those of its constructor, which may be inherited.
    code: Any = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    hints = get_type_hints(code)
    for key, value in arguments.items():
        wanted = get_args(hints.get(key)) or (hints.get(key),)
        plain = [kind for kind in wanted if kind in (bool, int, float, str, NoneType)]
        given, tables = type(value), [kind for kind in wanted if get_origin(kind) is Mapping]
        if not (plain or tables) or given in plain or (given is int and float in plain):
            continue
        if tables and isinstance(value, Mapping):
            continue
        words = ["nothing" if kind is NoneType else kind.__name__ for kind in plain]
        names = " or ".join(["{key: value, ...}"] * len(tables) + words)
        raise ValueError(f"{whose}: {key}={value!r} is {given.__name__}, expected {names}.")


def parse_settings(texts: list[str]) -> dict[str, Any]:
    """`["key=value", ...]` as a dict; values are read as YAML, numbers like 1e-4 as numbers.

    Raises:
        ValueError: a text without `=`.
    """
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ValueError(f"Expected key=value, got {text!r}.")
        settings[key.strip()] = _number_or_yaml(value.strip())
    return settings


def _number_or_yaml(text: str) -> Any:
    """YAML reads `1e-4` as text; everybody means the number."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"The value {text!r} is no YAML; quote it if it is a word.") from error


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ..."""
    before, last = divmod(number, 26)
    return (letters(before - 1) if before else "") + chr(ord("A") + last)
