"""One run of reinforcement learning: what it stands on, its checkpoints, what it leaves."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import LinearSchedule

from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.agents.networks.policy_net import CARD, WEIGHTS, task_shape
from acquaint_gym.envs.files import atomic, write_json
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.eval.runs.command import input_errors
from acquaint_gym.train.recipes.folders import (
    check_out,
    check_recipe,
    check_replaceable,
    clear,
    keep_recipe,
)
from acquaint_gym.train.sb3.dev_evaluation import DevEvaluator, write_curve
from acquaint_gym.train.sb3.env import UserVecEnv
from acquaint_gym.train.sb3.log import writers
from acquaint_gym.train.sb3.recipe import ALGORITHMS, RLRecipe, algorithm_class, falls_from

STATE = "state.pt"
# All that a run leaves beside its recipe.
WRITTEN = (CARD, WEIGHTS, "checkpoint-*", "learning_curve.*", "progress-*.csv", "tensorboard")
_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


class Run:
    """A run in `recipe.out`; an unfinished one of the same recipe is taken up.

    Args:
        recipe: the settings.
        fresh: replace what lies in `out`.
        errors: where progress is shown.

    Raises:
        ValueError: input that cannot be used, or another run in `out`.
    """

    def __init__(self, recipe: RLRecipe, fresh: bool, errors: Console) -> None:
        """Builds everything; writes nothing."""
        self.recipe, self.out, self.errors = recipe, Path(recipe.out), errors
        self._fresh = fresh
        check_out(recipe.out, ())
        if fresh:
            check_replaceable(self.out, lambda found: "algo" in found)
        else:
            check_recipe(self.out, recipe.plain())
        self.done = not fresh and (self.out / CARD).is_file()
        if self.done:
            return
        env = gym.make_vec(
            recipe.env,
            num_envs=recipe.num_envs,
            autoreset_mode=AutoresetMode.DISABLED,
            split="train",
            suite_seed=recipe.suite_seed,
            **recipe.settings,
        ).unwrapped
        assert isinstance(env, UserVectorEnv)
        self.task = env.task
        self.model = self._model(UserVecEnv(env, make_features(recipe.view, env.task)))
        self.examine = DevEvaluator(recipe)

    def _model(self, env: UserVecEnv) -> Any:
        """The algorithm with a policy of random weights."""
        recipe = self.recipe
        algorithm, kind = ALGORITHMS[recipe.algo], algorithm_class(recipe.algo)
        mixed = isinstance(env.observation_space, gym.spaces.Dict)
        net: dict[str, Any] = {
            "net_arch": list(recipe.net_arch),
            "activation_fn": _ACTIVATIONS[recipe.activation],
        }
        if recipe.algo == "recurrent_ppo":
            net["lstm_hidden_size"] = recipe.memory
        arguments = {
            key: value if (start := falls_from(value)) is None else LinearSchedule(start, 0.0, 1.0)
            for key, value in recipe.algorithm.items()
        }
        try:
            model = kind(
                algorithm.mixed if mixed else algorithm.policy,
                env,
                policy_kwargs=net,
                seed=recipe.seed,
                device="cpu",  # such networks are too small for an accelerator
                **arguments,
            )
        except (AssertionError, TypeError, ValueError) as error:
            raise ValueError(f"{kind.__name__}: {' '.join(str(error).split())}") from error
        # Advantages of a batch are divided by their deviation, which one step has not: weights of
        # NaN, but for plain PPO, which leaves such a batch as it is.
        steps = recipe.num_envs * getattr(model, "n_steps", 0)
        if getattr(model, "normalize_advantage", False) and steps % model.batch_size == 1:
            raise ValueError(
                f"num_envs x n_steps = {steps} steps leave a single one for the last batch of "
                f"batch_size={model.batch_size}; change one of the three."
            )
        return model

    def checkpoints(self) -> list[Path]:
        """Folders of complete checkpoints, in order."""
        found = [file.parent for file in self.out.glob(f"checkpoint-*/{STATE}")]
        return sorted((f for f in found if f.name.partition("-")[2].isdecimal()), key=_steps)

    def carry_out(self) -> None:
        """Trains, from the last checkpoint where there is one, and leaves the best in `out`."""
        if self.done:
            self.errors.print(
                f"{self.out}: finished already; --fresh trains again.", highlight=False
            )
            return
        if self._fresh:
            clear(self.out, WRITTEN)
        keep_recipe(self.out, self.recipe.plain())
        since = self._resume()
        logger = Logger(str(self.out), writers(self.recipe, self.out, since))
        self.model.set_logger(logger)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=self.errors, transient=True)
        left = self.recipe.total_steps - since
        try:
            with bar:
                stages = Stages(self, bar, since)
                if left > 0:
                    self.model.learn(left, stages, log_interval=1, reset_num_timesteps=False)
        finally:
            logger.close()
        self._finish()

    def _resume(self) -> int:
        """Takes up the last checkpoint; how many turns it has behind it."""
        found = self.checkpoints()
        if not found:
            return 0
        with input_errors():
            try:
                state = torch.load(found[-1] / STATE, weights_only=True)
                self.model.set_parameters(state["parameters"], device="cpu")
                self.model._n_updates = state["updates"]
            except (RuntimeError, EOFError, UnpicklingError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{found[-1]}: a damaged checkpoint. Remove it, and the same command goes on "
                    "from the one before."
                ) from error
        steps = self.model.num_timesteps = _steps(found[-1])
        if hasattr(self.model, "learning_starts"):  # the memory of DQN is not kept: fill it again
            self.model.learning_starts += steps
        self.errors.print(f"Going on after {steps:,} turns.", highlight=False)
        return steps

    def save(self, steps: int) -> dict[str, float]:
        """A complete checkpoint, with what its policy earns from development people."""
        folder = self.out / f"checkpoint-{steps}"
        folder.mkdir(exist_ok=True)
        save_file(policy_weights(self.model.policy), folder / WEIGHTS)
        card = self.card(steps)
        write_json(folder / CARD, card)
        score = self.examine(folder)
        write_json(folder / CARD, {**card, "dev": score})
        state = {"parameters": self.model.get_parameters(), "updates": self.model._n_updates}
        with atomic(folder / STATE) as partial:
            torch.save(state, partial)
        return score

    def card(self, steps: int) -> dict[str, Any]:
        """What stands beside the weights: all that an agent needs, and how they were made."""
        packages = ("acquaint-gym", "stable_baselines3", "torch")
        final = getattr(self.model, "exploration_final_eps", None)
        return {
            "env": self.recipe.env,
            "settings": self.recipe.settings,
            "algo": self.recipe.algo,
            "view": self.recipe.view,
            "activation": self.recipe.activation,
            "greedy": None if final is None else 1 - final,
            "task": task_shape(self.task),
            "steps": steps,
            "recipe": self.recipe.plain(),
            "versions": {name: metadata.version(name) for name in packages},
        }

    def _finish(self) -> None:
        """The learning curve, and the checkpoint that did best."""
        found = self.checkpoints()
        scores = [json.loads((folder / CARD).read_text("utf-8"))["dev"] for folder in found]
        title = f"{self.recipe.algo} on {self.recipe.env}"
        write_curve(self.out, title, [_steps(f) for f in found], scores, self.examine.beside)
        best = int(np.argmax([score["mean"] for score in scores]))
        for name in (WEIGHTS, CARD):  # the card last: with it the run is finished
            shutil.copyfile(found[best] / name, self.out / name)
        beside = {**self.examine.beside, "policy": scores[best]}
        told = ", ".join(f"{name} {score['mean']:.3f}" for name, score in beside.items())
        self.errors.print(f"{self.out}: done. Rewards of {title}: {told}.", highlight=False)


class Stages(BaseCallback):
    """Cuts a run into stages, each of which depends on weights, seed and number of turns only.

    At the end of a stage it makes a checkpoint; then random generators are seeded anew and all
    lanes meet new people, whether the run was interrupted there or not.
    """

    def __init__(self, run: Run, bar: Progress, since: int) -> None:
        """Starts at a checkpoint, or at the beginning."""
        super().__init__()
        self._run, self._bar, self._saved, self._next = run, bar, since if since else -1, since
        self._row = bar.add_task("", total=run.recipe.total_steps, completed=since)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._bar.update(self._row, completed=self.num_timesteps)
        if self.num_timesteps < self._next:
            return
        self._stop()
        every = self._run.recipe.eval_steps
        self._next = (self.num_timesteps // every + 1) * every
        model: Any = self.model
        words = np.random.SeedSequence([self._run.recipe.seed, self.num_timesteps])
        model.set_random_seed(int(words.generate_state(1)[0] >> 2))
        model._last_obs = model.env.reset()
        model._last_episode_starts = np.ones(model.n_envs, dtype=bool)

    def _on_training_end(self) -> None:
        self._stop()

    def _stop(self) -> None:
        """A checkpoint, unless there is one of this very moment."""
        if self.num_timesteps == self._saved:
            return
        self._saved = self.num_timesteps
        score = self._run.save(self.num_timesteps)
        for part, value in score.items():
            self.logger.record(f"dev/{part}", value)
        self.logger.dump(self.num_timesteps)
        told = f"{self.num_timesteps:,} turns: {score['mean']:.3f}"
        self._bar.update(self._row, description=told)
        self._run.errors.print(told, highlight=False)


def policy_weights(policy: Any) -> dict[str, torch.Tensor]:
    """What decides about actions, under the names of `agents.networks.policy_net.PolicyNet`."""
    values = hasattr(policy, "q_net")
    stack = policy.q_net.q_net if values else [*policy.mlp_extractor.policy_net, policy.action_net]
    layers = [layer for layer in stack if isinstance(layer, torch.nn.Linear)]
    weights = {
        f"layer{n}.{part}": getattr(layer, part)
        for n, layer in enumerate(layers)
        for part in ("weight", "bias")
    }
    if hasattr(policy, "lstm_actor"):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            weights[f"memory.{part}"] = getattr(policy.lstm_actor, f"{part}_l0")
    return {name: part.detach().clone().contiguous() for name, part in weights.items()}


def _steps(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])
