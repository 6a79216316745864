"""The loop: the only place where an agent meets an environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.recorder import Recorder
from acquaint_gym.eval.trace import Trace


class BrokenAgentError(ValueError):
    """A decision that breaks the agent's contract."""


def rollout(
    env: UserVectorEnv,
    agent: Agent,
    teacher: Agent,
    person: npt.NDArray[np.int64],
    uniform: Floats,
) -> Trace:
    """Plays one episode with each of N people and records it.

    Args:
        env: of N lanes, without autoreset, with transcript observations.
        agent: decides.
        teacher: asked for its own decision on the same transcripts, which is recorded beside; where
            it is the agent itself, it is asked once.
        person: `[N]` the people's numbers.
        uniform: `[N, T]` in [0, 1), the random numbers that people lend to agents.

    Raises:
        BrokenAgentError: a decision that breaks the agent's contract.
    """
    observation = Transcript(env.reset(options={"person": person})[0])
    agent.observe_truth(env.users, env.task)
    recorder = Recorder(env, agent, observation)
    for turn in range(env.task.num_turns):
        live = np.flatnonzero(env.users.length > turn)
        if not len(live):  # people left, or agents that ask had asked enough
            break
        waiting = observation.rows(live)
        decision = agent.act(waiting, uniform[live, turn])
        check_decision(type(agent).__name__, decision, env.task.legal(waiting))
        label = decision if agent is teacher else teacher.act(waiting, uniform[live, turn])
        recorder.add_decisions(turn, live, decision, label)
        actions = to_env(env.task, recorder.actions[:, turn], recorder.action_probs[:, turn])
        step, rewards, *_ = env.step(actions)
        observation = Transcript(step)
        recorder.add_rewards(turn, rewards)
    return recorder.trace(observation)


def to_env(
    task: UserTask, actions: npt.NDArray[np.int16], action_probs: Floats
) -> npt.NDArray[Any]:
    """Recorded decisions as the environment takes them: `[N]` actions, or `[N, A]` in [-1, 1].

    Lanes that are over stand still whatever they are sent.

    Args:
        task: says which of the two.
        actions: `[N]`, -1 where a conversation is over.
        action_probs: `[N, A]`, NaN where a conversation is over.
    """
    if task.states_distribution:
        return task.to_box(np.nan_to_num(action_probs))
    return np.maximum(actions, 0)


def check_decision(name: str, decision: Decision, legal: npt.NDArray[np.bool_]) -> None:
    """Holds a decision to the contract: a legal action and a distribution for each person.

    Args:
        name: of the agent, for the message.
        decision: about B people.
        legal: `[B, A]` which actions the environment allows.

    Raises:
        BrokenAgentError: it breaks the contract.
    """
    action, probs = np.asarray(decision.action), decision.action_probs
    num, size = legal.shape
    if action.shape != (num,) or action.dtype.kind not in "iu":
        raise BrokenAgentError(
            f"{name}: expected {num} whole actions, got {action.dtype} {action.shape}."
        )
    if (action < 0).any() or (action >= size).any():
        raise BrokenAgentError(
            f"{name}: actions must be in 0..{size - 1}, got {action.min()}..{action.max()}."
        )
    if probs.shape != (num, size):
        raise BrokenAgentError(
            f"{name}: expected action_probs [{num}, {size}], got {list(probs.shape)}."
        )
    off = ~((probs >= 0).all(axis=1) & np.isclose(probs.sum(axis=1), 1.0, rtol=0, atol=1e-6))
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise BrokenAgentError(
            f"{name}: action_probs of row {row} are no distribution: {probs[row]}."
        )
    if not legal[np.arange(num), action].all() or probs[~legal].any():
        raise BrokenAgentError(
            f"{name}: took an illegal action, or gave one a probability above zero."
        )
