"""Agents that see the truth; they live with the evaluator."""

__all__ = ["clairvoyant", "hindsight"]
