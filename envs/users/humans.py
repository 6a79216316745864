"""Real respondents: recorded answers to a questionnaire, from the files their publishers offer.

No respondent's row is shipped with the package. Files of the Open-Source Psychometrics Project
(openpsychometrics.org/_rawdata: BIG5.zip of 2012, the Grit survey of 2015, the form of 2018) are
read as published, and so is any table with one row a person and one column an item.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.fast_draws import fibonacci_hash
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Bools, Ints

MISSING = -1
MISSING_TEXT = ("", "0", "0.0", "NA", "NULL")
ROW_ID = "row_id"
SPLITS = {"train": (0.0, 0.8), "dev": (0.8, 1.0), "all": (0.0, 1.0)}


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


def load_respondents(path: Path, bank: ItemBank) -> Recorded:
    """Reads the recorded answers of real people to the items of a bank.

    The table is separated by tabs or commas, plain, `.gz`, or a `.zip` that holds one `.csv`;
    UTF-8 with or without a byte order mark, lines ended either way. Item columns carry the bank's
    `item_ids` or `aliases`; all other columns are ignored. Zeros, blanks, `NA` and `NULL` are
    missing answers.

    Args:
        path: the file.
        bank: the items; its `codes` are the values allowed.

    Returns:
        All respondents who answered at least one item, in file order.

    Raises:
        ValueError: no such file, not readable as a table, no respondents, an item column absent or
            given twice, a column that looks like an item but is not in the bank (`E11`), a row of
            another length than the header, a value that is no code of the bank, a row number that
            is no whole number or occurs twice. The message names file, row (the header is row
            1) and column.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {kind}; expected a data file (.csv, .csv.gz or .zip).")
    with path.open("rb") as whole:
        sha256 = hashlib.file_digest(whole, "sha256").hexdigest()
    try:
        with _open(path) as file:
            # Respondents typed some of the columns nobody reads here, in whatever encoding.
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            answers, row = _read(path, lines, bank)
    except (csv.Error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: damaged or not of the kind its name says ({error}); download it again."
        ) from error
    present = (answers != MISSING).any(axis=1)
    if not present.any():
        raise ValueError(
            f"{path}: no respondents ({len(row)} rows, none of which answers any item); "
            "expected a header and at least one row with an answer."
        )
    return Recorded(answers[present], row[present], path.name, sha256, int((~present).sum()))


@contextmanager
def _open(path: Path) -> Iterator[gzip.GzipFile | IO[bytes]]:
    """The bytes of the table inside a plain, compressed or zipped file."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.open(path) as compressed:
            yield compressed
    elif suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            tables = [name for name in names if not name.startswith("__MACOSX/")]
            if len(tables) != 1:
                raise ValueError(
                    f"{path}: expected exactly one .csv in the archive, "
                    f"found {', '.join(tables) or 'none'}."
                )
            with archive.open(tables[0]) as member:
                yield member
    else:
        with path.open("rb") as plain:
            yield plain


def _read(
    path: Path, lines: io.TextIOWrapper, bank: ItemBank
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Answers `[N, I]` and row numbers `[N]` of a whole table, unanswered rows included."""
    first = lines.readline().rstrip("\r\n")
    if not first:
        raise ValueError(f"{path}: empty; expected a header line and at least one row.")
    delimiter = "\t" if "\t" in first else ","
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    columns = _item_columns(path, header, bank)
    row_id = header.index(ROW_ID) if ROW_ID in header else None
    codes = dict.fromkeys(MISSING_TEXT, MISSING)
    for category, code in enumerate(bank.codes):
        codes |= {str(code): category, f"{code}.0": category}
    # Compact arrays, extended by a mapping that runs in C: a million rows in seconds.
    answers, row = array("b"), array("q")
    reader = csv.reader(lines, delimiter=delimiter)
    for line, cells in enumerate(reader, start=1):
        if reader.line_num != line:
            raise ValueError(
                f"{path}: row {line + 1}: a quotation mark opens here and closes in row "
                f"{reader.line_num + 1}; expected each respondent on one line. Remove the mark."
            )
        if not cells:
            continue
        number = reader.line_num + 1
        if len(cells) != len(header):
            raise ValueError(
                f"{path}: row {number} has {len(cells)} cells, the header has {len(header)}."
            )
        texts = [cells[i] for i in columns]
        try:
            answers.extend(map(codes.__getitem__, texts))
        except KeyError:
            # The items before the odd cell are in the array already; the row starts afresh.
            del answers[len(row) * bank.num_items :]
            texts = [text.strip().upper() for text in texts]
            bad = [i for i, text in zip(columns, texts, strict=True) if text not in codes]
            if bad:
                raise ValueError(
                    f"{path}: row {number}, column {header[bad[0]]}: {cells[bad[0]]!r} is not an "
                    f"answer; expected one of {', '.join(map(str, bank.codes))}, or 0, blank, NA "
                    "or NULL for missing."
                ) from None
            answers.extend(map(codes.__getitem__, texts))
        row.append(len(row) + 1 if row_id is None else _row_number(path, number, cells[row_id]))
    rows = np.array(row, dtype=np.int64)
    if len(np.unique(rows)) != len(rows):
        twice = next(value for value, count in Counter(row).items() if count > 1)
        raise ValueError(
            f"{path}: column {ROW_ID}: {twice} occurs more than once; expected one row a person."
        )
    return np.array(answers, dtype=np.int8).reshape(-1, bank.num_items), rows


def _item_columns(path: Path, header: list[str], bank: ItemBank) -> list[int]:
    """Positions of the bank's items in the header, `I` of them."""
    accepted = [{item, alias} for item, alias in zip(bank.item_ids, bank.aliases, strict=True)]
    columns = [[i for i, name in enumerate(header) if name in names] for names in accepted]
    missing = [item for item, places in zip(bank.item_ids, columns, strict=True) if not places]
    if missing:
        raise ValueError(
            f"{path}: row 1 lacks {len(missing)} of the {bank.num_items} items of {bank.name}: "
            f"{', '.join(missing)} (or {bank.aliases[bank.item_ids.index(missing[0])]}...). "
            f"Found: {', '.join(header)}."
        )
    twice = [header[i] for places in columns if len(places) > 1 for i in places]
    if twice:
        raise ValueError(f"{path}: row 1 gives one item in two columns: {', '.join(twice)}.")
    known = set().union(*accepted)
    stems = {name.rstrip("0123456789") for name in known}
    # Only letters and digits: EXT1_E in the file of 2018 is the time spent on EXT1, not an item.
    shapes = {name: re.fullmatch(r"([A-Za-z]+)\d+", name) for name in header if name not in known}
    stray = [name for name, shape in shapes.items() if shape and shape[1] in stems]
    if stray:
        raise ValueError(
            f"{path}: row 1, column {', '.join(stray)}: looks like an item but is not in "
            f"{bank.name}; expected the {bank.num_items} items of this questionnaire only."
        )
    return [places[0] for places in columns]


def _row_number(path: Path, number: int, text: str) -> int:
    """The published number of a respondent."""
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise ValueError(
            f"{path}: row {number}, column {ROW_ID}: {text!r} is not a row number; "
            "expected a whole number such as 17."
        )
    return int(text)
