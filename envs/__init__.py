"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

from envs.core import register_task

register_task("acquaint/FlightChoice-v0", "envs.tasks.flight_choice:FlightChoice")
register_task("acquaint/HotelChoice-v0", "envs.tasks.hotel_choice:HotelChoice")
register_task("acquaint/Questionnaire-v0", "envs.tasks.questionnaire:Questionnaire")
