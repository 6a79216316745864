"""What a metric is: statistics of every turn, and how they become one number.

A metric gives D numbers for every turn of every person. Averaged over a person's turns (or taken
after the last answer) they are that person's statistics; averaged over people and passed through
`combine` they are the metric. A mean is the case D = 1, and a correlation or a calibration error
has the same interval as a mean (`eval.metrics.stats.interval`), whole or turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics.stats import Combine
from acquaint_gym.eval.trace import Trace


@dataclass(frozen=True)
class Metric:
    """One number about an agent in an environment.

    Attributes:
        name: its key in reports.
        unit: what one unit of it is.
        better: which direction is good; "teacher" means close to the teacher's value.
        cells: `Trace -> [N, T, D]` statistics of every turn; not finite where undefined, anything
            beyond a person's `length`.
        combine: mean statistics `[..., D]` -> `[...]`; None where D = 1.
        after_last_answer: a person's statistics are those of the last turn, not the mean over
            turns.
        total: whether a person's statistics are the sum over turns, so that a count stays one.
        curve: whether the report shows it turn by turn.
        of: whether it is about `predictions`, about `interviews` or about `both`. What `interviews`
            have taught is known to whoever stops early as well: their cells are finite beyond a
            person's `length`, and the last ones are the person's.
    """

    name: str
    unit: str
    better: Literal["higher", "lower", "teacher"]
    cells: Callable[[Trace], Floats]
    combine: Combine | None = None
    after_last_answer: bool = False
    total: bool = False
    curve: bool = True
    of: Literal["predictions", "interviews", "both"] = "predictions"

    @property
    def _lasting(self) -> bool:
        return self.of == "interviews"

    def applies(self, agent_asks: bool) -> bool:
        """Whether it has a meaning in a task in which agents ask, or predict."""
        return self.of in ("both", "interviews" if agent_asks else "predictions")

    def is_defined(self, trace: Trace) -> bool:
        """Whether the agent has this number at all, as some have no belief; infinite ones count."""
        turn_mask = trace.turn_mask | self._lasting
        with np.errstate(divide="ignore"):
            cells = self.cells(trace)[np.broadcast_to(turn_mask, trace.answers.shape)]
        return not (len(cells) and np.isnan(cells).any(axis=-1).all())

    def by_turn(self, trace: Trace) -> Floats:
        """`[N, T, D]`, NaN where the turn did not take place or has no finite number."""
        with np.errstate(divide="ignore"):  # -log 0 is infinite, and counted as failed
            cells = self.cells(trace)
        known = np.isfinite(cells).all(axis=-1) & (trace.turn_mask | self._lasting)
        return np.where(known[..., None], cells, np.nan)

    def statistics(self, trace: Trace) -> Floats:
        """`[N, D]`, NaN for a person without turns or with a turn that has no finite number."""
        cells = self.by_turn(trace)
        if self._lasting:
            return cells[:, -1]
        if self.after_last_answer:
            last = np.maximum(trace.length.astype(np.int64) - 1, 0)
            return cells[np.arange(len(cells)), last]
        total = cells.sum(axis=1, where=trace.turn_mask[..., None])
        turns = np.where(trace.length > 0, 1 if self.total else trace.length, np.nan)
        return total / turns[:, None]


def moments(x: Floats, y: Floats) -> Floats:
    """`[..., 5]` x, y, x^2, y^2, xy of `[...]` numbers: their means give a correlation."""
    return np.stack([x, y, x * x, y * y, x * y], axis=-1)


def correlation(moments: Floats) -> Floats:
    """`[...]` Pearson correlation over people, -1..1; NaN where x or y is the same in everybody.

    Args:
        moments: `[..., 5]` means over people of what `moments` gives.
    """
    x, y, _, _, xy = np.moveaxis(moments, -1, 0)
    return (xy - x * y) / np.sqrt(_variances(moments).prod(axis=-1))


def _variances(moments: Floats) -> Floats:
    """`[..., 2]` variances of x and y; NaN for none."""
    variance = moments[..., 2:4] - moments[..., :2] ** 2
    # float32 beliefs that are equal differ by about 1e-7, so this much variance is none.
    return np.where(variance > 1e-10, variance, np.nan)


def mean_correlation(moments: Floats) -> Floats:
    """Pearson correlation over people, -1..1, averaged over the traits that were learned about.

    A trait of which the agent believes the same of everybody has no correlation and is left out:
    in a task that three traits decide, nothing can be learned of the other two. NaN where all
    are left out, or where everybody has the same level of a trait that was learned about.

    Args:
        moments: `[..., F * 5]` means over people of the moments of all traits, see `moments`.
    """
    by_trait = moments.reshape(*moments.shape[:-1], -1, 5)
    learned = np.isfinite(_variances(by_trait)[..., 0])
    count = learned.sum(axis=-1)
    return correlation(by_trait).sum(axis=-1, where=learned) / np.where(count > 0, count, np.nan)
