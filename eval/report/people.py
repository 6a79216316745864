"""People in several traces: the same in all, and a row each in `people.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from acquaint_gym.envs.files import atomic
from acquaint_gym.eval.metrics import metrics_of
from acquaint_gym.eval.trace import DifferentPeopleError, Trace


def same_people(env: str, traces: Mapping[str, Trace]) -> dict[str, Trace]:
    """The traces in one order of people, so that row n is the same person in all.

    Args:
        env: for the message.
        traces: agent name -> trace.

    Raises:
        DifferentPeopleError: the people, their hidden levels, the number of turns or the answers
            to the same stimulus at the same turn differ.
    """
    ordered = {name: trace.select(np.argsort(trace.person)) for name, trace in traces.items()}
    first_name, first = next(iter(ordered.items()))
    for name, trace in ordered.items():
        difference = _difference(first, trace)
        if difference:
            raise DifferentPeopleError(
                f"Cannot compare {first_name!r} and {name!r} on {env}: {difference}. "
                "Run both again with the same people and settings."
            )
    return ordered


def _difference(a: Trace, b: Trace) -> str:
    """What shows that two traces, in order of people, are not about the same people; or ""."""
    if not np.array_equal(a.person, b.person):
        common = len(np.intersect1d(a.person, b.person))
        return f"{len(a.person)} and {len(b.person)} people, {common} of them the same"
    if not np.array_equal(a.levels, b.levels):
        return "people of the same number have other hidden levels"
    if a.answers.shape != b.answers.shape:
        return f"{a.answers.shape[1]} and {b.answers.shape[1]} turns"
    # An agent may choose the stimulus; only the answers to the same one must agree.
    same_stimulus = (a.stimuli == b.stimuli).all(axis=-1)
    rows, turns = np.nonzero(same_stimulus & (a.answers != b.answers))
    if rows.size:
        people = len(np.unique(rows))
        first = f"person {a.person[rows[0]]} at turn {turns[0] + 1}"
        return f"{people} of {len(a.person)} people answer otherwise, first {first}"
    return ""


def write_people(path: Path, traces: Mapping[str, Mapping[str, Trace]]) -> None:
    """Writes a row for each environment, agent and person.

    Columns: `env`, `agent`, `person` (the number that joins agents), `turns`, then every metric
    that is a number of one person, in its unit: those of the report but for correlations and the
    like. A cell is empty where the number is undefined or infinite, or does not apply.

    Args:
        path: of the file.
        traces: environment id -> agent name -> trace.
    """
    metrics = {
        metric.name: metric
        for by_agent in traces.values()
        for trace in by_agent.values()
        for metric in metrics_of(trace.agent_asks).values()
        if metric.combine is None
    }
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["env", "agent", "person", "turns", *metrics])
        for env, by_agent in traces.items():
            for agent, trace in by_agent.items():
                numbers = np.full((len(trace.person), len(metrics)), np.nan)
                for column, metric in enumerate(metrics.values()):
                    if metric.applies(trace.agent_asks):
                        numbers[:, column] = metric.statistics(trace)[:, 0]
                for person, length, row in zip(trace.person, trace.length, numbers, strict=True):
                    cells = ["" if np.isnan(number) else repr(float(number)) for number in row]
                    writer.writerow([env, agent, person, length, *cells])
