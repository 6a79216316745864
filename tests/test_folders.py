"""Folders of results: whose they are, and what is removed from them."""

from __future__ import annotations

import pytest

from acquaint_gym.train.recipes.folders import (
    RECIPE,
    check_recipe,
    check_replaceable,
    clear,
    keep_recipe,
)

TABLE = {"method": "mine", "seed": 0, "traces": ["a", "b"]}


def test_a_run_goes_on_in_its_own_folder_and_in_an_empty_or_new_one(tmp_path):
    out = tmp_path / "runs" / "one"
    check_recipe(out, TABLE)
    keep_recipe(out, TABLE)
    check_recipe(out, TABLE)
    assert [file.name for file in out.iterdir()] == [RECIPE]
    (tmp_path / "empty").mkdir()
    check_recipe(tmp_path / "empty", TABLE)


@pytest.mark.parametrize("recipe", [None, "", "- 1\n", "method: [mine\n", "\udcff"])
def test_what_no_run_left_is_not_taken_over(recipe, tmp_path):
    """Otherwise `--fresh` would remove it one day."""
    (tmp_path / "report.md").write_text("mine")
    if recipe is not None:
        (tmp_path / RECIPE).write_bytes(recipe.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"is not empty, and holds no recipe\.yaml that can be re"):
        check_recipe(tmp_path, TABLE)
    with pytest.raises(ValueError, match="holds something else than a run of this command"):
        check_replaceable(tmp_path, lambda found: found.get("method") == "mine")


def test_what_differs_is_named(tmp_path):
    keep_recipe(tmp_path, TABLE)
    with pytest.raises(
        ValueError, match=r"recipe: seed was 0, is 1; width was None, is 8\. Choose"
    ):
        check_recipe(tmp_path, {**TABLE, "seed": 1, "width": 8})
    check_replaceable(tmp_path, lambda found: found["method"] == "mine")


def test_only_what_a_run_wrote_is_removed(tmp_path):
    for name in ("checkpoint-3/state.pt", "checkpoint-3/deep/one", "card.json", "thesis.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (tmp_path / "checkpoint-4").symlink_to(elsewhere, target_is_directory=True)
    clear(tmp_path, ("checkpoint-*", "card.json", "nothing-*"))
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    assert (elsewhere / "kept").read_text() == "kept"
