"""How `train.rl` trains: plan a run, then run it, from checkpoint to checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from rich.console import Console
from safetensors.torch import save_file
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import LinearSchedule

from acquaint_gym.agents.networks.features import make_features
from acquaint_gym.agents.networks.policy_net import CARD, WEIGHTS, task_shape
from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.files import atomic, write_json
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.eval.runs.command import input_errors
from acquaint_gym.train.recipes.folders import Finished, RunFolder
from acquaint_gym.train.recipes.provenance import versions
from acquaint_gym.train.sb3.dev_evaluation import PolicyEvaluator, write_curve
from acquaint_gym.train.sb3.env import UserVecEnv
from acquaint_gym.train.sb3.log import writers
from acquaint_gym.train.sb3.recipe import ALGORITHMS, RLRecipe, algorithm_class, falls_from

STATE = "state.pt"
# All that a run leaves beside its recipe.
LEAVES = (CARD, WEIGHTS, "checkpoint-*", "learning_curve.*", "progress-*.csv", "tensorboard")
PACKAGES = ("acquaint-gym", "stable_baselines3", "torch")
_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


def plan(recipe: RLRecipe, fresh: bool, console: Console) -> Training | Finished:
    """Checks a recipe and all it names; an unfinished run of the same recipe is taken up.

    Args:
        recipe: the settings.
        fresh: replace what lies in `out`.
        console: where progress is shown.

    Raises:
        ValueError: input that cannot be used, or another run in `out`; nothing was written.
    """
    folder = RunFolder(
        recipe.out,
        recipe.plain(),
        fresh,
        console,
        leaves=LEAVES,
        ours=lambda before: "algo" in before,
    )
    if not fresh and (folder.path / CARD).is_file():
        return Finished(folder)
    return Training(recipe, folder)


class Training:
    """An algorithm on people side by side, and development people whom its policies meet.

    Args:
        recipe: the settings.
        folder: of the run.

    Attributes:
        recipe: the same.
        folder: the same.
        task: the environment's.
        model: the algorithm with its policy.
        evaluator: says what policies earn.

    Raises:
        ValueError: input that cannot be used.
    """

    def __init__(self, recipe: RLRecipe, folder: RunFolder) -> None:
        self.recipe, self.folder, self._out = recipe, folder, folder.path
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
        self.model = new_model(recipe, UserVecEnv(env, make_features(recipe.view, env.task)))
        self.evaluator = PolicyEvaluator(recipe)

    def checkpoints(self) -> list[Path]:
        """Folders of complete checkpoints, in order."""
        folders = [file.parent for file in self._out.glob(f"checkpoint-*/{STATE}")]
        return sorted((f for f in folders if f.name.partition("-")[2].isdecimal()), key=_steps)

    def run(self) -> None:
        """Trains, from the last checkpoint where there is one, and leaves the best in `out`."""
        self.folder.start()
        since = self._resume()
        logger = Logger(str(self._out), writers(self.recipe, self._out, since))
        self.model.set_logger(logger)
        bar = ProgressBars(self.folder.console, "turns")
        left = self.recipe.total_steps - since
        try:
            with bar:
                callback = SaveAndEvaluate(self, bar, since)
                if left > 0:
                    self.model.learn(left, callback, log_interval=1, reset_num_timesteps=False)
        finally:
            logger.close()
        self._finish()

    def _resume(self) -> int:
        """Takes up the last checkpoint; how many turns it has behind it."""
        if not (checkpoints := self.checkpoints()):
            return 0
        last = checkpoints[-1]
        with input_errors():
            try:
                state = torch.load(last / STATE, weights_only=True)
                self.model.set_parameters(state["parameters"], device="cpu")
                self.model._n_updates = state["updates"]
            except (RuntimeError, EOFError, UnpicklingError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{last}: a damaged checkpoint. Remove it, and the same command goes on "
                    "from the one before."
                ) from error
        steps = self.model.num_timesteps = _steps(last)
        if hasattr(self.model, "learning_starts"):  # the memory of DQN is not kept: fill it again
            self.model.learning_starts += steps
        self.folder.console.print(f"Going on after {steps:,} turns.", highlight=False)
        return steps

    def save(self, steps: int) -> dict[str, float]:
        """A complete checkpoint, with what its policy earns from development people."""
        folder = self._out / f"checkpoint-{steps}"
        folder.mkdir(exist_ok=True)
        save_file(policy_weights(self.model.policy), folder / WEIGHTS)
        card = self.card(steps)
        write_json(folder / CARD, card)
        score = self.evaluator(folder)
        write_json(folder / CARD, {**card, "dev": score})
        state = {"parameters": self.model.get_parameters(), "updates": self.model._n_updates}
        with atomic(folder / STATE) as partial:
            torch.save(state, partial)
        return score

    def card(self, steps: int) -> dict[str, Any]:
        """What stands beside the weights: all that an agent needs, and how they were made."""
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
            "versions": versions(PACKAGES),
        }

    def _finish(self) -> None:
        """The learning curve, and the checkpoint that did best."""
        checkpoints = self.checkpoints()
        scores = [json.loads((folder / CARD).read_text("utf-8"))["dev"] for folder in checkpoints]
        title = f"{self.recipe.algo} on {self.recipe.env}"
        write_curve(
            self._out, title, [_steps(f) for f in checkpoints], scores, self.evaluator.beside
        )
        best = int(np.argmax([score["mean"] for score in scores]))
        for name in (WEIGHTS, CARD):  # the card last: with it the run is finished
            shutil.copyfile(checkpoints[best] / name, self._out / name)
        beside = {**self.evaluator.beside, "policy": scores[best]}
        earned = ", ".join(f"{name} {score['mean']:.3f}" for name, score in beside.items())
        self.folder.say(f"done. Rewards of {title}: {earned}.")


def new_model(recipe: RLRecipe, env: UserVecEnv) -> Any:
    """The algorithm with a policy of random weights.

    Raises:
        ValueError: arguments that it does not take, or that leave a batch of a single step.
    """
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


class SaveAndEvaluate(BaseCallback):
    """Cuts a run into stages, each of which depends on weights, seed and number of turns only.

    At the end of a stage it makes a checkpoint; then random generators are seeded anew and all
    lanes meet new people, whether the run was interrupted there or not.
    """

    def __init__(self, training: Training, bar: ProgressBars, since: int) -> None:
        super().__init__()
        self._training, self._bar, self._saved, self._next = (
            training,
            bar,
            since if since else -1,
            since,
        )
        self._row = bar.add_task("", total=training.recipe.total_steps, completed=since)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._bar.update(self._row, completed=self.num_timesteps)
        if self.num_timesteps < self._next:
            return
        self._stop()
        every = self._training.recipe.eval_steps
        self._next = (self.num_timesteps // every + 1) * every
        model: Any = self.model
        words = np.random.SeedSequence([self._training.recipe.seed, self.num_timesteps])
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
        score = self._training.save(self.num_timesteps)
        for part, value in score.items():
            self.logger.record(f"dev/{part}", value)
        self.logger.dump(self.num_timesteps)
        line = f"{self.num_timesteps:,} turns: {score['mean']:.3f}"
        self._bar.update(self._row, description=line)
        self._training.folder.console.print(line, highlight=False)


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
