"""Everything registered, and the settings it is tested with: one list for all contract suites."""

from __future__ import annotations

from envs.registration import environments


def ids() -> list[str]:
    """Registered environments, without the broken ones that some tests register for a while."""
    return [env_id for env_id in environments() if not env_id.startswith("broken/")]


def cases(settings: dict[str, list[dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
    """Each environment with its defaults, and with each of its settings."""
    return [(env_id, some) for env_id in ids() for some in [{}, *settings.get(env_id, [])]]


def words(value: object) -> str | None:
    """A test's name for a case or a check."""
    if isinstance(value, dict):
        return ",".join(f"{key}={of}" for key, of in value.items()) or "default"
    return getattr(value, "__name__", None)
