"""Recommend one of several flights to a person whose preferences are hidden."""

from __future__ import annotations

from acquaint_gym.envs.tasks.options import Feature
from acquaint_gym.envs.tasks.preferences import PreferenceTask


def _clock(start: int, step: int) -> tuple[str, ...]:
    """Eleven times of day from `start`, in minutes after midnight, every `step` minutes."""
    times = (start + step * n for n in range(11))
    return tuple(
        f"{(t // 60 - 1) % 12 + 1:02d}:{t % 60:02d} {'AM' if t < 720 else 'PM'}" for t in times
    )


def _hours(start: int, step: int, count: int) -> tuple[str, ...]:
    """Durations from `start` minutes, every `step` minutes."""
    times = (start + step * n for n in range(count))
    parts = ((f"{t // 60} hr" if t >= 60 else "", f"{t % 60} min" if t % 60 else "") for t in times)
    return tuple(" ".join(part for part in both if part) or "0 min" for both in parts)


DEPARTURE = Feature("departure time", _clock(360, 96))
ARRIVAL = Feature("arrival time", _clock(360, 96))
DURATION = Feature("duration", _hours(30, 117, 11))
LAYOVER = Feature("layover", _hours(0, 30, 11))
STOPS = Feature("number of stops", ("0", "1", "2"))
PRICE = Feature("price", tuple(f"${100 + 90 * n}" for n in range(11)))
FLEXIBILITY = Feature(
    "flexibility", ("non-refundable", "refundable with a fee", "fully refundable")
)
BAGS = Feature("bags", ("none", "1 carry-on", "1 carry-on and 1 checked"))

VARIANTS = {
    2: (DURATION, PRICE),
    3: (PRICE, DEPARTURE, DURATION),
    4: (DEPARTURE, DURATION, STOPS, PRICE),
    5: (DEPARTURE, DURATION, BAGS, STOPS, PRICE),
    6: (DEPARTURE, DURATION, FLEXIBILITY, BAGS, STOPS, PRICE),
    7: (DEPARTURE, LAYOVER, DURATION, FLEXIBILITY, BAGS, STOPS, PRICE),
    8: (DEPARTURE, ARRIVAL, LAYOVER, DURATION, FLEXIBILITY, BAGS, STOPS, PRICE),
}


class FlightChoice(PreferenceTask):
    """Recommend the flight that a person with hidden preferences picks.

    ## Description
    Each round shows several flights. The agent recommends one; then the person's own choice is
    revealed (or only whether they accept). The task of Qiu et al. (2026).

    ## Hidden person
    One weight from {-1, -0.5, 0, 0.5, 1} for each feature, not all zero: 624
    vectors for four features, a fixed sample of 1,000 where there are more than 4,000. The person
    picks the flight of greatest utility, the weights times the normalised features, without noise;
    the first of equally good ones. Training, development and test people never meet the same set
    of options, and have different weights unless there are fewer than 100 vectors of them.

    ## Action Space
    `Discrete(N)`: the flight recommended. With `reward="log_score"` a `Box(-1, 1, (N,))` that
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
    of the stated probability of that flight.

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
    | `features` | 4 | 2 to 8, see the module |
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

    noun = "flight"
    variants = VARIANTS

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "You recommend flights to a person whose preferences are specific, unknown to you and "
            "always the same. Work them out from what happens, and each time recommend the flight "
            "that the person prefers.",
            "A traveller has fixed tastes in flights that you do not know. Learn them from the "
            "traveller's reactions, and name the flight that the traveller would take.",
            "Somebody is looking for flights. What they care about never changes, but nobody tells "
            "you; infer it as you go, and pick the flight that they like best.",
        )
