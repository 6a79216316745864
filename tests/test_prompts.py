"""Prompts as printed: a golden transcript per environment, paraphrases, order and labels.

`python tests/test_prompts.py` writes the transcripts anew; read the difference before committing.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase

import gymnasium as gym
import numpy as np
import pytest
from registered import ENVIRONMENTS, ids

GOLDEN = Path(__file__).parent / "golden"
# Beside the defaults: one transcript for each thing that a prompt can contain.
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "FlightChoice-accept": ("acquaint/FlightChoice-v0", {"feedback": "accept"}),
    "FlightChoice-wording-1": ("acquaint/FlightChoice-v0", {"wording": 1}),
    "Flights-answers": ("acquaint/Flights-v0", {"context": "answers:10"}),
    "Flights-traits-choice": ("acquaint/Flights-v0", {"context": "traits", "feedback": "choice"}),
    "Questionnaire-letters-reversed": (
        "acquaint/Questionnaire-v0",
        {"labels": "letters", "option_order": "reversed"},
    ),
    "Flights-reversed": ("acquaint/Flights-v0", {"option_order": "reversed"}),
    "ForcedChoice-reversed-letters": (
        "acquaint/ForcedChoice-v0",
        {"option_order": "reversed", "labels": "letters"},
    ),
    "Questionnaire-after-Flights": (
        "acquaint/Questionnaire-v0",
        {"context": "acquaint/Flights-v0:2"},
    ),
    "Questionnaire-after-ForcedChoice": (
        "acquaint/Questionnaire-v0",
        {"context": "acquaint/ForcedChoice-v0:3"},
    ),
    "Questionnaire-wording-2": ("acquaint/Questionnaire-v0", {"wording": 2}),
}


def transcripts() -> dict[str, tuple[str, dict[str, object]]]:
    """File name -> environment and its settings."""
    plain = {i.partition("/")[2].removesuffix("-v0"): (i, {}) for i in ids()}
    return {**plain, **VARIANTS}


def printed(env_id: str, settings: dict[str, object], turns: int = 3) -> str:
    """The transcript of person 7 after some turns, the second of which is no hit."""
    env = gym.make(env_id, render_mode="ansi", disable_env_checker=True, split="test", **settings)
    env.reset(seed=7)
    for turn in range(turns):
        right = int(env.unwrapped.users.answers[0, turn])
        wrong = (right + 1) % len(env.unwrapped.task.actions)
        env.step(wrong if turn == 1 else right)
    return str(env.render()) + "\n"


def test_there_is_one_for_every_environment():
    assert len(transcripts()) == ENVIRONMENTS + 10
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(transcripts())


@pytest.mark.parametrize("name", transcripts())
def test_golden_transcript(name):
    assert printed(*transcripts()[name]) == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("env_id", ids())
def test_paraphrases_differ_and_say_the_same(env_id):
    made = [printed(env_id, {"wording": wording}) for wording in range(3)]
    assert len(set(made)) == 3
    for text, other in pairwise(made):
        ours, theirs = text.split("[user]"), other.split("[user]")
        assert len(ours) == len(theirs) == 5
        # Every message is paraphrased, and the replies stay what they were.
        assert all(mine != yours for mine, yours in zip(ours, theirs, strict=True))
        replies = [part.split("[assistant]")[1:] for part in (text, other)]
        assert [r.split()[0] for r in replies[0]] == [r.split()[0] for r in replies[1]]


def test_a_wording_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"wording=3; Questionnaire has 0\.\.2"):
        gym.make("acquaint/Questionnaire-v0", wording=3)
    for name, word in (("option_order", "revresed"), ("labels", "letter")):
        with pytest.raises(ValueError, match=f"Unknown {name} '{word}'. Did you mean"):
            gym.make("acquaint/Questionnaire-v0", **{name: word})


@pytest.mark.parametrize("env_id", ids())
def test_order_and_labels_move_words_only(env_id):
    """Reversed and lettered prompts list the same options, and a reply still names its action."""
    plain = gym.make(env_id, disable_env_checker=True).unwrapped.task
    other = gym.make(
        env_id, option_order="reversed", labels="letters", disable_env_checker=True
    ).unwrapped.task
    size = len(plain.actions)
    assert plain.replies == tuple(str(n + 1) for n in range(size))
    alphabet = [*ascii_uppercase, *(f"A{letter}" for letter in ascii_uppercase)]
    assert other.replies == tuple(alphabet[:size][::-1])
    assert other.display_order == plain.display_order[::-1]
    # What is called by its place is called by the place where it stands.
    assert other.action_names == (plain.actions[::-1] if plain.by_place else plain.actions)
    settings = {"option_order": "reversed", "labels": "letters"}
    one, two = printed(env_id, {}), printed(env_id, settings)
    for action in range(size):
        line = f"{plain.replies[action]}. {plain.actions[action]}"
        assert (
            one.count(line)
            == two.count(f"{other.replies[action]}. {other.action_names[action]}")
            > 0
        )
    shown = [
        gym.make(env_id, disable_env_checker=True, **some).reset(seed=3)[0]
        for some in ({}, settings)
    ]
    for key, value in shown[0].items():
        np.testing.assert_array_equal(value, shown[1][key])


def test_a_context_is_told_before_the_first_question():
    told = printed("acquaint/Flights-v0", {"context": "answers:10"}, turns=0)
    assert told.index("This is known about the person") < told.index("Which one does the person")
    assert told.count('\n- "') == 10
    assert "This is known" not in printed("acquaint/Flights-v0", {"context": "none"}, turns=0)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, (env_id, settings) in transcripts().items():
        (GOLDEN / f"{name}.txt").write_text(printed(env_id, settings), "utf-8")
