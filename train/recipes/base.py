"""What all recipes of training are: a class of keys, read from a YAML file and a command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from acquaint_gym.envs.names import check_types
from acquaint_gym.train.recipes.checks import check_keys


@dataclass(frozen=True)
class LibraryArguments:
    """Keys of a recipe that go to a class of another library, as that library names them.

    Attributes:
        names: the arguments that a recipe may set.
        words: names them at the end of the message about an unknown key.
        refused: arguments that no recipe may set -> what to use instead.
        check: takes where the recipe comes from and the arguments; gives them as they are passed
            on, or raises a `ValueError`.
    """

    names: Sequence[str] = ()
    words: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda source, arguments: arguments


@dataclass(frozen=True)
class Recipe:
    """The keys of one way of training, with their defaults; all are checked when it is made.

    A key is a field of the subclass. With `LIBRARY` set, that field holds the arguments of another
    library's class; in files and on command lines they stand beside the recipe's own keys. The
    metadata `expected` of a list names its entries in error messages.
    """

    LIBRARY: ClassVar[str] = ""

    @classmethod
    def library(cls, given: Mapping[str, Any]) -> LibraryArguments:
        """The arguments that go to another library, if there are any.

        Args:
            given: the keys of the recipe; they may decide which class it is.
        """
        return LibraryArguments()

    @classmethod
    def own(cls) -> list[dataclasses.Field[Any]]:
        """The recipe's own keys."""
        return [f for f in fields(cls) if f.name != cls.LIBRARY]

    @classmethod
    def parse(cls, given: Mapping[str, Any], source: str) -> Self:
        """A recipe from one flat table.

        Args:
            given: own keys and arguments of the library.
            source: where it comes from, for error messages.

        Raises:
            ValueError: an unknown key, the nearest is named; a missing one; or a value that does
                not fit.
        """
        library = cls.library(given)
        for key in given:
            if key in library.refused:
                raise ValueError(f"{source}: {key} is not to be set; use {library.refused[key]}.")
        check_keys(source, given, cls.own(), library.names, library.words)
        own = {f.name: _entry(source, cls, f, given[f.name]) for f in cls.own() if f.name in given}
        kinds = get_type_hints(cls)
        single = {k: v for k, v in own.items() if get_origin(kinds[k]) not in (list, dict)}
        check_types(source, cls, single)
        others = {key: value for key, value in given.items() if key not in own}
        if cls.LIBRARY:
            own[cls.LIBRARY] = library.check(source, others)
        return cls(**own)

    def plain(self) -> dict[str, Any]:
        """The recipe as one flat table of plain JSON, as it stands in a YAML file."""
        table = dataclasses.asdict(self)
        arguments = table.pop(self.LIBRARY, {})
        plain: dict[str, Any] = json.loads(json.dumps(table | arguments, default=str))
        return plain


def _entry(source: str, recipe: type[Recipe], key: dataclasses.Field[Any], value: Any) -> Any:
    """The value of a key; in place of a list of one its entry may stand alone."""
    kind = get_type_hints(recipe)[key.name]
    if get_origin(kind) is dict and not isinstance(value, dict):
        raise ValueError(f"{source}: {key.name}={value!r}; expected {{key: value, ...}}.")
    if get_origin(kind) is not list:
        return value
    (entry,) = get_args(kind)
    entries = value if isinstance(value, list) else [value]
    if not all(type(one) is entry for one in entries):
        expected = key.metadata.get("expected", f"{entry.__name__}s")
        raise ValueError(f"{source}: {key.name}={value!r}; expected {expected}.")
    return entries
