"""What a report says of how it was made."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from time import perf_counter
from typing import Any

from acquaint_gym.envs.names import parse_settings
from acquaint_gym.eval.runs.command import input_errors
from acquaint_gym.eval.runs.execution import PlannedRun
from acquaint_gym.eval.runs.fingerprint import checkout, distinct_machines

SCHEMA = 1
"""Of `report.json`; raised when a key goes away or changes its meaning, not when one is added."""


def provenance(
    command: str, options: argparse.Namespace, users: int, runs: Sequence[PlannedRun]
) -> dict[str, Any]:
    """`meta` of a report.

    Args:
        command: see `command_line`.
        options: with `settings` and `started`.
        users: how many people each agent met.
        runs: what was computed, now or before.

    Returns:
        `schema`, see `SCHEMA`; `command`; `version` of this package; `users`; `people`, see
        `People.identity`; `settings` of `--set`; `packages`, versions; and `run`. Whoever runs the
        same command on the same code gets the same report but for `command` and `run`.
    """
    return {
        "schema": SCHEMA,
        "command": command,
        "version": metadata.version("acquaint-gym"),
        "users": users,
        "people": runs[0].evaluation.people.identity(),
        "settings": dict(parse_settings(options.settings)),
        "packages": {name: metadata.version(name) for name in ("gymnasium", "numpy")},
        "run": run_info(runs, perf_counter() - options.started),
    }


def run_info(runs: Sequence[PlannedRun], seconds: float) -> dict[str, Any]:
    """What is another at every run.

    Args:
        runs: see `provenance`.
        seconds: wall time of the command until now.

    Returns:
        `date` (UTC); `seconds`; `commit` and whether files were `changed` since, None outside a
        checkout; `machines` on which traces were computed, see `eval.runs.fingerprint.machine`; and
        `agents`, a row for each agent and environment: `env`, `agent`, `people` whose traces lie
        there, `seconds` that their turns took, `tokens_per_second`, and what the agent says of
        itself (`Agent.model_info`) and has used (`Agent.usage`).
    """
    commit, changed = checkout()
    seen: list[dict[str, Any]] = []
    agents = []
    for run in runs:
        with input_errors():
            notes = run.store.notes()
        seen += notes.machines
        tokens = sum(notes.usage.get(f"{kind}_tokens", 0) for kind in ("prompt", "completion"))
        agents.append(
            {
                "env": run.evaluation.env,
                "agent": run.evaluation.agent.label,
                "people": sum(end - first for first, end in run.store.have()),
                "seconds": notes.seconds,
                "tokens_per_second": tokens / notes.seconds if tokens else None,
                **notes.model_info,
                **notes.usage,
            }
        )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "commit": commit,
        "changed": changed,
        "machines": distinct_machines(seen),
        "agents": agents,
    }
