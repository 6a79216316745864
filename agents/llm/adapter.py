"""What a trained model says of how it was made, and whether it is used as it was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.core import Context, UserTask
from acquaint_gym.envs.files import digest
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams

FILE = "adapter.json"
# People whose prompts stand for all; of a large file so many blocks, evenly spread, stand for it.
_PEOPLE, _BLOCKS = 3, 256
# What a config.json says beside the architecture.
_PASSING = {"transformers_version", "dtype", "torch_dtype", "_name_or_path"}

Messages = list[dict[str, str]]


def read_adapter(folder: str | Path) -> dict[str, Any] | None:
    """What `train.distill` wrote beside the weights; None where somebody else trained them.

    Raises:
        ValueError: a damaged file.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None
    made: dict[str, Any] = _json(file)
    if not _complete(made):
        raise ValueError(
            f"{file}: not what train.distill writes; train again, or get the file anew."
        )
    return made


def _json(file: Path) -> Any:
    """What a file holds."""
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{file}: no JSON ({error}); train again, or get the file anew."
        ) from error


def _complete(made: Any) -> bool:
    """Whether everything is there that is read below."""

    def has(part: Any, *keys: str) -> bool:
        return isinstance(part, dict) and set(keys) <= set(part)

    return (
        has(made, "tuning", "base", "environments", "versions")
        and has(made["base"], "model", "revision", "weights")
        and has(made["versions"], "acquaint-gym")
        and isinstance(made["environments"], list)
        and all(
            has(env, "env", "task", "arguments", "prompts", "tokens")
            and isinstance(env["task"], str)
            and isinstance(env["arguments"], dict)
            for env in made["environments"]
        )
    )


def check_adapter(folder: str | Path, model: str, revision: str | None, dialogue: Dialogue) -> None:
    """Refuses weights that were trained on another base, or on prompts that are written otherwise.

    Other tasks and settings than those of training are welcome: that is transfer. What may not
    happen is that the same task with the same settings reads otherwise than in training.

    Args:
        folder: of the adapter, or of the whole model where all its weights were trained.
        model: the base, a folder or a hub id that is on this disk.
        revision: of a hub model.
        dialogue: how the base's tokenizer and chat template write conversations.

    Raises:
        ValueError: one line that says what differs, or which task of training cannot be made any
            more. Nothing is refused without an `adapter.json`, nor for a task of training whose
            package is not installed.
    """
    made = read_adapter(folder)
    if made is None:
        return
    base = made["base"]
    if made["tuning"] == "lora":
        weights = weights_digest(model, revision)
        if weights != base["weights"]:
            raise ValueError(
                f"Adapter {str(folder)!r} was trained on {base['model']} (weights "
                f"{base['weights']}, revision {base['revision']}), {model!r} has weights "
                f"{weights}: name the base it was trained on, or train an adapter for this one."
            )
        # The same weights are another model with, say, another number of heads. Adapters that were
        # made before this was recorded do not say.
        config = config_digest(model, revision)
        if config != base.get("config", config):
            raise ValueError(
                f"Adapter {str(folder)!r} was trained on {base['model']} (config.json "
                f"{base['config']}, revision {base['revision']}), {model!r} has {config}: its "
                "weights are the same, its architecture is not. Get its config.json anew."
            )
    for env in made["environments"]:
        if not _is_installed(env["task"]):
            continue  # a task of somebody else's, which is not what is asked about here
        try:
            task = make_task(env["task"], **env["arguments"])
        except ValueError as error:
            raise ValueError(
                f"{folder}: trained on {env['env']}, whose prompts cannot be compared with those "
                f"of training: {error} Use the version of then "
                f"({made['versions']['acquaint-gym']}), or train again."
            ) from error
        now = {"prompts": prompt_digest(task), "tokens": token_digest(task, dialogue)}
        for part, culprit in (("prompts", "this task's prompts"), ("tokens", "chat template")):
            if now[part] != env[part]:
                raise ValueError(
                    f"{folder}: trained on {env['env']} with {part} {env[part]}, which are "
                    f"{now[part]} here; the {culprit} or the tokenizer changed since. "
                    f"{_template_differences(made, dialogue)}Use the version of then "
                    f"({made['versions']['acquaint-gym']}), or train again."
                )


def _template_differences(made: dict[str, Any], dialogue: Dialogue) -> str:
    """How the chat template was used in training, where that differs and is recorded."""
    now, then = dialogue.template.identity(), made.get("chat_template", {})
    differing = {key: value for key, value in then.items() if now.get(key) != value}
    words = [f"{key} {value!r} then, {now.get(key)!r} now" for key, value in differing.items()]
    return f"Of the chat template: {'; '.join(words)}. " if words else ""


def _is_installed(target: str) -> bool:
    """Whether the package of a task `module:Class` is here, so that the task must be there too."""
    top = target.partition(":")[0].partition(".")[0]
    return find_spec(top) is not None


def fixed_prompts(task: UserTask) -> list[Messages]:
    """The finished conversations of a few made-up people, the same on every machine.

    They depend on what is asked and how it is written, not on how people answer.
    """
    transcripts = _transcripts(task)
    return [task.prompt(transcripts.person(row)) for row in range(_PEOPLE)]


def prompt_digest(task: UserTask) -> str:
    """Digest of how a task writes its prompts."""
    return digest([json.dumps(fixed_prompts(task)).encode()])


def token_digest(task: UserTask, dialogue: Dialogue) -> str:
    """Digest of how a tokenizer and its chat template write a task's prompts."""
    return digest([json.dumps([dialogue.encode(m).ids for m in fixed_prompts(task)]).encode()])


def weights_digest(
    model: str, revision: str | None = None, block: int = 2**16, name: str = "model"
) -> str:
    """Digest of a model's weights as they lie on disk; of large files 256 blocks.

    Args:
        model: a folder, or a hub id that is on this disk.
        revision: of a hub model.
        block: bytes of a block, by default 64 KiB. Digests with other blocks are others.
        name: how the names of the files begin.

    Raises:
        ValueError: there are none.
    """
    folder = _on_disk(model, revision)
    files = sorted(folder.glob(f"{name}*.safetensors"))
    if not files:
        raise ValueError(f"{model}: no {name}*.safetensors in {folder}.")
    return digest(part for file in files for part in _samples(file, block))


def _samples(file: Path, block: int) -> Iterator[bytes]:
    """Name and size of a file, and blocks of it, evenly spread."""
    size = file.stat().st_size
    yield f"{file.name} {size}\n".encode()
    with file.open("rb") as content:
        for start in np.linspace(0, max(0, size - block), _BLOCKS).astype(np.int64):
            content.seek(int(start))
            yield content.read(block)


def model_info(model: str, revision: str | None, adapter: str | None) -> dict[str, str]:
    """What reports say of a model, see `Agent.model_info`; nothing of weights that are elsewhere.

    Args:
        model: a folder, or a hub id.
        revision: of a hub model; by default that of the copy on this disk.
        adapter: folder of an adapter, or None.
    """
    info = {"model": model} if adapter is None else {"model": model, "adapter": adapter}
    try:
        folder = _on_disk(model, revision)
        info["weights"] = weights_digest(model, revision)
        if adapter is not None:
            info["adapter_weights"] = weights_digest(adapter, name="adapter_model")
    except ValueError:  # an engine of one's own keeps them where it likes
        folder = Path(model)
    # The hub's copies lie in folders named after their commits.
    return info if folder == Path(model) else {**info, "revision": folder.name}


def config_digest(model: str, revision: str | None = None) -> str:
    """Digest of a model's `config.json`, but for what says nothing of its architecture.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    file = _on_disk(model, revision) / "config.json"
    if not file.is_file():
        raise ValueError(f"{model}: no config.json in {file.parent}.")
    return digest([json.dumps(_architecture(_json(file)), sort_keys=True).encode()])


def _architecture(config: Any) -> Any:
    """A config without who wrote it, from where and in which type; nor do its parts say so."""
    if not isinstance(config, dict):
        return config
    return {key: _architecture(part) for key, part in config.items() if key not in _PASSING}


def _on_disk(model: str, revision: str | None) -> Path:
    """The folder of a model, which may be a hub's copy on this disk."""
    folder = Path(model)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                local_files_only=True,
                allow_patterns=["model*.safetensors", "config.json"],
            )
        )
    except OSError as error:
        raise ValueError(f"{model}: not on this disk ({error}).") from error


def _transcripts(task: UserTask) -> Transcript:
    """Finished transcripts of made-up people who give each answer in turn."""
    uniform = PersonStreams(0, "prompts", task.num_uniforms).uniform(np.arange(_PEOPLE))
    stimuli = task.separate_splits(task.draw_stimuli(uniform)[:, : task.num_turns], "train")
    actions = _pattern(task.num_turns, 1, len(task.actions))
    answers = _pattern(task.num_turns, 2, 2 if task.binary_feedback else len(task.categories))
    context = None if task.context is None else _describe_context(task.context)
    turn = np.full(_PEOPLE, task.num_turns)
    return Transcript.of(turn, stimuli, actions, answers, context=context)


def _describe_context(context: Context) -> Any:
    """`[P, C * (S' + 1)]` the beginning of another task with the same made-up people."""
    transcripts = _transcripts(context.task)
    return context.pack(transcripts.stimuli, transcripts["answers"].astype(np.int64))


def _pattern(turns: int, step: int, number: int) -> Any:
    """`[P, T]` 0..number-1 in turn, another beginning for each person."""
    return (np.arange(turns) * step + np.arange(_PEOPLE)[:, None]) % number
