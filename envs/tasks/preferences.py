"""People whose weights of an option's features are drawn from a grid: Qiu et al. (2026)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acquaint_gym.envs.names import closest
from acquaint_gym.envs.tasks.options import Feature, OptionsTask
from acquaint_gym.envs.users.preferences import WeighedOptions, weighing_people
from acquaint_gym.envs.users.response_models import Floats


class PreferenceTask(OptionsTask):
    """Recommend one of several options to a person who weighs their features.

    A subclass names its `noun`, its `variants` and its `instructions`; its docstring is the manual.

    Args:
        features: number of features of an option, one of the variants.
        num_turns: rounds.
        num_options: N, options a round.
        feedback: `choice` or `accept`, see `UserTask`.
        rule: the teacher recommends the best option under the posterior `mean` of the weights, as
            published, or by `vote` the most probable choice.
        likelihood: `indicator` or `softmax`, see `WeighedOptions`.
        temperature: inverse temperature of `softmax`.
        floor: of `indicator`.
        reward: `accuracy` or `log_score`.

    Attributes:
        variants: number of features -> the features, in the order of the stimulus.
    """

    variants: Mapping[int, tuple[Feature, ...]]

    def __init__(
        self,
        features: int = 4,
        num_turns: int = 6,
        num_options: int = 3,
        feedback: str = "choice",
        rule: str = "mean",
        likelihood: str = "indicator",
        temperature: float = 5.0,
        floor: float = 1e-9,
        reward: str = "accuracy",
    ) -> None:
        super().__init__(reward, feedback)
        if features not in self.variants:
            raise ValueError(f"features={features}; there are {sorted(self.variants)}.")
        if rule not in ("mean", "vote"):
            raise ValueError(f"Unknown rule {closest(rule, ('mean', 'vote'))}")
        described, self._rule = self.variants[features], rule
        self._chooses = WeighedOptions(num_options, likelihood, temperature, floor)
        people = weighing_people(tuple(feature.name for feature in described))
        self.lay_out(described, num_turns, num_options, self._chooses, people)

    def scores(self, marginals: Floats | None, stimulus: Floats, predictive: Floats) -> Floats:
        """See `UserTask.scores`: utilities under the posterior mean of the weights, or votes."""
        if self._rule == "vote":
            return predictive
        assert marginals is not None  # weights of features have an order
        mean = marginals @ np.asarray(self.population.grid)
        # Equally good options must tie, as they do for the person, who takes the first of them:
        # float32 puts features off their grids by 1e-8, and the floor the mean off by as little.
        return self._chooses.utilities(mean, self.on_grid(stimulus)).round(6)
