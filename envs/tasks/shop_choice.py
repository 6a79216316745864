"""Recommend one of several products to a shopper whose wishes are hidden."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from acquaint_gym.envs.tasks.options import Feature, OptionsTask
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.preferences import WantedOptions

COLOUR = Feature("colour", ("black", "white", "red", "blue", "green", "yellow"))
PATTERN = Feature("pattern", ("plain", "striped", "checked", "dotted", "floral"))
# What a shirt can have or lack; a wish is for two of them.
ATTRIBUTES = (
    "machine washable",
    "slim fit",
    "long sleeves",
    "organic cotton",
    "button closure",
    "wrinkle-free",
    "chest pocket",
    "made by hand",
)
FEATURES = (COLOUR, PATTERN, *(Feature(name, ("", name)) for name in ATTRIBUTES))


class ShopChoice(OptionsTask):
    """Recommend the product that a shopper with hidden wishes picks.

    ## Description
    Each round shows the titles of several shirts. The agent recommends one; then the shopper's own
    choice is revealed (or only whether they accept). The web-shopping setting of Qiu et al. (2026)
    without its product data. What differs: one product category instead of about a hundred; titles
    made from a colour, a pattern and eight attributes, drawn evenly, instead of real products of
    WebShop (Yao et al., 2022), where most products match nothing; no search; all shoppers
    have two attributes and two options in mind, as published, and the score of a product is the
    share of the four that it has.

    ## Hidden person
    A shopper wants two of eight attributes, one of six colours and one of five patterns: 840 types
    of people, in a fixed random order cut into training, development and test people. They pick the
    product that has most of the four, the first of equally good ones.

    ## Action Space
    `Discrete(N)`: the product recommended. With `reward="log_score"` a `Box(-1, 1, (N,))` that
    states a distribution: -1 no weight, 1 all, normalised.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | rounds over so far, 0..T |
    | `stimuli` | `[T * N * 10]` | places of colour and pattern, attributes of each option |
    | `actions` | `[T]` | the agent's recommendations |
    | `answers` | `[T]` | the shopper's choices; with `feedback="accept"` 1 accepted, 0 rejected |

    With `observation="turn"` only this round's `stimulus` and the last `action` and `answer`.

    ## Rewards
    `accuracy`: 1 for recommending what the shopper picks, else 0. `log_score`: the logarithm in
    nats of the stated probability of that product.

    ## Starting State
    `reset(seed=s)` meets person s; the next `reset()` person s + 2**20; `options={"person": k}`
    person k.

    ## Episode End
    `terminated` after `num_turns` rounds.

    ## Information
    `person`, the number of the person met; after a step `hit`, whether the action was the person's
    answer; with `teacher_info=True` `teacher` `[A]`, the exact predictive of the coming answer.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `num_turns` | 6 | rounds: after 0..5 observed choices |
    | `num_options` | 3 | products a round |
    | `feedback` | `choice` | `choice` or `accept` |
    | `floor` | 1e-6 | probability that is spread over all options |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    ## References
    Qiu et al. (2026), Nature Communications 17, 1238; Yao et al. (2022), WebShop, NeurIPS 35.

    ## Version History
    v0: first version.
    """

    noun = "shirt"

    def __init__(
        self,
        num_turns: int = 6,
        num_options: int = 3,
        feedback: str = "choice",
        floor: float = 1e-6,
        reward: str = "accuracy",
    ) -> None:
        super().__init__(reward, feedback)
        values = np.array([len(feature.texts) for feature in FEATURES])
        wishes = []
        pairs = combinations(range(2, len(FEATURES)), 2)
        for colour, pattern, pair in product(range(values[0]), range(values[1]), pairs):
            wish = np.full(len(FEATURES), -1)
            # The second value of an attribute is to have it.
            wish[[0, 1, *pair]] = colour, pattern, 1, 1
            wishes.append(wish)
        # Types are told apart by number and split by number: in an order that means nothing.
        order = np.random.Generator(np.random.Philox(key=len(wishes))).permutation(len(wishes))
        types, prior = np.arange(len(wishes))[:, None], np.full(len(wishes), 1 / len(wishes))
        people = Population(("wishes",), types, prior, None, split_by_type=True)
        model = WantedOptions(num_options, floor, values, np.array(wishes)[order])
        self.lay_out(FEATURES, num_turns, num_options, model, people)

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "You recommend shirts to a shopper who wants a certain colour, a certain pattern and "
            "two other things, always the same and unknown to you. Work them out from what "
            "happens, and each time recommend the shirt that the shopper prefers.",
            "A shopper has one colour, one pattern and two further attributes in mind and does not "
            "say which. Learn them from the reactions, and name the shirt the shopper would take.",
            "Somebody is looking for shirts with four properties that nobody tells you: a colour, "
            "a pattern and two more. Infer them as you go, and pick the shirt that has most.",
        )

    def describe(self, values: list[str]) -> str:
        """See `OptionsTask.describe`: a title."""
        colour, pattern, *attributes = values
        return ", ".join([f"{colour} {pattern} shirt", *filter(None, attributes)])
