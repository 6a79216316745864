"""One entry point a method: parameters and populations fitted to people, agents trained."""

__all__ = [
    "collect",
    "distill",
    "distill_bench",
    "dpo",
    "export",
    "fit_items",
    "fit_population",
    "fit_raters",
    "gru",
    "micro",
    "networks",
    "plan_interviews",
    "recipes",
    "rl",
    "rl_bench",
    "sb3",
    "sft",
    "sources",
]
