"""How the embedded model is made from nothing."""

__all__: list[str] = []
