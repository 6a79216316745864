"""What a report says of the run that made it: when, where, with what, how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from kit import ROOT, draw_nothing

from acquaint_gym.agents.baselines import RandomAgent
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs import fingerprint as machines
from acquaint_gym.eval.runs.fingerprint import checkout, machine
from acquaint_gym.eval.runs.provenance import SCHEMA


class Reader(RandomAgent):
    """Decides at random, and says that it read a hundred tokens."""

    def usage(self) -> dict[str, float]:
        return {"prompt_tokens": 100, "cost": 0.5}

    def model_info(self) -> dict[str, str]:
        return {"model": "reader", "weights": "abc"}


def test_a_report_says_when_where_and_how_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    own = tmp_path / "reader.yaml"
    own.write_text("agent: test_provenance:Reader\n", "utf-8")
    command = ["--agent", str(own), "random", "--users", "3", "--set", "num_turns=2"]
    metas = []
    for _ in range(2):  # the second time nothing is computed, and all of it is still known
        assert main([*command, "--out", str(tmp_path / "out")]) == 0
        metas.append(json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["meta"])
    run = metas[0]["run"]
    assert metas[0]["schema"] == SCHEMA
    assert abs((datetime.now(UTC) - datetime.fromisoformat(run["date"])).total_seconds()) < 600
    assert run["seconds"] > 0
    (here,) = run["machines"]
    assert here["python"] == ".".join(map(str, sys.version_info[:3]))
    assert here["versions"]["numpy"] == numpy.__version__
    reader, other = run["agents"]
    assert (reader["agent"], other["agent"]) == (str(own), "random")
    assert (reader["people"], reader["model"], reader["weights"]) == (3, "reader", "abc")
    assert (reader["prompt_tokens"], reader["cost"]) == (100, 0.5)
    assert reader["tokens_per_second"] == pytest.approx(100 / reader["seconds"])
    assert other["tokens_per_second"] is None
    assert metas[1]["run"]["agents"] == run["agents"]
    assert metas[1]["run"]["machines"] == run["machines"]


def test_versions_are_those_of_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(is_available=lambda: True, get_device_name=lambda _: "A card")
    fake: Any = SimpleNamespace(cuda=card)
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr(machines, "metadata", SimpleNamespace(version=lambda name: f"{name} 1"))
    assert machine()["accelerator"] == "A card"
    assert machine()["versions"]["torch"] == "torch 1"
    monkeypatch.delitem(sys.modules, "torch")
    assert machine()["accelerator"] is None
    assert "torch" not in machine()["versions"]


def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path: Path) -> None:
    assert checkout(tmp_path) == (None, None)
    git = ("git", "-C", str(tmp_path), "-c", "user.name=N", "-c", "user.email=n@example.org")
    file = tmp_path / "file"
    file.write_text("1", "utf-8")
    for words in (("init", "-q"), ("add", "file"), ("commit", "-qm", "One")):
        subprocess.run([*git, *words], check=True)
    checkout.cache_clear()
    commit, changed = checkout(tmp_path)
    assert (len(commit or ""), changed) == (40, False)
    file.write_text("2", "utf-8")
    checkout.cache_clear()
    assert checkout(tmp_path) == (commit, True)


def test_the_checkout_is_the_one_that_the_code_lies_in() -> None:
    assert machines.ROOT == ROOT


def test_a_machine_stands_once_however_its_processes_loaded_packages() -> None:
    one = {"python": "3.11.7", "os": "Linux", "processor": "x", "cores": 2, "accelerator": None}
    early = {**one, "versions": {"numpy": "2"}}
    later = {**one, "accelerator": "H100", "versions": {"torch": "2", "numpy": "2"}}
    other = {**one, "versions": {"numpy": "1"}}
    both = {**later, "versions": {"numpy": "2", "torch": "2"}}
    assert machines.distinct_machines([early, later, other, early]) == [both, other]
