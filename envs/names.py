"""Messages about unknown names: what came, the nearest name, all that exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str:
    """`'nmae'. Did you mean 'name'? Available: ...`, to end a sentence about an unknown name."""
    options = sorted(known)
    near = get_close_matches(name, options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name!r}.{hint} Available: {', '.join(options)}."
