"""Predict a person's next answer to a personality questionnaire."""

from __future__ import annotations

import numpy as np

from envs.core import UserTask
from envs.names import closest
from envs.users.classes import load_classes
from envs.users.item_bank import GradedParameters, ItemBank
from envs.users.population import Population
from envs.users.response_models import Floats, Ints, TableModel

MOST_PROFILES = 1_000_000  # of more, one posterior would no longer fit into memory with others


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
    `person`, the number of the person met, on reset.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `questionnaire` | `ipip50` | the item bank: `ipip50`, `bfi25` |
    | `parameters` | `study` | item parameters: `study`, `human`, or a CSV by `train.fit_items` |
    | `population` | `profiles` | `profiles`, `classes`, or a CSV by `train.fit_population` |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `form` | `auto` | exact inference `factored` or `joint` |
    | `order` | `fixed` | `fixed` as printed, or `shuffled` per person |
    | `num_turns` | all items | items asked |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    Environment arguments: `split` (`train`, `dev`, `test`; for respondents `train`, `dev`, `all`),
    `suite_seed`, `respondents`, `observation` (`transcript` or `turn`), `render_mode`.

    ## References
    Goldberg (1992), Psychological Assessment 4, 26-42; Samejima (1969), Psychometrika Monograph 17.

    ## Version History
    v0: first version.
    """

    bank: ItemBank

    def __init__(
        self,
        questionnaire: str = "ipip50",
        parameters: str = "study",
        population: str = "profiles",
        levels: int = 5,
        form: str = "auto",
        order: str = "fixed",
        num_turns: int | None = None,
        reward: str = "accuracy",
    ) -> None:
        """Loads the bank, the hypotheses and how they answer."""
        super().__init__(reward)
        self.bank = bank = ItemBank.load(questionnaire)
        if order not in ("fixed", "shuffled"):
            raise ValueError(f"Unknown order {closest(order, ('fixed', 'shuffled'))}")
        if num_turns is not None and not 1 <= num_turns <= bank.num_items:
            raise ValueError(
                f"num_turns={num_turns}; {questionnaire} has 1..{bank.num_items} items."
            )
        if levels < 2 or levels ** len(bank.traits) > MOST_PROFILES:
            most = f"{MOST_PROFILES:,} profiles of {len(bank.traits)} traits"
            raise ValueError(f"levels={levels}; expected at least 2, and at most {most}.")
        if population == "profiles":
            graded = GradedParameters.load(bank, parameters)
            grid = np.linspace(-2.0, 2.0, levels)
            self.population = Population.profiles(bank.traits, grid, graded.correlation)
            self.model = TableModel(bank.response_table(grid, graded), bank.trait)
        else:
            prior, probs = load_classes(bank, population)
            self.population = Population.classes(prior)
            every = np.zeros(bank.num_items, dtype=np.int64)
            self.model = TableModel(np.ascontiguousarray(probs.transpose(1, 0, 2)), every)
        self.form = form
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

    def slots(self, stimuli: Floats) -> Ints | None:
        """See `UserTask.slots`: a person's answer belongs to the item, whenever it is asked."""
        return stimuli[..., 0].astype(np.int64) if self.num_uniforms else None

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return (
            "A person is filling in a personality questionnaire. For each statement, predict which "
            "option the person picks to say how accurately it describes them."
        )

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`."""
        return f'The statement is: "{self.bank.text[int(stimulus[0])]}"'

    def revealed(self, shown: int) -> str:
        """See `UserTask.revealed`."""
        return f"The person answered {self.replies[shown]} ({self.actions[shown]})."
