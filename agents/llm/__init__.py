"""Language models that choose among the task's replies instead of typing freely."""

from agents.llm.agent import LLMAgent
from agents.llm.choice import ChoiceAgent

__all__ = ["ChoiceAgent", "LLMAgent"]
