"""Everything there is by name: agents, environments, their arguments, quirks; a line on each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from acquaint_gym.agents.registry import agent_names, parse_agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserEnv
from acquaint_gym.envs.names import resolve
from acquaint_gym.envs.registration import environments, task_class
from acquaint_gym.envs.users.quirks import Quirks

WIDTH = 100
Line = tuple[str, str, str]
"""A name, its type and default, and a sentence."""


def show_list() -> None:
    """Prints it all, in a width that every terminal has."""
    Console(width=WIDTH, highlight=False).print(list_everything())


def list_everything() -> RenderableType:
    """All of it, at most 100 columns wide."""
    parts: list[RenderableType] = [_heading("Agents (--agent NAME, or NAME:argument=value,...)")]
    for target, names in _by_class():
        parts += _thing(target, names)
    parts.append(_heading("Environments (--env ID, arguments with --set argument=value)"))
    shown: dict[type, str] = {}
    for env_id in environments():
        kind = task_class(env_id)
        if kind in shown:
            parts.append(_entry(env_id, f"as {shown[kind]}, arguments too"))
            continue
        shown[kind] = env_id
        parts += [_entry(env_id, first_sentence(kind)), _table(_of_manual(kind))]
    parts.append(_heading("Arguments of every environment (--set argument=value)"))
    parts.append(_table(_of_signature(UserTask.configure)))
    parts.append(_heading("Arguments of gym.make alone (commands have options for them)"))
    parts.append(_table(line for line in _of_signature(UserEnv) if line[0] != "task"))
    parts.append(_heading("Quirks (--set quirks=NAME:STRENGTH, several with +)"))
    sentences = describe_arguments(Quirks, "Attributes")
    parts.append(_table((name, "float = 0.0", text) for name, text in sentences.items()))
    return Group(*parts)


def _by_class() -> Iterator[tuple[str, list[str]]]:
    """Each class of agents, `module:Class`, or why it cannot be had, and the names that are it."""
    names: dict[str, list[str]] = {}
    for name in agent_names():
        try:
            key = parse_agent(name, []).target
        except ValueError as error:
            key = str(error)
        names.setdefault(key, []).append(name)
    yield from names.items()


def _thing(target: str, names: list[str]) -> list[RenderableType]:
    """A class of agents, under all its names, with its arguments."""
    title = " ".join(names)
    try:
        kind = resolve(target, "Agent")
    except ValueError as error:  # a language model where its extra is not installed
        return [_entry(title, str(error))]
    lines = [line for line in _of_signature(kind) if line[0] != "task"]
    return [_entry(title, first_sentence(kind)), _table(lines)]


def first_sentence(thing: object) -> str:
    """The first sentence of a docstring."""
    return _first((inspect.getdoc(thing) or "").partition("\n\n")[0])


def _first(text: str) -> str:
    """The first sentence of a text; `e.g.` ends none."""
    return re.split(r"(?<=[.?])\s(?=[A-Z])", " ".join(text.split()))[0]


def describe_arguments(thing: object, section: str = "Args") -> dict[str, str]:
    """Name -> first sentence, of a section of a docstring in Google's style.

    What only says `see something` is looked up there.
    """
    text = (inspect.getdoc(thing) if thing else None) or ""
    body = re.search(rf"^{section}:\n((?: +.*\n?|\n)*)", text, re.MULTILINE)
    entries = re.findall(
        r"^ {4}([\w, ]+): ((?:.*\n?)(?: {8}.*\n?)*)", body[1] if body else "", re.MULTILINE
    )
    sentences: dict[str, str] = {}
    for names, entry in entries:
        reference = re.search(r"see `([\w.]+)`", entry)
        target = _resolve(reference[1], thing) if reference else None
        # Of a protocol, what it is called with.
        elsewhere = describe_arguments(target) or describe_arguments(
            vars(target).get("__call__") if target else None
        )
        if names.endswith(" and all others"):
            sentences = {**elsewhere, **sentences}
            continue
        for name in names.split(", "):
            sentences[name] = elsewhere.get(name) or _first(entry)
    return sentences


def _resolve(name: str, beside: object) -> object:
    """What `agents.core.Agent` names, or `Agent` in a module that has it; None for nothing."""
    module, _, attribute = name.rpartition(".")
    try:
        place = import_module(f"acquaint_gym.{module}" if module else str(beside.__module__))
    except ImportError:
        return None
    return getattr(place, attribute, None)


def _of_signature(function: Callable[..., Any]) -> list[Line]:
    """The arguments of a function or of a class's constructor, with the docstring's words."""
    sentences = describe_arguments(function)
    return [
        (name, _type_and_default(parameter), sentences.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def _of_manual(task: type[UserTask]) -> list[Line]:
    """The arguments of a task: types from its constructor, words from its manual page."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", inspect.getdoc(task) or "", re.M)
    sentences = {name: text for name, _, text in rows}
    parameters = inspect.signature(task).parameters
    return [(n, _type_and_default(p), sentences.get(n, "")) for n, p in parameters.items()]


def _type_and_default(parameter: inspect.Parameter) -> str:
    """`int = 5`, `str` where it must be given."""
    kind = parameter.annotation
    words = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    words = "" if kind is parameter.empty else words
    if parameter.default is parameter.empty:
        return words
    return f"{words} = {parameter.default!r}".strip()


def _heading(text: str) -> RenderableType:
    return Text(f"\n{text}", "bold")


def _entry(name: str, sentence: str) -> RenderableType:
    """A name, and the sentence below it, further in."""
    return Group(Text(name, "cyan"), Padding(Text(sentence), (0, 0, 0, 4)))


def _table(lines: Sequence[Line] | Iterator[Line]) -> RenderableType:
    """Arguments, one a row; long sentences are folded."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=18, overflow="fold")
    table.add_column(width=24, overflow="fold")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    return Padding(table, (0, 0, 0, 4))
