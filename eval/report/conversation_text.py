"""A conversation on the screen: what was asked, stated and done, and the teacher's belief as bars.

Without a terminal it is plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from acquaint_gym.envs.render import BARS
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.report.conversation import Conversation, Turn
from acquaint_gym.eval.report.tables import DASH

WIDTH = 12  # characters of a probability of 1
# Of many levels, as classes are, so many of the most probable are named.
MOST_LEVELS = 9
NAMED_LEVELS = 3
MARKS = "> the agent's action, t the teacher's, * the person's answer"


def on_screen(conversation: Conversation, turns: Sequence[Turn]) -> RenderableType:
    """A conversation, or some of its turns.

    Args:
        conversation: with one person.
        turns: which of its turns.
    """
    title = f"Person {conversation.person}, {conversation.agent} on {conversation.env}"
    parts: list[RenderableType] = [Text(title, "bold"), Text(conversation.instructions, "dim")]
    if conversation.context:
        parts.append(Text(conversation.context, "dim"))
    if conversation.prior is not None:
        parts.append(Text("The teacher's belief before the first turn, levels from low to high:"))
        parts.append(_belief(conversation, conversation.prior, None))
    parts.append(Text(MARKS, "dim"))
    for turn in turns:
        parts += [Text(""), *_turn(conversation, turn)]
    return Group(*parts, Text(""), summary(conversation))


def _turn(conversation: Conversation, turn: Turn) -> Iterator[RenderableType]:
    """One turn."""
    yield Rule(f"turn {turn.number}: {escape(verdict(turn))}", align="left", characters="-")
    yield Text(("asked: " if turn.information else "") + turn.question)
    yield _options(turn)
    for message in turn.messages:
        yield Text(f"the model wrote: {message!r}", "italic")
    yield Text(turn.feedback)
    if turn.posterior is not None:
        yield _belief(conversation, turn.posterior, conversation.belief_before(turn))


def verdict(turn: Turn) -> str:
    """What the turn came to, in a few words."""
    if turn.information is not None:
        asked, best, name = turn.information
        words = f"{asked:.3f} nats expected"
        return words if turn.lost < 5e-4 else f"{words}, {best:.3f} of the best: {name}"
    side = "ahead of" if turn.lost < -5e-4 else "behind"
    lost = f"{abs(turn.lost):.3f} nats {side} the teacher, KL {turn.kl:z.3f}"
    mass = "" if np.isnan(turn.mass) else f", answer mass {turn.mass:.3f}"
    return f"{'hit' if turn.hit else 'miss'}, {lost}{mass}"


def _options(turn: Turn) -> Table:
    """A row an option: marks, its name, what agent and teacher gave it."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("", "option", "agent", "", "teacher", ""):
        right = name in ("agent", "teacher")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for option in turn.options:
        flags = zip((option.by_agent, option.by_teacher, option.is_answer), ">t*", strict=True)
        cells = ["".join(mark if flag else " " for flag, mark in flags), option.text]
        for value, colour in ((option.agent, "cyan"), (option.teacher, "yellow")):
            cells += [f"{value:.3f}", f"[{colour}]{bar(value)}[/{colour}]"]
        cells[1] = escape(cells[1])
        table.add_row(*cells, style="bold" if option.is_answer else "")
    return table


def bar(value: float) -> str:
    """A probability as a bar, to an eighth of a character."""
    eighths = round(8 * WIDTH * min(max(value, 0.0), 1.0))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _belief(conversation: Conversation, posterior: Floats, before: Floats | None) -> Table:
    """A line a factor: a bar a level, what moved, and the true level; unmoved factors are dim."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    moved = np.zeros(len(posterior)) if before is None else abs(posterior - before).sum(axis=1) / 2
    for name, level, now, change in zip(
        conversation.factors, conversation.levels, posterior, moved, strict=True
    ):
        truth = "" if level < 0 else f"true {level + 1}"
        # How much probability went from some levels to others.
        words = f"moved {change:.2f}" if change >= 0.005 else ""
        style = "" if before is None or change >= 0.005 else "dim"
        table.add_row(escape(name), level_bars(now, level), words, truth, style=style)
    return table


def level_bars(probs: Floats, level: int) -> str:
    """Probabilities of a factor's levels as bars; of many the most probable and the true one."""
    if len(probs) <= MOST_LEVELS:
        bars = "".join(BARS[round(8 * p)] for p in probs)
        return f"|{bars}| {' '.join(f'{p:.2f}' for p in probs)}"
    named = ", ".join(
        f"{n + 1}: {probs[n]:.3f} {bar(float(probs[n]))}" for n in top_levels(probs, level)
    )
    return f"of {len(probs)}: {named}"


def top_levels(probs: Floats, level: int) -> list[int]:
    """Which of many levels are named: the most probable ones, and the true one."""
    top = np.argsort(-probs, kind="stable")[:NAMED_LEVELS].tolist()
    return list(dict.fromkeys([*top, *([level] if level >= 0 else [])]))


def summary(conversation: Conversation) -> Table:
    """The person's numbers: a row each, agent and teacher side by side."""
    table = Table(
        title=f"Person {conversation.person}", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("")
    for name in (conversation.agent, "teacher"):
        table.add_column(escape(name), justify="right")
    for name, values in conversation.summary.items():
        table.add_row(name, *(DASH if np.isnan(v) else f"{v:z.3f}" for v in values))
    return table
