"""Agents that each break one promise, for `test_broken`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from broken import Gossip, Masked, Toy

import acquaint_gym.agents.contract as contract
from acquaint_gym.agents.baselines import RandomAgent
from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.core import UserTask


class HalfSure(BayesTeacher):
    """Its probabilities sum to a half."""

    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        return decision._replace(action_probs=decision.action_probs / 2)


class Vague(BayesTeacher):
    tolerance = 0.5


class ActsInWords(BayesTeacher):
    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        return decision._replace(action=np.array(self.task.actions)[decision.action])


class IgnoresMasks(RandomAgent):
    """Right where everything is allowed."""

    def act(self, observation, uniform):
        size = len(self.task.actions)
        return Decision((uniform * size).astype(int), np.full((len(uniform), size), 1 / size))


class FlatBelief(BayesTeacher):
    """`[B, F * L]` instead of `[B, F, L]`."""

    def act(self, observation, uniform):
        return super().act(observation, uniform)._replace(belief=self.believe(observation))

    def believe(self, observation):
        belief = super().believe(observation)
        return belief.reshape(len(belief), -1)


class TwoMinds(BayesTeacher):
    """Decides by one belief and reports another."""

    def believe(self, observation):
        return np.full_like(super().believe(observation), 1 / 3)


class RewritesBelief(BayesTeacher):
    """Returns the same array every time."""

    def act(self, observation, uniform):
        return super().act(observation, uniform)._replace(belief=self.believe(observation))

    def believe(self, observation):
        if not hasattr(self, "array"):
            self.array = super().believe(observation)
        self.array[:] = super().believe(observation)
        return self.array


class Fickle(RandomAgent):
    """Has a generator of its own and ignores the people's numbers."""

    def __init__(self, task) -> None:
        super().__init__(task)
        self.rng = np.random.default_rng(0)

    def act(self, observation, uniform):
        return super().act(observation, self.rng.random(len(uniform)))


class DrawsGlobally(RandomAgent):
    def act(self, observation, uniform):
        np.random.random()  # noqa: NPY002
        return super().act(observation, uniform)


class WritesOnInput(BayesTeacher):
    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        observation["actions"][:] = 0
        return decision


class NormalisesInPlace(BayesTeacher):
    """Puts everything back, but cannot do so on read-only arrays."""

    def act(self, observation, uniform):
        observation["answers"] += 1
        observation["answers"] -= 1
        return super().act(observation, uniform)


class FollowsTheCrowd(BayesTeacher):
    """Mixes in the mean of the batch."""

    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        probs = (decision.action_probs + decision.action_probs.mean(axis=0)) / 2
        return decision._replace(action_probs=probs)


class FirstComeFirstServed(BayesTeacher):
    """Less sure about later rows."""

    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        share = 1 / (1 + np.arange(len(uniform))[:, None])
        return decision._replace(action_probs=share * decision.action_probs + (1 - share) / 3)


class Remembers(BayesTeacher):
    """Leans towards what it said last."""

    last: Any = 1 / 3

    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        probs, self.last = (decision.action_probs + self.last) / 2, decision.action_probs.mean(0)
        return decision._replace(action_probs=probs)


class Cached(BayesTeacher):
    """Keeps each decision under a key that does not tell transcripts apart."""

    def __init__(self, task: UserTask) -> None:
        super().__init__(task)
        self.kept: dict[Any, Decision] = {}

    def act(self, observation, uniform):
        key = self.key(observation)
        if key not in self.kept:
            self.kept[key] = super().act(observation, uniform)
        return self.kept[key]


class CachedByTurn(Cached):
    def key(self, observation):
        return observation["turn"].tobytes()


class CachedByArray(Cached):
    def key(self, observation):
        return id(observation["answers"]), observation["turn"].tobytes()


class CachedByAnswers(Cached):
    def key(self, observation):
        return observation["answers"].tobytes()


class CachedByLastAnswer(Cached):
    """Looks at the end of the prefix only."""

    def key(self, observation):
        last = observation.turn - 1
        rows = np.arange(len(last))
        answers, stimuli = observation["answers"][rows, last], observation["stimuli"][rows]
        return observation["turn"].tobytes(), answers.tobytes(), stimuli.tobytes()


class LearnsFromOthers(BayesTeacher):
    """Leans towards what those people answered whom it, or another of its kind, met before."""

    met: Any = 0
    counts = np.ones(3)

    def act(self, observation, uniform):
        kind, decision = type(self), super().act(observation, uniform)
        if (observation.turn == 0).all():  # everybody is new: whom it met before has gone
            kind.counts, kind.met = kind.counts + kind.met, 0
        else:
            given = observation["answers"][observation["answers"] >= 0].astype(int)
            kind.met = np.bincount(given, minlength=3)
        return decision._replace(
            action_probs=(decision.action_probs + kind.counts / kind.counts.sum()) / 2
        )


class CountsCalls(BayesTeacher):
    """Grows tired with every call."""

    calls = 0

    def act(self, observation, uniform):
        self.calls += 1
        decision = super().act(observation, uniform)
        share = 1 / self.calls
        return decision._replace(action_probs=share * decision.action_probs + (1 - share) / 3)


class Eavesdrops(BayesTeacher):
    """Asks the model of its task whom it has answered for."""

    def act(self, observation, uniform):
        decision = super().act(observation, uniform)
        sure = self.task.model.probs(self.task.model.levels[:1], np.zeros(1))
        return decision._replace(action_probs=np.repeat(sure, len(uniform), axis=0))


@dataclass(frozen=True)
class BadAgent:
    """Who breaks the promise that a check of agents watches over, and on which task."""

    check: Callable[..., None]
    words: str
    agent: type[Agent]
    task: type[UserTask] = Toy


BAD_AGENTS = (
    BadAgent(contract.check_decision, "divide by the sum", HalfSure),
    BadAgent(contract.check_decision, "expected whole numbers", ActsInWords),
    BadAgent(contract.check_decision, "rules out", IgnoresMasks, Masked),
    BadAgent(contract.check_decision, "states a tolerance of 0.5", Vague),
    BadAgent(contract.check_belief, "expected [5, 2, 3]", FlatBelief),
    BadAgent(contract.check_belief, "different beliefs", TwoMinds),
    BadAgent(contract.check_belief, "a later call changed", RewritesBelief),
    BadAgent(contract.check_repeatable, "actions", Fickle),
    BadAgent(contract.check_repeatable, "action_probs", Remembers),
    BadAgent(contract.check_generators, "global random generator", DrawsGlobally),
    BadAgent(contract.check_inputs_kept, "changed `actions`", WritesOnInput),
    BadAgent(contract.check_inputs_kept, "read-only", NormalisesInPlace),
    BadAgent(contract.check_batch, "alone and in a batch", FollowsTheCrowd),
    BadAgent(contract.check_batch, "alone and in a batch", FirstComeFirstServed),
    BadAgent(contract.check_order, "place in the batch", FirstComeFirstServed),
    BadAgent(contract.check_repeatable, "decides otherwise when asked again", CountsCalls),
    BadAgent(contract.check_no_memory, "the first people", Remembers),
    BadAgent(contract.check_no_memory, "even a new one", LearnsFromOthers),
    BadAgent(contract.check_no_memory, "an early answer was changed", CachedByTurn),
    BadAgent(contract.check_no_memory, "the same array", CachedByArray),
    BadAgent(contract.check_no_memory, "two stimuli changed places", CachedByAnswers),
    BadAgent(contract.check_no_memory, "an early answer was changed", CachedByLastAnswer),
    BadAgent(contract.check_no_peeking, "of another type", Eavesdrops, Gossip),
)
