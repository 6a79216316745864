"""What many suites need: random numbers, traces by hand, play, files of respondents, commands."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.contract.play import batch
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.eval.report import plots
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.trace import Trace

ROOT = Path(__file__).parent.parent
QUESTIONNAIRE = "acquaint/Questionnaire-v0"


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def make_trace(answers, action_probs, *, length=None, **columns) -> Trace:
    """A trace from its answers `[N, T]` and the agent's distributions `[N, T, A]`.

    The agent took its most probable actions and was rewarded for hits, unless told otherwise; it
    has no belief, the teacher said nothing, nobody left before the last turn. Beyond `length`
    stands what `Trace` says, whatever is given.
    """
    answers, probs = np.asarray(answers), np.array(action_probs, dtype=np.float64)
    people, turns = answers.shape
    length = np.full(people, turns) if length is None else np.asarray(length)
    over = np.arange(turns) >= length[:, None]
    actions = np.nan_to_num(probs).argmax(axis=2)
    teacher = np.array(columns.pop("teacher_probs", np.full_like(probs, np.nan)))
    chosen = np.where(np.isnan(teacher).all(axis=2), -1, np.nan_to_num(teacher).argmax(axis=2))
    given = {
        "person": np.arange(people),
        "levels": np.zeros((people, 1)),
        "stimuli": np.zeros((people, turns, 1)),
        "actions": actions,
        "rewards": columns.get("actions", actions) == answers,
        "answer_mass": np.full((people, turns), np.nan),
        "unparsed": np.full((people, turns), np.nan),
        "teacher_actions": chosen,
        "belief": np.zeros((people, 0, 0, 0)),
        "ordered": np.zeros(people, dtype=bool),
        "context": np.zeros((people, 0)),
        "interview_stats": np.zeros((people, turns + 1, 0)),
        **columns,
    }
    return Trace(
        person=np.asarray(given["person"], np.int64),
        levels=np.asarray(given["levels"], np.int32),
        length=length.astype(np.int16),
        stimuli=np.where(over[..., None], -1, given["stimuli"]).astype(np.float32),
        actions=np.where(over, -1, given["actions"]).astype(np.int16),
        answers=np.where(over, -1, answers).astype(np.int16),
        rewards=np.where(over, 0, given["rewards"]).astype(np.float64),
        action_probs=np.where(over[..., None], np.nan, probs),
        answer_mass=np.where(over, np.nan, given["answer_mass"]),
        unparsed=np.where(over, np.nan, given["unparsed"]),
        teacher_actions=np.where(over, -1, given["teacher_actions"]).astype(np.int16),
        teacher_probs=np.where(over[..., None], np.nan, teacher),
        belief=np.asarray(given["belief"], np.float32),
        ordered=np.asarray(given["ordered"], np.bool_),
        context=np.asarray(given["context"], np.float32),
        interview_stats=np.asarray(given["interview_stats"], np.float64),
    )


def vector(num: int, env_id: str = QUESTIONNAIRE, **settings: object) -> UserVectorEnv:
    """The native vector environment of people of the test split."""
    return batch(env_id, num, **{"split": "test", **settings})


def play(
    agent: Agent, person, teacher: Agent | None = None, env: UserVectorEnv | None = None, **settings
) -> Trace:
    """One episode with each of these people, or of the first so many, in one batch."""
    person = np.arange(person) if isinstance(person, int) else np.asarray(person)
    env = env or vector(len(person), **settings)
    uniform = PersonStreams(0, "agents", env.task.num_turns).uniform(person)
    return rollout(env, agent, teacher or agent, person, uniform)


def transcript_of(trace: Trace, turn: int | None = None) -> Transcript:
    """The whole of a trace as a transcript, at this turn or, by default, after the last one."""
    turns = trace.length if turn is None else np.full(len(trace.length), turn)
    return Transcript.of(turns, trace.stimuli, trace.actions, trace.answers)


def content(out: Path) -> dict[str, Any]:
    """`report.json` of a run, without what is another at every run."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    del report["meta"]["run"]
    return report


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the plots of reports out, which take seconds."""
    for plot in ("learning_curves", "calibration", "save"):
        monkeypatch.setattr(plots, plot, lambda *_: None)


def respondents(path: Path, answers, questionnaire: str = "ipip50", separator: str = ",") -> str:
    """Writes recorded answers `[N, I]`, 0 for a missing one, as the publishers do; gives the path.

    With one more column than the questionnaire has items the first is the published row number.
    """
    names = list(ItemBank.load(questionnaire).item_ids)
    answers = np.asarray(answers)
    names = ["row_id"] * (answers.shape[1] - len(names)) + names
    lines = [names, *answers.tolist()]
    text = "".join(separator.join(map(str, line)) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def environ(**more: str) -> dict[str, str]:
    """The environment of a process that finds nothing of ours but what is installed."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def call(
    *command: object, cwd: Path = ROOT, code: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, and holds it to the exit code that is expected.

    Args:
        command: its words; `python` is the one that runs the tests.
        cwd: where.
        code: the exit code.
        more: variables of its environment, see `environ`.
    """
    words = [sys.executable if word == "python" else str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=environ(**more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
