"""Language models that choose among the task's replies instead of typing freely."""

from acquaint_gym.agents.llm.agent import LLMAgent
from acquaint_gym.agents.llm.choice import ChoiceAgent

__all__ = ["ChoiceAgent", "LLMAgent", "dialogue", "scorer"]
