"""Recommend one of several hotels to a person whose preferences are hidden."""

from __future__ import annotations

from acquaint_gym.envs.tasks.options import Feature
from acquaint_gym.envs.tasks.preferences import PreferenceTask

VARIANTS = {
    4: (
        Feature(
            "distance to downtown",
            ("0 miles", "1 mile", *(f"{miles} miles" for miles in range(2, 11))),
        ),
        Feature("price", tuple(f"${100 + 90 * n}" for n in range(11))),
        Feature("rating", ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")),
        Feature(
            "amenities",
            (
                "none",
                "free parking",
                "free parking and free breakfast",
                "free parking, free breakfast and pool",
                "free parking, free breakfast, pool and fitness center",
            ),
        ),
    )
}


class HotelChoice(PreferenceTask):
    """Recommend the hotel that a person with hidden preferences picks.

    ## Description
    Each round shows several hotels. The agent recommends one; then the person's own choice is
    revealed (or only whether they accept). The task of Qiu et al. (2026), who train on flights and
    test the transfer to hotels.

    ## Hidden person
    One weight from {-1, -0.5, 0, 0.5, 1} for each feature, not all zero: 624
    vectors. The person picks the hotel of greatest utility, the weights times the normalised
    features, without noise; the first of equally good ones. Training, development and test people
    have different weights, and never meet the same set of options.

    ## Action Space
    `Discrete(N)`: the hotel recommended. With `reward="log_score"` a `Box(-1, 1, (N,))` that
    states a distribution: -1 no weight, 1 all, normalised.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | rounds over so far, 0..T |
    | `stimuli` | `[T * N * F]` | normalised features of each option of each round |
    | `actions` | `[T]` | the agent's recommendations |
    | `answers` | `[T]` | the person's choices; with `feedback="accept"` 1 accepted, 0 rejected |

    With `observation="turn"` only this round's `stimulus` and the last `action` and `answer`.

    ## Rewards
    `accuracy`: 1 for recommending what the person picks, else 0. `log_score`: the logarithm in nats
    of the stated probability of that hotel.

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
    | `features` | 4 | 4: distance, price, rating, amenities |
    | `num_turns` | 6 | rounds: after 0..5 observed choices |
    | `num_options` | 3 | options a round |
    | `feedback` | `choice` | `choice` or `accept` |
    | `rule` | `mean` | the teacher's rule: posterior `mean` of the weights, or `vote` |
    | `likelihood` | `indicator` | `indicator`, or `softmax` for noisy people |
    | `temperature` | 5.0 | inverse temperature of `softmax` |
    | `floor` | 1e-9 | probability that `indicator` spreads over all options |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    ## References
    Qiu et al. (2026), Nature Communications 17, 1238.

    ## Version History
    v0: first version.
    """

    noun = "hotel"
    variants = VARIANTS

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "You recommend hotels to a person whose preferences are specific, unknown to you and "
            "always the same. Work them out from what happens, and each time recommend the hotel "
            "that the person prefers.",
            "A traveller has fixed tastes in hotels that you do not know. Learn them from the "
            "traveller's reactions, and name the hotel that the traveller would take.",
            "Somebody is looking for hotels. What they care about never changes, but nobody tells "
            "you; infer it as you go, and pick the hotel that they like best.",
        )
