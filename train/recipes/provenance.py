"""How a result was made: what `adapter.json`, `gru.json` and `policy.json` say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

# Keys of recipes that are folders and files; they mean nothing on another machine.
PLACES = ("traces", "out", "model", "template", "eval_data")


def provenance(
    method: str,
    recipe: Mapping[str, Any],
    environments: Sequence[Mapping[str, Any]],
    packages: Sequence[str],
    **own: Any,
) -> dict[str, Any]:
    """How a student was made from traces.

    Args:
        method: how it is trained, e.g. `distill`.
        recipe: the settings as a flat table; without places, see `PLACES`, it is recorded.
        environments: of each trace, what its `TraceSource` describes.
        packages: whose versions are recorded.
        **own: what else is recorded, see the callers.
    """
    return {
        "format": 1,
        "method": method,
        **own,
        "environments": list(environments),
        "recipe": {key: value for key, value in recipe.items() if key not in PLACES},
        "versions": versions(packages),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Package -> its version here."""
    return {name: metadata.version(name) for name in packages}
