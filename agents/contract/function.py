"""An agent is a function of a person's transcript and random number, and of nothing else."""

from __future__ import annotations

import random  # noqa: TID251 - its state is compared, never used
from copy import deepcopy
from typing import Any

import numpy as np

from acquaint_gym.agents.contract.play import (
    PEOPLE,
    MakeAgent,
    difference,
    equal,
    meet_people,
    part_of,
    possible,
    several,
    uniforms,
)
from acquaint_gym.agents.core import Decision
from acquaint_gym.envs.contract.play import twins
from acquaint_gym.envs.transcript import Transcript


def check_batch(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """Deciding for a batch is deciding for one person after the other."""
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    for transcripts in several(task, users):
        together = agent.act(transcripts, uniforms())
        for row in range(PEOPLE):
            rows = slice(row, row + 1)
            alone = agent.act(transcripts.rows(rows), uniforms()[rows])
            part = difference(alone, part_of(together, rows), agent.tolerance)
            assert not part, (
                f"{type(agent).__name__}: alone and in a batch a person meets another decision "
                f"({part}); let each row depend on its own transcript and number only."
            )


def check_order(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """People in another order meet the same decisions in that order."""
    task, users = meet_people(env_id, **settings)
    agent, order = make_agent(task), np.array([3, 0, 4, 2, 1])
    for transcripts in several(task, users):
        moved = agent.act(transcripts.rows(order), uniforms()[order])
        part = difference(
            moved, part_of(agent.act(transcripts, uniforms()), order), agent.tolerance
        )
        assert not part, (
            f"{type(agent).__name__}: the decision about a person depends on the place in the "
            f"batch ({part})."
        )


def check_inputs_kept(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """An agent does not write on its observation or its random numbers."""
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    name = type(agent).__name__
    for transcripts in several(task, users):
        given, uniform = deepcopy(transcripts), uniforms()
        agent.act(given, uniform)
        agent.believe(given)
        for key, value in {**given, "uniform": uniform}.items():
            before = uniforms() if key == "uniform" else transcripts[key]
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
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    for transcripts in several(task, users):
        decision = agent.act(transcripts, uniforms())
        for again in (agent, make_agent(task)):
            part = difference(again.act(transcripts, uniforms()), decision, agent.tolerance)
            assert not part, (
                f"{type(agent).__name__}: decides otherwise when asked again ({part}); take all "
                "chance from `uniform`, and keep nothing that changes."
            )


def check_no_memory(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A decision does not depend on who was met before, whatever the agent caches."""
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    begun, early, middle, late, unequal = several(task, users)
    other_answer, other_order = deepcopy(late), deepcopy(late)
    if users.length.min() > 2:  # an early answer changed, and two early items changed places
        other_answer["answers"][:, 0] = (late["answers"][:, 0] + 1) % 2
        other_order.stimuli[:, :2] = late.stimuli[:, 1::-1]
    for changed in (other_answer, other_order):
        kept = ~possible(task, changed)  # an answer that is not on offer is no transcript
        for key, part in changed.items():
            part[kept] = late[key][kept]
    reused = deepcopy(early)
    first: dict[bytes, Decision] = {}  # what was decided when these transcripts were first seen

    def ask(words: str, transcripts: Transcript) -> None:
        uniform, fresh = uniforms(transcripts.num_people), make_agent(task)
        decision = agent.act(transcripts, uniform)
        part = difference(decision, fresh.act(transcripts, uniform), agent.tolerance)
        if not equal(agent.believe(transcripts), fresh.believe(transcripts), agent.tolerance):
            part = "believe()"
        assert not part, (
            f"{type(agent).__name__}: an agent that has met people before decides otherwise than a "
            f"new one ({part}; {words}). Keep nothing between calls, or compare the whole prefix "
            "before using a cache."
        )
        # What a class or a module keeps, a new agent has as well.
        key = b"".join(transcripts[part].tobytes() for part in sorted(transcripts))
        part = difference(decision, first.setdefault(key, decision), agent.tolerance)
        assert not part, (
            f"{type(agent).__name__}: decides otherwise about the same people after it has met "
            f"others, even a new one ({part}; {words}). Keep nothing in the class or the module."
        )

    ask("before anybody spoke", begun)
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
    for transcripts in several(env.task, env.users):
        decision = agent.act(transcripts, uniforms())
        part = difference(elsewhere.act(transcripts, uniforms()), decision, agent.tolerance)
        assert not part, (
            f"{type(agent).__name__}: decides otherwise about a person of another type who said "
            f"the same ({part}); use nothing but the observation and the task's model."
        )


def check_generators(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """Neither NumPy's nor Python's global random generator is touched."""
    task, users = meet_people(env_id, **settings)

    def state() -> list[Any]:
        name, words, *rest = np.random.get_state()  # noqa: NPY002 - its state is compared, not used
        return [random.getstate(), name, np.asarray(words).tolist(), *rest]

    before = state()
    agent = make_agent(task)
    for transcripts in several(task, users):
        agent.act(transcripts, uniforms())
        agent.believe(transcripts)
    assert state() == before, (
        f"{type(agent).__name__}: draws from a global random generator; take `uniform` instead, or "
        "a numpy Generator of a fixed seed in the constructor."
    )
