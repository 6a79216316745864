"""Everything registered, and the settings it is tested with: one list for all contract suites."""

from __future__ import annotations

from kit import ROOT

from acquaint_gym.agents.registry import agent_names, parse_agent
from acquaint_gym.envs.registration import environments

# Counted here and nowhere else: what vanished unnoticed would leave every suite content.
ENVIRONMENTS, AGENTS = 13, 17


def ids() -> list[str]:
    """Registered environments, without those that tests register: broken ones, and a stranger's."""
    return [env_id for env_id in environments() if env_id.startswith("acquaint/")]


def cases(settings: dict[str, list[dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
    """Each environment with its defaults, and with each of its settings."""
    return [(env_id, some) for env_id in ids() for some in [{}, *settings.get(env_id, [])]]


def words(value: object) -> str | None:
    """A test's name for a case or a check."""
    if isinstance(value, dict):
        return ",".join(f"{key}={of}" for key, of in value.items()) or "default"
    return getattr(value, "__name__", None)


def from_the_hub() -> list[str]:
    """Agents without weights: they name a model, and no folder of that name is here."""
    named = {name: parse_agent(name, []).arguments.get("model") for name in agent_names()}
    return [name for name, model in named.items() if model and not (ROOT / str(model)).is_dir()]


def to_be_trained() -> list[str]:
    """Networks that are not shipped: they name the folder that training writes."""
    return [name for name in agent_names() if "path" in parse_agent(name, []).arguments]


def at_hand() -> list[str]:
    """Agents that can be built here and now."""
    missing = [*from_the_hub(), *to_be_trained()]
    return [name for name in agent_names() if name not in missing]
