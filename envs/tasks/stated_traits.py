"""A person's trait levels, told outright: what other tasks can have as their context."""

from __future__ import annotations

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.users.population import load_profiles
from acquaint_gym.envs.users.response_models import Floats, TableModel

NAMES = ("very low", "low", "average", "high", "very high")
# Probability that a stated level is another: as good as none, yet no answer is impossible.
SLIP = 1e-9


class StatedTraits(UserTask):
    """Each trait's level in turn, stated without error.

    Args:
        questionnaire: the item bank that names the traits.
        parameters: gives the prior, see `envs.users.population`.
        levels: levels a trait.
    """

    def __init__(
        self, questionnaire: str = "ipip50", parameters: str = "study", levels: int = 5
    ) -> None:
        super().__init__()
        people = load_profiles(questionnaire, parameters, levels)
        self.population, factors = people.population, len(people.bank.traits)
        self.num_turns = factors
        numbered = (f"level {level} of {levels}" for level in range(1, levels + 1))
        self.actions = NAMES if levels == len(NAMES) else tuple(numbered)
        self.stimulus_low, self.stimulus_high = np.zeros(1), np.array([factors - 1.0])
        table = np.eye(levels) * (1 - SLIP) + SLIP / levels
        self.model = TableModel(np.repeat(table[None], factors, axis=0), np.arange(factors))

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """The traits in order."""
        traits = np.arange(self.num_turns, dtype=np.float32)
        return np.broadcast_to(traits[None, :, None], (len(uniform), self.num_turns, 1))

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return "Say how high a person is on each personality trait."

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`."""
        return f"How high is the person on {self.population.factors[int(stimulus[0])]}?"

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """See `UserTask.context_line`."""
        return f"{self.population.factors[int(stimulus[0])]}: {self.actions[answer]}"
