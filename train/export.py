"""Traces in formats of other projects: JSON lines, Hugging Face datasets, Minari.

What an agent may not see stays out, unless it is asked for: the people's hidden levels.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np

from acquaint_gym.envs.files import atomic
from acquaint_gym.envs.gym_env import UserEnv
from acquaint_gym.eval.runs.store import slug
from acquaint_gym.train.sources import TraceSource, load_sources, transcripts

# Where Minari looks for data sets.
ROOT = "MINARI_DATASETS_PATH"


class Form(NamedTuple):
    """A format.

    Attributes:
        package: what it needs.
        remedy: how one gets that.
        write: writes the traces of one environment into a folder.
    """

    package: str | None
    remedy: str
    write: Writer

    def check(self) -> None:
        """Raises a `ValueError` where the package is missing."""
        if self.package is not None and find_spec(self.package) is None:
            raise ValueError(f"--export needs the package {self.package}: {self.remedy}.")


class Writer(Protocol):
    """Writes the traces of one environment."""

    def __call__(self, source: TraceSource, path: Path, with_levels: bool) -> Path:
        """To this path, with an ending of its own; where it lies now."""


def export(form: str, folder: Path, with_levels: bool) -> list[Path]:
    """Writes all traces in a folder of `train.collect`, an environment a file (or folder).

    Args:
        form: key of `EXPORTS`.
        folder: of one split.
        with_levels: the people's hidden levels as well.

    Returns:
        What was written.

    Raises:
        ValueError: a package is missing, or there are no traces.
    """
    EXPORTS[form].check()
    written = []
    for source in load_sources([str(folder)]):
        path = folder / "export" / form / f"{slug(source.run.env)}-{slug(source.run.agent)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        written.append(EXPORTS[form].write(source, path, with_levels))
    return written


def conversations(source: TraceSource, with_levels: bool) -> Iterator[dict[str, Any]]:
    """A table a person.

    `messages` is the whole conversation, ending with the farewell that tells the last answer;
    `turns` holds per reply what was asked (`stimulus`), what stands there (`action`, `reply`), the
    person's own `answer`, and the teacher's `teacher_action` and distribution `teacher_probs`.
    """
    task, trace, observation = source.task, source.run.trace, transcripts(source)
    for row, length in enumerate(trace.length.astype(int)):
        line: dict[str, Any] = {
            "env": source.run.env,
            "person": int(trace.person[row]),
            "messages": task.prompt(observation.person(row)),
            "turns": [
                {
                    "stimulus": trace.stimuli[row, turn].tolist(),
                    "action": int(trace.actions[row, turn]),
                    "reply": task.replies[trace.actions[row, turn]],
                    "answer": int(trace.answers[row, turn]),
                    "teacher_action": int(trace.teacher_actions[row, turn]),
                    "teacher_probs": trace.teacher_probs[row, turn].tolist(),
                }
                for turn in range(length)
            ],
        }
        if with_levels:
            line["levels"] = trace.levels[row].tolist()
        yield line


def _jsonl(source: TraceSource, path: Path, with_levels: bool) -> Path:
    """One conversation a line."""
    file = path.with_name(f"{path.name}.jsonl")
    with atomic(file) as partial, partial.open("w", encoding="utf-8") as lines:
        for conversation in conversations(source, with_levels):
            lines.write(json.dumps(conversation, ensure_ascii=False) + "\n")
    return file


def _datasets(source: TraceSource, path: Path, with_levels: bool) -> Path:
    """A folder for `datasets.load_from_disk`."""
    from datasets import Dataset

    Dataset.from_list(list(conversations(source, with_levels))).save_to_disk(str(path))
    return path


def _minari(source: TraceSource, path: Path, with_levels: bool) -> Path:
    """A data set for `minari.load_dataset`; MINARI_DATASETS_PATH is the folder of `path`."""
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

    config, trace, task = source.run.config, source.run.trace, source.task
    people = config["people"]
    if people["data"] is not None:
        raise ValueError(
            "--export minari: of synthetic people only; their environment is recorded."
        )
    env = gym.make(
        source.run.env,
        split=people["split"],
        suite_seed=people["suite_seed"],
        **config["env_settings"],
    )
    assert isinstance(env.unwrapped, UserEnv)
    transcript, episodes = transcripts(source), []
    actions: Any = trace.actions.astype(np.int64)
    if task.states_distribution:
        flat = np.nan_to_num(trace.action_probs).reshape(-1, len(task.actions))
        actions = task.to_box(flat).reshape(trace.action_probs.shape)
    for row, length in enumerate(trace.length.astype(int)):
        one = transcript.rows(np.full(length + 1, row))
        over = np.arange(length) == length - 1
        early = length < task.num_turns
        # An info goes with every observation, the last one included.
        unknown = np.full((1, len(task.actions)), np.nan)
        infos = {"teacher_probs": np.concatenate([trace.teacher_probs[row, :length], unknown])}
        if with_levels:
            infos["levels"] = np.repeat(trace.levels[row][None], length + 1, axis=0)
        episodes.append(
            EpisodeBuffer(
                id=row,
                seed=int(trace.person[row]),
                observations=dict(one.at(np.arange(length + 1), task)),
                actions=actions[row, :length],
                rewards=trace.rewards[row, :length].tolist(),
                terminations=(over & (not early)).tolist(),
                truncations=(over & early).tolist(),
                infos=infos,
            )
        )
    agent = re.sub(r"[^\w-]", "_", source.run.agent)
    name = f"{source.run.env.partition('-v')[0]}/{agent}-{people['split']}-v0"
    shutil.rmtree(path.parent / name, ignore_errors=True)
    before = os.environ.get(ROOT)
    os.environ[ROOT] = str(path.parent.resolve())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it would like to have an author
            minari.create_dataset_from_buffers(
                name, episodes, env=env, algorithm_name=source.run.agent, data_format="arrow"
            )
    finally:
        os.environ.pop(ROOT)
        os.environ |= {} if before is None else {ROOT: before}
    return path.parent / name


EXPORTS = {
    "jsonl": Form(None, "", _jsonl),
    "datasets": Form("datasets", "pip install datasets", _datasets),
    "minari": Form("minari", "pip install 'minari[arrow]'", _minari),
}
