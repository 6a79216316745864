"""Agents and experiments as YAML; the first comment of every file is the command that uses it."""

__all__: list[str] = []
