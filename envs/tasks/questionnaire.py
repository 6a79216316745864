"""Predict a person's next answer to a personality questionnaire."""

from __future__ import annotations

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.registration import make_context
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.population import load_profiles
from acquaint_gym.envs.users.response_models import Floats, Ints


class Questionnaire(UserTask):
    """The 50-item IPIP questionnaire, one item a turn: what will this person answer?

    ## Description
    A hidden person answers the items of a questionnaire one after the other. Before each answer the
    agent predicts it; then the answer is revealed. What the answers so far say about the person's
    traits decides how well the next one can be predicted.

    ## Hidden person
    By default one of 3,125 profiles (five traits at five levels, theta -2..2) who answers under the
    graded response model (Samejima, 1969); a latent class with `population="classes"`; or, with
    `respondents=PATH`, a real person's recorded answers.

    ## Action Space
    `Discrete(K)`: the predicted response category, 0 the lowest code. With `reward="log_score"` a
    `Box(-1, 1, (K,))` that states a distribution: -1 no weight, 1 all, normalised.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | answers seen so far, 0..T |
    | `stimuli` | `[T]` | index of each item asked, the present one included |
    | `actions` | `[T]` | the agent's predictions |
    | `answers` | `[T]` | the person's answers |
    | `context` | `[C * (S' + 1)]` | only with a context: its stimuli and answers |

    With `observation="turn"` only this turn's `stimulus` `[1]` and the last `action` and `answer`.

    ## Rewards
    `accuracy`: 1 for a hit, else 0. `log_score`: the logarithm in nats of the stated probability of
    the answer; 0 at best, -9.2 at worst with five categories.

    ## Starting State
    `reset(seed=s)` meets person s, the next `reset()` person s + 2**20, `options={"person": k}`
    person k. Real respondents are numbered by row of the split; one lane meets all in turn.

    ## Episode End
    `terminated` after `num_turns` items, or when a respondent has no recorded answer left.

    ## Information
    `person`, the number of the person met; after a step `hit`, whether the action was the person's
    answer; with `teacher_info=True` `teacher` `[A]`, the exact predictive of the coming answer.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `questionnaire` | `ipip50` | `ipip50`, `bfi25`, ..., or a CSV, see `ItemBank.load` |
    | `parameters` | `study` | item parameters: `study`, `human`, or a CSV by `train.fit_items` |
    | `population` | `profiles` | `profiles`, `classes`, or a CSV by `train.fit_population` |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `order` | `fixed` | `fixed` as printed, or `shuffled` per person |
    | `num_turns` | all items | items asked |
    | `context` | `none` | known beforehand, see `envs.registration.make_context` |
    | `reward` | `accuracy` | `accuracy` or `log_score` |
    | `codes` | `auto` | of data files: `0..4`, or `A,B,C,D,E`; see `envs.users.coding` |
    | `missing` | none | further codes or words of data files for no answer: `99,-9` |

    ## References
    Goldberg (1992), Psychological Assessment 4, 26-42; Samejima (1969), Psychometrika Monograph 17.

    ## Version History
    v0: first version.
    """

    bank: ItemBank
    ordered = True
    wordings = 3

    def __init__(
        self,
        questionnaire: str = "ipip50",
        parameters: str = "study",
        population: str = "profiles",
        levels: int = 5,
        order: str = "fixed",
        num_turns: int | None = None,
        context: str = "none",
        reward: str = "accuracy",
        codes: str = "auto",
        missing: str | float = "",
    ) -> None:
        super().__init__(reward)
        people = load_profiles(questionnaire, parameters, levels)
        self.bank = bank = people.bank
        self.codes, self.missing = codes, missing
        if order not in ("fixed", "shuffled"):
            raise ValueError(f"Unknown order {closest(order, ('fixed', 'shuffled'))}")
        if num_turns is not None and not 1 <= num_turns <= bank.num_items:
            raise ValueError(
                f"num_turns={num_turns}; {questionnaire} has 1..{bank.num_items} items."
            )
        if population == "profiles":
            self.population, self.model = people.population, people.model
        else:
            from acquaint_gym.envs.users.classes import class_people  # only where asked for

            self.population, self.model = class_people(bank, population)
        shared = {"questionnaire": questionnaire, "parameters": parameters, "levels": levels}
        self.context = make_context(context, self, shared)
        self.num_turns = num_turns or bank.num_items
        self.actions = bank.labels
        self.stimulus_low, self.stimulus_high = np.zeros(1), np.array([bank.num_items - 1.0])
        self.num_uniforms = bank.num_items if order == "shuffled" else 0
        self.num_answers = bank.num_items

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """The items in printed order, or in the order of the person's own numbers."""
        if self.num_uniforms:
            return np.argsort(uniform, axis=1, kind="stable")[..., None].astype(np.float32)
        items = np.arange(self.bank.num_items, dtype=np.float32)
        return np.broadcast_to(items[None, :, None], (len(uniform), len(items), 1))

    def answer_slot(self, stimuli: Floats) -> Ints | None:
        """See `UserTask.answer_slot`: an answer belongs to the item, whenever it is asked."""
        return stimuli[..., 0].astype(np.int64) if self.num_uniforms else None

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "A person is filling in a personality questionnaire. For each statement, predict which "
            "option the person picks to say how accurately it describes them.",
            "Somebody rates how well statements about personality fit them. Say in advance which "
            "rating this person will give to each statement.",
            "You watch a person answer a personality test. Before every answer, guess how accurate "
            "the person will call the statement as a description of themselves.",
        )

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`."""
        text = self.bank.text[int(stimulus[0])]
        return self.phrase(
            f'The statement is: "{text}"', f'Next statement: "{text}"', f'Now the item: "{text}"'
        )

    def feedback_text(self, feedback: int) -> str:
        """See `UserTask.feedback_text`."""
        given = f"{self.replies[feedback]} ({self.action_names[feedback]})"
        return self.phrase(
            f"The person answered {given}.", f"They chose {given}.", f"The answer was {given}."
        )

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """See `UserTask.context_line`."""
        return f'"{self.bank.text[int(stimulus[0])]}" {self.actions[answer]}'
