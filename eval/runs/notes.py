"""What is kept beside the traces of some people: who answered, what it took, and how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, NamedTuple

from acquaint_gym.agents.core import Agent
from acquaint_gym.eval.trace import Trace


class Notes(NamedTuple):
    """About the traces of some people, or of all.

    Attributes:
        model_info: who answered, see `Agent.model_info`.
        usage: see `Agent.usage`; what these people took.
        seconds: wall time of the turns, one after the other where several processes worked.
    """

    model_info: dict[str, str]
    usage: dict[str, float]
    seconds: float

    @classmethod
    def total(cls, parts: Iterable[dict[str, Any]]) -> Notes:
        """Of all people from those of some, as JSON has them; who answered is the same in all."""
        model_info, usage, seconds = {}, Counter[str](), 0.0
        for part in parts:
            model_info = part["model_info"]
            usage.update(part["usage"])
            seconds += part["seconds"]
        return cls(model_info, dict(usage), seconds)


class Meter:
    """What an agent uses up, part by part; the first also has what came before it.

    Args:
        agent: whose usage.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent, self._before = agent, Counter[str]()

    def play(self, play: Callable[[], Trace]) -> tuple[Trace, Notes]:
        """A trace that the agent plays, and the notes about it."""
        start = perf_counter()
        trace = play()
        seconds, used = perf_counter() - start, self._agent.usage()
        part = {name: number - self._before[name] for name, number in used.items()}
        self._before = Counter(used)
        return trace, Notes(self._agent.model_info(), part, seconds)
