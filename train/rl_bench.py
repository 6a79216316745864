"""Speed of training on our vector environments, beside CartPole: `python -m train.rl_bench`.

Both are trained by Stable-Baselines3's PPO with the same settings and hidden layers, in turns, on
as many environments side by side; CartPole as its manual has it, with `make_vec_env`. A step is an
environment's; its collection and its share of the updates are counted, in seconds of this process
on one core, which other processes do not blur.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.envs.console import program, screen, track
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.eval.bench import PEER, one_core, ratio
from acquaint_gym.train.sb3.env import UserVecEnv

ENVS = ("acquaint/Questionnaire-v0", "acquaint/FlightChoice-v0", "acquaint/Interview-v0")


def ours(env_id: str, num_envs: int, view: str) -> VecEnv:
    """One of our environments, as `train.rl` makes it."""
    env = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode=AutoresetMode.DISABLED).unwrapped
    assert isinstance(env, UserVectorEnv)
    return UserVecEnv(env, make_features(view, env.task))


def trainer(env: VecEnv, options: argparse.Namespace) -> Callable[[], float]:
    """A measurement: steps per second of several iterations of PPO, after a first one."""
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=options.n_steps,
        batch_size=options.batch_size,
        n_epochs=options.n_epochs,
        policy_kwargs={"net_arch": options.net_arch},
        seed=0,
        device="cpu",
    )
    model.set_logger(Logger(None, []))
    model.learn(1)

    def measure() -> float:
        start, before = time.process_time(), model.num_timesteps
        model.learn(options.iterations * options.n_steps * env.num_envs, reset_num_timesteps=False)
        return (model.num_timesteps - before) / (time.process_time() - start)

    return measure


def bench(num_envs: int, options: argparse.Namespace) -> Table:
    """Our environments beside CartPole, at one number of environments."""
    made: dict[tuple[str, str], Any] = {(PEER, ""): make_vec_env(PEER, num_envs)}
    for env_id in options.env:
        for view in options.view:
            made[env_id, view] = ours(env_id, num_envs, view)
    measures = {name: trainer(env, options) for name, env in made.items()}
    speeds: dict[tuple[str, str], list[float]] = {name: [] for name in measures}
    words = f"{num_envs} environments"
    for _ in track(range(options.rounds), words, "rounds"):
        for name, measure in measures.items():
            speeds[name].append(measure())
    table = Table(
        title=f"PPO on {words}, hidden layers {options.net_arch}, {options.n_steps} steps a "
        f"rollout, {options.n_epochs} epochs, batches of {options.batch_size}: median of "
        f"{options.rounds} rounds",
        title_justify="left",
    )
    for column in ("environment", "view", "numbers seen", "steps/s", f"of {PEER}"):
        table.add_column(column, justify="left" if column in ("environment", "view") else "right")
    for name, speed in speeds.items():
        size = made[name].observation_space.shape[0]
        share = f"{ratio(speed, speeds[PEER, '']):.2f}"
        table.add_row(*name, str(size), f"{statistics.median(speed):,.0f}", share)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    cli = argparse.ArgumentParser(prog=program("train.rl_bench"), description=__doc__)
    cli.add_argument("--env", nargs="+", default=list(ENVS), metavar="ID")
    cli.add_argument("--view", nargs="+", default=["belief", "turn"], choices=["belief", "turn"])
    cli.add_argument("--sizes", type=int, nargs="+", default=[8, 64, 256], metavar="B")
    cli.add_argument("--rounds", type=int, default=5, help="times each is measured (5)")
    for name, default, words in (
        ("iterations", 2, "of PPO in one measurement"),
        ("n-steps", 64, "steps of each environment in an iteration"),
        ("batch-size", 512, "steps in a gradient"),
        ("n-epochs", 4, "passes over an iteration's steps"),
    ):
        cli.add_argument(f"--{name}", type=int, default=default, help=f"{words} ({default})")
    cli.add_argument("--net-arch", type=json.loads, default=[64, 64], help="([64, 64])")
    options = cli.parse_args(arguments)
    numbers = (options.rounds, options.iterations, options.n_epochs, *options.sizes)
    if min(numbers) < 1 or min(options.n_steps * min(options.sizes), options.batch_size) < 2:
        cli.error("expected at least 1 of everything, and 2 steps in an iteration and a gradient")
    for env_id in options.env:
        try:
            ours(env_id, 1, options.view[0])
        except (gym.error.Error, ValueError) as error:
            cli.error(f"--env {env_id}: {error}")
    console = screen()
    console.print(one_core(), highlight=False)
    for num_envs in options.sizes:
        console.print(bench(num_envs, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
