"""Language models behind an OpenAI-compatible server."""

from acquaint_gym.agents.api.agent import ApiAgent

__all__ = ["ApiAgent"]
