"""Ways of training as commands: `python -m train.X [--config FILE] [--fresh] [--KEY VALUE ...]`.

The keys come from a YAML file, and from the command line what is to differ from it. A plan is made
first, which finds whatever is wrong and changes nothing on disk; then it is run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import yaml
from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.eval.runs.command import exit_code, input_errors
from acquaint_gym.train.recipes.base import Recipe

TRAINER_KEYS = (
    "; and every argument of the trainer, e.g. learning_rate, per_device_train_batch_size, "
    "max_steps"
)
EXPONENT = r"[-+]?\d+(\.\d*)?e[-+]?\d+"


class Plan(Protocol):
    """A training whose input was checked."""

    def run(self) -> Any:
        """Trains, from the last checkpoint where there is one; gives what the result says."""


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Command(Generic[R]):
    """A way of training as a command.

    Attributes:
        module: what follows `python -m`.
        about: what it does.
        recipe: class of its recipes.
        manual: module that says what the keys mean.
        plan: checks a recipe, with `--fresh` and the console for progress; raises a `ValueError` of
            one line for input that cannot be used.
        library: which further keys there are, in words.
    """

    module: str
    about: str
    recipe: type[R]
    manual: str
    plan: Callable[[R, bool, Console], Plan]
    library: str = ""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Runs the command line; returns the exit code: 2 for bad input, 130 for an interrupt."""
        given = list(sys.argv[1:] if arguments is None else arguments)
        options, words = self.parser().parse_known_args(given)

        def train(console: Console) -> None:
            with input_errors():
                table = (read(options.config) if options.config else {}) | overrides(words)
                recipe = self.recipe.parse(table, options.config or "command line")
                plan = self.plan(recipe, options.fresh, console)
            plan.run()

        return exit_code(train, lambda: "`out`")

    def parser(self) -> argparse.ArgumentParser:
        """The options; the keys of the recipe are read by `overrides`."""
        keys = ", ".join(f.name for f in self.recipe.own())
        cli = argparse.ArgumentParser(
            prog=program(self.module),
            usage=f"{program(self.module)} [--config FILE] [--fresh] [--KEY VALUE ...]",
            description=self.about,
            epilog=f"Keys: {keys}{self.library}. `pydoc {self.manual}` says what they mean.",
            allow_abbrev=False,
        )
        cli.add_argument(
            "--config",
            metavar="FILE",
            help="YAML file of keys, or the name of one in configs/train/",
        )
        cli.add_argument("--fresh", action="store_true", help="replace what lies in `out`")
        return cli


def read(path: str) -> dict[str, Any]:
    """The table in a YAML file, or in the shipped recipe of this name.

    Raises:
        ValueError: no such file, or no table in it.
    """
    shipped = resources.files("acquaint_gym.configs") / "train" / f"{path}.yaml"
    try:
        file = shipped if shipped.is_file() else Path(path)
        table = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"--config {path}: cannot be read ({error.strerror}).") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: no YAML, {' '.join(str(error).split())}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path}: expected `key: value` lines.")
    # YAML reads 1e-4 as text; everybody means the number.
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    numbers = [f"{key}={text}" for key, text in texts.items() if re.fullmatch(EXPONENT, text)]
    return table | parse_settings(numbers)


def overrides(words: Sequence[str]) -> dict[str, Any]:
    """`["--key", "value", ...]` as a table; several values make a list, none makes true.

    Raises:
        ValueError: a word where `--key` is expected.
    """
    table: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.startswith("--"):
            key, given, value = word[2:].partition("=")
            key = key.replace("-", "_")
            table[key] = [value] if given else []
        elif key:
            table[key].append(word)
        else:
            raise ValueError(f"Expected --key value, got {word!r}.")
    return {
        key: [parse_settings([f"v={value}"])["v"] for value in values]
        if len(values) > 1
        else parse_settings([f"{key}={values[0] if values else 'true'}"])[key]
        for key, values in table.items()
    }
