"""Folders of results: whose they are, and what is removed from them."""

from __future__ import annotations

import pytest
from rich.console import Console

from acquaint_gym.train.recipes.folders import RECIPE, Finished, RunFolder, clear

TABLE = {"method": "mine", "seed": 0, "traces": ["a", "b"]}


def opened(out, table=TABLE, fresh=False):
    return RunFolder(
        str(out),
        table,
        fresh,
        Console(stderr=True, width=200),
        leaves=("checkpoint-*",),
        ours=lambda before: before.get("method") == "mine",
    )


def test_a_run_goes_on_in_its_own_folder_and_in_an_empty_or_new_one(tmp_path):
    out = tmp_path / "runs" / "one"
    folder = opened(out)
    assert not out.exists()
    folder.start()
    opened(out)
    assert [file.name for file in out.iterdir()] == [RECIPE]
    (tmp_path / "empty").mkdir()
    opened(tmp_path / "empty")


@pytest.mark.parametrize("recipe", [None, "", "- 1\n", "method: [mine\n", "\udcff"])
def test_what_no_run_left_is_not_taken_over(recipe, tmp_path):
    """Otherwise `--fresh` would remove it one day."""
    (tmp_path / "report.md").write_text("mine")
    if recipe is not None:
        (tmp_path / RECIPE).write_bytes(recipe.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"is not empty, and holds no recipe\.yaml that can be re"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="holds something else than a run of this command"):
        opened(tmp_path, fresh=True)


def test_what_differs_is_named(tmp_path):
    opened(tmp_path).start()
    other = {**TABLE, "seed": 1, "width": 8}
    with pytest.raises(
        ValueError, match=r"recipe: seed was 0, is 1; width was None, is 8\. Choose"
    ):
        opened(tmp_path, other)
    opened(tmp_path, other, fresh=True)


def test_a_fresh_run_replaces_the_recipe_and_what_a_run_leaves(tmp_path):
    opened(tmp_path).start()
    for name in ("checkpoint-3", "notes"):
        (tmp_path / name).mkdir()
    opened(tmp_path, {**TABLE, "seed": 1}, fresh=True).start()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", RECIPE]
    opened(tmp_path, {**TABLE, "seed": 1})


def test_other_inputs_are_refused_and_named(tmp_path):
    folder = opened(tmp_path)
    now = [("the base's weights", "1f"), ("traces of x", "2f")]
    folder.compare_inputs(["1f", "2f"], now, "something else")
    for before, words in (
        (["1f", "3f"], r"traces of x were 3f, are 2f\."),
        (["1f"], r"traces of x were None, are 2f\."),
        (["0f", "2f", "4f"], r"weights were 0f, are 1f; further traces were 4f, are None\."),
    ):
        with pytest.raises(ValueError, match=rf"holds a run on something else: .*{words} Choose"):
            folder.compare_inputs(before, now, "something else")


def test_a_finished_run_says_so_and_gives_its_result(tmp_path, capsys):
    assert Finished(opened(tmp_path / "out"), {"steps": 3}).run() == {"steps": 3}
    assert "finished already; --fresh trains again." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
