"""People with a profile of traits, as the personality tasks share them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import TableModel

MOST_PROFILES = 1_000_000  # of more, one posterior would no longer fit into memory with others


class Profiles(NamedTuple):
    """Profiles of traits, and the items that measure them.

    Attributes:
        bank: the questionnaire that names the traits.
        parameters: how its items depend on the traits; the traits' correlations.
        population: all combinations of trait levels.
    """

    bank: ItemBank
    parameters: GradedParameters
    population: Population

    @property
    def model(self) -> TableModel:
        """How they answer the bank's items."""
        table = self.bank.response_table(np.asarray(self.population.grid), self.parameters)
        return TableModel(table, self.bank.trait)


def load_profiles(questionnaire: str, parameters: str, levels: int) -> Profiles:
    """The people of a personality task: theta -2..2 in equal steps on every trait.

    Args:
        questionnaire: an item bank, e.g. `ipip50`.
        parameters: a parameter set of it, see `GradedParameters.load`; its correlations make the
            prior, uniform where it has none.
        levels: L, levels a trait.

    Raises:
        ValueError: unknown names, or too few or too many levels.
    """
    bank = ItemBank.load(questionnaire)
    if levels < 2 or levels ** len(bank.traits) > MOST_PROFILES:
        most = f"{MOST_PROFILES:,} profiles of {len(bank.traits)} traits"
        raise ValueError(f"levels={levels}; expected at least 2, and at most {most}.")
    graded = GradedParameters.load(bank, parameters)
    grid = np.linspace(-2.0, 2.0, levels)
    return Profiles(bank, graded, Population.profiles(bank.traits, grid, graded.correlation))
