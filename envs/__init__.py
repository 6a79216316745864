"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

from envs.registration import register_task

register_task("acquaint/FlightChoice-v0", "envs.tasks.flight_choice:FlightChoice")
register_task("acquaint/HotelChoice-v0", "envs.tasks.hotel_choice:HotelChoice")
register_task("acquaint/Identify-v0", "envs.tasks.identify:Identify")
register_task("acquaint/Interview-v0", "envs.tasks.interview:Interview")
register_task("acquaint/Questionnaire-v0", "envs.tasks.questionnaire:Questionnaire")
register_task("acquaint/ShopChoice-v0", "envs.tasks.shop_choice:ShopChoice")
register_task("acquaint/Flights-v0", "envs.tasks.flights:Flights")
register_task("acquaint/ForcedChoice-v0", "envs.tasks.forced_choice:ForcedChoice")
register_task(
    "acquaint/SingleTraitOpenness-v0", "envs.tasks.single_trait:SingleTrait", trait="Openness"
)
register_task(
    "acquaint/SingleTraitConscientiousness-v0",
    "envs.tasks.single_trait:SingleTrait",
    trait="Conscientiousness",
)
register_task(
    "acquaint/SingleTraitExtraversion-v0",
    "envs.tasks.single_trait:SingleTrait",
    trait="Extraversion",
)
register_task(
    "acquaint/SingleTraitAgreeableness-v0",
    "envs.tasks.single_trait:SingleTrait",
    trait="Agreeableness",
)
register_task(
    "acquaint/SingleTraitEmotionalStability-v0",
    "envs.tasks.single_trait:SingleTrait",
    trait="Emotional Stability",
)
