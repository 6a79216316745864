"""What a user installs: every module, item, parameter and agent is in the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LISTED = PROJECT["tool"]["setuptools"]["packages"]
NAME = "acquaint_gym"
TOPS = (NAME, "agents", "configs", "envs", "eval", "train")
# What travels beside the modules; a file of another kind needs a line in pyproject.toml first.
DATA = (".csv", ".yaml")
# The embedded model and its adapter, whose folders are no packages.
MODELS = ROOT / "agents/models"
OF_MODELS = (".json", ".jinja", ".md", ".safetensors")


def on_disk() -> list[Path]:
    """Paths, relative to the root, of everything that belongs into the wheel."""
    found = [path for top in TOPS for path in (ROOT / top).rglob("*") if path.is_file()]
    kept = [path for path in found if path.suffix in (".py", *DATA)]
    kept += [path for path in MODELS.rglob("*") if path.is_file()]
    return sorted(path.relative_to(ROOT) for path in kept)


def package_of(folder: Path) -> str:
    """A folder as it is imported: `envs/tasks` is `acquaint_gym.envs.tasks`."""
    return ".".join(folder.parts if folder.parts[0] == NAME else (NAME, *folder.parts))


def test_the_packages_listed_are_those_on_disk():
    # setuptools' own discovery refuses several packages side by side, so they are listed by hand.
    folders = {path.parent for path in on_disk() if path.suffix not in OF_MODELS}
    assert sorted(LISTED) == sorted(map(package_of, folders))


def test_every_package_has_a_docstring_of_its_own():
    of_code = {path.parent for path in on_disk() if path.suffix == ".py"}
    assert set(map(package_of, of_code)) == set(LISTED) - {
        f"{NAME}.configs.agents",
        f"{NAME}.configs.train",
    }
    for folder in of_code:
        assert (ROOT / folder / "__init__.py").read_text("utf-8").startswith('"""')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for top in TOPS:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    command = "pip wheel --no-deps --no-build-isolation --no-cache-dir --quiet --wheel-dir"
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), str(folder), str(copy)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_module_item_parameter_and_agent(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    below = {(path if path.parts[0] == NAME else NAME / path).as_posix() for path in on_disk()}
    assert inside == below
    # Two that are read by path, not imported: nobody else would miss them before a user does.
    assert f"{NAME}/envs/data/ipip50_items.csv" in inside
    assert f"{NAME}/configs/agents/bayes.yaml" in inside


def test_the_wheel_is_complete_enough_to_run(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = (
        "import sys; from pathlib import Path; from acquaint_gym import envs; "
        "from acquaint_gym.eval.run import main; "
        "assert Path(envs.__file__).is_relative_to(sys.argv[1]), envs.__file__; "
        "sys.exit(main(['--agent', 'random', 'bayes', '--users', '2', '--out', sys.argv[2]]))"
    )
    done = subprocess.run(
        # -P and a path of its own: the checkout must not lend what the wheel lacks.
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {code}",
         str(tmp_path / "site"), str(tmp_path / "out")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.json").is_file()


def test_the_wheel_carries_the_licence_and_the_readme(wheel):
    names = wheel.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    text = wheel.read(metadata).decode("utf-8")
    assert "License-Expression: Apache-2.0" in text
    assert len(text.partition("\n\n")[2].strip()) > 100


def test_shipped_models_are_small_and_safe() -> None:
    files = [file for file in MODELS.rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == {"micro", "micro-lora"}
    assert sum(file.stat().st_size for file in files) <= 8 * 2**20
    assert {file.suffix for file in files} == set(OF_MODELS)
    for model in ("micro", "micro-lora"):
        assert "python -m train." in (MODELS / model / "README.md").read_text("utf-8")
