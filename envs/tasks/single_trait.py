"""The flights of `envs.tasks.flights`, with a single trait deciding."""

from __future__ import annotations

from acquaint_gym.envs.tasks.flights import Flights, one_trait


class SingleTrait(Flights):
    """Recommend the flight that suits a person, where one trait alone decides which does.

    ## Description
    `acquaint/Flights-v0` with one trait instead of three, so that what an accepted or rejected
    recommendation says can be attributed: what the study named as its next step. There is
    an id for each of the five traits, `acquaint/SingleTraitOpenness-v0` and so on.

    ## Hidden person
    One of the 3,125 profiles of the questionnaire. A person weighs the normalised features; each
    standard deviation of the trait adds:

    | trait | to the weights of |
    |---|---|
    | Extraversion | departure time 0.8, stops 0.4 |
    | Agreeableness | price 0.8, duration -0.4 |
    | Conscientiousness | departure time -0.8, price -0.4 |
    | Emotional Stability | duration 0.8, stops 0.4 |
    | Openness | stops 0.8, duration 0.4 |

    They take a flight with probability proportional to exp(temperature * utility).

    ## Action Space
    `Discrete(N)`: the flight recommended; with `reward="log_score"` a `Box(-1, 1, (N,))`.

    ## Observation Space
    As `acquaint/Flights-v0`.

    ## Rewards
    `accuracy`: 1 for recommending what the person takes, else 0. `log_score`: the logarithm in nats
    of the stated probability of that flight.

    ## Starting State
    `reset(seed=s)` meets person s, who has the same profile in all personality tasks.

    ## Episode End
    `terminated` after `num_turns` rounds.

    ## Information
    `person`, the number of the person met; after a step `hit`, whether the action was the person's
    answer; with `teacher_info=True` `teacher` `[A]`, the exact predictive of the coming answer.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `trait` | by id | the trait that decides |
    | `feedback` | `accept` | `accept` or `choice` |
    | `context` | `none` | known beforehand: `none`, `traits`, `answers:K`, `ID:K` |
    | `num_turns` | 6 | rounds |
    | `num_options` | 3 | flights a round |
    | `temperature` | 5.0 | inverse temperature of the choice |
    | `parameters` | `study` | of the questionnaire, which make the prior over profiles |
    | `levels` | 5 | levels per trait, equally spaced on theta -2..2 |
    | `reward` | `accuracy` | `accuracy` or `log_score` |

    ## References
    "Bayesian Teaching for Persistent User Modelling in LLMs", University of Edinburgh (2026).

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        trait: str,
        feedback: str = "accept",
        context: str = "none",
        num_turns: int = 6,
        num_options: int = 3,
        temperature: float = 5.0,
        parameters: str = "study",
        levels: int = 5,
        reward: str = "accuracy",
    ) -> None:
        self._trait = trait
        super().__init__(
            feedback=feedback,
            context=context,
            num_turns=num_turns,
            num_options=num_options,
            temperature=temperature,
            mapping=one_trait(trait),
            parameters=parameters,
            levels=levels,
            reward=reward,
        )

    @property
    def stream(self) -> str:
        """See `UserTask.stream`: the five tasks have numbers of their own."""
        return f"{super().stream}/{self._trait}"

    def instructions(self) -> str:
        """See `UserTask.instructions`: which trait it is, not what it does."""
        trait = self._trait
        return self.phrase(
            f"You recommend flights to a person whose {trait} decides which flight suits them "
            f"best. Work out how high they are on {trait} from what happens, and each time "
            "recommend the flight that suits them best.",
            f"What kind of flight a traveller takes depends on their {trait}, which you do not "
            "know. Learn it from the traveller's reactions, and name the flight they would take.",
            f"Somebody is looking for flights, and their {trait} decides which they like. Nobody "
            "says how high it is; infer it as you go, and pick the flight that they like best.",
        )
