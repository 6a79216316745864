"""Recommend flights to a person whose personality decides which one suits them best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from acquaint_gym.envs.names import closest
from acquaint_gym.envs.registration import make_context
from acquaint_gym.envs.tasks.flight_choice import VARIANTS
from acquaint_gym.envs.tasks.options import OptionsTask
from acquaint_gym.envs.users.population import load_profiles
from acquaint_gym.envs.users.preferences import TraitOptions

Weights = Mapping[str, Mapping[str, float]]
EVERYONE = "everyone"
# How the weights of the features change with a standard deviation of each trait. As in the study
# the mapping is arbitrary; each trait moves two features, in a direction of its own.
MAPPING: Weights = {
    "Extraversion": {"departure time": 0.8, "number of stops": 0.4},
    "Agreeableness": {"price": 0.8, "duration": -0.4},
    "Conscientiousness": {"departure time": -0.8, "price": -0.4},
    "Emotional Stability": {"duration": 0.8, "number of stops": 0.4},
    "Openness": {"number of stops": 0.8, "duration": 0.4},
}
TRAITS = ("Openness", "Conscientiousness", "Emotional Stability")


class Flights(OptionsTask):
    """Recommend the flight that suits a person of unknown personality, told accept or reject only.

    ## Description
    Each round shows several flights. The agent recommends one and learns whether the person accepts
    it (or, with `feedback="choice"`, which one they take). The transfer task of the study: with
    `context` it begins with what is known of the person from the questionnaire.

    ## Hidden person
    One of the 3,125 profiles of the questionnaire. Openness, Conscientiousness and Emotional
    Stability jointly decide: a person weighs the normalised features, and each standard deviation
    of Openness adds 0.8 to the weight of stops and 0.4 to that of duration, of Conscientiousness
    -0.8 to departure time and -0.4 to price, of Emotional Stability 0.8 to duration and 0.4 to
    stops. They take a flight with probability proportional to exp(temperature * utility). The study
    calls its mapping arbitrary and does not print it; this one is as arbitrary.

    ## Action Space
    `Discrete(N)`: the flight recommended. With `reward="log_score"` a `Box(-1, 1, (N,))` that
    states a distribution: -1 no weight, 1 all, normalised.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | rounds over so far, 0..T |
    | `stimuli` | `[T * N * 4]` | normalised features of each option of each round |
    | `actions` | `[T]` | the agent's recommendations |
    | `answers` | `[T]` | 1 accepted, 0 rejected; with `feedback="choice"` the person's choices |
    | `context` | `[C * (S' + 1)]` | only with a context: its stimuli and answers |

    With `observation="turn"` only this round's `stimulus` and the last `action` and `answer`.

    ## Rewards
    `accuracy`: 1 for recommending what the person takes, else 0. `log_score`: the logarithm in nats
    of the stated probability of that flight.

    ## Starting State
    `reset(seed=s)` meets person s, who has the same profile and gives the same answers in the
    questionnaire; the next `reset()` person s + 2**20; `options={"person": k}` person k.

    ## Episode End
    `terminated` after `num_turns` rounds.

    ## Information
    `person`, the number of the person met; after a step `hit`, whether the action was the person's
    answer; with `teacher_info=True` `teacher` `[A]`, the exact predictive of the coming answer.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `feedback` | `accept` | `accept` or `choice` |
    | `context` | `none` | known beforehand: `none`, `traits`, `answers:K`, `ID:K` |
    | `num_turns` | 6 | rounds |
    | `num_options` | 3 | flights a round |
    | `temperature` | 5.0 | inverse temperature of the choice |
    | `mapping` | as above | trait -> feature -> weight; trait `everyone` for a common part |
    | `questionnaire` | `ipip50` | the item bank that names the traits |
    | `parameters` | `study` | its parameters, which make the prior over profiles |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    ## References
    "Bayesian Teaching for Persistent User Modelling in LLMs", University of Edinburgh (2026);
    McFadden (1974), in Zarembka (ed.), Frontiers in Econometrics, 105-142 (the choice model).

    ## Version History
    v0: first version.
    """

    noun = "flight"

    def __init__(
        self,
        feedback: str = "accept",
        context: str = "none",
        num_turns: int = 6,
        num_options: int = 3,
        temperature: float = 5.0,
        mapping: Weights | None = None,
        questionnaire: str = "ipip50",
        parameters: str = "study",
        levels: int = 5,
        reward: str = "accuracy",
    ) -> None:
        super().__init__(reward, feedback)
        people = load_profiles(questionnaire, parameters, levels).population
        features = VARIANTS[4]
        names = [feature.name for feature in features]
        rows = {name: np.zeros(len(names)) for name in (EVERYONE, *people.factors)}
        chosen = {name: MAPPING[name] for name in TRAITS} if mapping is None else mapping
        if not chosen:
            raise ValueError("mapping: no trait decides; expected {trait: {feature: weight}}.")
        for trait, weights in chosen.items():
            if trait not in rows:
                raise ValueError(f"mapping: unknown {closest(trait, rows)}")
            if not isinstance(weights, Mapping) or not weights:
                raise ValueError(f"mapping: {trait}: {weights!r}; expected {{feature: weight}}.")
            for name, weight in weights.items():
                if name not in names:
                    raise ValueError(f"mapping: {trait}: unknown {closest(name, names)}")
                if not isinstance(weight, int | float) or not np.isfinite(weight):
                    raise ValueError(f"mapping: {trait}: {name}: {weight!r}; expected a number.")
                rows[trait][names.index(name)] = weight
        base, slopes = rows.pop(EVERYONE), np.stack(list(rows.values()))
        model = TraitOptions(num_options, temperature, people, base, slopes)
        self.lay_out(features, num_turns, num_options, model, people)
        shared = {"questionnaire": questionnaire, "parameters": parameters, "levels": levels}
        self.context = make_context(context, self, shared)

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        return self.phrase(
            "You recommend flights to a person whose personality decides which flight suits them "
            "best. Work out what they are like from what happens, and each time recommend the "
            "flight that suits them best.",
            "What kind of flight a traveller takes depends on their personality, which you do not "
            "know. Learn it from the traveller's reactions, and name the flight they would take.",
            "Somebody is looking for flights, and their character decides which they like. Nobody "
            "describes them; infer it as you go, and pick the flight that they like best.",
        )


def one_trait(trait: str) -> Weights:
    """The mapping in which this trait alone decides.

    Raises:
        ValueError: a trait without a mapping.
    """
    if trait not in MAPPING:
        raise ValueError(f"Unknown trait {closest(trait, MAPPING)}")
    return {trait: MAPPING[trait]}
