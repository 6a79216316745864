"""Anyone who plays: functions from transcripts to distributions over actions."""

__all__ = [
    "api",
    "baselines",
    "check",
    "contract",
    "core",
    "interviewers",
    "llm",
    "networks",
    "registry",
    "sb3",
    "teacher",
]
