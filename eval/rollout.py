"""The loop: the only place where an agent meets an environment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import stimuli_of
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.oracles.clairvoyant import Clairvoyant
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
    observation, _ = env.reset(options={"person": person})
    if isinstance(agent, Clairvoyant):
        agent.look_at(env.users, env.task)
    users, task = env.users, env.task
    num, turns = len(person), task.num_turns
    actions = np.full((2, num, turns), -1, dtype=np.int16)
    probs = np.full((2, num, turns, len(task.actions)), np.nan)
    rewards, mass = np.zeros((num, turns)), np.full((num, turns), np.nan)
    # A belief about other levels than the people have cannot be compared with them.
    ours, theirs = task.population, agent.task.population
    comparable = (
        ours.grid is not None
        and theirs.grid is not None
        and ours.factors == theirs.factors
        and np.array_equal(ours.grid, theirs.grid)
    )
    findings = [env.interview_stats()]
    first = agent.believe(observation) if comparable else None
    shape = (num, 0, 0, 0) if first is None else (num, turns + 1, *first.shape[1:])
    belief = np.full(shape, np.nan, dtype=np.float32)
    for turn in range(turns):
        # Agents that ask may end a conversation.
        live = np.flatnonzero(env.users.length > turn)
        if not len(live):
            break
        shown = {key: value[live] for key, value in observation.items()}
        legal = task.legal(shown)
        decision = _checked(agent, agent.act(shown, uniform[live, turn]), legal)
        taught = decision if agent is teacher else teacher.act(shown, uniform[live, turn])
        for side, made in enumerate((decision, taught)):
            actions[side, live, turn], probs[side, live, turn] = made.action, made.action_probs
        if decision.answer_mass is not None:
            mass[live, turn] = decision.answer_mass
        if first is not None and decision.belief is not None:
            belief[live, turn] = decision.belief
        # Lanes that are over stand still whatever they are sent.
        if task.states_distribution:
            sent = task.to_box(np.nan_to_num(probs[0, :, turn]))
        else:
            sent = np.maximum(actions[0, :, turn], 0)
        observation, rewards[:, turn], *_ = env.step(sent)
        findings.append(env.interview_stats())
    users, length = env.users, env.users.length
    asked, answers = users.stimuli, users.answers.astype(np.int16)
    if task.agent_asks:
        asked, answers = stimuli_of(observation), observation["answers"].astype(np.int16)
        ended = np.arange(turns) >= length[:, None]  # what decided to stop is no turn
        actions[:, ended], probs[:, ended], mass[ended] = -1, np.nan, np.nan
    if first is not None:
        belief[np.arange(num), length] = agent.believe(observation)
    return Trace(
        person=users.person.copy(),
        levels=users.levels.copy(),
        length=length,
        stimuli=asked.astype(np.float32),
        actions=actions[0],
        answers=answers,
        rewards=rewards,
        action_probs=probs[0],
        answer_mass=mass,
        teacher_actions=actions[1],
        teacher_probs=probs[1],
        belief=belief,
        context=users.context.copy(),
        interview_stats=np.stack(findings + findings[-1:] * (turns + 1 - len(findings)), axis=1),
    )


def _checked(agent: Agent, decision: Decision, legal: npt.NDArray[np.bool_]) -> Decision:
    """The decision, if it keeps the contract: a legal action and a distribution per person."""
    name, action, probs = type(agent).__name__, np.asarray(decision.action), decision.action_probs
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
    return decision
