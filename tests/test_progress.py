"""How far a command is: bars on a terminal, elsewhere log lines, ever more rarely."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from acquaint_gym.envs import console
from acquaint_gym.envs.console import ProgressBars, track


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; whoever moves it changes the one entry."""
    now = [100.0]
    monkeypatch.setattr(console, "monotonic", lambda: now[0])
    return now


def written(output: io.StringIO) -> list[str]:
    """The lines, without the time of day that each begins with."""
    lines = output.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    return [line[9:] for line in lines]


def test_without_a_terminal_lines_say_what_is_done_how_fast_and_what_is_left(clock: Any) -> None:
    output = io.StringIO()
    with ProgressBars(Console(file=output), "people") as bars:
        rows = [
            bars.add_task(name, total=2000, completed=done)
            for name, done in (("a", 0), ("b", 1000))
        ]
        for _ in range(8):
            clock[0] += 5
            bars.advance(rows[0], 250)
        for _ in range(4):
            clock[0] += 25
            bars.update(rows[1], advance=250, description="b [now]")
    assert written(output) == [
        # After 10 seconds, 20 later and 40 later; and where a task is done.
        "a: 500 of 2,000 people, 50/s, 0:00:30 left",
        "a: 1,500 of 2,000 people, 50/s, 0:00:10 left",
        "a: 2,000 of 2,000 people, 50/s",
        "b [now]: 1,750 of 2,000 people, 10/s, 0:00:25 left",
        "b [now]: 2,000 of 2,000 people, 10/s",
    ]


def test_what_is_done_in_ten_seconds_writes_nothing_and_what_stands_still_has_no_rate(
    clock: Any,
) -> None:
    output = io.StringIO()
    with ProgressBars(Console(file=output)) as bars:
        row = bars.add_task("", total=2)
        clock[0] += 9
        bars.advance(row, 1)
        assert written(output) == []
        bars.advance(row, 1)
        other = bars.add_task("", total=None)
        clock[0] += 2
        bars.update(other, description="iteration 7")
    assert written(output) == ["iteration 7: 0"]


def test_a_terminal_has_bars_and_no_lines(clock: Any) -> None:
    output = io.StringIO()
    with ProgressBars(Console(file=output, force_terminal=True, width=80), "people") as bars:
        row = bars.add_task("slow", total=2)
        clock[0] += 30
        bars.advance(row)
    assert "━" in output.getvalue()
    assert "left" not in output.getvalue()


def test_entries_are_counted_on_the_error_stream(clock: Any, capsys: Any) -> None:
    for entry in track([11, 11, 11], "elevens", "entries"):
        clock[0] += entry
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line[9:] for line in printed.err.splitlines()] == [
        "elevens: 1 of 3 entries, 0.0909/s, 0:00:22 left",
        "elevens: 3 of 3 entries, 0.0909/s",
    ]
