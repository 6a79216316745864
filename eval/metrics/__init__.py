"""What is computed from traces, and its intervals."""
