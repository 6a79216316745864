"""Recipes of training: a YAML file, and `--key value` for what is to differ from it."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from rich.console import Console

from acquaint_gym.agents.llm.probe import PROBES
from acquaint_gym.envs.console import program
from acquaint_gym.envs.names import check_types, parse_settings
from acquaint_gym.eval.runs.command import exit_code, input_errors
from acquaint_gym.train.recipes.checks import at_least, check_keys, folders, one_of

# Arguments of the trainers that a recipe sets itself, and where it does.
OWN = {
    "output_dir": "`out`",
    "run_name": "`out`",
    "resume_from_checkpoint": "nothing: the same command goes on, `--fresh` starts over",
    "remove_unused_columns": "nothing: the columns are our own",
    "push_to_hub": "`hf upload`, afterwards",
    "max_length": "nothing: conversations are read whole",
    "dataset_kwargs": "nothing: the data is tokens already",
    "label_smoothing_factor": "nothing: targets are the teacher's distributions or choices",
}

EXPONENT = r"[-+]?\d+(\.\d*)?e[-+]?\d+"


@dataclass(frozen=True)
class Recipe:
    """What all ways of training a language model have in common.

    Attributes:
        traces: folders that `train.collect` wrote, or one of the splits in them; of several, all
            their traces are used together.
        model: the base, a hub id or a folder with safetensors and a chat template.
        out: folder of the result.
        revision: commit of a hub model.
        dtype: of the base's weights in memory: `float32`, `bfloat16`, `float16`, or `auto`.
        attention: implementation, e.g. `sdpa` or `flash_attention_2`; by default the model's own.
        tuning: `lora`, an adapter on all linear layers, or `full`, all weights.
        lora_r: rank of the adapter.
        lora_alpha: its scale; the update is multiplied by alpha / r.
        lora_targets: the layers it is on: all linear ones, or those whose names match this regular
            expression; of a model that sees as well, those that read.
        lora_dropout: share of the adapter's inputs left out at random.
        use_rslora: alpha / sqrt(r) instead (Kalajdzievski, 2023).
        use_dora: directions and magnitudes apart (Liu et al., 2024).
        imitate: whose distribution is the target: `teacher`, the exact one, or `agent`, the one of
            the traces, e.g. `bayes:population=classes` (collected with `--agent`).
        max_people: use the first so many people of each trace only.
        eval_users: people met when the trainer evaluates (`eval_strategy`, `eval_steps`).
        eval_split: their split.
        eval_data: file of respondents to meet instead of synthetic people.
        eval_batch_size: conversations in a forward pass of an evaluation.
        eval_probe: also ask for beliefs then, see `agents.llm.choice`; `levels` or `items`.
    """

    traces: list[str]
    model: str
    out: str
    revision: str | None = None
    dtype: str = "float32"
    attention: str | None = None
    tuning: str = "lora"
    lora_r: int = 32
    lora_alpha: float = 32
    lora_targets: str = "all-linear"
    lora_dropout: float = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    imitate: str = "teacher"
    max_people: int | None = None
    eval_users: int = 200
    eval_split: str = "dev"
    eval_data: str | None = None
    eval_batch_size: int = 32
    eval_probe: str | None = None
    trainer: dict[str, Any] = field(default_factory=dict)
    """Arguments of the trainer, as `transformers.TrainingArguments` or TRL's own name them."""

    def __post_init__(self) -> None:
        """Checks the words and numbers that nobody else checks."""
        one_of("tuning", self.tuning, ("lora", "full"))
        one_of("imitate", self.imitate, ("teacher", "agent"))
        for name in ("lora_r", "eval_users", "eval_batch_size"):
            at_least(name, getattr(self, name), 1)
        if self.max_people is not None:
            at_least("max_people", self.max_people, 1)
        if self.eval_probe is not None:
            one_of("eval_probe", self.eval_probe, tuple(PROBES))
        if not self.traces:
            raise ValueError("traces: expected at least one folder of train.collect.")

    def plain(self) -> dict[str, Any]:
        """The recipe as one flat table, as it stands in a YAML file."""
        table = dataclasses.asdict(self)
        trainer: dict[str, Any] = table.pop("trainer")
        return table | trainer


R = TypeVar("R", bound=Recipe)


def parse(kind: type[R], trainer: type[Any], given: Mapping[str, Any], source: str) -> R:
    """A recipe from a flat table of its own keys and of the trainer's arguments.

    Args:
        kind: the recipe's class.
        trainer: the class of the trainer's arguments, a dataclass.
        given: the table.
        source: where it comes from, for error messages.

    Raises:
        ValueError: an unknown key, the nearest is named; a missing one, or a value of another type.
    """
    for key in given:
        if key in OWN:
            raise ValueError(f"{source}: {key} is not to be set; use {OWN[key]}.")
    own = [f for f in fields(kind) if f.name != "trainer"]
    theirs = [f.name for f in fields(trainer) if f.init]
    check_keys(source, given, own, theirs, f", and the arguments of {trainer.__name__}")
    names = {f.name for f in own}
    ours = {key: value for key, value in given.items() if key in names}
    others = {key: value for key, value in given.items() if key not in names}
    ours["traces"] = folders(source, ours["traces"])
    check_types(source, kind, {key: value for key, value in ours.items() if key != "traces"})
    hints = get_type_hints(trainer)
    for key, value in others.items():
        kinds = get_args(hints[key]) or (hints[key],)
        if value is False and bool not in kinds and str in kinds:
            others[key] = "no"  # a word of the trainers, which YAML reads as false
        if isinstance(value, str) and {int, float, bool} & set(kinds) and str not in kinds:
            raise ValueError(f"{source}: {key}={value!r} is text, expected a number or true/false.")
        if isinstance(value, float) and int in kinds and float not in kinds:
            raise ValueError(f"{source}: {key}={value!r}; expected a whole number.")
    return kind(**ours, trainer=others)


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


def command(
    module: str,
    about: str,
    kind: type[R],
    trainer: Callable[[], type[Any]],
    prepare: Callable[[R, bool, Console], Callable[[], object]],
    arguments: Sequence[str] | None,
) -> int:
    """Runs the command line of a way of training.

    Args:
        module: its name.
        about: what it does.
        kind: its recipes.
        trainer: gives the class of its trainer's arguments; only now, as the import takes seconds.
        prepare: finds what is wrong with a recipe, and gives what carries it out; takes `--fresh`
            and where progress is shown.
        arguments: the words; by default those of this process.

    Returns:
        The exit code: 2 for bad input, 130 for an interrupt.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = ", ".join(f.name for f in fields(kind) if f.name != "trainer")
    keys = (
        f"{own}; and every argument of the trainer, e.g. learning_rate, "
        "per_device_train_batch_size, max_steps. "
        "`pydoc acquaint_gym.train.recipes.language_model` says what they mean."
    )
    options, words = parser(module, about, keys).parse_known_args(given)

    def body(errors: Console) -> None:
        with input_errors():
            try:
                theirs = trainer()
            except ModuleNotFoundError as error:
                raise ValueError(f"{error}: pip install -e '.[llm]'") from error
            table = (read(options.config) if options.config else {}) | overrides(words)
            recipe = parse(kind, theirs, table, options.config or "command line")
            carry_out = prepare(recipe, options.fresh, errors)
        carry_out()

    return exit_code(body, "`out`")


def parser(module: str, about: str, keys: str) -> argparse.ArgumentParser:
    """The options of a way of training; keys of its recipe are read by `overrides`.

    Args:
        module: its name.
        about: what it does.
        keys: which keys its recipes have, in words, to end the help.
    """
    cli = argparse.ArgumentParser(
        prog=program(module),
        usage=f"{program(module)} [--config FILE] [--fresh] [--KEY VALUE ...]",
        description=about,
        epilog=f"Keys: {keys}",
        allow_abbrev=False,
    )
    cli.add_argument(
        "--config", metavar="FILE", help="YAML file of keys, or the name of one in configs/train/"
    )
    cli.add_argument("--fresh", action="store_true", help="replace what lies in `out`")
    return cli


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
