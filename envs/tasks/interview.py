"""Choose the most telling questions: adaptive testing as reinforcement learning."""

from __future__ import annotations

from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.population import load_profiles


class Interview(AskingTask):
    """Get to know a person with few questions: each turn, which item of the bank to ask?

    ## Description
    A hidden person would answer every item of a questionnaire. The agent chooses which one to ask,
    sees the answer, and chooses again, until the budget is spent or it stops. What the answers
    teach is measured by the exact posterior, whoever asks: the more probable the true person
    became, the better the interview. Computerised adaptive testing, as a decision process whose
    state is the posterior.

    ## Hidden person
    As in the Questionnaire: one of 3,125 profiles (five traits at five levels, theta -2..2) under
    the graded response model, a latent class with `population="classes"`, or with
    `respondents=PATH` a real person who answered every item: asking uncovers a recorded answer.

    ## Action Space
    `Discrete(I)`, the index of the item to ask, or `Discrete(I + 1)` with `allow_stop`, whose last
    action stops. An item is asked once: `action_masks()` tells which are left, and in place of one
    that was asked the next one that was not is asked, in order.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | answers seen so far, 0..T |
    | `stimuli` | `[T]` | index of each item asked |
    | `actions` | `[T]` | the same, as actions |
    | `answers` | `[T]` | the person's answers, 0 the lowest code |
    | `action_mask` | `[A]` | 1 for what may be chosen now, 0 for what was asked |

    With `observation="turn"` only the mask and the last `action` and `answer`; the `stimulus` is
    still -1.

    ## Rewards
    The gain of each answer, less `cost`: `profile`, in log posterior probability of the true
    profile, nats; `unasked`, in the mean log predictive probability of the answers not asked for;
    `traits`, in minus the mean squared error of the posterior mean of theta. Gains add up to the
    final score less the score before the first question. To stop earns 0.

    ## Starting State
    `reset(seed=s)` meets person s, the next `reset()` person s + 2**20, `options={"person": k}`
    person k. Real respondents are numbered by row of the split; one lane meets all in turn.

    ## Episode End
    `terminated` after `num_turns` questions, or when the agent stops.

    ## Information
    `person`, the number of the person met.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `questionnaire` | `ipip50` | the item bank, as of the Questionnaire |
    | `parameters` | `study` | item parameters: `study`, `human`, or a CSV by `train.fit_items` |
    | `population` | `profiles` | `profiles`, `classes`, or a CSV by `train.fit_population` |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `num_turns` | 10 | questions at most, up to the whole bank |
    | `reward` | `profile` | `profile`, `unasked` or `traits` |
    | `allow_stop` | False | whether the last action ends the interview |
    | `cost` | 0 | what a question costs, in units of the reward |
    | `codes` | `auto` | of data files: `0..4`, or `A,B,C,D,E`; see `envs.users.coding` |
    | `missing` | none | further codes or words of data files for no answer: `99,-9` |

    ## References
    Lindley (1956), Annals of Mathematical Statistics 27, 986-1005; van der Linden & Glas (eds.,
    2010), Elements of Adaptive Testing; Samejima (1969), Psychometrika Monograph 17.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        questionnaire: str = "ipip50",
        parameters: str = "study",
        population: str = "profiles",
        levels: int = 5,
        num_turns: int = 10,
        reward: str = "profile",
        allow_stop: bool = False,
        cost: float = 0.0,
        codes: str = "auto",
        missing: str | float = "",
    ) -> None:
        bank = ItemBank.load(questionnaire)
        super().__init__(bank, num_turns, reward, allow_stop, cost)
        self.codes, self.missing = codes, missing
        if population == "profiles":
            people = load_profiles(questionnaire, parameters, levels)
            self.population, self.model = people.population, people.model
            self.graded = people.parameters
        else:
            from acquaint_gym.envs.users.classes import class_people  # only where asked for

            self.population, self.model = class_people(bank, population)
        if reward == "traits" and self.population.grid is None:
            raise ValueError("reward=traits needs traits; population=profiles has them.")
