"""The loop, the only place where an agent meets an environment, and what is written down of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.eval.trace import Trace


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
        decision.check(type(agent).__name__, env.task.legal(waiting))
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


class Recorder:
    """The columns of a `Trace` of N people by T turns, filled turn by turn.

    Args:
        env: has met its people.
        agent: whose decisions are recorded, and its beliefs where they are about the levels that
            the people have.
        observation: the transcripts before the first turn.

    Attributes:
        actions: `[N, T]` int16, the agent's; -1 where there was no turn yet.
        action_probs: `[N, T, A]` float64; NaN where there was no turn yet.
    """

    def __init__(self, env: UserVectorEnv, agent: Agent, observation: Transcript) -> None:
        self._env, self._agent = env, agent
        num, turns = len(env.users.person), env.task.num_turns
        one_each, probs = (num, turns), (num, turns, len(env.task.actions))
        self.actions, self.action_probs = np.full(one_each, -1, np.int16), np.full(probs, np.nan)
        self._teacher_actions, self._teacher_probs = self.actions.copy(), self.action_probs.copy()
        self._answer_mass, self._unparsed = np.full(one_each, np.nan), np.full(one_each, np.nan)
        self._rewards = np.zeros(one_each)
        self._has_belief, shape = False, (0, 0, 0)
        if have_same_levels(env.task.population, agent.task.population):
            prior = agent.believe(observation)
            if prior is not None:
                self._has_belief, shape = True, (turns + 1, *prior.shape[1:])
        self._belief = np.full((num, *shape), np.nan, np.float32)
        known = env.interview_stats() if env.task.agent_asks else np.zeros((num, 0))
        self._interview_stats: npt.NDArray[np.float64] = np.repeat(known[:, None], turns + 1, 1)

    def add_decisions(self, turn: int, live: Ints, decision: Decision, teacher: Decision) -> None:
        """Writes down what agent and teacher decide.

        Args:
            turn: which one, from 0.
            live: `[B]` rows of the people whose conversations go on.
            decision: the agent's, for these B people.
            teacher: the teacher's, on the same transcripts.
        """
        self.actions[live, turn], self.action_probs[live, turn] = decision[:2]
        self._teacher_actions[live, turn], self._teacher_probs[live, turn] = teacher[:2]
        if decision.answer_mass is not None:
            self._answer_mass[live, turn] = decision.answer_mass
        if decision.unparsed is not None:
            self._unparsed[live, turn] = decision.unparsed
        if self._has_belief and decision.belief is not None:
            self._belief[live, turn] = decision.belief

    def add_rewards(self, turn: int, rewards: Floats) -> None:
        """Writes down the `[N]` rewards of a turn and, where agents ask, what is known by now."""
        self._rewards[:, turn] = rewards
        if self._env.task.agent_asks:
            self._interview_stats[:, turn + 1] = self._env.interview_stats()

    def trace(self, observation: Transcript) -> Trace:
        """The whole, after the last turn.

        Args:
            observation: the transcripts in the end.
        """
        users, num = self._env.users, len(self.actions)
        stimuli, answers = users.stimuli, users.answers.astype(np.int16)
        if self._env.task.agent_asks:  # people have answers to all that could have been asked
            stimuli, answers = observation.stimuli, observation["answers"].astype(np.int16)
            ended = np.arange(self.actions.shape[1]) >= users.length[:, None]
            # What decided to stop is no turn.
            self.actions[ended], self._teacher_actions[ended] = -1, -1
            for probs in (self.action_probs, self._teacher_probs):
                probs[ended] = np.nan
            for column in (self._answer_mass, self._unparsed):
                column[ended] = np.nan
            # When nobody is asked any more, what is known stays as it is.
            last = int(users.length.max())
            self._interview_stats[:, last + 1 :] = self._interview_stats[:, last : last + 1]
        if self._has_belief:
            self._belief[np.arange(num), users.length] = self._agent.believe(observation)
        return Trace(
            person=users.person.copy(),
            levels=users.levels.copy(),
            length=users.length,
            stimuli=stimuli.astype(np.float32),
            actions=self.actions,
            answers=answers,
            rewards=self._rewards,
            action_probs=self.action_probs,
            answer_mass=self._answer_mass,
            unparsed=self._unparsed,
            teacher_actions=self._teacher_actions,
            teacher_probs=self._teacher_probs,
            belief=self._belief,
            ordered=np.full(num, self._env.task.ordered),
            context=users.context.copy(),
            interview_stats=self._interview_stats,
        )


def have_same_levels(ours: Population, theirs: Population) -> bool:
    """Whether a belief about the levels of one population is one about those of the other."""
    return (
        ours.grid is not None
        and theirs.grid is not None
        and ours.factors == theirs.factors
        and np.array_equal(ours.grid, theirs.grid)
    )
