"""Who is behind the screen: populations, item banks, response models, real respondents."""

__all__ = [
    "classes",
    "humans",
    "item_bank",
    "people",
    "population",
    "preferences",
    "profiles",
    "quirks",
    "raters",
    "response_models",
]
