"""How long adaptive interviews take, beside a plain NumPy posterior: `eval.bench interviews`."""

from __future__ import annotations

import statistics
import time

import gymnasium as gym
import numpy as np
from rich.table import Table
from scipy.special import entr

from acquaint_gym.agents.interviewers.infomax import InfomaxAgent
from acquaint_gym.envs.console import track
from acquaint_gym.envs.core import best
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Ints

ENV = "acquaint/Interview-v0"
FORMS = {"infomax, factored": "factored", "infomax, joint": "joint"}
PLAIN = "plain NumPy, joint"


def bench_interviews(people: int, turns: int, rounds: int) -> Table:
    """Seconds of choosing every question for everybody; what people answer is not counted."""
    envs = {name: _met(people, turns, form) for name, form in FORMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*FORMS, PLAIN)}
    asked = {}
    for _ in track(range(rounds), "interviews", "rounds"):
        for name, env in envs.items():
            taken, asked[name] = _infomax(env, turns)
            seconds[name].append(taken)
        taken, asked[PLAIN] = _plain(envs["infomax, joint"], turns)
        seconds[PLAIN].append(taken)
    table = Table(
        title=f"{people:,} people x {turns} adaptive questions, median of {rounds} rounds",
        title_justify="left",
        caption="same: share of the questions that are those of the plain posterior",
    )
    for column in ("interviewer", "seconds", "of plain NumPy", "same"):
        table.add_column(column, justify="left" if column == "interviewer" else "right")
    for name, times in seconds.items():
        share = statistics.median(a / b for a, b in zip(times, seconds[PLAIN], strict=True))
        same = (asked[name] == asked[PLAIN]).mean()
        table.add_row(name, f"{statistics.median(times):.2f}", f"{share:.2f}", f"{same:.3f}")
    return table


def _met(people: int, turns: int, form: str) -> UserVectorEnv:
    """An environment of so many people, met."""
    made = gym.make_vec(
        ENV, num_envs=people, num_turns=turns, posterior=form, autoreset_mode="Disabled"
    ).unwrapped
    assert isinstance(made, UserVectorEnv)
    made.reset(options={"person": np.arange(people)})
    return made


def _infomax(env: UserVectorEnv, turns: int) -> tuple[float, Ints]:
    """Seconds of our interviewer, and `[B, T]` what it asked."""
    agent, num, seconds = InfomaxAgent(env.task), env.num_envs, 0.0
    answers = env.users.answers
    nothing = np.full((num, turns), -1.0)
    transcripts = Transcript.of(np.zeros(num, dtype=np.int64), nothing[..., None], nothing, nothing)
    for turn in range(turns):
        transcripts["turn"][:] = turn
        start = time.perf_counter()
        action = agent.act(transcripts, np.zeros(num)).action
        seconds += time.perf_counter() - start
        transcripts["stimuli"][:, turn] = transcripts["actions"][:, turn] = action
        transcripts["answers"][:, turn] = answers[np.arange(num), action]
    return seconds, transcripts["actions"].astype(np.int64)


def _plain(env: UserVectorEnv, turns: int) -> tuple[float, Ints]:
    """The same in a few lines of NumPy: one posterior over all profiles, every item each time."""
    task, answers, everyone = env.task, env.users.answers, np.arange(env.num_envs)
    items = env.users.stimuli[0]
    probs = task.model.probs(task.population.levels[:, None], items[None])  # [P, I, K]
    flat, noise = probs.reshape(len(probs), -1), entr(probs).sum(axis=2)
    start = time.perf_counter()
    weights = np.repeat(task.population.prior[None], len(everyone), axis=0)
    free, asked = np.ones((len(everyone), len(items)), dtype=bool), []
    for _ in range(turns):
        predictive = (weights @ flat).reshape(len(weights), *probs.shape[1:])
        worth = np.where(free, entr(predictive).sum(axis=2) - weights @ noise, -np.inf)
        # The first of equals, as everywhere.
        action = best(worth)
        free[everyone, action] = False
        weights *= probs[:, action, answers[everyone, action]].T
        weights /= weights.sum(axis=1, keepdims=True)
        asked.append(action)
    return time.perf_counter() - start, np.stack(asked, axis=1)
