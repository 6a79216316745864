"""How parameters and populations are fitted to people."""

__all__: list[str] = []
