"""What a trace depends on beside its settings, and on what machine it was made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import metadata
from importlib.util import find_spec
from os.path import exists
from pathlib import Path
from typing import Any

from acquaint_gym.envs.files import digest, file_sha256, find_folder, locate

# Of this module's own package only the loop decides traces; reports may change freely.
DECIDING = (
    "acquaint_gym.envs",
    "acquaint_gym.agents",
    "acquaint_gym.eval.oracles",
    "acquaint_gym.eval.rollout",
    "acquaint_gym.eval.runs.evaluation",
)


def is_ours(target: str) -> bool:
    """Whether `module:Class` is code of this package that decides traces; else it is a plug-in."""
    module = target.partition(":")[0]
    return any(module == name or module.startswith(f"{name}.") for name in DECIDING)


# `module:Class`.
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def of_files(paths: Iterable[Path]) -> str:
    """Digest of the names and contents of files."""
    return digest(path.name.encode() + b"\0" + path.read_bytes() for path in sorted(paths))


@cache
def of_code(modules: tuple[str, ...], deciding: tuple[str, ...] = DECIDING) -> str:
    """Digest of the code and data that decide traces, and of other modules, as on disk.

    Raises:
        ModuleNotFoundError: a module that decides traces is not there, e.g. since it was renamed;
            to skip it would re-use traces of other code.
    """
    return _of_modules((*deciding, *modules))


@cache
def of_modules(modules: tuple[str, ...]) -> str:
    """Digest of the code of some modules, and of what lies beside them.

    Raises:
        ModuleNotFoundError: one of them is not there.
    """
    return _of_modules(modules)


def modules_of(settings: Iterable[Any]) -> list[str]:
    """Modules of the classes that settings name as `module:Class`, e.g. a scorer.

    Other texts of this form, as names of models are, lead to no module that can be found.
    """
    texts = {value for value in settings if isinstance(value, str) and _TARGET.fullmatch(value)}
    modules = sorted({text.partition(":")[0] for text in texts})
    return [module for module in modules if _is_here(module)]


def _is_here(module: str) -> bool:
    """Whether there is a module of this name; one in a package that is not there is not."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _of_modules(modules: tuple[str, ...]) -> str:
    """See `of_modules`; reads the files anew."""
    files: set[Path] = set()
    for name in modules:
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(
                f"No module {name!r}, whose code decides traces: eval/runs/fingerprint.py "
                "lists ours, --import and the targets of tasks and agents name others.",
                name=name,
            )
        if spec.submodule_search_locations is not None:
            for folder in map(Path, spec.submodule_search_locations):
                files |= {f for f in folder.rglob("*") if f.suffix in (".py", ".csv")}
        elif spec.origin is not None:
            # A module of one's own may use others beside it.
            origin = Path(spec.origin)
            files |= {origin} if name in DECIDING else set(origin.parent.glob("*.py"))
    return of_files(files)


def of_respondents(data: str) -> dict[str, str]:
    """Name and digest of a file of respondents, wherever it lies.

    Raises:
        ValueError: there is none.
    """
    file = locate(data)
    try:
        state = file.stat()
    except OSError as error:
        raise ValueError(f"{file}: no such file ({error.strerror}).") from error
    return {"file": Path(data).name, "sha256": _sha256(file, state.st_size, state.st_mtime_ns)}


@lru_cache(maxsize=4)
def _sha256(file: Path, size: int, changed: int) -> str:
    """Digest of a file, worked out again only when its size or its time of change is another."""
    return file_sha256(file)


def of_settings(settings: Iterable[Any]) -> dict[str, str]:
    """Digests of files that settings name; of weights, of names, sizes and times.

    Other folders are written to, as the cache of a server's answers is, and decide nothing.
    """
    digests = {}
    for value in settings:
        if not isinstance(value, str) or not value:
            continue
        # Respondents' files may lie in the folder that ACQUAINT_DATA names.
        is_table = value.endswith((".csv", ".gz", ".zip"))
        path = locate(value) if is_table else Path(find_folder(value))
        if not exists(path):  # of pathlib it raises for long texts
            continue
        if path.is_dir() and not list(path.glob("*.safetensors")):
            continue
        if path.is_dir() or path.suffix == ".gguf":
            files = path.iterdir() if path.is_dir() else [path]
            parts = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
            digests[value] = digest([repr(sorted(parts)).encode()])
        else:
            digests[value] = of_files({path, *_beside(path)})
    return digests


def _beside(path: Path) -> set[Path]:
    """What may be read with a file: responses and parameters of items, correlations of traits."""
    return set(path.parent.glob(f"{path.stem.removesuffix('_items')}_*.csv"))


# Module -> distribution; a version is recorded where the module is loaded.
PACKAGES = {
    "accelerate": "accelerate",
    "gymnasium": "gymnasium",
    "numpy": "numpy",
    "peft": "peft",
    "sb3_contrib": "sb3-contrib",
    "scipy": "scipy",
    "stable_baselines3": "stable-baselines3",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "trl": "trl",
    "vllm": "vllm",
}
# The top of the checkout, if the package is not installed elsewhere.
ROOT = Path(__file__).parents[2]


def machine() -> dict[str, Any]:
    """Python, system, processor, accelerator, and versions of the packages that are loaded."""
    return {
        "python": platform.python_version(),
        "os": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerator": accelerator(),
        "versions": {
            distribution: metadata.version(distribution)
            for module, distribution in PACKAGES.items()
            if module in sys.modules
        },
    }


def distinct_machines(seen: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each of what `machine` gave, once: processes of one machine load these packages or those.

    A package of another version makes another entry; an accelerator is told once PyTorch is loaded.
    """
    distinct: list[dict[str, Any]] = []
    for one in seen:
        for known in distinct:
            fixed = all(known[key] == one[key] for key in ("python", "os", "processor", "cores"))
            both = known["versions"].keys() & one["versions"].keys()
            if fixed and all(known["versions"][name] == one["versions"][name] for name in both):
                versions = {**known["versions"], **one["versions"]}
                known["versions"] = dict(sorted(versions.items()))
                known["accelerator"] = known["accelerator"] or one["accelerator"]
                break
        else:
            distinct.append(dict(one))
    return distinct


@cache
def processor() -> str:
    """Name of the processor; Linux keeps it where Python does not look."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def accelerator() -> str | None:
    """Name of the first accelerator that PyTorch sees; None without one, or without PyTorch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))


@cache
def checkout(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """Commit of the checkout, and whether files that git knows were changed since.

    None and None where there is no checkout, or no git.
    """
    if not (root / ".git").exists():
        return None, None
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(root), *words],
                capture_output=True,
                check=True,
                text=True,
                timeout=10,
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(status)
