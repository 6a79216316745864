"""Files that a reader never sees half-written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from acquaint_gym.envs.files import atomic, write_json


def test_a_file_takes_its_place_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic(path) as partial:
        partial.write_text("new", "utf-8")
        assert not path.exists()
        assert partial.parent == path.parent  # on the same disk
    assert path.read_text("utf-8") == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_file_is_what_it_was(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old", "utf-8")

    def interrupted() -> None:
        with atomic(path) as partial:
            partial.write_text("ne", "utf-8")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_several_may_write_the_same_file_at_once(tmp_path):
    path, contents = tmp_path / "a.json", [[n] * 1000 for n in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: write_json(path, content), contents))
    assert json.loads(path.read_text("utf-8")) in contents
    assert list(tmp_path.iterdir()) == [path]
