"""One conversation of a run: what is shown is what happened, and what the exact teacher thought."""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from kit import ROOT, draw_nothing

from acquaint_gym.agents.baselines import RandomAgent
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.belief import teacher_beliefs
from acquaint_gym.eval.report.conversation import Conversation, conversation, information_lost
from acquaint_gym.eval.report.conversation_page import page
from acquaint_gym.eval.run import main as run_command
from acquaint_gym.eval.runs.replay import evaluation_of
from acquaint_gym.eval.runs.store import Run, Store, load_runs
from acquaint_gym.eval.show import main
from acquaint_gym.eval.trace import Notes

INTERVIEW = "acquaint/Interview-v0"
NASTY = "<b>&'\"</b>"


class Writer(RandomAgent):
    """Decides at random, and says that it wrote something that no page may take for HTML."""

    def messages(self, observation: Any) -> list[list[str]]:
        return [[f"{NASTY} {turn}"] for turn in observation.turn]


@pytest.fixture(scope="module")
def out(tmp_path_factory: Any) -> Path:
    """Two agents that predict and one that asks, with three people each."""
    folder: Path = tmp_path_factory.mktemp("runs")
    own = folder / "writer.yaml"
    own.write_text("agent: test_show:Writer\n", "utf-8")
    people = ("--users", "3", "--set", "num_turns=5")
    with pytest.MonkeyPatch.context() as patched:
        draw_nothing(patched)
        for name, *command in (
            ("predict", "--agent", "prior", str(own)),
            ("ask", "--agent", "random", "infomax", "--env", INTERVIEW),
        ):
            assert run_command([*command, *people, "--out", str(folder / name)]) == 0
    return folder


def found(folder: Path, agent: str, person: int) -> tuple[Run, Conversation]:
    """The run of an agent, and its conversation with a person."""
    (run,) = (run for run in load_runs(folder) if agent in run.agent)
    one = Run(run.env, run.agent, run.config, run.trace.select(run.trace.person == person))
    return run, conversation(one, evaluation_of(run.config))


def test_a_conversation_holds_what_the_trace_and_the_exact_teacher_say(out: Path) -> None:
    run, told = found(out / "predict", "prior", 1)
    trace, after = run.trace.select(run.trace.person == 1), teacher_beliefs(run)[1]
    assert (told.person, len(told.turns), told.prior is not None) == (1, 5, True)
    assert told.levels == tuple(trace.levels[0])
    for turn in told.turns:
        number = turn.number - 1
        answer = trace.answers[0, number]
        assert np.array_equal(turn.posterior, after[number])
        assert [option.agent for option in turn.options] == list(trace.action_probs[0, number])
        assert [option.teacher for option in turn.options] == list(trace.teacher_probs[0, number])
        assert [n for n, option in enumerate(turn.options) if option.is_answer] == [answer]
        ratio = turn.options[answer].teacher / turn.options[answer].agent
        assert turn.lost == pytest.approx(np.log(ratio))
        assert turn.hit == (trace.actions[0, number] == answer)
    nll = [
        -np.log(turn.options[a].agent) for turn, a in zip(told.turns, trace.answers[0], strict=True)
    ]
    assert told.summary["nll, nats"][0] == pytest.approx(np.mean(nll))
    assert told.summary["kl_from_teacher, nats"][1] == 0


def test_who_asks_is_compared_with_the_best_question(out: Path) -> None:
    _, told = found(out / "ask", "infomax", 2)
    assert all(turn.lost == pytest.approx(0, abs=1e-9) for turn in told.turns)
    run, told = found(out / "ask", "random", 2)
    information = [turn.information for turn in told.turns if turn.information is not None]
    assert len(information) == 5
    assert all(0 < asked <= best for asked, best, _ in information)
    lost = information_lost(run, evaluation_of(run.config))
    assert [turn.lost for turn in told.turns] == pytest.approx(lost[2].tolist())
    assert lost.sum() > 0


def test_plain_text_without_a_terminal(out: Path, capsys: Any) -> None:
    command = [str(out / "predict"), "--agent", "prior", "--person", "1"]
    assert main([*command, "--turns", "2-3"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^turn (\d+)", printed, re.MULTILINE) == ["2", "3"]
    assert "\x1b" not in printed
    for words in ("Person 1, prior on acquaint/Questionnaire-v0", "Extraversion", "accuracy"):
        assert words in printed


def test_the_page_needs_nothing_else_and_shows_what_a_model_wrote(out: Path, capsys: Any) -> None:
    file = out / "page.html"
    command = [str(out / "predict"), "--agent", str(out / "writer.yaml"), "--html", str(file)]
    assert main([*command, "--person", "0"]) == 0
    assert f"the model wrote: {f'{NASTY} 4'!r}" in capsys.readouterr().out
    text = file.read_text("utf-8")
    assert NASTY not in text
    assert all(f"{NASTY} {turn}" in unescape(text) for turn in range(5))
    assert not re.search(r"https?:|src=|url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text


def test_every_text_of_the_page_is_escaped() -> None:
    told = Conversation(
        NASTY, NASTY, 3, NASTY, NASTY, (NASTY,), (0,), np.ones((1, 1)), (), {NASTY: (0.5, 0.5)}
    )
    assert "<b>" not in page(NASTY, [(told, ())])


def test_the_worst_are_those_who_cost_most(out: Path, capsys: Any) -> None:
    trace = found(out / "predict", "prior", 0)[0].trace
    rows, turns = np.indices(trace.answers.shape)

    def log_probs(probs: Floats) -> Floats:
        return np.log(probs[rows, turns, trace.answers])

    lost = (log_probs(trace.teacher_probs) - log_probs(trace.action_probs)).sum(axis=1)
    command = [str(out / "predict"), "--agent", "prior", "--worst", "2"]
    assert main([*command, "--html", str(out / "worst.html")]) == 0
    lines = re.findall(r"^ +(\d+) +5 +(-?[\d.]+)", capsys.readouterr().out, re.MULTILINE)
    order = np.argsort(-lost)[:2]
    assert [(int(n), float(x)) for n, x in lines] == [(n, round(lost[n], 3)) for n in order]
    text = (out / "worst.html").read_text("utf-8")
    assert all(f'id="person-{n}"' in text for n in order)
    assert main([str(out / "ask"), "--agent", "random", "--worst", "1"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--person", "1"], "Several have been run; name one with --agent: "),
        (["--person", "9", "--agent", "prior"], "--person 9: nobody of that number; prior met 3"),
        (["--person", "1", "--agent", "proir"], "--agent: unknown 'proir'. Did you mean 'prior'?"),
        (["--person", "1", "--agent", "prior", "--turns", "3-1"], "--turns 3-1: expected A-B"),
        (["--person", "1", "--agent", "prior", "--turns", "8"], "--turns: the conversation has 5"),
        (["--worst", "0", "--agent", "prior"], "--worst 0: expected at least 1."),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    out: Path, capsys: Any, options: list[str], message: str
) -> None:
    assert main([str(out / "predict"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("code", "other", "cannot be replayed: code was 'other', is "),
        ("version", "0", "cannot be replayed: version was '0', is "),
        ("env_settings", {"num_turns": 4}, "people answer otherwise"),
        ("env_settings", {"num_turns": 5, "order": "shuffled"}, "people answer otherwise"),
    ],
)
def test_a_trace_of_other_code_is_not_replayed(
    out: Path, tmp_path: Path, capsys: Any, part: str, value: Any, message: str
) -> None:
    run = found(out / "predict", "prior", 0)[0]
    store = Store(tmp_path, {**run.config, part: value})
    store.save(0, 3, run.trace, Notes({}, {}, 0.0))
    assert main([str(tmp_path), "--person", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert "--fresh" in error


def test_a_task_of_ones_own_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    page_of_tasks = (ROOT / "docs" / "tasks.md").read_text("utf-8")
    source = re.search(r"```python\n(# cafe.py\n.*?)```", page_of_tasks, re.DOTALL)
    assert source is not None
    (tmp_path / "corner.py").write_text(source[1].replace("cafe", "corner"), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    draw_nothing(monkeypatch)
    out = str(tmp_path / "run")
    command = ["--env", "corner:corner/Cafe-v0", "--agent", "prior", "--users", "2", "--out", out]
    assert run_command([*command, "--workers", "1"]) == 0
    gym.registry.pop("corner/Cafe-v0")  # as in another process, which has not imported it
    sys.modules.pop("corner")
    assert main([out, "--env", "corner:corner/Cafe-v0", "--person", "1"]) == 0
    assert "cup 1" in capsys.readouterr().out
