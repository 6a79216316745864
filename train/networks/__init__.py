"""How small networks learn from traces."""

__all__ = ["recipe"]
