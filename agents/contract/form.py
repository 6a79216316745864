"""What a decision and a belief are: legal actions and distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from acquaint_gym.agents.contract.play import (
    PEOPLE,
    MakeAgent,
    equal,
    meet_people,
    several,
    uniforms,
)
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.users.response_models import Floats

# Distributions are normalised in float64, whatever they were computed in.
ROUNDING = 1e-9
# Sums in bfloat16 differ by less when their order does.
MOST_TOLERANCE = 1e-2


def check_decision(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A decision is one legal action and one distribution over legal actions for each person."""
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    name, shape = type(agent).__name__, (PEOPLE, len(task.actions))
    assert 0 <= agent.tolerance <= MOST_TOLERANCE, (
        f"{name}: states a tolerance of {agent.tolerance}; expected 0..{MOST_TOLERANCE}, no more "
        "than sums in another order may differ by."
    )
    for transcripts in several(task, users):
        action, probs, *_ = agent.act(transcripts, uniforms())
        legal, everyone = task.legal(transcripts), np.arange(PEOPLE)
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
        assert np.abs(total - 1).max() < ROUNDING, (
            f"{name}: action_probs sum to {total.min()}..{total.max()}; divide by the sum, float64."
        )
        assert not probs[~legal].any(), (
            f"{name}: an action that task.legal(observation) rules out has probability "
            f"{probs[~legal].max()}; expected 0."
        )


def check_belief(make_agent: MakeAgent, env_id: str, **settings: Any) -> None:
    """A belief is a distribution over each trait's levels, the same from act() and believe()."""
    task, users = meet_people(env_id, **settings)
    agent = make_agent(task)
    name, population = type(agent).__name__, agent.task.population
    shape = (PEOPLE, len(population.factors), population.num_levels)
    kept: list[tuple[Floats, Floats]] = []
    for transcripts in [*several(task, users), example_transcripts(task, users, users.length)]:
        belief = agent.believe(transcripts)
        if (transcripts.turn < users.length).all():
            assert equal(agent.act(transcripts, uniforms()).belief, belief, agent.tolerance), (
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
        assert np.abs(total - 1).max() < ROUNDING, (
            f"{name}: the belief about a trait sums to {total.min()}..{total.max()}; expected 1."
        )
        kept.append((belief, belief.copy()))
    for belief, copy in kept:
        assert np.array_equal(belief, copy), (
            f"{name}: a later call changed the belief that an earlier one returned; return a copy."
        )
