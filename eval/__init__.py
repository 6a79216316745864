"""The loop in which every agent meets every environment, and what is computed from it."""

__all__ = [
    "belief",
    "bench",
    "compare",
    "metrics",
    "oracles",
    "questions",
    "report",
    "rollout",
    "run",
    "runs",
    "stress",
    "sweep",
    "trace",
]
