"""The house, walked with a syntax tree: who imports whom, how long files are, what is banned."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import ROOT, call

# train -> eval -> agents -> envs: a package may import itself and those that follow it here.
LAYERS = ("train", "eval", "agents", "envs")
NAME = "acquaint_gym"
MODULES = sorted(path for layer in (*LAYERS, NAME) for path in (ROOT / layer).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
HEAVY = {"torch", "transformers", "peft", "trl", "stable_baselines3", "sb3_contrib", "wandb"}
# Modules outside train/ that need a heavy package, and so are imported by nobody but their users.
MAY_BE_HEAVY = {
    "agents/llm/cache.py",
    "agents/llm/gguf.py",
    "agents/llm/hugging_face.py",
    "agents/llm/tokenizer.py",
    "agents/networks/recurrent.py",
    "agents/networks/sb3_zip.py",
    "eval/speed/llm.py",
}
LONGEST = 300
MOST_FILES = 21


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imported(module: ast.Module, package: str = "") -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported anywhere in a module, in functions too."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in DYNAMIC
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


DYNAMIC = {"import_module", "__import__"}


def name_of(path: Path) -> str:
    """A file as others import it: `envs/core.py` is `acquaint_gym.envs.core`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[: -1 if parts[-1] == "__init__" else None]
    return ".".join(parts if parts[0] == NAME else (NAME, *parts))


def package_of(path: Path) -> str:
    name = name_of(path)
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def top(name: str) -> str:
    return name.partition(".")[0]


def layer_of(name: str) -> str:
    """`envs` for `acquaint_gym.envs.core`; for what is not ours the package's own name."""
    return name.removeprefix(f"{NAME}.").partition(".")[0]


def wrong_way(module: ast.Module, layer: str, package: str) -> list[str]:
    """Imports against the arrows, and of the tests."""
    above = {*LAYERS[: LAYERS.index(layer)], "tests"}
    return [f"{line}: {n}" for line, n in imported(module, package) if layer_of(n) in above]


def test_every_layer_is_there():
    # Without this a renamed folder would leave nothing to walk and every test content.
    for layer in LAYERS:
        assert sum(name.startswith(f"{layer}{os.sep}") for name in NAMES) >= 3, layer


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_go_one_way(path):
    layer = path.relative_to(ROOT).parts[0]
    if layer in LAYERS:  # the face of the package may import all of it
        assert wrong_way(tree(path), layer, package_of(path)) == []
    # One name: by its short name a module would be loaded a second time.
    assert not {top(n) for _, n in imported(tree(path))} & {*LAYERS, "configs"}


@pytest.mark.parametrize(
    "text",
    [
        "import acquaint_gym.eval.run",
        "import eval.run",
        "from acquaint_gym.eval import run",
        "from acquaint_gym import eval",
        "from acquaint_gym.eval.run import main as score",
        "from ...eval import run",
        "def f():\n    from acquaint_gym.eval.trace import Trace",
        "from importlib import import_module\nimport_module('acquaint_gym.eval.run')",
        "import tests.test_layers",
    ],
)
def test_the_walk_finds_an_import_against_the_arrows(text):
    assert wrong_way(ast.parse(text), "agents", "acquaint_gym.agents.llm")


def arrows(paths: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Module -> modules that it imports, in functions and for types too.

    Args:
        paths: full name of a module -> its tree; a package's `__init__` by the package's name.
    """
    found: dict[str, set[str]] = {}
    for name, module in paths.items():
        is_package = any(other.startswith(f"{name}.") for other in paths)
        package = name if is_package else name.rpartition(".")[0]
        found[name] = set()
        for _, wanted in imported(module, package):
            # `from package import name` names a module, or something in the package's `__init__`.
            target = wanted if wanted in paths else wanted.rpartition(".")[0]
            if target in paths and target != name:
                found[name].add(target)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other: none in a house without circles."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    reached = {name: reach(name) for name in graph}
    groups = {
        tuple(sorted(o for o in reached[n] if n in reached[o])) for n in graph if n in reached[n]
    }
    return sorted(map(list, groups))


def test_no_modules_import_each_other_in_a_circle():
    assert circles(arrows({name_of(path): tree(path) for path in MODULES})) == []


@pytest.mark.parametrize(
    "back",
    [
        "import house.a",
        "from house import a",
        "from house.a import x",
        "from .a import x",
        "def f():\n    from house import a",
        "if TYPE_CHECKING:\n    from house.a import X",
        "from house import c",
    ],
)
def test_the_walk_finds_circles(back):
    texts = {
        "house": "",
        "house.a": "from house.b import y",
        "house.b": back,
        "house.c": "from house import a",
        "house.d": "from house import a, b, c",
    }
    (circle,) = circles(arrows({name: ast.parse(text) for name, text in texts.items()}))
    assert {"house.a", "house.b"} <= set(circle) <= {"house.a", "house.b", "house.c"}


def test_no_folder_has_more_files_than_a_reader_overlooks():
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in MODULES)
    assert {folder: count for folder, count in folders.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize(
    "path",
    [path for path, name in zip(MODULES, NAMES, strict=True) if not name.startswith("train")],
    ids=[name for name in NAMES if not name.startswith("train")],
)
def test_heavy_packages_are_imported_where_they_are_needed_only(path):
    found = {top(name) for _, name in imported(tree(path), package_of(path))} & HEAVY
    if path.relative_to(ROOT).as_posix() in MAY_BE_HEAVY:
        assert found  # a name that no longer needs its permission gives it back
    else:
        assert found == set()


NO_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

if {hide}:
    sys.meta_path.insert(0, Absent())
import acquaint_gym.eval.run, acquaint_gym.eval.compare
import acquaint_gym.agents.registry, acquaint_gym.agents.teacher, acquaint_gym.envs
from acquaint_gym.eval.run import main
assert main(["--agent", "random", "bayes", "--users", "2", "--out", sys.argv[1]]) == 0
print(sorted({heavy} & set(sys.modules)))
"""


@pytest.mark.parametrize("hide", [False, True], ids=["installed", "absent"])
def test_the_loop_starts_and_scores_the_teacher_without_torch(hide, tmp_path):
    done = call("python", "-c", NO_TORCH.format(heavy=HEAVY, hide=hide), tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


# Sizes.


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_outgrows_its_reader(path):
    name = path.relative_to(ROOT).as_posix()
    lines = len(path.read_text("utf-8").splitlines())
    limit = LONGEST
    if name.startswith("envs/tasks/"):
        # An environment's manual page comes on top of its code.
        page = manual(path)
        limit = 100 + page if page else 150
    elif name.startswith("agents/") and is_agent(path):
        limit = 100
    assert lines <= limit, f"{name} has {lines} lines, more than {limit}"


def manual(path: Path) -> int:
    """Lines of the manual page in a module, the docstring of its environment; 0 without one."""
    classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
    pages = [c.body[0] for c in classes if "## Arguments" in (ast.get_docstring(c) or "")]
    return sum((page.end_lineno or 0) - page.lineno + 1 for page in pages)


def is_agent(path: Path) -> bool:
    """Whether a module holds an agent, rather than the machinery that several share."""
    classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
    return any(getattr(base, "id", "").endswith("Agent") for c in classes for base in c.bases)


def test_the_teacher_counts_as_an_agent_and_the_registry_does_not():
    assert is_agent(ROOT / "agents" / "teacher.py")
    assert is_agent(ROOT / "agents" / "baselines.py")
    assert not is_agent(ROOT / "agents" / "registry.py")


# Randomness.


def global_randomness(module: ast.Module) -> list[str]:
    """Uses of generators that nobody passed in: numpy's functions, and the module `random`.

    Reading a state is allowed: the contract compares it, to prove that nobody uses the generator.
    """
    names = list(imported(module))
    found = [
        f"{line}: {name}"
        for line, name in names
        if re.match(r"random\.|numpy\.random\.[a-z]", name)
    ]
    banned = r"(np|numpy)\.random\.(?!get_state$)[a-z]\w*"
    if "random" in {name for _, name in names}:
        banned += r"|random\.(?!getstate$)\w+"
    for node in ast.walk(module):
        dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if re.fullmatch(banned, dotted):
            found.append(f"{node.lineno}: {dotted}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_randomness_is_an_argument(path):
    assert global_randomness(tree(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import random\nrandom.random()",
        "import random\nx = random.Random(0)",
        "from random import choice",
        "from numpy.random import normal",
        "import numpy as np\nnp.random.seed(0)",
        "import numpy as np\nx = np.random.default_rng().random()",
        "import numpy\nnumpy.random.shuffle([])",
    ],
)
def test_the_walk_finds_global_generators(text):
    assert global_randomness(ast.parse(text))


def test_the_walk_lets_generators_of_ones_own_pass():
    for text in (
        "import numpy as np\nnp.random.Generator(np.random.Philox(key=1)).random()",
        "import numpy as np\nimport random\nstate = random.getstate(), np.random.get_state()",
        "def f(random):\n    return random.sample([1], 1)",
    ):
        assert global_randomness(ast.parse(text)) == []


# The wall.


def test_only_the_evaluators_oracles_see_the_truth():
    """Who overrides `Agent.observe_truth`, wherever it stands and whatever it inherits from."""
    owners = {
        name
        for path, name in zip(MODULES, NAMES, strict=True)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and node.name == "observe_truth"
    }
    oracles = {"eval/oracles/clairvoyant.py", "eval/oracles/hindsight.py"}
    assert owners == {"agents/core.py", *oracles}


# Files at large.

# A path of somebody's machine, at the start of a word; `/tmp/` is a machine's too, outside tests.
MACHINE = re.compile(rb"(?<![\w./~-])/(?:work|root|home|Users|mnt|tmp|scratch)/[\w.-]")


def tracked() -> list[Path]:
    """Files of the repository, and those that are about to join it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_knows_the_machine_it_was_made_on():
    found = []
    for path in tracked():
        name = path.relative_to(ROOT)
        if path.stat().st_size >= 1_000_000 or name.parts[0] == "tests":
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if MACHINE.search(line):
                found.append(f"{name}:{number}: {line[:80]!r}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_path"),
    [
        (b"--data /work/shared/data/x.csv", True),
        (b'path = "/home/anna/x"', True),
        (b"/root/.cache", True),
        (b"cd /tmp/copy", True),
        (b"https://example.org/home/page", False),
        (b"runs/work/now", False),
        (b"home / work", False),
    ],
)
def test_the_search_for_machine_paths_finds_them(line, is_path):
    assert bool(MACHINE.search(line)) == is_path


# References. A renamed module leaves its old name in docstrings, where nobody else would miss it.

REFERENCE = re.compile(r"`(?:acquaint_gym\.)?((?:envs|agents|eval|train)(?:\.\w+)+)[(`]")


def leads_nowhere(reference: str) -> bool:
    """Whether `envs.core.UserTask.reward` names no module, or nothing that its text speaks of."""
    parts, path = reference.split("."), ROOT
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    file = path / "__init__.py"
    if parts and (path / f"{parts[0]}.py").is_file():
        file = path / f"{parts.pop(0)}.py"
    text = file.read_text("utf-8")
    return any(not re.search(rf"\b{name}\b", text) for name in parts)


def test_references_lead_to_what_exists():
    pages = [*MODULES, *(ROOT / "configs").rglob("*.yaml"), *ROOT.glob("*.md")]
    found = [(path, name) for path in pages for name in REFERENCE.findall(path.read_text("utf-8"))]
    assert len(found) > 50
    assert [(path.name, name) for path, name in found if leads_nowhere(name)] == []


@pytest.mark.parametrize("gone", ["envs.belief", "envs.core.UserSource", "agents.llm.nobody"])
def test_the_search_finds_a_reference_to_what_is_gone(gone):
    assert leads_nowhere(gone)
    assert REFERENCE.findall(f"see `{gone}`, or `acquaint_gym.{gone}()`") == [gone, gone]
