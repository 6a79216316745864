"""Who is behind the screen: populations, item banks, response models, real respondents."""

from acquaint_gym.envs.users.fast_draws import PersonStreams

__all__ = [
    "PersonStreams",
    "classes",
    "humans",
    "item_bank",
    "people",
    "population",
    "preferences",
    "quirks",
    "raters",
    "response_models",
]
