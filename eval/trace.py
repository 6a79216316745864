"""What happened: one agent, one environment, N people by T turns, by column; and what it took."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.files import FileError, atomic
from acquaint_gym.eval.runs.fingerprint import distinct_machines, machine

# What a changed byte leads to, be it in the archive's directory, in an array's head or in its data.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    RuntimeError,
    ValueError,
)


class DifferentPeopleError(ValueError):
    """Agents that did not meet the same people cannot be compared."""


@dataclass(frozen=True)
class Trace:
    """A record of N people by T turns. People who left early have `length` < T.

    Attributes:
        person: `[N]` int64, the person's number; joins the traces of different agents.
        levels: `[N, F]` int32, the hidden factor levels; -1 where nobody knows (real people).
        length: `[N]` int16, turns that took place, 0..T.
        stimuli: `[N, T, S]` float32; -1 beyond `length`.
        actions: `[N, T]` int16; -1 beyond `length`.
        answers: `[N, T]` int16, the person's own response category; -1 beyond `length`.
        rewards: `[N, T]` float64; 0 beyond `length`.
        action_probs: `[N, T, A]` float64, rows sum to one; NaN beyond `length`.
        answer_mass: `[N, T]` float64, what a language model put on the legal replies; NaN for other
            agents, and beyond `length`.
        unparsed: `[N, T]` float64, messages of a turn that nobody could read as a legal reply; NaN
            for agents that write none, and beyond `length`.
        teacher_actions: `[N, T]` int16, the teacher's choice on the same transcript; -1 beyond.
        teacher_probs: `[N, T, A]` float64, the teacher's distribution; NaN beyond `length`.
        belief: `[N, T + 1, F, L]` float32, the agent's distribution over the levels of each
            factor before turn t, and after the person's last answer at t = `length`; NaN beyond.
            `[N, 0, 0, 0]` for an agent without a belief.
        ordered: `[N]` bool, whether the categories are steps of one scale; of all people the same.
        context: `[N, C * (S' + 1)]` float32, what was known of the person from another task, see
            `envs.core.Context`; C = 0 without one.
        interview_stats: `[N, T + 1, D]` float64, what an interview had taught before turn t, see
            `envs.interviews.scoring`; D = 0 in other tasks.
    """

    person: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int32]
    length: npt.NDArray[np.int16]
    stimuli: npt.NDArray[np.float32]
    actions: npt.NDArray[np.int16]
    answers: npt.NDArray[np.int16]
    rewards: npt.NDArray[np.float64]
    action_probs: npt.NDArray[np.float64]
    answer_mass: npt.NDArray[np.float64]
    unparsed: npt.NDArray[np.float64]
    teacher_actions: npt.NDArray[np.int16]
    teacher_probs: npt.NDArray[np.float64]
    belief: npt.NDArray[np.float32]
    ordered: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]
    interview_stats: npt.NDArray[np.float64]

    @property
    def agent_asks(self) -> bool:
        """Whether the agent asked, and did not predict."""
        return self.interview_stats.shape[2] > 0

    @property
    def turn_mask(self) -> npt.NDArray[np.bool_]:
        """`[N, T]` true where the turn took place."""
        return np.arange(self.answers.shape[1])[None, :] < self.length[:, None]

    def save(self, path: Path) -> None:
        """Writes one `.npz`; a reader never sees a half-written file."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        with atomic(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **columns)

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Reads what `save` wrote.

        Raises:
            FileError: the file is damaged, or lacks a column.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                columns = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        except _DAMAGE as error:
            raise FileError.unreadable(path, error) from error
        missing = [f.name for f in fields(cls) if f.name not in columns]
        if missing:
            raise FileError(f"{path}: not a trace, it lacks {missing}. Delete it and run again.")
        return cls(**columns)

    @classmethod
    def join(cls, parts: list[Trace]) -> Trace:
        """Traces of disjoint people of one agent and environment as one trace, in order."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    def select(self, rows: npt.NDArray[Any] | slice) -> Trace:
        """The trace of some of its people; `rows` indexes or masks the first axis."""
        return Trace(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class Notes(NamedTuple):
    """About the traces of some people, or of all.

    Attributes:
        model_info: who answered, see `Agent.model_info`.
        usage: see `Agent.usage`; what these people took.
        seconds: wall time of the turns, one after the other where several processes worked.
        machines: where they were played, see `eval.runs.fingerprint.machine`; each stands once.
    """

    model_info: dict[str, str]
    usage: dict[str, float]
    seconds: float
    machines: list[dict[str, Any]] = []  # noqa: RUF012 - replaced, never changed

    @classmethod
    def total(cls, parts: Iterable[dict[str, Any]]) -> Notes:
        """Of all people from those of some, as JSON has them; who answered is the same in all."""
        model_info, usage, seconds = {}, Counter[str](), 0.0
        seen: list[dict[str, Any]] = []
        for part in parts:
            model_info = part["model_info"]
            usage.update(part["usage"])
            seconds += part["seconds"]
            seen += part["machines"]
        return cls(model_info, dict(usage), seconds, distinct_machines(seen))


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
        return trace, Notes(self._agent.model_info(), part, seconds, [machine()])
