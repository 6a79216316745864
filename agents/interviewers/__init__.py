"""Agents that choose what to ask."""
