"""One downstream task a file."""

__all__ = [
    "flight_choice",
    "flights",
    "forced_choice",
    "hotel_choice",
    "identify",
    "interview",
    "options",
    "preferences",
    "questionnaire",
    "shop_choice",
    "single_trait",
]
