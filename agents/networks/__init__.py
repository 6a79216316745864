"""Small networks as agents: GRUs that imitate, policies that reinforcement learning trained."""
