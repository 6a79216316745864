"""A language model with the exact teacher at its side: why fine-tune at all?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from acquaint_gym.agents.core import Decision, decide
from acquaint_gym.agents.llm.agent import LLMAgent
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats

MODES = ("prompt", "fusion")
# A probability under this counts as this, so that neither of the two can rule an answer out.
FLOOR = 1e-4


class HybridAgent(LLMAgent):
    """Untuned weights and exact inference, put together in one of two ways.

    `prompt`: the exact posterior predictive stands, in per cent, at the end of the last user turn;
    the model may use it or not. `fusion`: a logarithmic pool, proportional to
    teacher^weight * model^(1 - weight) (Genest & Zidek, 1986, Statistical Science 1); nothing is
    told to the model.

    Args:
        task: the model of people that the teacher believes in.
        mode: `prompt` or `fusion`.
        weight: of the teacher in the pool, 0..1.
        model, adapter and all others: see `LLMAgent`.

    Raises:
        ValueError: an unknown mode, or a weight out of range.
    """

    def __init__(
        self,
        task: UserTask,
        model: str,
        mode: str = "prompt",
        weight: float = 0.5,
        adapter: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        attention: str | None = None,
        batch_size: int = 32,
        scorer: str = "acquaint_gym.agents.llm.hugging_face:load_scorer",
        template: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"Unknown mode {closest(mode, MODES)}")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight}; expected a number in [0, 1].")
        super().__init__(
            task,
            model,
            adapter,
            revision,
            dtype,
            device,
            attention,
            batch_size,
            scorer=scorer,
            template=template,
            template_arguments=template_arguments,
        )
        self._teacher, self._mode, self._weight = BayesTeacher(task), mode, weight

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        taught, legal = self._teacher.act(observation, uniform), self.task.legal(observation)
        hints = [self._words(row) for row in taught.action_probs] if self._mode == "prompt" else ()
        scores = self._scores(observation, legal, hints)
        probs = softmax(scores, axis=1)
        if self._mode == "fusion":
            exact, own = (np.log(np.maximum(p, FLOOR)) for p in (taught.action_probs, probs))
            probs = softmax(self._weight * exact + (1 - self._weight) * own, axis=1)
        decision = decide(legal, probs, taught.belief)
        return decision._replace(answer_mass=np.exp(scores).sum(axis=1))

    def believe(self, observation: Transcript) -> Floats | None:
        """See `Agent.believe`: the teacher's."""
        return self._teacher.believe(observation)

    def _words(self, probs: Floats) -> str:
        """`[A]` probabilities in words."""
        shares = (
            f"{self.task.replies[n]}: {100 * probs[n]:.0f} %" for n in self.task.display_order
        )
        return f"An exact analysis of what happened so far gives {', '.join(shares)}."
