"""The probabilities of the task's replies, under any language model, as a decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from acquaint_gym.agents.core import Agent, Decision, decide
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.probe import PROBES
from acquaint_gym.agents.llm.scorer import ChoiceScorer, Ids, check_scores
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Bools, Floats


class ChoiceAgent(Agent):
    """A model that is in memory already. Nothing is generated and nothing parsed.

    Args:
        task: gives the prompt and the replies.
        dialogue: writes the prompt as tokens.
        scorer: gives the probabilities of the replies.
        probe: also ask what the model believes of the person: `levels`, where they stand on each
            trait; `items`, how they would answer each item of the bank (I questions a turn). The
            question is put to a copy of the transcript, as if the conversation ended there.

    Raises:
        ValueError: an unknown probe, or one that makes no sense in this task.

    Attributes:
        scorer, dialogue: as given.
        replies: `A` replies as token ids.
    """

    tolerance = 1e-4  # weights are in float32, or shorter types

    def __init__(
        self,
        task: UserTask,
        dialogue: Dialogue,
        scorer: ChoiceScorer,
        probe: str | None = None,
    ) -> None:
        super().__init__(task)
        if probe is not None and probe not in PROBES:
            raise ValueError(f"Unknown probe {closest(probe, PROBES)}")
        self.scorer, self.dialogue = scorer, dialogue
        self.replies = dialogue.replies(task.replies)
        self._probe = None if probe is None else PROBES[probe](task)
        self._tokens = 0

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`: the most probable legal reply."""
        belief, legal = self.believe(observation), self.task.legal(observation)
        scores = self._scores(observation, legal)
        decision = decide(legal, softmax(scores, axis=1), belief)
        return decision._replace(answer_mass=np.exp(scores).sum(axis=1))

    def _scores(self, observation: Transcript, legal: Bools, more: Sequence[str] = ()) -> Floats:
        """`[B, A]` log-probabilities of the replies, -inf where illegal; see `conversations`."""
        scores = check_scores(self.scorer, self.conversations(observation, more), self.replies)
        return np.where(legal, scores, -np.inf)

    def usage(self) -> dict[str, float]:
        """See `Agent.usage`; tokens count at every turn anew, also those in the cache."""
        return {"prompt_tokens": self._tokens}

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: what the probe reports; None without one."""
        if self._probe is None:
            return None
        replies, past = self.dialogue.replies(self._probe.replies), observation.between_turns()
        scores = [
            check_scores(
                self.scorer, self.conversations(past, [question] * past.num_people), replies
            )
            for question in self._probe.questions
        ]
        return self._probe.belief(softmax(np.stack(scores, axis=1), axis=2))

    def conversations(self, observation: Transcript, more: Sequence[str] = ()) -> list[Ids]:
        """What the model reads: `B` transcripts as token ids.

        Args:
            observation: transcripts of B people.
            more: `B` texts, each of which is added to a person's last user turn.
        """
        conversations = []
        for row in range(observation.num_people):
            messages = self.task.prompt(observation.person(row))
            if more:
                messages[-1]["content"] += f"\n{more[row]}"
            conversations.append(self.dialogue.encode(messages).ids)
            self._tokens += len(conversations[-1])
        return conversations
