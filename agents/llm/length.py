"""Whether the conversations of a task fit into a model."""

from __future__ import annotations

from acquaint_gym.agents.llm.adapter import fixed_prompts
from acquaint_gym.agents.llm.dialogue import Dialogue, TooLongError
from acquaint_gym.envs.core import UserTask


def check_length(task: UserTask, dialogue: Dialogue, probe: str | None = None) -> None:
    """Refuses a task whose conversations the model cannot read, before anything is computed.

    The conversations are those of made-up people. One of a real person may be longer by a few
    tokens; it is refused when it comes.

    Args:
        task: what will be talked about.
        dialogue: how it is written, and what the model's limits are.
        probe: whether the person is asked about afterwards, see `agents.llm.choice.ChoiceAgent`.

    Raises:
        ValueError: how many tokens there are, how many may be, and how many turns fit.
    """
    if dialogue.limits.tokens is None and dialogue.limits.vocabulary is None:
        return
    dialogue.replies(task.replies)
    refusals = []
    for messages in fixed_prompts(task):
        try:
            # After the last reply nothing is asked, but for what the person is believed to be.
            dialogue.encode(messages if probe else messages[:-2])
        except TooLongError as error:
            refusals.append(error)
    if refusals:
        raise min(refusals, key=lambda error: error.turns)
