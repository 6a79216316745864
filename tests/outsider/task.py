"""Another task: how does a guest like this tea?"""

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import ResponseModel


class Nearness(ResponseModel):
    """A guest likes one sweetness and one strength; adjacent-category logits of the distance."""

    def probs(self, levels, stimulus):  # [..., 2] levels 0..6, [..., 2] cups in 0..1
        liking = 2 - 5 * np.abs(stimulus - levels / 6).mean(axis=-1, keepdims=True)
        weights = np.exp(liking * np.arange(3))
        return weights / weights.sum(axis=-1, keepdims=True)


class Tea(UserTask):
    """Guess how a guest takes a cup of tea; what the guest does is then revealed.

    ## Description
    Every turn offers one cup of some sweetness and strength to the same guest.
    ## Hidden person
    The sweetness and the strength that the guest likes, one of seven each.
    ## Action Space
    `Discrete(3)`: leaves it, drinks it, asks for more. With `reward="log_score"` their weights.
    ## Observation Space
    `turn`; `stimuli`, `actions` and `answers` so far, -1 where nothing stands yet.
    ## Rewards
    1 for a hit, else 0; or the logarithm of the probability given to what the guest does.
    ## Starting State
    `reset(seed=s)` meets guest s.
    ## Episode End
    After `num_turns` cups.
    ## Information
    `person`, the guest's number, on reset.
    ## Arguments
    `num_turns`: turns (6). `reward`: `accuracy` (the default) or `log_score`.
    ## References
    None.
    ## Version History
    v0: first version.
    """

    def __init__(self, num_turns: int = 6, reward: str = "accuracy"):
        super().__init__(reward)
        self.num_turns, self.num_uniforms = num_turns, 2 * num_turns
        self.actions = ("leaves it", "drinks it", "asks for more")
        self.stimulus_low, self.stimulus_high = np.zeros(2), np.ones(2)
        self.population = Population.profiles(["sweetness", "strength"], np.linspace(-2, 2, 7))
        self.model = Nearness()

    def draw_stimuli(self, uniform):
        return uniform.reshape(-1, self.num_turns, 2)

    def instructions(self):
        return "A guest is served tea, cup after cup. What does the guest do with the next one?"

    def question(self, stimulus):
        return f"A cup {100 * stimulus[0]:.0f} % sweet and {100 * stimulus[1]:.0f} % strong."
