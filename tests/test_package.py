"""What a user installs: every module, item, parameter and agent is in the wheel, under one name."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from kit import ROOT, call

from acquaint_gym.__main__ import COMMANDS, main

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
def wheel_file(tmp_path_factory) -> Path:
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
    call("python", "-m", *command.split(), folder, copy)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(wheel_file) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """What the wheel installs, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    wheel.extractall(folder)
    return folder


def test_the_wheel_holds_every_module_item_parameter_and_agent(wheel):
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    below = {(path if path.parts[0] == NAME else NAME / path).as_posix() for path in on_disk()}
    assert inside == below
    # Two that are read by path, not imported: nobody else would miss them before a user does.
    assert f"{NAME}/envs/data/ipip50_items.csv" in inside
    assert f"{NAME}/configs/agents/bayes.yaml" in inside


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


# One name to import. Nearly every researcher's folder holds some of these.

FOREIGN = ("agents", "configs", "envs", "eval", "train")
LONG_NAME = "acquaint_gym.eval.run"
LOUD = 'raise RuntimeError("a file of the folder was run in place of ours")\n'
# An environment by its id, and a command whose work two processes share.
IN_A_STRANGERS_FOLDER = """
import sys
import gymnasium as gym

if __name__ == "__main__":
    env = gym.make("acquaint_gym:acquaint/Questionnaire-v0")
    env.reset(seed=7)
    env.step(3)
    from acquaint_gym.__main__ import main
    people = "--agent bayes --users 4 --batch-size 2 --workers 2".split()
    assert main(["run", *people, "--out", sys.argv[1]]) == 0
    from acquaint_gym.envs import core
    print("ours is", core.__file__)
"""


def strangers_folder(folder: Path, form: str) -> Path:
    """A folder whose own `envs`, `eval`, ... are plain folders, packages or files."""
    folder.mkdir()
    for name in FOREIGN:
        if form == "files":
            (folder / f"{name}.py").write_text(LOUD, "utf-8")
            continue
        (folder / name).mkdir()
        inside = {"folders": ("run", "core", "check"), "packages": ("__init__", "run", "core")}
        for module in inside[form]:
            (folder / name / f"{module}.py").write_text(LOUD, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("install", "form"),
    [
        pytest.param("wheel", "folders", marks=pytest.mark.slow),
        pytest.param("wheel", "packages", marks=pytest.mark.slow),
        ("wheel", "files"),
        ("editable", "packages"),
    ],
)
def test_ours_is_found_in_a_folder_full_of_such_names(install, form, tmp_path, request):
    folder = strangers_folder(tmp_path / "theirs", form)
    (folder / "mine.py").write_text(IN_A_STRANGERS_FOLDER, "utf-8")
    # The wheel's folder comes before the editable install of the interpreter that runs the tests.
    site = request.getfixturevalue("site") if install == "wheel" else None
    path = {"PYTHONPATH": str(site)} if site else {}
    printed = call("python", "mine.py", tmp_path / "out", cwd=folder, **path).stdout
    assert (tmp_path / "out" / "report.json").is_file()
    (ours,) = (line for line in printed.splitlines() if line.startswith("ours is "))
    assert Path(ours.removeprefix("ours is ")).is_relative_to(site or ROOT)


def interpreters() -> dict[str, str | None]:
    """Python version -> its interpreter on the PATH, or in pyenv; None where there is none."""
    found: dict[str, str | None] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in ("3.11", "3.12", "3.13"):
        at = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
        # A shim of pyenv may be on the PATH for a version that is not chosen: it only complains.
        works = (
            str(path)
            for path in filter(None, at)
            if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0
        )
        found[version] = next(works, None)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("install", ["wheel", "editable"])
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_fresh_environment_of_every_python_runs_all(version, install, wheel_file, tmp_path):
    python = interpreters()[version]
    if python is None:
        missing = [name for name, at in interpreters().items() if at is None]
        pytest.skip(f"{len(missing)} of 3 Pythons are not here: {', '.join(missing)}")
    bin_folder = tmp_path / "venv" / "bin"
    call(python, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    # The copy that the wheel was built from, so that nothing is left in the checkout.
    what = [wheel_file] if install == "wheel" else ["--editable", wheel_file.parent / "source"]
    call(bin_folder / "pip", "install", "--quiet", *what, cwd=tmp_path)
    people = ["--agent", "bayes", "--users", 4, "--batch-size", 2, "--workers", 2]
    for form in ("folders", "packages", "files"):
        folder = strangers_folder(tmp_path / form, form)
        (folder / "mine.py").write_text(IN_A_STRANGERS_FOLDER, "utf-8")
        call(bin_folder / "python", "mine.py", "out", cwd=folder)
        for number, command in enumerate((["acquaint", "run"], ["python", "-m", LONG_NAME])):
            words = [bin_folder / command[0], *command[1:], *people, "--out", f"out{number}"]
            assert "bayes" in call(*words, cwd=folder).stdout
        checked = call(bin_folder / "acquaint", "check", "acquaint/ShopChoice-v0", cwd=folder)
        assert "checks hold" in checked.stdout
    usage = call(bin_folder / "acquaint", "run", "--help", cwd=tmp_path)
    assert usage.stdout.startswith("usage: acquaint run ")


# Written by a process as it ends: every module that it loaded, and its file.
REPORT_MODULES = """
import atexit, json, os, sys

def write():
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    with open(os.environ["MODULES"], "w") as file:
        json.dump(files, file)

atexit.register(write)
"""


@pytest.mark.parametrize(
    "command",
    [
        "eval.run --agent bayes --users 2 --out OUT",
        "envs.check acquaint/ShopChoice-v0 --set num_turns=2",
        "train.collect --users 2 --out OUT",
    ],
    ids=lambda text: text.split()[0],
)
def test_a_command_in_the_checkout_loads_no_module_twice(command, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(REPORT_MODULES, "utf-8")
    words = [str(tmp_path / "out") if word == "OUT" else word for word in command.split()]
    call("python", "-m", *words, PYTHONPATH=str(tmp_path), MODULES=str(tmp_path / "modules.json"))
    names: dict[str, set[str]] = {}
    for name, file in json.loads((tmp_path / "modules.json").read_text("utf-8")).items():
        path = Path(file or "/")
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in TOPS:
            names.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert len(names) > 30
    package, _, own = words[0].partition(".")
    # `__mp_main__` is multiprocessing's second name for the same module.
    assert names.pop(f"{package}/{own}.py") == {"__main__", "__mp_main__"}
    assert names.pop(f"{package}/__init__.py") == {package, f"{NAME}.{package}"}
    assert {file: of for file, of in names.items() if len(of) > 1} == {}
    assert all(name.split(".")[0] == NAME for of in names.values() for name in of)


# One command.


def test_every_command_of_the_checkout_is_one_of_acquaint():
    with_main = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for top in ("agents", "envs", "eval", "train")
        for path in (ROOT / top).rglob("*.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "main"
            for node in ast.parse(path.read_text("utf-8")).body
        )
    }
    assert {module for module, _ in COMMANDS.values()} == with_main
    for word, (module, about) in COMMANDS.items():
        name = module.rpartition(".")[2].replace("_", "-")
        assert word in (name, f"{name}-{module.partition('.')[0].removesuffix('s')}")
        assert about


def test_the_command_lists_its_commands_and_knows_the_nearest(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(f"\n  {word} " in overview for word in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().out == overview
    assert main(["runn"]) == 2
    assert "'runn'. Did you mean 'run'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("started", "usage"),
    [
        (["-m", NAME, "distill"], "acquaint distill"),
        (["-m", "envs.check"], "python -m envs.check"),
        (["-m", "acquaint_gym.eval.run"], "python -m acquaint_gym.eval.run"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_help_calls_a_command_as_it_was_typed(started, usage):
    printed = call("python", *started, "--help")
    assert printed.stdout.startswith(f"usage: {usage} ")


def test_a_checkout_that_is_not_installed_says_so(tmp_path):
    # What Python finds in a checkout whose environment is not active: the face, and no packages.
    shutil.copytree(ROOT / NAME, tmp_path / NAME)
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]; "
        "sys.path.insert(0, sys.argv[1]); import acquaint_gym"
    )
    refused = call("python", "-P", "-c", code, tmp_path, cwd=tmp_path, code=1).stderr
    assert "not installed in this Python" in refused
    assert "source .venv/bin/activate" in refused
