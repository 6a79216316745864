"""A transcript as the chat that a language model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acquaint_gym.envs.transcript import Transcript

if TYPE_CHECKING:
    from acquaint_gym.envs.core import UserTask

# Paraphrases by `wording`; a task with fewer of its own uses the first ones only.
REPLY_WITH = (
    "Reply with the {kind} of one option:",
    "Answer with nothing but the {kind} of the option you choose:",
    "Options are listed below; give the {kind} of exactly one of them.",
)
OVER = (
    "That was all. Thank you.",
    "We are done. Thanks for your help.",
    "This was the last one; thank you.",
)


def chat(task: UserTask, observation: Transcript) -> list[dict[str, str]]:
    """One transcript (no batch axis) as chat messages, each with `role` and `content`.

    A system turn with the instructions and the options; then a user turn per question, which opens
    with the last answer (the first with the context), and an assistant turn per action, which is
    one of `task.replies`.
    """
    options = "\n".join(f"{task.replies[n]}. {task.action_names[n]}" for n in task.display_order)
    kind = "number" if task.replies[0].isdigit() else "letter"
    ask = REPLY_WITH[task.wording].format(kind=kind)
    told = f"{task.instructions()} {ask}\n{options}"
    messages = [{"role": "system", "content": told}]
    opening = "" if task.context is None else task.context.words(observation) + "\n"
    asked, answered = observation.stimuli, int(observation.turn)
    for turn in range(answered + 1):
        over = turn == task.num_turns or (asked[turn, 0] < 0 and not task.agent_asks)
        words = OVER[task.wording] if over else task.question(asked[turn])
        messages.append({"role": "user", "content": opening + words})
        if turn < answered:
            reply = task.replies[int(observation["actions"][turn])]
            messages.append({"role": "assistant", "content": reply})
            opening = task.feedback_text(int(observation["answers"][turn])) + "\n"
    return messages
