"""Conversations as one HTML page that needs no other file, in dark and in light."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.report.conversation import Conversation, Option, Turn
from acquaint_gym.eval.report.conversation_text import MOST_LEVELS, top_levels, verdict
from acquaint_gym.eval.report.tables import DASH

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #666; --line: #ddd; --page: #fff;
  --card: #f6f6f4; --agent: #0072b2; --teacher: #d55e00; --truth: #009e73; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --soft: #9a9a98; --line: #3a3a3a;
  --page: #161616; --card: #202020; --agent: #56b4e9; --teacher: #e69f00; --truth: #2bc49a; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
pre { white-space: pre-wrap; font: inherit; color: var(--soft); margin: .4rem 0; }
section.turn { background: var(--card); border-radius: 6px; padding: .7rem 1rem; margin: .8rem 0; }
section.turn h3 { font-size: .85rem; font-weight: 600; color: var(--soft); margin: 0; }
p.question { font-weight: 600; margin: .3rem 0 .5rem; white-space: pre-wrap; }
p.feedback { margin: .5rem 0 .2rem; }
.hit h3 b { color: var(--truth); } .miss h3 b { color: var(--teacher); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .1rem .6rem .1rem 0; text-align: left; vertical-align: middle; }
th { font-weight: 500; color: var(--soft); font-size: .85rem; }
td.number { text-align: right; } tr.answer td { font-weight: 700; }
td.marks { font-size: .8rem; color: var(--soft); white-space: nowrap; }
.bar { display: inline-block; height: .7rem; border-radius: 2px; vertical-align: middle; }
.agent { background: var(--agent); } .teacher { background: var(--teacher); }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; }
.still { opacity: .45; } svg rect.now { fill: var(--teacher); }
svg rect.was { fill: none; stroke: var(--soft); stroke-dasharray: 2 2; }
svg rect.true { fill: none; stroke: var(--truth); stroke-width: 2; }
code { white-space: pre-wrap; }
"""
_ABOUT = (
    "Bars of belief: the teacher's posterior over each factor's levels, from low to high, after "
    "the turn; dashed, before it; outlined in green, the person's true level."
)


def page(title: str, conversations: Sequence[tuple[Conversation, Sequence[Turn]]]) -> str:
    """The page.

    Args:
        title: on top.
        conversations: each with the turns of it that are shown.
    """
    links = [
        f'<li><a href="#person-{conversation.person}">Person {conversation.person}</a></li>'
        for conversation, _ in conversations
    ]
    contents = f"<ul>{''.join(links)}</ul>" if len(links) > 1 else ""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>",
            f"<h1>{escape(title)}</h1>",
            f'<p><span class="key agent"></span> agent <span class="key teacher"></span> teacher. '
            f"{_ABOUT}</p>",
            contents,
            *(_conversation(conversation, turns) for conversation, turns in conversations),
            "</html>\n",
        ]
    )


def _conversation(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """One person."""
    parts = [
        f'<h2 id="person-{conversation.person}">Person {conversation.person}: '
        f"{escape(conversation.agent)} on {escape(conversation.env)}</h2>",
        _summary(conversation),
        f"<pre>{escape(conversation.instructions)}</pre>",
    ]
    if conversation.context:
        parts.append(f"<pre>{escape(conversation.context)}</pre>")
    if conversation.prior is not None:
        parts.append(
            f"<p>Before the first turn</p>{_belief(conversation, conversation.prior, None)}"
        )
    parts += [_turn(conversation, turn) for turn in turns]
    return "\n".join(parts)


def _turn(conversation: Conversation, turn: Turn) -> str:
    """One turn."""
    kind = "" if turn.hit is None else " hit" if turn.hit else " miss"
    word, _, rest = verdict(turn).partition(",")
    heading = f"turn {turn.number}: <b>{escape(word)}</b>{',' if rest else ''}{escape(rest)}"
    question = ("asked: " if turn.information else "") + turn.question
    parts = [
        f'<section class="turn{kind}"><h3>{heading}</h3>',
        f'<p class="question">{escape(question)}</p>',
        '<table><tr><th></th><th>option</th><th colspan="2">agent</th>'
        '<th colspan="2">teacher</th></tr>',
        *map(_option, turn.options),
        "</table>",
        *(f"<p>the model wrote: <code>{escape(text)}</code></p>" for text in turn.messages),
        f'<p class="feedback">{escape(turn.feedback)}</p>',
    ]
    if turn.posterior is not None:
        parts.append(_belief(conversation, turn.posterior, conversation.belief_before(turn)))
    return "\n".join([*parts, "</section>"])


def _option(option: Option) -> str:
    """A row of the options."""
    flags = (
        (option.by_agent, "agent"),
        (option.by_teacher, "teacher"),
        (option.is_answer, "answer"),
    )
    marks = ", ".join(name for flag, name in flags if flag)
    cells = [f'<td class="marks">{marks}</td><td>{escape(option.text)}</td>']
    for value, kind in ((option.agent, "agent"), (option.teacher, "teacher")):
        cells.append(
            f'<td class="number">{value:.3f}</td>'
            f'<td><span class="bar {kind}" style="width:{7 * value:.2f}rem"></span></td>'
        )
    row = ' class="answer"' if option.is_answer else ""
    return f"<tr{row}>{''.join(cells)}</tr>"


def _belief(conversation: Conversation, posterior: Floats, before: Floats | None) -> str:
    """A drawing a factor, side by side; factors that did not move are pale."""
    cells = []
    for number, (name, level) in enumerate(
        zip(conversation.factors, conversation.levels, strict=True)
    ):
        was = None if before is None else before[number]
        still = was is not None and abs(posterior[number] - was).sum() < 0.01
        drawing = _levels(posterior[number], was, level)
        cells.append(f'<td class="{"still" if still else ""}">{drawing}<br>{escape(name)}</td>')
    return f"<table><tr>{''.join(cells)}</tr></table>"


def _levels(probs: Floats, was: Floats | None, level: int) -> str:
    """The probabilities of a factor's levels; of many the most probable ones as text."""
    if len(probs) > MOST_LEVELS:
        truth = "" if level < 0 else f"; truly {level + 1}"
        return ", ".join(f"{n + 1}: {probs[n]:.3f}" for n in top_levels(probs, level)) + truth
    wide, high, rects = 18, 44, []
    for n, p in enumerate(probs):
        x = n * wide + 2
        if n == level:
            rects.append(_rect("true", x - 1, wide - 2, high, high))
        rects.append(_rect("now", x + 1, wide - 6, high * float(p), high))
        if was is not None:
            rects.append(_rect("was", x + 1, wide - 6, high * float(was[n]), high))
    words = " ".join(f"{p:.2f}" for p in probs)
    size = f'width="{len(probs) * wide + 4}" height="{high + 4}"'
    return f'<svg {size} role="img"><title>{words}</title>{"".join(rects)}</svg>'


def _rect(kind: str, x: float, width: float, height: float, high: float) -> str:
    """A bar that stands on the ground line."""
    place = f'x="{x}" y="{high - height + 2:.1f}" width="{width}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place}/>'


def _summary(conversation: Conversation) -> str:
    """The person's numbers."""
    rows = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="number">{DASH if np.isnan(v) else f"{v:z.3f}"}</td>' for v in values)
        + "</tr>"
        for name, values in conversation.summary.items()
    ]
    head = f"<tr><th></th><th>{escape(conversation.agent)}</th><th>teacher</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"
