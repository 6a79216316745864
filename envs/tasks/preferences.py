"""Options described by features, recommended to people who weigh the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from envs.core import UserTask
from envs.names import closest
from envs.users.population import SPLITS
from envs.users.preferences import WEIGHTS, WeighedOptions, weighing_people
from envs.users.response_models import Floats


@dataclass(frozen=True)
class Feature:
    """One property of an option.

    Attributes:
        name: as the prompt calls it.
        texts: `G` values in words, with units, at equal steps from 0 to 1 of the normalised scale.
    """

    name: str
    texts: tuple[str, ...]


class PreferenceTask(UserTask):
    """Recommend one of several options to a person whose weights of their features are hidden.

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
        noun: what an option is called.
        variants: number of features -> the features, in the order of the stimulus.
    """

    noun: str
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
        floor: float = 1e-6,
        reward: str = "accuracy",
    ) -> None:
        """Lays out people and options."""
        super().__init__(reward, feedback)
        if features not in self.variants:
            raise ValueError(f"features={features}; there are {sorted(self.variants)}.")
        if rule not in ("mean", "vote"):
            raise ValueError(f"Unknown rule {closest(rule, ('mean', 'vote'))}")
        if num_turns < 1 or num_options < 2:
            raise ValueError(f"num_turns={num_turns}, num_options={num_options}; expected 1+, 2+.")
        self._features, self._rule = self.variants[features], rule
        self._steps = np.array([len(feature.texts) - 1 for feature in self._features])
        self.num_turns, self._num_options = num_turns, num_options
        self.actions = tuple(f"{self.noun} {number}" for number in range(1, num_options + 1))
        size = num_options * features
        self.stimulus_low, self.stimulus_high = np.zeros(size), np.ones(size)
        self.num_uniforms = num_turns * size
        self.model = self._chooses = WeighedOptions(num_options, likelihood, temperature, floor)
        self.population = weighing_people(tuple(feature.name for feature in self._features))

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """Options whose features are drawn evenly and independently from their grids."""
        shape = (len(uniform), self.num_turns, self._num_options, len(self._features))
        steps = np.floor(uniform.reshape(shape) * (self._steps + 1))
        return (steps / self._steps).reshape(*shape[:2], -1).astype(np.float32)

    def settle(self, stimuli: Floats, split: str) -> Floats:
        """Option sets of different splits differ: the sum of a set's grid steps modulo 3 is theirs.

        The first feature of the last option is moved to a step that makes it so, every such step
        about equally often.
        """
        shape = (*stimuli.shape[:2], self._num_options, len(self._features))
        steps = np.rint(stimuli.reshape(shape) * self._steps).astype(np.int64)
        count, size, drawn = len(SPLITS), self._steps[0] + 1, steps[:, :, -1, 0].copy()
        others = steps.sum(axis=(2, 3)) - drawn
        lowest = (SPLITS.index(split) - others) % count
        # The sum of the others evens out what the division of a few steps by fewer leaves over.
        steps[:, :, -1, 0] = lowest + count * (
            (drawn + others // count) % -(-(size - lowest) // count)
        )
        return (steps / self._steps).reshape(stimuli.shape).astype(np.float32)

    def scores(self, weights: Floats, stimulus: Floats, predictive: Floats) -> Floats:
        """See `UserTask.scores`: utilities under the posterior mean of the weights, or votes."""
        if self._rule == "vote":
            return predictive
        mean = weights[:, 0] @ WEIGHTS[self.population.levels]
        return self._chooses.utilities(mean, stimulus)

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`: one line an option."""
        options = stimulus.reshape(self._num_options, -1)
        lines = []
        for number, option in enumerate(options):
            values = np.rint(option * self._steps).astype(int)
            words = (f"{f.name} {f.texts[v]}" for f, v in zip(self._features, values, strict=True))
            lines.append(f"{self.replies[number]}. {self.noun} {number + 1}: {', '.join(words)}")
        return "Which one does the person prefer?\n" + "\n".join(lines)
