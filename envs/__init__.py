"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import register_task
from acquaint_gym.envs.transcript import Transcript

__all__ = [
    "Transcript",
    "UserTask",
    "check",
    "contract",
    "core",
    "data",
    "gym_env",
    "inference",
    "interviews",
    "names",
    "prompt",
    "register_task",
    "registration",
    "respondents",
    "simulator",
    "tasks",
    "transcript",
    "users",
]

register_task("acquaint/FlightChoice-v0", "acquaint_gym.envs.tasks.flight_choice:FlightChoice")
register_task("acquaint/HotelChoice-v0", "acquaint_gym.envs.tasks.hotel_choice:HotelChoice")
register_task("acquaint/Identify-v0", "acquaint_gym.envs.tasks.identify:Identify")
register_task("acquaint/Interview-v0", "acquaint_gym.envs.tasks.interview:Interview")
register_task("acquaint/Questionnaire-v0", "acquaint_gym.envs.tasks.questionnaire:Questionnaire")
register_task("acquaint/ShopChoice-v0", "acquaint_gym.envs.tasks.shop_choice:ShopChoice")
register_task("acquaint/Flights-v0", "acquaint_gym.envs.tasks.flights:Flights")
register_task("acquaint/ForcedChoice-v0", "acquaint_gym.envs.tasks.forced_choice:ForcedChoice")
register_task(
    "acquaint/SingleTraitOpenness-v0",
    "acquaint_gym.envs.tasks.single_trait:SingleTrait",
    trait="Openness",
)
register_task(
    "acquaint/SingleTraitConscientiousness-v0",
    "acquaint_gym.envs.tasks.single_trait:SingleTrait",
    trait="Conscientiousness",
)
register_task(
    "acquaint/SingleTraitExtraversion-v0",
    "acquaint_gym.envs.tasks.single_trait:SingleTrait",
    trait="Extraversion",
)
register_task(
    "acquaint/SingleTraitAgreeableness-v0",
    "acquaint_gym.envs.tasks.single_trait:SingleTrait",
    trait="Agreeableness",
)
register_task(
    "acquaint/SingleTraitEmotionalStability-v0",
    "acquaint_gym.envs.tasks.single_trait:SingleTrait",
    trait="Emotional Stability",
)
