"""What every fit to real people's answers shares: options, reading, provenance, writing."""

from __future__ import annotations

import argparse
import datetime
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.envs.data import write_table
from acquaint_gym.envs.files import atomic, locate
from acquaint_gym.envs.users.coding import Coding
from acquaint_gym.envs.users.humans import SPLITS, Recorded, load_respondents, split_rows
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Ints

Tables = Mapping[Path, tuple[Sequence[str], Mapping[str, Sequence[object]]]]
"""Path -> provenance lines and columns, as `write_table` takes them."""


@dataclass(frozen=True)
class Respondents:
    """The people a fit is made to.

    Attributes:
        bank: the items they answered.
        recorded: the whole file.
        answers: `[N, I]` raw zero-based categories of the chosen split, -1 missing.
    """

    bank: ItemBank
    recorded: Recorded
    answers: Ints


def options(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every fit takes."""
    parser = argparse.ArgumentParser(prog=program(module), description=description)
    parser.add_argument("--data", type=Path, required=True, help="respondents: .csv, .gz or .zip")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write, e.g. mine.csv")
    parser.add_argument("--questionnaire", default="ipip50", help="default: %(default)s")
    parser.add_argument(
        "--split", choices=tuple(SPLITS), default="train", help="which rows; default: %(default)s"
    )
    add_coding(parser)
    parser.add_argument(
        "--credit", action="append", default=[], help="line for the files' heads: whose data"
    )
    return parser


def add_coding(parser: argparse.ArgumentParser) -> None:
    """The options that say how the data write answers, see `Coding.parse`."""
    parser.add_argument(
        "--codes",
        default="auto",
        metavar="CODES",
        help="of the data, where not the questionnaire's: 0..4, or a word a category, lowest first",
    )
    parser.add_argument(
        "--missing",
        default="",
        metavar="WORDS",
        help="further codes or words that mean no answer, e.g. --missing=99,-9",
    )


def run(
    parser: argparse.ArgumentParser,
    fit: Callable[[argparse.Namespace, Respondents, Console], None],
    arguments: Sequence[str] | None,
) -> None:
    """Parses, reads the people and fits; bad input ends it with one line and status 2."""
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out
    try:
        if out.suffix != ".csv" or not out.parent.is_dir():
            raise ValueError(f"--out {out}: expected a name ending in .csv in an existing folder.")
        bank = ItemBank.load(chosen.questionnaire)
        coding = Coding.parse(bank, chosen.codes, chosen.missing)
        recorded = load_respondents(locate(str(chosen.data)), bank, coding)
        answers = recorded.answers[split_rows(recorded.row, chosen.split)]
        fit(chosen, Respondents(bank, recorded, answers), Console())
    except ValueError as error:
        parser.error(str(error))


def data_lines(chosen: argparse.Namespace, people: Respondents) -> list[str]:
    """Provenance lines: whose answers; file names only, no folders of this machine."""
    recorded = people.recorded
    return [
        f"Data: {recorded.name}, sha256 {recorded.sha256}; split {chosen.split}, "
        f"{len(people.answers):,} of {len(recorded.row):,} rows, besides {recorded.unanswered} "
        "without any answer.",
        *chosen.credit,
    ]


def provenance_line(
    module: str, chosen: argparse.Namespace, people: Respondents, *names: str
) -> str:
    """Provenance line: the date and the command, with the settings of these names."""
    words = []
    for name in (*names, "codes", "missing"):
        value, option = getattr(chosen, name), f"--{name.replace('_', '-')}"
        if isinstance(value, list):  # of items, none as a rule
            words += [option, *value] if value else []
        elif value not in ("", "auto"):
            words.append(f"{option} {shlex.quote(str(value))}")
    settings = " ".join(words)
    return (
        f"Made {datetime.datetime.now(datetime.UTC).date()} by: python -m {module} "
        f"--questionnaire {shlex.quote(chosen.questionnaire)} "
        f"--data {shlex.quote(people.recorded.name)} "
        f"--split {chosen.split} {settings} --out {shlex.quote(chosen.out.name)}"
    )


def write_all(tables: Tables) -> None:
    """Writes all tables or none: an interrupt leaves whatever files were there before."""
    with ExitStack() as files:
        for path, (provenance, columns) in tables.items():
            write_table(files.enter_context(atomic(path)), provenance, columns)
