"""What `eval.bench` measures."""

__all__: list[str] = []
