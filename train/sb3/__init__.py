"""Reinforcement learning with Stable-Baselines3."""

__all__ = ["env", "recipe"]
