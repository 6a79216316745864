"""How language models learn from traces."""

__all__: list[str] = []
