"""Which of three statements is most like the person?"""

from __future__ import annotations

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import make_context
from acquaint_gym.envs.users.population import load_profiles
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.envs.users.statements import MostLikeMe, Triples


class ForcedChoice(UserTask):
    """Predict which of three statements a person calls most like them.

    ## Description
    Each turn shows three statements of the questionnaire, of three different traits and all keyed
    alike, so that none is the agreeable one. Before the person says which is most like
    them the agent predicts it; then the answer is revealed. A psychometric task to transfer to.

    ## Hidden person
    One of the 3,125 profiles of the questionnaire. The utility of a statement to a person is
    a (theta - b), b the mean of the item's thresholds, of the opposite sign if the item is
    reverse-keyed; statements are picked with probability proportional to exp(utility).

    ## Action Space
    `Discrete(3)`: the predicted statement. With `reward="log_score"` a `Box(-1, 1, (3,))` that
    states a distribution: -1 no weight, 1 all, normalised.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | answers seen so far, 0..T |
    | `stimuli` | `[T * 3]` | indices of the items of each turn, the present one included |
    | `actions` | `[T]` | the agent's predictions |
    | `answers` | `[T]` | the person's answers |
    | `context` | `[C * (S' + 1)]` | only with a context: its stimuli and answers |

    With `observation="turn"` only this turn's `stimulus` and the last `action` and `answer`.

    ## Rewards
    `accuracy`: 1 for a hit, else 0. `log_score`: the logarithm in nats of the stated probability.

    ## Starting State
    `reset(seed=s)` meets person s, who has the same profile in all personality tasks.

    ## Episode End
    `terminated` after `num_turns` turns.

    ## Information
    `person`, the number of the person met; after a step `hit`, whether the action was the person's
    answer; with `teacher_info=True` `teacher` `[A]`, the exact predictive of the coming answer.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `context` | `none` | known beforehand: `none`, `traits`, `answers:K`, `ID:K` |
    | `num_turns` | 15 | triples shown |
    | `questionnaire` | `ipip50` | the item bank |
    | `parameters` | `study` | item parameters: `study`, `human`, or a CSV by `train.fit_items` |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    ## References
    Brown & Maydeu-Olivares (2011), Educational and Psychological Measurement 71, 460-502; McFadden
    (1974), in Zarembka (ed.), Frontiers in Econometrics, 105-142.

    ## Version History
    v0: first version.
    """

    by_place = True
    wordings = 3

    def __init__(
        self,
        context: str = "none",
        num_turns: int = 15,
        questionnaire: str = "ipip50",
        parameters: str = "study",
        levels: int = 5,
        reward: str = "accuracy",
    ) -> None:
        super().__init__(reward)
        if num_turns < 1:
            raise ValueError(f"num_turns={num_turns}; expected at least 1.")
        bank, graded, self.population = load_profiles(questionnaire, parameters, levels)
        self._text, self.num_turns = bank.text, num_turns
        theta = np.asarray(self.population.grid)[None, :]
        middle = graded.thresholds.mean(axis=1, keepdims=True)
        keyed = bank.keying[:, None] * graded.discrimination[:, None] * (theta - middle)
        self.model = MostLikeMe(keyed, bank.trait, self.population.levels)
        self._triples = Triples(bank.trait, bank.keying)
        self.actions = ("the first statement", "the second statement", "the third statement")
        self.stimulus_low, self.stimulus_high = np.zeros(3), np.full(3, bank.num_items - 1.0)
        self.num_uniforms = num_turns * self._triples.num_uniforms
        shared = {"questionnaire": questionnaire, "parameters": parameters, "levels": levels}
        self.context = make_context(context, self, shared)

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """Triples: a keying, three different traits in random order, an item of each."""
        return self._triples.draw(uniform).reshape(len(uniform), self.num_turns, 3)

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "A person reads three statements at a time and says which one is most like them. Each "
            "time, predict which one the person picks.",
            "Somebody chooses, out of every three statements, the one that describes them best. "
            "Say in advance which one it will be.",
            "You watch a person take a forced-choice personality test. Before every answer, guess "
            "which of the three statements they will call most like themselves.",
        )

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`: one line a statement."""
        lines = [f'{self.replies[n]}. "{self._text[int(stimulus[n])]}"' for n in self.display_order]
        asked = self.phrase(
            "Which is most like the person?", "Which fits them best?", "Which will they pick?"
        )
        return "\n".join([asked, *lines])

    def feedback_text(self, feedback: int) -> str:
        """See `UserTask.feedback_text`."""
        given = f"{self.replies[feedback]} ({self.action_names[feedback]})"
        return self.phrase(
            f"The person picked {given}.", f"They chose {given}.", f"The answer was {given}."
        )

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """See `UserTask.context_line`."""
        first, second, third = (f'"{self._text[int(item)]}"' for item in stimulus)
        picked = (first, second, third)[answer]
        return f"Out of {first}, {second} and {third}, most like them is {picked}"
