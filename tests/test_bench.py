"""The benchmarks run, and name what they measure."""

from __future__ import annotations

import pytest
from registered import ids

from acquaint_gym.eval import bench


@pytest.fixture(autouse=True)
def any_core(monkeypatch):
    """The tests' own process stays on all cores."""
    monkeypatch.setattr(bench, "one_core", lambda: "On any core.")


def test_every_environment_is_measured_against_the_questionnaire(capsys):
    assert bench.main(["envs", "--sizes", "2", "--rounds", "1", "--seconds", "0.001"]) == 0
    told = capsys.readouterr().out
    peers, everything = told.split("Every environment at 2")
    assert bench.PEER in peers
    rows = {
        line.split()[1]: line.split() for line in everything.splitlines() if "acquaint/" in line
    }
    assert set(rows) == set(ids())
    # Rate and factor in both forms; the questionnaire is as fast as itself.
    assert [rows[bench.ENV][place] for place in (5, 9)] == ["1.00", "1.00"]
    assert all(float(row[place]) > 0 for row in rows.values() for place in (5, 9))


def test_teachers_are_timed_beside_their_goals(capsys):
    assert bench.main(["teacher", "--people", "3", "--batch-size", "2"]) == 0
    told = capsys.readouterr().out
    assert "3 people x 50 turns in batches of 2" in told
    for words in ("FlightChoice-v0 ", "Flights-v0 context=answers:50"):
        (row,) = [line for line in told.splitlines() if f"acquaint/{words}" in line]
        goal = {2.0, 10.0} & {float(word) for word in row.split() if word.isdigit()}
        assert goal


def test_adaptive_questions_are_those_of_a_plain_posterior(capsys):
    assert bench.main(["interviews", "--people", "20", "--turns", "4", "--rounds", "1"]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    same = {" ".join(line[1:3]): line[-2] for line in told if "infomax," in line}
    assert same == {"infomax, factored": "1.000", "infomax, joint": "1.000"}
    with pytest.raises(SystemExit):
        bench.main(["interviews", "--turns", "51"])
    assert "there are 50 items to ask" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--people", "--batch-size"])
def test_nothing_is_measured_no_times(option, capsys):
    command = "envs" if option == "--rounds" else "teacher"
    with pytest.raises(SystemExit):
        bench.main([command, option, "0"])
    assert f"{option} must be at least 1" in capsys.readouterr().err
