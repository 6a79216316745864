"""On which machine and from which state of the code something was computed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

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
