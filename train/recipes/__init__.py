"""What trainings take: keys, checks, folders."""

__all__ = ["language_model"]
