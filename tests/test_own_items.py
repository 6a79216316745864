"""A questionnaire of one's own: two or three CSV files, wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest

from acquaint_gym.envs.registration import make_task
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.fingerprint import of_settings

TASK = "acquaint_gym.envs.tasks.questionnaire:Questionnaire"
FILES = {
    "tea_items.csv": "item_id,text,trait,keying\nt1,I drink tea.,cosy,1\nt2,I shiver.,cosy,-1",
    "tea_responses.csv": "code,label\n0,no\n1,yes",
    "tea_own.csv": "item_id,a,b1\nt1,1.5,0\nt2,1.0,0.5",
}


@pytest.fixture
def items(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "tea_items.csv"


def test_it_is_played_from_its_files(items, tmp_path, capsys):
    settings = [f"--set=questionnaire={items}", "--set=parameters=own", "--set=num_turns=2"]
    for env_id in ("acquaint/Questionnaire-v0", "acquaint/Interview-v0"):
        agent = "bayes" if env_id == "acquaint/Questionnaire-v0" else "infomax"
        out = str(tmp_path / agent)
        command = ["--env", env_id, "--agent", agent, *settings, "--users", "4"]
        assert main([*command, "--out", out]) == 0
    capsys.readouterr()
    task = make_task(TASK, questionnaire=str(items), parameters="own")
    assert task.bank.aliases == task.bank.item_ids == ("t1", "t2")
    # Samejima's model by hand: whoever has theta 2 says yes to t1 with 1 / (1 + exp(-3)).
    yes = task.model.probs(np.array([4]), np.array([[0.0], [1.0]]))[:, 1]
    np.testing.assert_allclose(yes, [1 / (1 + np.exp(-3)), 1 - 1 / (1 + np.exp(-1.5))])


@pytest.mark.parametrize("name", ["tea_items.csv", "tea.csv"])
def test_what_is_read_beside_the_items_counts_as_a_setting(items, name):
    items = items.rename(items.with_name(name))
    assert make_task(TASK, questionnaire=str(items), parameters="own").bank.name == "tea"
    before = of_settings([str(items)])
    (items.parent / "other.csv").write_text("a\n1")
    assert of_settings([str(items)]) == before
    (items.parent / "tea_responses.csv").write_text("code,label\n0,never\n1,always")
    assert of_settings([str(items)]) != before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tea_items.csv", "item_id,text,trait\nt1,I drink tea.,thirst", "no column keying"),
        ("tea_items.csv", "item_id,text,trait,keying", "no column item_id, or no row"),
        ("tea_items.csv", FILES["tea_items.csv"].replace("-1", "0"), "a keying of 1 or -1"),
        ("tea_items.csv", FILES["tea_items.csv"].replace("t2", "t1"), "one row an item"),
        ("tea_responses.csv", "code,label\n1,no\n0,yes", "from low to high"),
        ("tea_responses.csv", "code,label\n1,no", "two or more whole codes"),
        ("tea_own.csv", "item_id,a,b1\nt1,1.5,0\nt3,1.0,0.5", "its items are not those of"),
    ],
)
def test_a_file_that_is_none_is_named(items, name, text, words):
    (items.parent / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}: .*{words}"):
        make_task(TASK, questionnaire=str(items), parameters="own")


def test_responses_that_are_not_there_and_sets_that_are(items):
    with pytest.raises(ValueError, match=r"tea has no parameters 'study'\. .*own"):
        make_task(TASK, questionnaire=str(items))
    (items.parent / "tea_responses.csv").unlink()
    with pytest.raises(ValueError, match=r"tea_responses\.csv: cannot be read"):
        make_task(TASK, questionnaire=str(items), parameters="own")
