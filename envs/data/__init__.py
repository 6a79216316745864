"""Item texts, keys and fitted parameters as CSV, their provenance in `#` lines on top."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["available", "numbers", "read_table", "write_table"]

FOLDER = Path(__file__).parent


def read_table(path: Path) -> dict[str, list[str]]:
    """Columns of a CSV file whose leading `#` lines are provenance.

    Returns:
        Column name -> values as text, in file order; all columns have the same length.

    Raises:
        ValueError: not a readable text file, no header line, or a row of another length.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(line for line in file if not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as a CSV ({error}).") from error
    if not rows:
        raise ValueError(f"{path}: empty; expected a header line and at least one row.")
    header, body = rows[0], rows[1:]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ValueError(
                f"{path}: row {number} has {len(row)} cells, the header has {len(header)}."
            )
    return {name: [row[i] for row in body] for i, name in enumerate(header)}


def numbers(path: Path, column: Sequence[str]) -> npt.NDArray[np.float64]:
    """A column of `read_table` as finite numbers.

    Raises:
        ValueError: a cell that is none; the message names the file and the cell.
    """
    for row, cell in enumerate(column, start=2):
        try:
            finite = math.isfinite(float(cell))
        except ValueError:
            finite = False
        if not finite:
            raise ValueError(f"{path}: row {row}: expected a finite number, got {cell!r}.")
    return np.array(column, dtype=float)


def write_table(
    path: Path, provenance: Iterable[str], columns: Mapping[str, Sequence[object]]
) -> None:
    """Writes what `read_table` reads: provenance as `#` lines, a header, one row an entry."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {line}\n" for line in provenance)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def available(folder: Path, questionnaire: str) -> list[str]:
    """Names of the parameter sets that lie beside a questionnaire, for messages and arguments."""
    prefix = f"{questionnaire}_"
    parts = {path.stem.removeprefix(prefix) for path in folder.glob(f"{prefix}*.csv")}
    return sorted(
        part for part in parts - {"items", "responses", "classes"} if not part.endswith("_traits")
    )
