"""What is public: the packages say it, one page lists it, and the two are the same."""

from __future__ import annotations

from importlib import import_module

import pytest
from public_page import PAGE, ROW, STABILITIES, file_of, listed, packages, page, rows

TEXT = PAGE.read_text("utf-8")


def test_the_page_is_what_the_packages_list():
    assert page(TEXT) == TEXT, "run `make docs`"


def test_everything_public_has_a_stability_and_a_sentence():
    stability = dict(ROW.findall(TEXT))
    assert list(stability) == [name for name, _ in rows()]
    assert set(stability.values()) == set(STABILITIES)
    assert all(about for _, about in rows())


@pytest.mark.parametrize("package", packages())
def test_every_package_says_what_of_it_is_public(package):
    names = listed(packages()[package])
    assert names is not None, f"{package} has no __all__; an empty one where nothing is public"
    assert len(set(names)) == len(names)
    module = import_module(package)
    for name in names:
        assert hasattr(module, name) or file_of(package, name)


def test_a_new_name_begins_as_one_that_may_change():
    name = "acquaint_gym.envs.UserTask"
    without = "\n".join(line for line in TEXT.splitlines() if f"`{name}`" not in line)
    assert f"| `{name}` | may change |" in page(without)
    gone = TEXT.replace(
        "## acquaint_gym.envs\n", "## acquaint_gym.envs\n\n| `gone` | stable | x |\n"
    )
    assert page(gone) == TEXT
