"""Where the figures of a run of reinforcement learning go."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import CSVOutputFormat, KVWriter, TensorBoardOutputFormat

from acquaint_gym.train.sb3.recipe import RLRecipe


def writers(recipe: RLRecipe, out: Path, since: int) -> list[KVWriter]:
    """CSV, TensorBoard's files where it is installed, and Weights & Biases when asked.

    Args:
        recipe: says whether it was asked.
        out: folder of the run.
        since: how many turns lie behind it; its CSV starts there.
    """
    outputs: list[KVWriter] = [CSVOutputFormat(str(out / f"progress-{since}.csv"))]
    if find_spec("tensorboard") is not None:
        outputs.append(TensorBoardOutputFormat(str(out / "tensorboard")))
    if recipe.report_to == "wandb":
        outputs.append(WandbWriter(out.name, recipe.plain()))
    return outputs


class WandbWriter(KVWriter):
    """Passes the algorithm's figures on to Weights & Biases."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        """Opens a run; `WANDB_MODE`, `WANDB_PROJECT` and so on decide where."""
        import wandb

        self._run = wandb.init(name=name, config=config)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """See `KVWriter.write`."""
        self._run.log(key_values, step=step)

    def close(self) -> None:
        """See `KVWriter.close`."""
        self._run.finish()
