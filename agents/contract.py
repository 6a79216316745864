"""The contract of an agent, as checks to run on an agent of one's own.

    from acquaint_gym.agents.contract import CHECKS

    for check in CHECKS:
        check(MyAgent, "acquaint/Questionnaire-v0", num_turns=5)

A check takes a function that builds the agent from a task, the id of an environment, and arguments
of the environment. It returns None, or raises an `AssertionError` that says in a sentence what the
agent breaks and how to mend it.
"""

from __future__ import annotations

import random  # noqa: TID251 - its state is compared, never used
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.envs.contract.play import batch, generator, meet, twins
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.observations import example_transcripts
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats

MakeAgent = Callable[[UserTask], Agent]
Check = Callable[..., None]

PEOPLE = 5
# Batches of other sizes may sum in another order; nothing else may differ.
TOLERANCE = 1e-9


def _people(env_id: str, **settings: Any) -> tuple[UserTask, Users]:
    """A task, and five people who are complete from the start."""
    env = batch(env_id, PEOPLE, **settings)
    meet(env)
    return env.task, env.users


def _several(task: UserTask, users: Users) -> list[Transcript]:
    """Transcripts that wait for an action: after none, one, half, all but one, unequal answers."""
    last = users.length - 1
    unequal = last * np.arange(PEOPLE) // (PEOPLE - 1)
    some = (0 * last, np.minimum(1, last), last // 2, last, unequal)
    return [example_transcripts(task, users, turn) for turn in some]


def _uniform(number: int = PEOPLE) -> Floats:
    return generator(7).random(number)  # the people's random numbers


def _difference(one: Decision, other: Decision) -> str:
    """What differs between two decisions, in words; empty if nothing does."""
    if not np.array_equal(one.action, other.action):
        return f"actions {np.asarray(one.action)} against {np.asarray(other.action)}"
    for name, mine, yours in (
        ("action_probs", one.action_probs, other.action_probs),
        ("belief", one.belief, other.belief),
    ):
        if not _equal(mine, yours):
            return name
    return ""


def _equal(one: Floats | None, other: Floats | None) -> bool:
    """Whether two distributions, or their absence, are the same."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=TOLERANCE))


def _part(decision: Decision, rows: Any) -> Decision:
    """Some rows of a decision."""
    action, probs, belief, _ = decision
    return Decision(action[rows], probs[rows], None if belief is None else belief[rows])


def check_decision(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A decision is one legal action and one distribution over legal actions for each person."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    name, shape = type(agent).__name__, (PEOPLE, len(task.actions))
    for shown in _several(task, users):
        action, probs, *_ = agent.act(shown, _uniform())
        legal, everyone = task.legal(shown), np.arange(PEOPLE)
        came = f"{np.asarray(action).dtype.kind} {list(np.shape(action))}"
        assert came in (f"i [{PEOPLE}]", f"u [{PEOPLE}]"), (
            f"{name}: the actions are of kind {came}; expected whole numbers, one a person."
        )
        assert np.isin(action, np.arange(shape[1])).all(), (
            f"{name}: actions {action}; expected 0..{shape[1] - 1}."
        )
        assert legal[everyone, action].all(), (
            f"{name}: took an action that task.legal(observation) rules out; mask before choosing."
        )
        came = f"{probs.dtype} {list(probs.shape)}"
        assert came == f"float64 {list(shape)}", (
            f"{name}: action_probs are {came}; expected float64 {list(shape)}."
        )
        assert (probs >= 0).all(), f"{name}: action_probs hold {probs.min()}; none is negative."
        total = probs.sum(axis=1)
        assert np.abs(total - 1).max() < TOLERANCE, (
            f"{name}: action_probs sum to {total.min()}..{total.max()}; divide by the sum, float64."
        )
        assert not probs[~legal].any(), (
            f"{name}: an action that task.legal(observation) rules out has probability "
            f"{probs[~legal].max()}; expected 0."
        )


def check_batch(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """Deciding for a batch is deciding for one person after the other."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    for shown in _several(task, users):
        together = agent.act(shown, _uniform())
        for row in range(PEOPLE):
            rows = slice(row, row + 1)
            alone = agent.act(shown.rows(rows), _uniform()[rows])
            part = _difference(alone, _part(together, rows))
            assert not part, (
                f"{type(agent).__name__}: alone and in a batch a person meets another decision "
                f"({part}); let each row depend on its own transcript and number only."
            )


def check_order(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """People in another order meet the same decisions in that order."""
    task, users = _people(env_id, **settings)
    agent, order = make_agent(task), np.array([3, 0, 4, 2, 1])
    for shown in _several(task, users):
        moved = agent.act(shown.rows(order), _uniform()[order])
        part = _difference(moved, _part(agent.act(shown, _uniform()), order))
        assert not part, (
            f"{type(agent).__name__}: the decision about a person depends on the place in the "
            f"batch ({part})."
        )


def check_inputs_kept(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """An agent does not write on its observation or its random numbers."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    name = type(agent).__name__
    for shown in _several(task, users):
        given, uniform = deepcopy(shown), _uniform()
        agent.act(given, uniform)
        agent.believe(given)
        for key, value in {**given, "uniform": uniform}.items():
            before = _uniform() if key == "uniform" else shown[key]
            assert np.array_equal(value, before), f"{name}: changed `{key}`; work on a copy."
            value.flags.writeable = False
        try:
            agent.act(given, uniform)
            agent.believe(given)
        except ValueError as error:
            message = f"{name}: fails on read-only arrays ({error}); work on a copy."
            raise AssertionError(message) from error


def check_repeatable(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """The same transcripts and the same random numbers give the same decision, in any instance."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    for shown in _several(task, users):
        decision = agent.act(shown, _uniform())
        for again in (agent, make_agent(task)):
            part = _difference(again.act(shown, _uniform()), decision)
            assert not part, (
                f"{type(agent).__name__}: decides otherwise when asked again ({part}); take all "
                "chance from `uniform`, and keep nothing that changes."
            )


def check_no_memory(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A decision does not depend on who was met before, whatever the agent caches."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    begun, early, middle, late, unequal = _several(task, users)
    other_answer, other_order = deepcopy(late), deepcopy(late)
    if users.length.min() > 2:  # an early answer changed, and two early items changed places
        other_answer["answers"][:, 0] = (late["answers"][:, 0] + 1) % 2
        other_order.stimuli[:, :2] = late.stimuli[:, 1::-1]
    reused = deepcopy(early)

    def ask(words: str, shown: Transcript) -> None:
        uniform, fresh = _uniform(shown.num_people), make_agent(task)
        part = _difference(agent.act(shown, uniform), fresh.act(shown, uniform))
        if not _equal(agent.believe(shown), fresh.believe(shown)):
            part = "believe()"
        assert not part, (
            f"{type(agent).__name__}: an agent that has met people before decides otherwise than a "
            f"new one ({part}; {words}). Keep nothing between calls, or compare the whole prefix "
            "before using a cache."
        )

    ask("the first people", early)
    ask("the same people, later", late)
    ask("an early answer was changed", other_answer)
    ask("two stimuli changed places", other_order)
    ask("other people", late.rows(np.array([1, 2, 3, 4, 0])))
    ask("the first people again", late)
    ask("people at unequal turns", unequal)
    ask("a smaller batch", late.rows(slice(0, 2)))
    ask("people at unequal turns again", unequal)
    ask("an earlier turn", middle)
    ask("before the first answer", begun)
    ask("an array", reused)
    reused["answers"][:] = early["answers"][::-1]
    reused["stimuli"][:] = early["stimuli"][::-1]
    ask("the same array, with other people's answers in it", reused)


def check_no_peeking(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A decision depends on the transcript, not on the hidden person."""
    env, other, *_ = twins(env_id, PEOPLE, **settings)
    # The people are drawn; their model, which an agent may use, is the same again.
    other.task.population = env.task.population
    agent, elsewhere = make_agent(env.task), make_agent(other.task)
    for shown in _several(env.task, env.users):
        decision = agent.act(shown, _uniform())
        part = _difference(elsewhere.act(shown, _uniform()), decision)
        assert not part, (
            f"{type(agent).__name__}: decides otherwise about a person of another type who said "
            f"the same ({part}); use nothing but the observation and the task's model."
        )


def check_generators(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """Neither NumPy's nor Python's global random generator is touched."""
    task, users = _people(env_id, **settings)

    def state() -> list[Any]:
        name, words, *rest = np.random.get_state()  # noqa: NPY002 - its state is compared, not used
        return [random.getstate(), name, np.asarray(words).tolist(), *rest]

    before = state()
    agent = make_agent(task)
    for shown in _several(task, users):
        agent.act(shown, _uniform())
        agent.believe(shown)
    assert state() == before, (
        f"{type(agent).__name__}: draws from a global random generator; take `uniform` instead, or "
        "a numpy Generator of a fixed seed in the constructor."
    )


def check_belief(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A belief is a distribution over each trait's levels, the same from act() and believe()."""
    task, users = _people(env_id, **settings)
    agent = make_agent(task)
    name, population = type(agent).__name__, agent.task.population
    shape = (PEOPLE, len(population.factors), population.num_levels)
    kept: list[tuple[Floats, Floats]] = []
    for shown in [*_several(task, users), example_transcripts(task, users, users.length)]:
        belief = agent.believe(shown)
        if (shown.turn < users.length).all():
            assert _equal(agent.act(shown, _uniform()).belief, belief), (
                f"{name}: act() and believe() report different beliefs about the same transcripts."
            )
        if belief is None:
            continue
        assert belief.shape == shape, (
            f"{name}: the belief is {list(belief.shape)}; expected {list(shape)}: people, traits, "
            "levels. Without ordered levels return None."
        )
        assert (belief >= 0).all(), f"{name}: the belief holds {belief.min()}; none is negative."
        total = belief.sum(axis=2)
        assert np.abs(total - 1).max() < TOLERANCE, (
            f"{name}: the belief about a trait sums to {total.min()}..{total.max()}; expected 1."
        )
        kept.append((belief, belief.copy()))
    for belief, copy in kept:
        assert np.array_equal(belief, copy), (
            f"{name}: a later call changed the belief that an earlier one returned; return a copy."
        )


CHECKS: tuple[Check, ...] = (
    check_decision,
    check_belief,
    check_repeatable,
    check_generators,
    check_inputs_kept,
    check_batch,
    check_order,
    check_no_memory,
    check_no_peeking,
)
"""All checks, from the form of a decision to what it must not depend on."""
