"""Gymnasium environments for getting to know a hidden person. Importing registers every id."""

from acquaint_gym import envs

__all__ = ["envs"]
