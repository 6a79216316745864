"""Tables as spreadsheets and statistics programs write them: container, encoding, separator."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SEPARATORS = ("\t", ",", ";", "|", " ")


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a table: plain, `.gz`, or a `.zip` that holds one `.csv`.

    UTF-16 is known by its byte order mark or by its zeros (nothing else has any), all else is read
    as UTF-8, with or without a mark.

    Raises:
        ValueError: an archive with another number of tables.
    """
    with _open_bytes(path) as file:
        start = file.peek(4)[:4]
        encoding = "utf-8-sig"
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        elif b"\0" in start:
            encoding = "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
        # Respondents typed some of the columns nobody reads here, in whatever encoding.
        yield io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")


@contextmanager
def _open_bytes(path: Path) -> Iterator[Any]:
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


class TableReader:
    """The rows of a table below its header, as lists of cells; blank lines are left out.

    The separator is the one of `SEPARATORS` that finds most of the names, or the one of a first
    line `sep=;`, which Excel writes. Where blanks separate, rows may begin with a name that the
    header has no word for, as R's `write.table` writes them.

    Args:
        path: the file, for messages.
        lines: its text.
        names: column names that are looked for.

    Attributes:
        header: names of the columns.
        head: row of the header, counted from 1 as an editor counts.

    Raises:
        ValueError: an empty file; when rows are read, one of another length than the header, or a
            quotation mark that closes in another row. The message names file and row.
    """

    def __init__(self, path: Path, lines: IO[str], names: Collection[str]) -> None:
        separators: tuple[str, ...] = SEPARATORS
        first, self.head = _line(lines), 1
        if first.strip('"').lower().startswith("sep="):
            separators = (first.strip('"')[4:] or ",",)
            if len(separators[0]) != 1:
                raise ValueError(f"{path}: row 1: {first!r}; expected sep= and one character.")
            first, self.head = _line(lines), 2
        if not first:
            raise ValueError(f"{path}: empty; expected a header line and at least one row.")
        headers = {mark: _cells(first, mark) for mark in separators}
        # Where no name is known under any of them, the one that cuts most.
        self._mark = max(headers, key=lambda m: (len({*headers[m]} & {*names}), len(headers[m])))
        self.header = headers[self._mark]
        self._path, self._lines = path, lines

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Row number and cells of each row."""
        blanks, width = self._mark == " ", len(self.header)
        named_rows: bool | None = None  # the first row tells
        lines = map(str.strip, self._lines) if blanks else self._lines
        reader = csv.reader(lines, delimiter=self._mark, skipinitialspace=blanks)
        for line, cells in enumerate(reader, start=1):
            number = line + self.head
            if reader.line_num != line:
                raise ValueError(
                    f"{self._path}: row {number}: a quotation mark opens here and closes in row "
                    f"{reader.line_num + self.head}; expected each respondent on one line. Remove "
                    "the mark."
                )
            if not cells:
                continue
            if named_rows is None:
                named_rows = blanks and len(cells) == width + 1
            if named_rows:
                del cells[0]
            if len(cells) != width:
                raise ValueError(
                    f"{self._path}: row {number} has {len(cells)} cells, the header has {width}."
                )
            yield number, cells


def _line(lines: IO[str]) -> str:
    """The next line without its end."""
    return lines.readline().rstrip("\r\n")


def _cells(line: str, separator: str) -> list[str]:
    """The names in a header."""
    blanks = separator == " "
    text = [line.strip() if blanks else line]
    row = next(csv.reader(text, delimiter=separator, skipinitialspace=blanks))
    return [name.strip() for name in row]
