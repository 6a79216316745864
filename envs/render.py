"""What a person watching sees: the transcript as text, and the teacher's belief as bars."""

from __future__ import annotations

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

BARS = " ▁▂▃▄▅▆▇█"


def as_text(task: UserTask, observation: Transcript) -> list[str]:
    """The prompts of B transcripts as plain text, one string per person."""
    texts = []
    for row in range(observation.num_people):
        messages = task.prompt(observation.person(row))
        texts.append("\n".join(f"[{m['role']}] {m['content']}" for m in messages))
    return texts


def show_panel(task: UserTask, observation: Transcript) -> None:
    """Prints one transcript's last exchange and the teacher's belief per trait.

    Args:
        task: the task, whose own model is the teacher's.
        observation: transcripts of a batch of one person.
    """
    messages = task.prompt(observation.person(0))
    conditioned = TranscriptPosterior(task)
    marginals = conditioned.posterior.marginals(conditioned.condition(observation))
    parts: list[Text | Table] = [Text(messages[-1]["content"] + "\n")]
    if marginals is not None:
        parts.append(_bars(task.population.factors, marginals[0]))
    turn = int(observation.turn[0])
    title = f"{type(task).__name__}: {turn} of {task.num_turns} answers seen"
    Console().print(Panel(Group(*parts), title=title, title_align="left", expand=False))


def _bars(factors: tuple[str, ...], marginals: Floats) -> Table:
    """One line per trait: the posterior over its levels, from low to high, as bars and numbers."""
    table = Table("belief, low to high", box=None, header_style="dim")
    for level in range(marginals.shape[1]):
        table.add_column(str(level + 1), justify="right")
    for name, row in zip(factors, marginals, strict=True):
        cells = [f"{BARS[round(8 * p)]} {100 * p:3.0f} %" for p in row]
        table.add_row(name, *cells)
    return table
