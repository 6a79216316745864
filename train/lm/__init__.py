"""How language models learn from traces."""
