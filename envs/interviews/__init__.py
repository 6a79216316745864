"""Tasks in which agents choose what to ask: the contract, their episodes, their score."""

__all__ = ["scoring", "task"]
