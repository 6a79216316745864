"""The page of public names, made of what the packages' `__all__` list: `make docs` writes it anew.

How stable a name is stands on the page itself, and stays there; a new name begins as `may change`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from kit import ROOT

PAGE = ROOT / "docs" / "public.md"
NAME = "acquaint_gym"
LAYERS = ("envs", "agents", "eval", "train", "configs")
ROW = re.compile(r"^\| `([\w.]+)` \| ([^|]+) \|", re.MULTILINE)
STABILITIES = ("stable", "may change")


@cache
def packages() -> dict[str, Path]:
    """Full name -> folder, of all packages."""
    found = {NAME: ROOT / NAME}
    for layer in LAYERS:
        for file in sorted((ROOT / layer).rglob("__init__.py")):
            folder = file.parent
            found[".".join((NAME, *folder.relative_to(ROOT).parts))] = folder
    return found


def listed(folder: Path) -> list[str] | None:
    """What a package's `__all__` lists, None without one."""
    for node in ast.parse((folder / "__init__.py").read_text("utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def file_of(package: str, name: str) -> Path | None:
    """The file of a package's module or subpackage; None for anything else in it."""
    folder = packages()[package]
    if f"{package}.{name}" in packages():
        return packages()[f"{package}.{name}"] / "__init__.py"
    return folder / f"{name}.py" if (folder / f"{name}.py").is_file() else None


def definitions(file: Path) -> dict[str, ast.AST]:
    """Public classes and functions that a file defines, in its order."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    body = ast.parse(file.read_text("utf-8")).body
    return {n.name: n for n in body if isinstance(n, kinds) and not n.name.startswith("_")}


def sentence(node: ast.AST) -> str:
    """The first sentence of a docstring."""
    text = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.?])\s", text)[0].rstrip(":").replace("|", "\\|")


def rows() -> Iterator[tuple[str, str]]:
    """Full name of everything public, and what it is: a sentence, and a module's own names."""
    for package, folder in packages().items():
        for name in listed(folder) or []:
            file, full = file_of(package, name), f"{package}.{name}"
            if file is None:
                yield full, sentence(defined(package, name))
            elif file.name != "__init__.py":
                names, about = definitions(file), sentence(ast.parse(file.read_text("utf-8")))
                # Of a command only its `main` is public, of other modules what they define.
                inside = "" if "main" in names else ", ".join(f"`{name}`" for name in names)
                yield full, f"{about} {inside}".rstrip()


def defined(package: str, name: str) -> ast.AST:
    """Where something that a package's `__init__` offers is defined: there, or in a module."""
    init = packages()[package] / "__init__.py"
    if name in definitions(init):
        return definitions(init)[name]
    body = ast.parse(init.read_text("utf-8")).body
    for node, after in pairwise([*body, ast.Pass()]):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            parts = str(node.module).split(".")[1:]
            return definitions(ROOT.joinpath(*parts).with_suffix(".py"))[name]
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:  # its words stand below it
            return ast.Module([after], [])
    raise LookupError(f"{package}.__all__ lists {name!r}, which is neither there nor a module.")


def page(old: str) -> str:
    """The page, with the words on top and the stabilities of the old one."""
    stability = dict(ROW.findall(old))
    text = old.partition("\n## ")[0].rstrip()
    for layer in LAYERS:
        lines = [
            f"| `{name}` | {stability.get(name, 'may change').strip()} | {about} |"
            for name, about in rows()
            if name.split(".")[1] == layer
        ]
        if lines:
            head = ["| name | stability | what it is |", "| --- | --- | --- |"]
            text += "\n\n" + "\n".join([f"## {NAME}.{layer}", "", *head, *lines])
    return text + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
