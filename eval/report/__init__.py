"""Tables, plots and files that show metrics."""

__all__ = ["report"]
