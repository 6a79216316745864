"""How small networks learn from traces."""
