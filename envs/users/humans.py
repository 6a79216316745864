"""Real respondents: recorded answers to a questionnaire, from the files their publishers offer.

No respondent's row is shipped with the package. Files of the Open-Source Psychometrics Project
(openpsychometrics.org/_rawdata: BIG5.zip of 2012, the Grit survey of 2015, the form of 2018) are
read as published, and so is any table with one row a person and one column an item.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.files import file_sha256
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.coding import MISSING, PUBLISHED, ZERO, Coding, plain
from acquaint_gym.envs.users.fast_draws import fibonacci_hash
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Bools, Ints
from acquaint_gym.envs.users.tables import TableReader, open_text

ROW_ID = "row_id"
SPLITS = {"train": (0.0, 0.8), "dev": (0.8, 1.0), "all": (0.0, 1.0)}
MOST_FILES = 2  # kept in memory: of a task that knows raters, theirs and the people's
NAMES_IN_MESSAGES = 12

_kept: dict[Hashable, Recorded] = {}  # of this process


@dataclass(frozen=True)
class Recorded:
    """Answers that real people gave.

    Attributes:
        answers: `[N, I]` int8 zero-based raw (not keyed) categories, items in the bank's order;
            -1 is a missing answer, and nobody misses all of them.
        row: `[N]` int64 published row number: the column `row_id`, or the 1-based position among
            the file's data rows where there is none.
        name: the file's name, without its folder.
        sha256: of the file as it lies on disk, in hexadecimal digits.
        unanswered: how many rows were dropped because they answer nothing at all.
    """

    answers: npt.NDArray[np.int8]
    row: npt.NDArray[np.int64]
    name: str
    sha256: str
    unanswered: int


def split_rows(row: Ints, split: str) -> Bools:
    """Which respondents belong to a split, by a hash of the published row number.

    A row's place is its `fibonacci_hash` as a fraction of 2**64, so a person is on the same side in
    the published file and in any part of it that keeps `row_id`. Train is the places below 0.8, dev
    the rest.

    Args:
        row: `[N]` published row numbers.
        split: `train` (80 %), `dev` (20 %) or `all`.

    Returns:
        `[N]` true for the members.

    Raises:
        ValueError: unknown split; the message lists those that exist.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {closest(split, SPLITS)}")
    low, high = SPLITS[split]
    # The upper 32 bits are all that is kept, since they are exact as a float.
    fraction = (fibonacci_hash(row) >> np.uint64(32)) / 2.0**32
    member: Bools = (fraction >= low) & (fraction < high)
    return member


def load_respondents(path: Path, bank: ItemBank, coding: Coding = PUBLISHED) -> Recorded:
    """Reads the recorded answers of real people to the items of a bank.

    The table is separated by tabs, commas, semicolons, bars or blanks, plain, `.gz`, or a `.zip`
    that holds one `.csv`; UTF-8 or UTF-16, lines ended either way, see `tables`. Item columns carry
    the bank's `item_ids` or `aliases`; all other columns are ignored. Blanks, `NA`, `NULL` and the
    like are missing answers, and so are zeros where 0 is no code.

    A file is read once: what was read last is kept, as long as the file does not change.

    Args:
        path: the file.
        bank: the items; its `codes` and `labels` are the values allowed.
        coding: other codes, and further words for missing answers.

    Returns:
        All respondents who answered at least one item, in file order; arrays not to be written to.

    Raises:
        ValueError: no such file, not readable as a table, no respondents, an item column absent or
            given twice, a column that looks like an item but is not in the bank (`E11`), a row of
            another length than the header, a value that is no code of the bank, answers that seem
            to be counted from 0, a row number that is no whole number or occurs twice. The message
            names file, row (the header is row 1) and column.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {kind}; expected a data file (.csv, .csv.gz or .zip).")
    state = path.stat()
    # What of the bank decides how a file is read.
    items = (bank.name, bank.item_ids, bank.aliases, bank.codes, bank.labels)
    key = (path.resolve(), state.st_size, state.st_mtime_ns, items, coding)
    if key not in _kept:
        recorded = _load(path, bank, coding)
        if len(_kept) == MOST_FILES:
            del _kept[next(iter(_kept))]
        _kept[key] = recorded
    return _kept[key]


def _load(path: Path, bank: ItemBank, coding: Coding) -> Recorded:
    """See `load_respondents`; reads the file."""
    sha256 = file_sha256(path)
    try:
        with open_text(path) as lines:
            answers, row = _read(path, lines, bank, coding)
    except (csv.Error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: damaged or not of the kind its name says ({error}); download it again."
        ) from error
    _check_zeros(path, answers, bank)
    answers[answers == ZERO] = MISSING
    present = (answers != MISSING).any(axis=1)
    if not present.any():
        raise ValueError(
            f"{path}: no respondents ({len(row)} rows, none of which answers any item); "
            "expected a header and at least one row with an answer."
        )
    answers, row = answers[present], row[present]
    answers.setflags(write=False)
    row.setflags(write=False)
    return Recorded(answers, row, path.name, sha256, int((~present).sum()))


def _read(
    path: Path, lines: io.TextIOWrapper, bank: ItemBank, coding: Coding
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Answers `[N, I]` and row numbers `[N]` of a whole table, unanswered rows included."""
    table = TableReader(path, lines, {*bank.item_ids, *bank.aliases})
    header = table.header
    columns = _item_columns(f"{path}: row {table.head}", header, bank)
    row_id = header.index(ROW_ID) if ROW_ID in header else None
    meaning = coding.meaning(bank)
    # Compact arrays, extended by a mapping that runs in C: a million rows in seconds.
    answers, row = array("b"), array("q")
    for number, cells in table.rows():
        texts = [cells[i] for i in columns]
        try:
            answers.extend(map(meaning.__getitem__, texts))
        except KeyError as error:
            cell = error.args[0]
            column = next(i for i, text in zip(columns, texts, strict=True) if plain(text) == cell)
            raise ValueError(
                f"{path}: row {number}, column {header[column]}: {cells[column]!r} is not an "
                f"answer; expected one of {', '.join(coding.codes or map(str, bank.codes))}, or 0, "
                "blank, NA, NULL or the like for missing. missing= names further words that mean "
                "no answer, codes= other codes than these, from the lowest to the highest."
            ) from None
        row.append(len(row) + 1 if row_id is None else _row_number(path, number, cells[row_id]))
    rows = np.array(row, dtype=np.int64)
    if len(np.unique(rows)) != len(rows):
        twice = next(value for value, count in Counter(row).items() if count > 1)
        raise ValueError(
            f"{path}: column {ROW_ID}: {twice} occurs more than once; expected one row a person."
        )
    return np.array(answers, dtype=np.int8).reshape(-1, bank.num_items), rows


def _check_zeros(path: Path, answers: npt.NDArray[np.int8], bank: ItemBank) -> None:
    """Refuses a file that seems to count categories from 0: the highest code is never met.

    With codes 1..5 everybody's answers would be read one too low, and the lowest as missing.

    Args:
        path: the file, for the message.
        answers: `[N, I]`, with `ZERO` where 0 stands.
        bank: the items.
    """
    has_answer = (answers >= 0).any(axis=1)  # who leaves a page answers all of it with 0
    zeros, top = int((answers[has_answer] == ZERO).sum()), bank.num_categories - 1
    often = max(3, 0.01 * has_answer.sum() * bank.num_items)
    if zeros >= often and not (answers == top).any():
        codes = f"{bank.codes[0]}..{bank.codes[-1]}"
        raise ValueError(
            f"{path}: 0 stands in {zeros:,} cells and {bank.codes[-1]}, the highest code of "
            f"{bank.name}, in none: answers seem to be coded 0..{top}. Say codes=0..{top} (--set "
            f"codes=0..{top}, or --codes 0..{top} of a fit), or codes={codes} if 0 is no answer."
        )


def _item_columns(place: str, header: list[str], bank: ItemBank) -> list[int]:
    """Positions of the bank's items in the header, `I` of them; `place` begins messages."""
    accepted = [{item, alias} for item, alias in zip(bank.item_ids, bank.aliases, strict=True)]
    columns = [[i for i, name in enumerate(header) if name in names] for names in accepted]
    missing = [item for item, places in zip(bank.item_ids, columns, strict=True) if not places]
    known = set().union(*accepted)
    others = [name for name in header if name not in known]
    if missing:
        raise ValueError(
            f"{place} lacks {len(missing)} of the {bank.num_items} items of {bank.name}: "
            f"{_some(missing)} (or {bank.aliases[bank.item_ids.index(missing[0])]}...). "
            f"Other columns: {_some(others) or 'none'}. Tabs, commas, semicolons, bars or blanks "
            "separate columns."
        )
    twice = [header[i] for places in columns if len(places) > 1 for i in places]
    if twice:
        raise ValueError(f"{place} gives one item in two columns: {', '.join(twice)}.")
    stems = {name.rstrip("0123456789") for name in known}
    # Only letters and digits: EXT1_E in the file of 2018 is the time spent on EXT1, not an item.
    shapes = {name: re.fullmatch(r"([A-Za-z]+)\d+", name) for name in others}
    stray = [name for name, shape in shapes.items() if shape and shape[1] in stems]
    if stray:
        raise ValueError(
            f"{place}, column {', '.join(stray)}: looks like an item but is not in "
            f"{bank.name}; expected the {bank.num_items} items of this questionnaire only."
        )
    return [places[0] for places in columns]


def _some(names: list[str]) -> str:
    """The first of the names, and how many more there are."""
    more = len(names) - NAMES_IN_MESSAGES
    return ", ".join(names[:NAMES_IN_MESSAGES]) + (f" and {more} more" if more > 0 else "")


def _row_number(path: Path, number: int, text: str) -> int:
    """The published number of a respondent."""
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise ValueError(
            f"{path}: row {number}, column {ROW_ID}: {text!r} is not a row number; "
            "expected a whole number such as 17."
        )
    return int(text)
