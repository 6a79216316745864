"""Real respondents' files: every format that is promised, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquaint_gym.envs.users import humans
from acquaint_gym.envs.users.coding import Coding
from acquaint_gym.envs.users.humans import Recorded, load_respondents, split_rows
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.response_models import Ints
from acquaint_gym.eval.run import main as run

IPIP = ItemBank.load("ipip50")
BFI = ItemBank.load("bfi25")
# The published files list a trait's items together, in another order than the bank's.
PUBLISHED = [f"{letter}{number}" for letter in "ENACO" for number in range(1, 11)]
Lines = list[list[str]]


def people(number: int, bank: ItemBank = IPIP, seed: int = 0) -> Ints:
    """`[N, I]` made-up zero-based answers."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, bank.num_categories, size=(number, bank.num_items))


def lines_of(answers: Ints, bank: ItemBank = IPIP, names: Sequence[str] | None = None) -> Lines:
    """Header and rows of a data file with the bank's codes, in the given order of columns."""
    names = names or bank.item_ids
    order = [list(bank.item_ids).index(name) for name in names]
    rows = [[str(bank.codes[k]) for k in row] for row in answers[:, order].tolist()]
    return [list(names), *rows]


def text_of(lines: Lines, separator: str = ",", end: str = "\n") -> str:
    """The table as text."""
    return "".join(separator.join(line) + end for line in lines)


def load(tmp_path: Path, text: str, bank: ItemBank = IPIP) -> Recorded:
    """What the loader makes of a plain file."""
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    return load_respondents(path, bank)


def plain(path: Path, content: bytes) -> Path:
    """A file as it is."""
    path.write_bytes(content)
    return path


def compressed(path: Path, content: bytes) -> Path:
    """A .gz file."""
    path = path.with_name(f"{path.name}.gz")
    path.write_bytes(gzip.compress(content))
    return path


def archive(path: Path, content: bytes) -> Path:
    """The publisher's BIG5.zip, with what an Apple computer adds to archives."""
    path = path.with_name("BIG5.zip")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("BIG5/codebook.txt", "Data collected on-line...")
        file.writestr("BIG5/data.csv", content)
        file.writestr("__MACOSX/BIG5/._data.csv", b"\x00\x05\x16\x07")
    return path


@pytest.mark.parametrize("container", [plain, compressed, archive])
@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_format_gives_the_same_answers(
    tmp_path: Path,
    container: Callable[[Path, bytes], Path],
    separator: str,
    end: str,
    mark: str,
) -> None:
    answers = people(20)
    content = (mark + text_of(lines_of(answers, names=PUBLISHED), separator, end)).encode()
    path = container(tmp_path / "data.csv", content)
    recorded = load_respondents(path, IPIP)
    assert recorded.answers.dtype == np.int8
    np.testing.assert_array_equal(recorded.answers, answers)
    np.testing.assert_array_equal(recorded.row, np.arange(1, 21))
    assert recorded.name == path.name
    assert recorded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recorded.unanswered == 0


def test_answers_are_raw_not_keyed(tmp_path: Path) -> None:
    recorded = load(tmp_path, text_of([list(PUBLISHED), ["1"] * 49 + ["5"]]))
    assert recorded.answers[0, IPIP.item_ids.index("E2")] == 0  # reverse-keyed
    assert recorded.answers[0, IPIP.item_ids.index("O10")] == 4


def test_file_of_2012_keeps_its_row_numbers(tmp_path: Path) -> None:
    answers = people(3)
    lines = lines_of(answers, names=PUBLISHED)
    other = [
        ["row_id", "age", "country"],
        ["1", "53", "US"],
        ["3", "14", "PK"],
        ["19065", "", "(n"],
    ]
    text = text_of([before + line for before, line in zip(other, lines, strict=True)])
    recorded = load(tmp_path, text)
    np.testing.assert_array_equal(recorded.row, [1, 3, 19065])
    np.testing.assert_array_equal(recorded.answers, answers)


def test_file_of_2015_with_grit_and_vocabulary_columns(tmp_path: Path) -> None:
    answers = people(4)
    extra = [f"GS{i}" for i in range(1, 13)] + [f"VCL{i}" for i in range(1, 17)]
    lines = lines_of(answers)
    text = text_of([[*extra, *lines[0]], *(["9"] * len(extra) + line for line in lines[1:])])
    np.testing.assert_array_equal(load(tmp_path, text).answers, answers)


def test_file_of_2018_with_times_of_the_same_stem(tmp_path: Path) -> None:
    answers = people(4)
    times = [f"{alias}_E" for alias in IPIP.aliases]
    header = [*IPIP.aliases, *times, "dateload", "testelapse", "lat_appx_lots_of_err"]
    rows = [
        [*line, *(["9419"] * len(times)), "2016-03-03 02:01:01", "NULL", "51.5448"]
        for line in lines_of(answers)[1:]
    ]
    recorded = load(tmp_path, text_of([header, *rows], "\t"))
    np.testing.assert_array_equal(recorded.answers, answers)


def test_six_categories_of_bfi25_with_blanks(tmp_path: Path) -> None:
    answers = people(6, BFI)
    answers[0, :2] = 5
    lines = lines_of(answers, BFI)
    lines[3][4] = ""
    answers[2, 4] = -1
    lines = [
        [*line, extra] for line, extra in zip(lines, ["education", *"1 0 ", "", "2"], strict=True)
    ]
    np.testing.assert_array_equal(load(tmp_path, text_of(lines), BFI).answers, answers)


@pytest.mark.parametrize(
    "text",
    ["0", "", "NA", "NULL", " ", "null", " NA", "0.0", "#NULL!", ".", "NaN", "n/a", "#N/A", "<NA>"],
)
def test_missing_answers(tmp_path: Path, text: str) -> None:
    answers = people(3)
    lines = lines_of(answers)
    lines[2][7] = text
    answers[1, 7] = -1
    np.testing.assert_array_equal(load(tmp_path, text_of(lines)).answers, answers)


@pytest.mark.parametrize(
    "text", ["4.0", " 4", "4 ", "4,00", "04", "Moderately Accurate", "moderately accurate "]
)
def test_other_ways_to_write_a_code(tmp_path: Path, text: str) -> None:
    lines = lines_of(people(3))
    lines[2][7] = text
    assert load(tmp_path, text_of(lines, ";")).answers[1, 7] == 3


def test_quoted_cells_blank_lines_and_odd_bytes(tmp_path: Path) -> None:
    answers = people(2)
    header, first, second = lines_of(answers)
    quoted = [f'"{name}"' for name in header]
    text = text_of([["major", *quoted], ['"a, b ""c"""', *first], [], ["\xe9", *second], []])
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("latin-1"))
    np.testing.assert_array_equal(load_respondents(path, IPIP).answers, answers)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [";", "|", " ", "  "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_separators_and_encodings_of_other_programs(
    tmp_path: Path, encoding: str, separator: str, quote: str
) -> None:
    answers = people(3)
    lines = [[f"{quote}{cell}{quote}" for cell in line] for line in lines_of(answers)]
    path = plain(tmp_path / "data.csv", text_of(lines, separator).encode(encoding))
    np.testing.assert_array_equal(load_respondents(path, IPIP).answers, answers)


@pytest.mark.parametrize("mark", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_first_line_of_excel_names_the_separator(tmp_path: Path, mark: str) -> None:
    answers = people(3)
    lines = lines_of(answers)
    text = f"{mark}\r\n{text_of(lines, ';')}"
    np.testing.assert_array_equal(load(tmp_path, text).answers, answers)
    lines[2][4] = "x"
    with pytest.raises(ValueError, match="row 4, column O1: 'x'"):
        load(tmp_path, f"{mark}\n{text_of(lines, ';')}")
    with pytest.raises(ValueError, match=r"row 2 lacks 1 of the 50.*E1 .*Other columns: x"):
        load(tmp_path, f"{mark}\n{text_of(lines, ';')}".replace("E1;", "x;", 1))


def test_row_names_of_r(tmp_path: Path) -> None:
    answers = people(3)
    header, *rows = lines_of(answers)
    named = [[f'"{number}"', *row] for number, row in enumerate(rows, start=1)]
    text = text_of([[f'"{name}"' for name in header], *named], " ")
    np.testing.assert_array_equal(load(tmp_path, text).answers, answers)
    with pytest.raises(ValueError, match="row 2 has 51 cells, the header has 50"):
        load(tmp_path, text.replace(" ", ","))
    with pytest.raises(ValueError, match="row 3 has 49 cells, the header has 50"):
        load(tmp_path, text_of([header, named[0], rows[1]], " "))


def test_answers_counted_from_zero_are_refused_and_read_when_told(tmp_path: Path) -> None:
    answers = people(30)
    lines = lines_of(answers)
    lines[1:] = [[str(int(cell) - 1) for cell in line] for line in lines[1:]]
    text = text_of(lines)
    with pytest.raises(ValueError, match="seem to be coded") as refused:
        load(tmp_path, text)
    zeros = int((answers == 0).sum())
    assert f"0 stands in {zeros} cells and 5, the highest code of ipip50, in none" in str(
        refused.value
    )
    assert "--set codes=0..4, or --codes 0..4" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    path = tmp_path / "data.csv"
    read = load_respondents(path, IPIP, Coding.parse(IPIP, "0..4", ""))
    np.testing.assert_array_equal(read.answers, answers)
    as_published = load_respondents(path, IPIP, Coding.parse(IPIP, "1..5", ""))
    np.testing.assert_array_equal(as_published.answers, answers - 1)
    assert load(tmp_path, text_of([*lines, ["5"] * 50])).answers[-1].tolist() == [4] * 50


def test_commands_take_codes_and_give_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_of(people(3))
    low = [lines[0], *([str(int(cell) - 1) for cell in line] for line in lines[1:])]
    plain(tmp_path / "one.csv", text_of(lines).encode())
    plain(tmp_path / "zero.csv", text_of(low, ";").encode("utf-16"))

    def rows(name: str, *more: str) -> object:
        out = str(tmp_path / f"out-{name}{len(more)}")
        command = ["--agent", "random", "bayes", "--split", "all", "--data", str(tmp_path / name)]
        command += ["--set", "num_turns=5", *more, "--out", out]
        assert run(command) == 0
        return json.loads(Path(out, "report.json").read_text("utf-8"))["rows"]

    reads: list[str] = []
    read = humans._read
    monkeypatch.setattr(
        humans, "_read", lambda path, *more: (reads.append(path.name), read(path, *more))[1]
    )
    told = ("--set", "codes=0..4", "--set", "missing=99")
    assert rows("zero.csv", *told) == rows("one.csv")
    assert reads == ["zero.csv", "one.csv"]  # once, however many agents there are
    assert run(["--agent", "random", "--data", str(tmp_path / "zero.csv"), "--split", "all"]) == 2
    assert "Say codes=0..4" in capsys.readouterr().err


def test_a_page_that_was_left_is_not_taken_for_answers_from_zero(tmp_path: Path) -> None:
    lines = lines_of(np.minimum(people(3), 3))
    recorded = load(tmp_path, text_of([*lines, *([["0"] * 50] * 9)]))
    assert (len(recorded.answers), recorded.unanswered) == (3, 9)


@pytest.mark.parametrize(
    ("codes", "missing", "words"),
    [
        ("A,B,C,D,E", "", "ABCDE"),
        ("never, seldom,at times,often,ALWAYS", "", "never seldom at_times often always"),
        ("5..1", 99, "54321"),
        ("-2..2", "99,refused", "-2 -1 0 1 2"),
    ],
)
def test_codes_and_words_of_ones_own(
    tmp_path: Path, codes: str, missing: str | float, words: str
) -> None:
    answers = people(4)
    written = [w.replace("_", " ") for w in (words.split() if " " in words else list(words))]
    lines = [list(IPIP.item_ids), *([written[k] for k in row] for row in answers.tolist())]
    lines[2][7] = str(missing).split(",")[-1].upper()
    answers[1, 7] = -1
    path = plain(tmp_path / "data.csv", text_of(lines).encode())
    read = load_respondents(path, IPIP, Coding.parse(IPIP, codes, missing))
    np.testing.assert_array_equal(read.answers, answers)


@pytest.mark.parametrize(
    ("codes", "missing", "message"),
    [
        ("0..5", "", "codes=0..5: 6 codes, ipip50 has 5 response categories, Very Inaccurate to"),
        ("A,B", "", r"codes=A,B: 2 codes, .*expected e\.g\. 0\.\.4, or 5 words"),
        ("A,B,C,D,a", "", "'A' stands for two things"),
        ("0..4", "0", "missing=0: '0' stands for two things"),
        ("auto", 5, "missing=5: '5' stands for two things"),
    ],
)
def test_codes_that_cannot_be(codes: str, missing: str | float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coding.parse(IPIP, codes, missing)


def test_words_for_missing_are_only_those_that_are_named(tmp_path: Path) -> None:
    lines = lines_of(people(3))
    lines[2][7] = "99"
    with pytest.raises(ValueError, match=r"row 3, column \w+: '99' is not an answer.*missing="):
        load(tmp_path, text_of(lines))


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = humans._read
    monkeypatch.setattr(
        humans, "_read", lambda path, *a: (reads.append(path.name), read(path, *a))[1]
    )
    paths = [
        plain(tmp_path / name, text_of(lines_of(people(3, seed=seed))).encode())
        for seed, name in enumerate(("a.csv", "b.csv", "c.csv"))
    ]
    for path in (paths[0], paths[0], paths[1], paths[0], paths[1]):
        load_respondents(path, IPIP)
    assert reads == ["a.csv", "b.csv"]
    load_respondents(paths[0], IPIP, Coding.parse(IPIP, "5..1", ""))  # read otherwise
    load_respondents(paths[2], IPIP)
    assert reads[2:] == ["a.csv", "c.csv"]
    assert len(humans._kept) == 2  # memory does not grow
    paths[2].write_bytes(text_of(lines_of(people(4))).encode())
    assert len(load_respondents(paths[2], IPIP).answers) == 4


def test_rows_that_answer_nothing_are_dropped_and_counted(tmp_path: Path) -> None:
    answers = people(5)
    lines = lines_of(answers)
    lines[2] = ["0"] * 50
    lines[5] = ["NA"] * 49 + [""]
    recorded = load(tmp_path, text_of(lines))
    np.testing.assert_array_equal(recorded.answers, answers[[0, 2, 3]])
    np.testing.assert_array_equal(recorded.row, [1, 3, 4])
    assert recorded.unanswered == 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 5), min_size=25, max_size=25), min_size=1, max_size=6))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]
) -> None:
    answers = np.array([[5] * 25, *rows])  # without a 6 zeros might count for the lowest code
    lines = [list(BFI.item_ids), *([str(k + 1) for k in row] for row in answers.tolist())]
    recorded = load(tmp_path_factory.mktemp("humans"), text_of(lines), BFI)
    kept = (answers >= 0).any(axis=1)
    np.testing.assert_array_equal(recorded.answers, answers[kept])
    assert recorded.unanswered == (~kept).sum()


def spoil(row: int, column: int, text: str) -> Callable[[Lines], None]:
    """Puts a text into a cell of the table."""

    def change(lines: Lines) -> None:
        lines[row][column] = text

    return change


def add(name: str, text: str = "3") -> Callable[[Lines], None]:
    """Adds a column to the table."""

    def change(lines: Lines) -> None:
        for line in lines:
            line.append(text)
        lines[0][-1] = name

    return change


def rename(old: str, new: str) -> Callable[[Lines], None]:
    """Renames a column of the table."""

    def change(lines: Lines) -> None:
        lines[0][lines[0].index(old)] = new

    return change


def cut(lines: Lines) -> None:
    """Takes the last cell of the second row of data."""
    lines[2].pop()


WRONG = {
    "value above the codes": (spoil(2, 3, "6"), r"row 3, column N1: '6'.*1, 2, 3, 4, 5"),
    "negative value": (spoil(1, 0, "-1"), r"row 2, column E1: '-1'"),
    "fraction": (spoil(1, 0, "2.5"), r"row 2, column E1: '2.5'"),
    "a word": (spoil(3, 49, "agree"), r"row 4, column O10: 'agree'"),
    "the second of two odd cells": (
        lambda lines: (spoil(2, 0, "NA")(lines), spoil(2, 2, "x")(lines)),
        r"row 3, column C1: 'x'",
    ),
    "row too short": (cut, r"row 3 has 49 cells, the header has 50"),
    "item absent": (rename("E7", "seventh"), r"row 1 lacks 1 of the 50.*: E7 \(or EXT7.*seventh"),
    "wrong case": (rename("E7", "e7"), r"row 1 lacks 1 of the 50.*: E7"),
    "one item more": (add("E11"), r"row 1, column E11: looks like an item"),
    "one item more of the other names": (add("EXT11"), r"row 1, column EXT11: looks like an item"),
    "same column twice": (add("A3"), r"row 1 gives one item in two columns: A3, A3"),
    "item and its alias": (add("AGR3"), r"row 1 gives one item in two columns: A3, AGR3"),
    "row number twice": (add("row_id", "17"), r"column row_id: 17 occurs more than once"),
    "row number no number": (add("row_id", "17b"), r"row 2, column row_id: '17b'"),
    "row number too long": (add("row_id", "9" * 30), r"row 2, column row_id: '9{30}'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables(tmp_path: Path, case: str) -> None:
    change, message = WRONG[case]
    lines = lines_of(people(3))
    change(lines)
    with pytest.raises(ValueError, match=rf"data\.csv: .*{message}"):
        load(tmp_path, text_of(lines))


def test_row_of_an_error_counts_blank_lines(tmp_path: Path) -> None:
    lines = lines_of(people(2))
    with pytest.raises(ValueError, match="row 4, column E1: 'x'"):
        load(tmp_path, text_of([*lines[:2], [], ["x", *lines[2][1:]]]))


def test_the_fifty_items_are_not_mistaken_for_the_twenty_five(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"column E6, .*not in bfi25"):
        load(tmp_path, text_of(lines_of(people(3), names=PUBLISHED)), BFI)
    with pytest.raises(ValueError, match="lacks 25 of the 50 items of ipip50: E6,"):
        load(tmp_path, text_of(lines_of(people(3, BFI), BFI)))


def test_nobody_there(tmp_path: Path) -> None:
    header = lines_of(people(1))[:1]
    with pytest.raises(ValueError, match=r"data\.csv: empty; expected a header"):
        load(tmp_path, "")
    with pytest.raises(ValueError, match=r"data\.csv: no respondents \(0 rows"):
        load(tmp_path, text_of(header))
    with pytest.raises(ValueError, match=r"data\.csv: no respondents \(1 rows"):
        load(tmp_path, text_of([*header, ["0"] * 50]))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.csv: no such file; expected a data file"):
        load_respondents(tmp_path / "absent.csv", IPIP)
    with pytest.raises(ValueError, match="a folder; expected a data file"):
        load_respondents(tmp_path, IPIP)


@pytest.mark.parametrize("names", [[], ["a.csv", "BIG5/b.csv"]])
def test_archives_hold_one_table(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "BIG5.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ["BIG5/codebook.txt", *names]:
            file.writestr(name, text_of(lines_of(people(1))))
    with pytest.raises(ValueError, match=rf"exactly one .csv.*{', '.join(names) or 'none'}"):
        load_respondents(path, IPIP)


def test_damaged_files(tmp_path: Path) -> None:
    content = text_of(lines_of(people(50))).encode()
    whole = gzip.compress(content)
    broken = {
        "cut.csv.gz": whole[: len(whole) // 2],
        "bits.csv.gz": whole[:10] + b"\xff" * 9 + whole[19:],
        "sum.csv.gz": whole[:-8] + bytes(8),
        "plain.csv.gz": content,
        "plain.zip": content,
        "quote.csv": content + b'"' + b"1," * 100_000,
    }
    for name, damaged in broken.items():
        path = plain(tmp_path / name, damaged)
        with pytest.raises(ValueError, match=rf"{name}: damaged or not of the kind"):
            load_respondents(path, IPIP)


def test_splits_partition_people() -> None:
    row = np.arange(1, 20_001)
    train, dev = split_rows(row, "train"), split_rows(row, "dev")
    np.testing.assert_array_equal(train, ~dev)
    assert split_rows(row, "all").all()
    assert train.mean() == pytest.approx(0.8, abs=0.001)
    # No drift along the file: each thousand people are cut alike.
    np.testing.assert_allclose(train.reshape(20, 1000).mean(axis=1), 0.8, atol=0.005)


def test_splits_follow_the_published_row_number() -> None:
    row = np.random.default_rng(3).integers(2**62, size=700) >> np.arange(700) % 60
    expected = [(number * 0x9E3779B97F4A7C15 % 2**64) / 2**64 < 0.8 for number in row.tolist()]
    np.testing.assert_array_equal(split_rows(row, "train"), expected)
    assert split_rows(np.arange(1, 11), "dev").nonzero()[0].tolist() == [2, 7]


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match=r"Unknown split 'test'\..* Available: train, dev, all"):
        split_rows(np.arange(3), "test")
