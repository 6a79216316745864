"""Where results go if nobody says: a run of other settings gets a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from acquaint_gym.eval import questions, run, stress, sweep
from acquaint_gym.train import collect

FEW = ["--agent", "random", "--users", "2"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        run, "write_report", lambda *given, **options: None
    )  # plots take a second each


def written() -> dict[str, int]:
    return {str(f): f.stat().st_mtime_ns for f in sorted(Path("runs").rglob("people-*.npz"))}


def folders() -> list[str]:
    return sorted(path.name for path in Path("runs").iterdir())


def test_other_settings_get_another_folder_and_the_same_go_on(capsys):
    assert run.main([*FEW, "--set", "num_turns=2"]) == 0
    first = written()
    capsys.readouterr()
    assert run.main([*FEW, "--set", "num_turns=3"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "runs/latest holds traces of another configuration; this run: runs/latest-2\n"
    )
    assert captured.out.endswith("Report, plots and traces: runs/latest-2\n")
    both = written()
    assert first.items() < both.items()
    for turns in (2, 3):
        assert run.main([*FEW, "--set", f"num_turns={turns}"]) == 0
    assert written() == both
    assert folders() == ["latest", "latest-2"]


def test_a_folder_that_somebody_named_is_never_exchanged(capsys):
    words = [*FEW, "--out", "runs/latest", "--set"]
    assert run.main([*words, "num_turns=2"]) == 0
    before = written()
    assert run.main([*words, "num_turns=3"]) == 2
    assert "Choose another --out, or --fresh" in capsys.readouterr().err
    assert written() == before
    assert run.main([*FEW, "--set", "num_turns=3", "--fresh"]) == 0  # replaces, as it says
    assert folders() == ["latest"]


@pytest.mark.parametrize(
    ("command", "words", "folder"),
    [
        (
            sweep.main,
            [*FEW, "--env", "acquaint/Questionnaire-v0", "--vary", "order=fixed"],
            "sweep",
        ),
        (stress.main, [*FEW, "--env", "acquaint/Questionnaire-v0", "--quirks", "careless:1"], ""),
        (questions.main, FEW, "questions"),
        (collect.main, ["--users", "2", "--split", "dev"], "traces"),
    ],
    ids=["sweep", "stress", "questions", "collect"],
)
def test_every_command_does_so(command, words, folder, capsys):
    folder = folder or "stress"
    for turns in (2, 3, 3):
        assert command([*words, "--set", f"num_turns={turns}"]) == 0
    assert folders() == [folder, f"{folder}-2"]
    assert f"this run: runs/{folder}-2" in capsys.readouterr().err
