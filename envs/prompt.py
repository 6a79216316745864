"""How a task is worded: instructions, questions, answers, and the chat that a model reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

import numpy as np

from acquaint_gym.envs.names import closest, letters
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

# The day and hour at which all agents live, for prompts that tell one: scores do not depend on it.
CLOCK = datetime(2024, 7, 26, 12)
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


def without_system(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The same chat for a model that knows no system turn: its text opens the first user turn."""
    first, *later = [dict(message) for message in messages]
    if first["role"] != "system" or not later:
        return [first, *later]
    later[0]["content"] = f"{first['content']}\n\n{later[0]['content']}"
    return later


class PromptedTask(ABC):
    """The half of `envs.core.UserTask` that says a task in words.

    A subclass writes `instructions` and `question`; it overrides what it would say in
    another way.

    Attributes:
        num_turns: T, the longest episode.
        actions: `A` labels among which an agent chooses; also what the person's answers are,
            unless `categories` says otherwise.
        ordered: whether people's answers are steps of one scale, so that a near miss is less wrong.
        agent_asks: whether an action is what the person is asked, see `envs.interviews.task`, not a
            prediction.
        binary_feedback: whether agents are shown only if their action was the person's answer.
        by_place: whether prompts call actions by the place where they stand (`flight 1`).
        wordings: how many paraphrases `phrase` is given; `wording` is the one in use.
    """

    num_turns: int
    actions: tuple[str, ...]
    ordered: bool = False
    agent_asks: bool = False
    binary_feedback: bool = False
    by_place: bool = False
    wordings: int = 1
    wording: int = 0
    _reversed: bool = False
    _lettered: bool = False

    def choose_words(self, wording: int, option_order: str, labels: str) -> None:
        """Takes the arguments of `envs.core.UserTask.configure` that change prompts.

        Raises:
            ValueError: an unknown word or number.
        """
        for name, word, known in (
            ("option_order", option_order, ("printed", "reversed")),
            ("labels", labels, ("numbers", "letters")),
        ):
            if word not in known:
                raise ValueError(f"Unknown {name} {closest(word, known)}")
        if not 0 <= wording < self.wordings:
            name = type(self).__name__
            raise ValueError(f"wording={wording}; {name} has 0..{self.wordings - 1}.")
        self.wording = wording
        self._reversed, self._lettered = option_order == "reversed", labels == "letters"

    @abstractmethod
    def instructions(self) -> str:
        """What a language model is told first: the situation, and what a reply should be about."""

    @abstractmethod
    def question(self, stimulus: Floats) -> str:
        """A stimulus `[S]` in words, with units."""

    def feedback_text(self, feedback: int) -> str:
        """What follows an action, `UserTask.feedback_of` it, in words: how the next turn opens."""
        if self.binary_feedback:
            return "The person accepted this." if feedback else "The person rejected this."
        return f"The answer was {self.replies[feedback]} ({self.action_names[feedback]})."

    def phrase(self, *paraphrases: str) -> str:
        """The paraphrase in use, of as many as the task has `wordings`."""
        return paraphrases[self.wording]

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """A stimulus `[S]` and the person's answer as one line of another task's context."""
        return f"{self.question(stimulus)} {self.feedback_text(answer)}".replace("\n", " ")

    def context_text(self, observation: Transcript) -> str:
        """What one transcript (no batch axis) says of the person before the first turn, in words.

        Nothing, in a task without a context.
        """
        return ""

    @cached_property
    def display_order(self) -> tuple[int, ...]:
        """`A` actions in the order in which the prompt lists them."""
        return tuple(range(len(self.actions)))[:: -1 if self._reversed else 1]

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """`A` words for the actions in the prompt."""
        order = np.argsort(self.display_order) if self.by_place else range(len(self.actions))
        return tuple(self.actions[n] for n in order)

    @cached_property
    def replies(self) -> tuple[str, ...]:
        """`A` texts, one per action, that an assistant's turn may hold: 1, 2, ... as listed."""
        places = np.argsort(self.display_order)
        return tuple(letters(n) if self._lettered else str(n + 1) for n in places)

    def prompt(self, observation: Transcript) -> list[dict[str, str]]:
        """One transcript (no batch axis) as chat messages, each with `role` and `content`.

        A system turn with the instructions and the options; then a user turn per question, which
        opens with the last answer (the first with the context), and an assistant turn per action,
        which is one of `replies`.
        """
        options = [f"{self.replies[n]}. {self.action_names[n]}" for n in self.display_order]
        kind = "number" if self.replies[0].isdigit() else "letter"
        reply_with = REPLY_WITH[self.wording].format(kind=kind)
        system = "\n".join([f"{self.instructions()} {reply_with}", *options])
        messages = [{"role": "system", "content": system}]
        opening = self.context_text(observation)
        asked, answered = observation.stimuli, int(observation.turn)
        for turn in range(answered + 1):
            over = turn == self.num_turns or (asked[turn, 0] < 0 and not self.agent_asks)
            words = OVER[self.wording] if over else self.question(asked[turn])
            messages.append({"role": "user", "content": opening + words})
            if turn < answered:
                reply = self.replies[int(observation["actions"][turn])]
                messages.append({"role": "assistant", "content": reply})
                opening = self.feedback_text(int(observation["answers"][turn])) + "\n"
        return messages
