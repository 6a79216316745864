"""What lies beside traces: who answered, what it took; and that answers of two are not mixed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from kit import make_trace

from acquaint_gym.agents.baselines import RandomAgent
from acquaint_gym.agents.core import Decision, OutsideError
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.store import Store
from acquaint_gym.eval.trace import Notes

CONFIG = {"env": "acquaint/Questionnaire-v0", "agent": "writer"}
TRACE = make_trace([[0]], [[[1.0, 0.0]]])


class Writer(RandomAgent):
    """An agent that pretends to ask somebody else."""

    who = "A"
    afresh: list[Mapping[str, Any]] = []  # noqa: RUF012

    def __init__(self, task: Any, price: float = 2.0) -> None:
        super().__init__(task)
        self._price, self._asked = price, 0

    def act(self, observation: Any, uniform: Any) -> Decision:
        self._asked += len(uniform)
        return super().act(observation, uniform)._replace(unparsed=np.ones(len(uniform), int))

    def model_info(self) -> dict[str, str]:
        return {"model": self.who}

    def usage(self) -> dict[str, float]:
        return {"requests": self._asked, "cost": self._asked * self._price}

    @classmethod
    def start_afresh(cls, arguments: Mapping[str, Any]) -> None:
        cls.afresh.append(arguments)


def test_notes_are_summed_and_replaced(tmp_path):
    store = Store(tmp_path, CONFIG)
    store.save(0, 1, TRACE, Notes({"model": "A"}, {"tokens": 3, "cost": 0.5}, 2.0))
    store.save(1, 2, TRACE, Notes({"model": "A"}, {"tokens": 4, "retries": 1}, 1.0))
    total = Notes({"model": "A"}, {"tokens": 7, "cost": 0.5, "retries": 1}, 3.0)
    assert store.notes() == total
    with pytest.raises(OutsideError, match=r"another model: model was 'A', is 'B'.*--fresh"):
        store.save(2, 3, TRACE, Notes({"model": "B"}, {}, 1.0))
    assert store.have() == [(0, 1), (1, 2)]
    store.clear()
    assert [file.name for file in store.folder.iterdir()] == ["config.json"]
    store.save(2, 3, TRACE, Notes({"model": "B"}, {}, 1.0))
    assert store.notes().model_info == {"model": "B"}


def test_damaged_notes_are_one_line(tmp_path):
    store = Store(tmp_path, CONFIG)
    store.save(0, 1, TRACE, Notes({}, {}, 1.0))
    (file,) = store.folder.glob("people-*.json")
    file.write_text("{", "utf-8")
    with pytest.raises(ValueError, match=r"people-0000000-0000001\.json: cannot be read"):
        store.notes()


def test_a_run_is_of_one_model_and_counts_what_it_used(tmp_path, monkeypatch, capsys):
    agent, out = tmp_path / "writer.yaml", tmp_path / "out"
    agent.write_text("agent: test_notes:Writer\nprice: 1.5\n", "utf-8")
    command = ["--agent", str(agent), "--set", "num_turns=2", "--batch-size", "2"]
    command += ["--out", str(out), "--users"]
    assert main([*command, "4"]) == 0
    (folder,) = (out / "traces").glob("*/*")
    store = Store(out, json.loads((folder / "config.json").read_text("utf-8")))
    notes = store.notes()
    # Four people by two turns, and the one turn that was tried before anything was computed.
    assert notes.usage == {"requests": 9, "cost": 13.5}
    assert notes.seconds > 0
    monkeypatch.setattr(Writer, "who", "B")
    capsys.readouterr()
    assert main([*command, "6"]) == 2
    said = capsys.readouterr().err
    assert "model was 'A', is 'B'" in said
    assert len(said.split("\n")) <= 3  # a bar leaves an empty line
    assert (store.have(), Writer.afresh) == ([(0, 2), (2, 4)], [])
    assert main([*command, "6", "--fresh"]) == 0
    assert Writer.afresh == [{"price": 1.5}]
    assert store.notes().model_info == {"model": "B"}
    assert "unread" in capsys.readouterr().out
