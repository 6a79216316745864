"""What a trace depends on: no module that decides it is passed over."""

from __future__ import annotations

import sys

import pytest

from acquaint_gym.eval.runs.fingerprint import DECIDING, of_code


@pytest.fixture(autouse=True)
def anew():
    of_code.cache_clear()
    yield
    of_code.cache_clear()


def test_a_deciding_module_that_is_gone_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"eval\.renamed"):
        of_code((), (*DECIDING, "acquaint_gym.eval.renamed"))


def test_a_module_of_ones_own_that_is_gone_is_an_error():
    with pytest.raises(ModuleNotFoundError, match="nobodys_package"):
        of_code(("nobodys_package",))


@pytest.mark.parametrize("name", ["own_module", "own_package", "own_folder"])
def test_code_of_ones_own_counts_wherever_it_stands(tmp_path, monkeypatch, name):
    monkeypatch.syspath_prepend(str(tmp_path))
    if name == "own_module":
        file = tmp_path / "own_module.py"
    else:
        file = tmp_path / name / "part.py"
        file.parent.mkdir()
        if name == "own_package":
            (tmp_path / name / "__init__.py").touch()
    file.write_text("x = 1")
    before = of_code((name,))
    of_code.cache_clear()
    file.write_text("x = 2")
    assert of_code((name,)) != before
    sys.modules.pop(name, None)
