"""Options described by features, one of which is recommended to a hidden person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.tasks.option_sets import OptionSets
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.preferences import WeighedOptions
from acquaint_gym.envs.users.response_models import Floats

MOST_OPTIONS = 26  # as many as there are letters to name them


@dataclass(frozen=True)
class Feature:
    """One property of an option.

    Attributes:
        name: as the prompt calls it.
        texts: `G` values in words, with units, at equal steps from 0 to 1 of the normalised scale.
    """

    name: str
    texts: tuple[str, ...]


class OptionsTask(UserTask):
    """Recommend one of several options to a person whose weights of their features are hidden.

    A subclass names its `noun`, calls `lay_out` in its constructor, and writes `instructions`.

    Attributes:
        noun: what an option is called.
    """

    noun: str
    by_place = True
    wordings = 3

    def lay_out(
        self,
        features: tuple[Feature, ...],
        num_turns: int,
        num_options: int,
        model: WeighedOptions,
        population: Population,
    ) -> None:
        """Sets all attributes of a task.

        Args:
            features: of each option, in the order of the stimulus.
            num_turns: rounds, >= 1.
            num_options: N, options a round, >= 2.
            model: how people choose.
            population: who they are.

        Raises:
            ValueError: a number that is too small.
        """
        if num_turns < 1 or not 2 <= num_options <= MOST_OPTIONS:
            raise ValueError(
                f"num_turns={num_turns}, num_options={num_options}; expected 1 or more, and "
                f"2..{MOST_OPTIONS}."
            )
        self._features = features
        self._steps = np.array([len(feature.texts) - 1 for feature in features])
        self.num_turns, self._num_options = num_turns, num_options
        self.actions = tuple(f"{self.noun} {number}" for number in range(1, num_options + 1))
        size = num_options * len(features)
        self.stimulus_low, self.stimulus_high = np.zeros(size), np.ones(size)
        values = [len(feature.texts) for feature in features]
        self._sets = OptionSets(values, num_turns, num_options)
        self.num_uniforms = self._sets.num_uniforms
        self.model, self.population = model, population

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """Options whose features are drawn evenly and independently from their grids."""
        return self._sets.draw(uniform)

    def separate_splits(self, stimuli: Floats, split: str) -> Floats:
        """Option sets of different splits differ, see `OptionSets.separate_splits`."""
        return self._sets.separate_splits(stimuli, split)

    def on_grid(self, stimulus: Floats) -> Floats:
        """`[B, S]` float64 the stimuli `[B, S]` without the rounding of float32."""
        steps = np.tile(self._steps, self._num_options)
        return np.rint(stimulus * steps) / steps

    def feature(self, name: str, stimulus: Floats) -> Floats:
        """See `UserTask.feature`: `[B, N]`, 0 the smallest value of the grid, 1 the largest."""
        names = [feature.name for feature in self._features]
        if name not in names:
            return super().feature(name, stimulus)
        return stimulus.reshape(len(stimulus), self._num_options, -1)[..., names.index(name)]

    def describe(self, values: list[str]) -> str:
        """An option in words, from the text of each feature's value."""
        pairs = zip(self._features, values, strict=True)
        return ", ".join(f"{feature.name} {text}" for feature, text in pairs)

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`: one line an option."""
        asked = self.phrase(
            "Which one does the person prefer?",
            "Which of these would this person take?",
            "What should you recommend to this person?",
        )
        options = self._options_in_words(stimulus)
        return "\n".join([asked, *(f"{self.replies[n]}. {options[n]}" for n in self.display_order)])

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """See `UserTask.context_line`."""
        options = "; ".join(self._options_in_words(stimulus))
        return f"Out of {options} they took {self.action_names[answer]}."

    def _options_in_words(self, stimulus: Floats) -> list[str]:
        """`N` options of a stimulus `[S]`, each with its number and all its features."""
        steps = np.rint(stimulus.reshape(self._num_options, -1) * self._steps).astype(int)
        texts = ([f.texts[n] for f, n in zip(self._features, row, strict=True)] for row in steps)
        pairs = zip(self.action_names, texts, strict=True)
        return [f"{label}: {self.describe(values)}" for label, values in pairs]

    def feedback_text(self, feedback: int) -> str:
        """See `UserTask.feedback_text`."""
        if self.binary_feedback and feedback:
            return self.phrase(
                "The person accepted this.", "They took it.", "The recommendation was accepted."
            )
        if self.binary_feedback:
            return self.phrase(
                "The person rejected this.",
                "They did not take it.",
                "The recommendation was rejected.",
            )
        chosen = f"{self.replies[feedback]} ({self.action_names[feedback]})"
        return self.phrase(
            f"The person chose {chosen}.", f"They took {chosen}.", f"The choice was {chosen}."
        )
