"""Agents by name: `configs/agents/<name>.yaml`, one file an agent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from acquaint_gym.agents.core import Agent
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import check_types, closest, parse_settings, resolve

CONFIGS = resources.files("acquaint_gym.configs") / "agents"


@dataclass(frozen=True)
class AgentSpec:
    """An agent as named on a command line: `NAME` or `NAME:key=value,key=value`.

    Attributes:
        label: the text as typed; what reports call the agent.
        target: `module:Class`.
        arguments: of the agent's constructor.
        task_arguments: of the task that the agent believes in, where they differ from the
            environment's.
    """

    label: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    task_arguments: Mapping[str, Any] = field(default_factory=dict)

    def same_as(self, other: AgentSpec) -> bool:
        """Whether the other is this agent by another name."""
        return (self.target, self.arguments, self.task_arguments) == (
            other.target,
            other.arguments,
            other.task_arguments,
        )

    def build(self, make_task: Callable[..., UserTask], environment: Mapping[str, Any]) -> Agent:
        """The agent, which believes in the environment's task but for its own arguments of it.

        Of the people's quirks it knows nothing, unless its arguments say `quirks=known`, or others.
        """
        arguments = {**environment, "quirks": "none", **self.task_arguments}
        if arguments["quirks"] == "known":
            arguments["quirks"] = environment.get("quirks", "none")
        believed = make_task(**arguments)
        made = resolve(self.target, "Agent")
        try:
            agent: Agent = made(believed, **self.arguments)
        except ValueError as error:
            error.args = (f"{self.label}: {error}",)
            raise
        return agent

    def start_afresh(self) -> None:
        """See `Agent.start_afresh`."""
        resolve(self.target, "Agent").start_afresh(self.arguments)


def agent_names() -> list[str]:
    """Names of all agents, from the files in `configs/agents/`."""
    return sorted(
        f.name.removesuffix(".yaml") for f in CONFIGS.iterdir() if f.name.endswith(".yaml")
    )


def parse_agent(
    text: str, task_keys: list[str], common: Mapping[str, Any] | None = None
) -> AgentSpec:
    """Reads `NAME[:key=value,...]`: a shipped agent, a YAML file of one's own, or `module:Class`.

    A key is an argument of the agent's constructor, or else of its task.

    Args:
        text: as typed.
        task_keys: arguments that the environment's task takes.
        common: settings of `--set agent.key=value`; those this agent has no use for are left out.

    Raises:
        ValueError: unknown agent or key, or an unreadable file; one line, with the nearest name.
    """
    name, _, inline = text.partition(":")
    own_class, _, rest = inline.partition(":")
    if name not in agent_names() and own_class.isidentifier():
        name, inline = f"{name}:{own_class}", rest
        target, settings = name, dict[str, Any]()
        own = _own_arguments(target)
    else:
        target, settings, own = _read(name)
    usable = {k: v for k, v in (common or {}).items() if k in own or k in task_keys}
    chosen = usable | parse_settings(inline.split(",") if inline else [])
    for key in chosen:
        if key not in own and key not in task_keys:
            raise ValueError(f"{name}: unknown key {closest(key, [*own, *task_keys])}")
    arguments = settings | {key: value for key, value in chosen.items() if key in own}
    check_types(name, resolve(target, "Agent"), arguments)
    return AgentSpec(
        label=text,
        target=target,
        arguments=arguments,
        task_arguments={key: value for key, value in chosen.items() if key not in own},
    )


def agent_keys(spec: AgentSpec) -> list[str]:
    """Arguments of an agent's constructor beside its task."""
    return _own_arguments(spec.target)


def _own_arguments(target: str) -> list[str]:
    """Arguments of the constructor of `module:Class` beside the task, which comes first."""
    return list(inspect.signature(resolve(target, "Agent")).parameters)[1:]


def _read(name: str) -> tuple[str, dict[str, Any], list[str]]:
    """What an agent's file says: its class, the arguments given there, and all that there are.

    Raises:
        ValueError: no such agent, or an unreadable file.
    """
    own_file = Path(name)
    if own_file.suffix == ".zip":
        raise ValueError(
            f"{name}: a policy of Stable-Baselines3 is an agent by a file of two lines, my.yaml: "
            f"'agent: acquaint_gym.agents.sb3:SB3Agent' and 'path: {name}'."
        )
    if own_file.suffix != ".yaml" and name not in agent_names():
        raise ValueError(
            f"Unknown agent {closest(name, agent_names())} Or a file of one's own, my.yaml, or a "
            "class, my_module:MyAgent."
        )
    if own_file.suffix == ".yaml" and not own_file.is_file():
        raise ValueError(f"{own_file}: no such agent file.")
    file = own_file if own_file.suffix == ".yaml" else CONFIGS / f"{name}.yaml"
    try:
        settings = yaml.safe_load(file.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: no YAML, {' '.join(str(error).split())}") from error
    target = settings.pop("agent", None) if isinstance(settings, dict) else None
    if not isinstance(target, str):
        raise ValueError(f"{file}: expected `agent: module:Class` and the agent's arguments.")
    try:
        own = _own_arguments(target)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    for key in settings:
        if key not in own:
            raise ValueError(f"{file}: unknown key {closest(key, own)}")
    return target, settings, own
