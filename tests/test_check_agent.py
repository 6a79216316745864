"""The command `agents.check`: the agents' contract in sentences, for agents of anybody."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kit import QUESTIONNAIRE, call

from acquaint_gym.agents.check import main
from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.eval.run import main as run

FEW = ("--set", "num_turns=3")


def check(capsys, *words: str) -> tuple[int, list[str], str]:
    """Exit code, printed lines and what stands on the error stream."""
    code = main([*words, *FEW])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


@pytest.mark.parametrize(
    "name",
    ["random", "bayes:discount=0.9", "acquaint_gym.agents.baselines:PriorAgent", "own.yaml"],
)
def test_who_keeps_the_contract_passes(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("agent: acquaint_gym.agents.teacher:BayesTeacher\n", "utf-8")
    code, lines, _ = check(capsys, name)
    assert code == 0, lines
    assert lines[0] == f"{name} on {QUESTIONNAIRE}"
    assert [line.split()[:2] for line in lines[1:-1]] == [["ok", c.__name__] for c in CHECKS]
    assert lines[-1] == f"{len(CHECKS)} of {len(CHECKS)} checks hold"


@pytest.mark.parametrize(
    ("name", "broken", "words"),
    [
        ("LearnsFromOthers", "check_no_memory", "Keep nothing in the class or the module."),
        ("Remembers", "check_no_memory", "Keep nothing between calls"),
        ("CountsCalls", "check_repeatable", "keep nothing that changes"),
        ("HalfSure", "check_decision", "divide by the sum"),
    ],
)
def test_what_an_agent_breaks_is_said_in_a_sentence(name, broken, words, capsys):
    task = ("--env", "acquaint/ForcedChoice-v0")  # three actions, as those agents have it
    code, lines, _ = check(capsys, f"broken_agents:{name}", *task)
    assert code == 1
    said = {line.split()[1]: line for line in lines if line.startswith("broken ")}
    assert words in said[broken]
    assert len(lines) == len(CHECKS) + 2


def test_what_crashes_is_named_with_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = "from acquaint_gym.agents.core import Agent\n\n\nclass Lost(Agent):\n"
    text += "    def act(self, observation, uniform):\n        return observation['cups']\n"
    Path("lost_agent.py").write_text(text, "utf-8")
    code, lines, _ = check(capsys, "lost_agent:Lost")
    assert code == 1
    assert lines[1].endswith("KeyError: 'cups' (lost_agent.py, line 6)")
    sys.modules.pop("lost_agent")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bays"], "Unknown agent 'bays'. Did you mean 'bayes'?"),
        (["nowhere.yaml"], "nowhere.yaml: no such agent file."),
        (["no_such_module:Agent"], "Agent 'no_such_module:Agent' cannot be loaded"),
        (["acquaint_gym.agents.baselines:Prior"], "Did you mean 'PriorAgent'?"),
        (["random", "--env", "acquaint/Questionaire-v0"], f"Did you mean '{QUESTIONNAIRE}'?"),
        (["random", "--env", "no_such_package:x/Y-v0"], "Package 'no_such_package' cannot be"),
        (["random", "--set", "num_trns=3"], "Did you mean 'num_turns'?"),
        (["bayes:parameters=human"], "--set changes the task of agent and environment alike."),
        (["clairvoyant"], "sees the people themselves"),
        (["bayes", "--env", "acquaint/Interview-v0"], "take another, e.g. infomax."),
    ],
)
def test_bad_input_is_refused_in_one_line(words, said, capsys):
    code, lines, complaint = check(capsys, *words)
    assert (code, lines, complaint.count("\n")) == (2, [], 1)
    assert said in complaint


def test_the_package_of_checks_is_no_command():
    done = call("python", "-m", "agents.contract", "anything", code=1)
    assert "cannot be directly executed" in done.stderr


def test_a_class_is_an_agent_of_every_command(tmp_path, capsys):
    name = "acquaint_gym.agents.baselines:PriorAgent"
    assert run(["--agent", name, "--users", "2", *FEW, "--out", str(tmp_path)]) == 0
    assert name in capsys.readouterr().out
