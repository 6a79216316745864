"""What a reader must open, counted: modules that a run imports, files in which a turn executes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from kit import QUESTIONNAIRE, ROOT, call

from acquaint_gym.eval import rollout
from acquaint_gym.eval.rollout import Recorder
from acquaint_gym.eval.runs.evaluation import People, Player, plan

MOST_MODULES, MOST_FILES = 40, 10

IMPORTED = """
import json, sys
from acquaint_gym.eval.run import main
assert main(["--agent", "bayes", "--users", "3", "--out", sys.argv[1]]) == 0
ours = [name for name in sys.modules if name.startswith("acquaint_gym")]
print(json.dumps({name: hasattr(sys.modules[name], "__path__") for name in ours}))
print(json.dumps(sorted(sys.modules)))
"""


def test_a_run_imports_what_it_needs(tmp_path):
    *_, ours, everything = call("python", "-c", IMPORTED, tmp_path).stdout.splitlines()
    modules = [name for name, is_package in json.loads(ours).items() if not is_package]
    modules = [name for name in modules if "finder" not in name]  # of an editable install
    assert len(modules) <= MOST_MODULES, sorted(modules)
    assert not [name for name in modules if "interview" in name or "oracle" in name]
    # Half of the time that the start of a command would take; a correlated prior needs it.
    assert "scipy.stats" not in json.loads(everything)


def test_a_turn_of_the_teacher_executes_in_few_files(monkeypatch):
    [evaluation] = plan(QUESTIONNAIRE, ["bayes"], People("test", 0, None), {})
    player, files = Player(evaluation), set()
    player.play(np.arange(3))

    def watch(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            files.add(path.relative_to(ROOT).as_posix())

    class Watched(Recorder):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            sys.setprofile(watch)

        def trace(self, observation):
            sys.setprofile(None)
            return super().trace(observation)

    monkeypatch.setattr(rollout, "Recorder", Watched)
    try:
        player.play(np.arange(3))
    finally:
        sys.setprofile(None)
    files = {file for file in files if not file.startswith(("tests/", ".venv/"))}
    assert {"eval/rollout.py", "agents/teacher.py", "envs/core.py"} <= files
    assert len(files) <= MOST_FILES, sorted(files)
