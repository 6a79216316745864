"""The recipe of `train.rl`: its keys, the algorithms, and what is checked of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from acquaint_gym.agents.networks.features import VIEWS
from acquaint_gym.agents.networks.policy_net import ACTIVATIONS
from acquaint_gym.envs.registration import (
    check_settings,
    environment_spec,
    import_package,
    make_task,
)
from acquaint_gym.train.recipes.base import LibraryArguments, Recipe
from acquaint_gym.train.recipes.checks import at_least, one_of, require_extra


class Algorithm(NamedTuple):
    """A way of learning.

    Attributes:
        target: `module:Class`.
        policy: beginning of the name of its policies for a `Box`.
        mixed: the same for a `Dict`.
        masks: whether it heeds which actions are legal.
    """

    target: str
    policy: str = "MlpPolicy"
    mixed: str = "MultiInputPolicy"
    masks: bool = False


ALGORITHMS = {
    "ppo": Algorithm("stable_baselines3:PPO"),
    "recurrent_ppo": Algorithm("sb3_contrib:RecurrentPPO", "MlpLstmPolicy", "MultiInputLstmPolicy"),
    "maskable_ppo": Algorithm("sb3_contrib:MaskablePPO", masks=True),
    "dqn": Algorithm("stable_baselines3:DQN"),
}
# Arguments of the algorithms that follow from the recipe, or that no recipe can write.
_BUFFERS = tuple(
    f"{b}_buffer_{part}" for b in ("replay", "rollout") for part in ("class", "kwargs")
)
_NOT_KEYS = (
    *("policy", "env", "policy_kwargs", "tensorboard_log", "verbose", "seed", "device"),
    *("_init_setup_model", "stats_window_size", "optimize_memory_usage", *_BUFFERS),
)


@dataclass(frozen=True)
class RLRecipe(Recipe):
    """A recipe of reinforcement learning.

    Attributes:
        env: id of a registered environment.
        algo: `ppo`, `recurrent_ppo`, `maskable_ppo` or `dqn`.
        out: folder of the result.
        settings: arguments of the environment's task.
        view: what the policy reads: the environment's own `transcript`, this `turn` only, or the
            exact `belief` in place of the past; see `agents.networks.features`.
        num_envs: people side by side.
        total_steps: turns, of all people together.
        eval_steps: turns between two checkpoints, each of which meets development people.
        eval_users: how many.
        beside: agents that meet them too, for the learning curve; by default `random` and the
            environment's teacher.
        net_arch: widths of the hidden layers, of the policy and of the value each.
        activation: between the layers, `tanh` or `relu`.
        memory: width of the long short-term memory of `recurrent_ppo`.
        seed: of weights, exploration and the order of people.
        suite_seed: number of the world of people.
        report_to: `files`, TensorBoard's where it is installed and CSV, or `wandb` as well.
        packages: modules to import first, which register environments of one's own.
    """

    LIBRARY: ClassVar[str] = "algorithm"

    env: str
    algo: str
    out: str
    settings: dict[str, Any] = field(default_factory=dict)
    view: str = "belief"
    num_envs: int = 64
    total_steps: int = 1_000_000
    eval_steps: int = 100_000
    eval_users: int = 1000
    beside: list[str] = field(default_factory=list)
    net_arch: list[int] = field(default_factory=lambda: [64, 64])
    activation: str = "tanh"
    memory: int = 64
    seed: int = 0
    suite_seed: int = 0
    report_to: str = "files"
    packages: list[str] = field(default_factory=list)
    algorithm: dict[str, Any] = field(default_factory=dict)
    """Arguments of the algorithm, as Stable-Baselines3 names them; `lin_3e-4` falls to zero."""

    def __post_init__(self) -> None:
        """Checks words, numbers, and whether the algorithm can act in the environment."""
        one_of("algo", self.algo, list(ALGORITHMS))
        one_of("view", self.view, list(VIEWS))
        one_of("activation", self.activation, list(ACTIVATIONS))
        one_of("report_to", self.report_to, ("files", "wandb"))
        for name in ("num_envs", "total_steps", "eval_steps", "memory"):
            at_least(name, getattr(self, name), 1)
        at_least("eval_users", self.eval_users, 2)
        for width in self.net_arch:
            at_least("net_arch", width, 1)
        for name, smallest in (("n_steps", 1), ("n_epochs", 1), ("batch_size", 2), ("gamma", 0)):
            at_least(name, self.algorithm.get(name, smallest), smallest)
        if not self.algorithm.get("gamma", 1) <= 1:
            raise ValueError(f"gamma={self.algorithm['gamma']}; expected at most 1.")
        for name in ("seed", "suite_seed"):
            at_least(name, getattr(self, name), 0)
        for package in self.packages:
            import_package(package)
        check_settings(self.env, self.settings)
        fixed = dict(environment_spec(self.env).kwargs)
        task = make_task(fixed.pop("task"), **fixed, **self.settings)
        if task.states_distribution:
            raise ValueError(
                f"{self.env} with reward={self.settings['reward']}: an action states a "
                "distribution there, these algorithms choose one of several; take reward=accuracy."
            )
        if task.restricts_actions and not ALGORITHMS[self.algo].masks:
            raise ValueError(
                f"algo={self.algo}: {self.env} rules actions out, which only maskable_ppo heeds."
            )

    @classmethod
    def library(cls, given: Mapping[str, Any]) -> LibraryArguments:
        """The algorithm's arguments."""
        algo = str(given.get("algo", "ppo"))
        one_of("algo", algo, list(ALGORITHMS))
        kind = algorithm_class(algo)
        names = [key for key in inspect.signature(kind).parameters if key not in _NOT_KEYS]
        words = f", and of {kind.__name__} {', '.join(names)}"
        return LibraryArguments(names, words, check=_check_arguments)


def _check_arguments(source: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The algorithm's arguments; a text among them has to be a schedule."""
    for key, value in arguments.items():
        if isinstance(value, str) and falls_from(value) is None:
            raise ValueError(
                f"{source}: {key}={value!r} is text, expected a number, true or false, or "
                "lin_NUMBER for one that falls to zero."
            )
    return arguments


def algorithm_class(algo: str) -> Any:
    """The algorithm's class; only now, as the import takes seconds.

    Raises:
        ValueError: Stable-Baselines3 is not here.
    """
    module, _, name = ALGORITHMS[algo].target.partition(":")
    with require_extra("rl"):
        return getattr(import_module(module), name)


def falls_from(value: object) -> float | None:
    """The beginning of a schedule `lin_NUMBER`, which falls to zero; None for anything else."""
    if not isinstance(value, str) or not value.startswith("lin_"):
        return None
    try:
        return float(value.removeprefix("lin_"))
    except ValueError:
        return None
