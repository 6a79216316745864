"""Agents that choose what to ask."""

__all__ = ["base", "infomax", "psychometric"]
