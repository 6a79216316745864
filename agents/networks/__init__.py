"""Small networks as agents: GRUs that imitate, policies that reinforcement learning trained."""

__all__ = ["forms", "gru", "policy"]
