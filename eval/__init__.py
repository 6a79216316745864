"""The loop in which every agent meets every environment, and what is computed from it."""
