"""`envs.check` on the page's recipe, on what strangers break in it, and how it says no."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import pytest
from kit import ROOT, generator, respondents
from test_readme import COMMANDS, FILES, PAGES

from acquaint_gym.envs import check as command
from acquaint_gym.envs.contract import CHECKS, RESPONDENT_CHECKS
from acquaint_gym.eval.run import main as run

RECIPE = FILES["cafe.py"]
(COMMAND,) = (words for words in COMMANDS if words[:3] == ["python", "-m", "envs.check"])
QUESTIONNAIRE = "acquaint/Questionnaire-v0"


# The recipe.


def recipe(folder: Path, **streams: object) -> subprocess.Popen[str]:
    """The page's command in a folder that holds the page's file and nothing else."""
    (folder / "cafe.py").write_text(RECIPE, "utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    command = [sys.executable, *COMMAND[1:]]
    return subprocess.Popen(command, cwd=folder, env=environ, text=True, **streams)


def test_the_recipe_holds_every_check_word_for_word(tmp_path):
    process = recipe(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
    lines = printed.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [["ok", c.__name__] for c in CHECKS]
    assert lines[0] == COMMAND[-1].partition(":")[2]
    assert lines[-1] == f"{len(CHECKS)} of {len(CHECKS)} checks hold"


def test_the_page_counts_the_recipe_right():
    page = PAGES[ROOT / "docs" / "tasks.md"]
    stated = re.search(r"(\d+) lines that are not blank, (\d+) of them the manual", page)
    manual = re.search(r'    """Guess.*?"""\n', RECIPE, re.DOTALL)[0]
    counted = [sum(bool(line.strip()) for line in t.splitlines()) for t in (RECIPE, manual)]
    assert list(map(int, stated.groups())) == counted


def test_progress_is_shown_apart_from_the_lines(tmp_path):
    screen, terminal = pty.openpty()
    process = recipe(tmp_path, stdout=subprocess.PIPE, stderr=terminal)
    printed, _ = process.communicate(timeout=60)
    os.close(terminal)
    shown = os.read(screen, 2**16).decode()
    os.close(screen)
    assert f"0/{len(CHECKS)} checks" in re.sub(r"\x1b\[[\d;?]*\w", "", shown)
    assert len(printed.splitlines()) == len(CHECKS) + 2
    assert "\x1b" not in printed


# Strangers.


@pytest.fixture
def stranger(tmp_path, monkeypatch) -> Iterator[Callable[..., str]]:
    """Writes the recipe, changed, as a module of the folder at hand; what to type to check it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(*changes: tuple[str, str], text: str = RECIPE) -> str:
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        text = text.replace("cafe/", "stranger/").replace("cafe:", "stranger:")
        (tmp_path / "stranger.py").write_text(text, "utf-8")
        return "stranger:stranger/Cafe-v0"

    yield write
    sys.modules.pop("stranger", None)
    for env_id in [env_id for env_id in gym.registry if env_id.startswith("stranger/")]:
        del gym.registry[env_id]


def check(capsys, *arguments: object) -> tuple[int, list[str], str]:
    """Exit code, printed lines and what stands on the error stream."""
    code = command.main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def line_of(words: str) -> int:
    """Number of the only line of the stranger's module that holds these words."""
    lines = Path("stranger.py").read_text("utf-8").splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if words in line)
    return number


GLOBAL = (
    "return uniform.reshape(-1, self",
    "return np.random.random(uniform.shape).reshape(-1, self",
)
REMEMBERS = ("        weights = np.exp", "        self.met = levels\n        weights = np.exp")
TELLS = ("enumerate(stimulus, 1))", "enumerate(stimulus, 1)) + str(self.model.met)")
QUIET = ("    ## Rewards\n", "    ## Pay\n")


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ([GLOBAL], "check_same_person", "hold no generator and use no global one"),
        ([REMEMBERS, TELLS], "check_no_leak", "prompt() differs between two people"),
        ([QUIET], "check_manual", "says nothing under `## Rewards`"),
    ],
    ids=["global randomness", "leak", "manual"],
)
def test_what_a_stranger_breaks_is_said_in_a_sentence(changes, name, words, stranger, capsys):
    code, lines, _ = check(capsys, stranger(*changes))
    assert code == 1
    broken = {line.split()[1]: line for line in lines if line.startswith("broken ")}
    assert words in broken[name]
    held = sum(line.startswith("ok ") for line in lines)
    assert held == len(CHECKS) - len(broken)
    assert lines[-1] == f"{held} of {len(CHECKS)} checks hold"
    assert len(lines) == len(CHECKS) + 2


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ('raise ValueError("out of\\n  cups")', "ValueError: out of cups"),
        ('assert False, "out of cups"', "AssertionError: out of cups"),
        ('raise SystemExit("out of cups")', "SystemExit: out of cups"),
    ],
)
def test_what_crashes_is_named_with_its_place(raised, told, stranger, capsys):
    crash = (
        "    def question(self, stimulus):\n",
        f"    def question(self, stimulus):\n        {raised}\n",
    )
    code, lines, _ = check(capsys, stranger(crash))
    assert code == 1
    (line,) = (line for line in lines if told in line)  # told once, whatever it breaks
    assert line.startswith("broken ")
    assert any("check_prompts" in line for line in lines if line.startswith("broken "))
    assert line.endswith(f"{told} (stranger.py, line {line_of(raised)})")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("self.model = NearestCup()", "self.model = NearestCup(3)"),
            "TypeError: NearestCup() takes",
        ),
        (("self.model = NearestCup()", 'raise ValueError("no cups")'), "ValueError: no cups"),
    ],
    ids=["TypeError", "ValueError"],
)
def test_what_cannot_be_made_is_said_once(change, told, stranger, capsys):
    code, lines, _ = check(capsys, stranger(change), QUESTIONNAIRE)
    assert code == 1
    assert lines[1].startswith(f"broken  cannot be made            {told}")
    assert lines[1].endswith(f"(stranger.py, line {line_of(change[1])})")
    assert lines[-1] == f"{len(CHECKS)} of {2 * len(CHECKS)} checks hold"


def test_a_fault_that_no_line_of_the_stranger_raises_has_a_place_too_and_is_told_once(
    stranger, capsys
):
    wrong = stranger(("    def instructions(self):\n", "    def instructions(self, cup):\n"))
    code, lines, _ = check(capsys, wrong)
    assert code == 1
    broken = [line for line in lines if line.startswith("broken ")]
    assert len(broken) > 5
    assert re.search(r"TypeError: .*'cup' \(.*envs.*\.py, line \d+\)$", broken[0])
    first = broken[0].split()[1]
    assert sum("TypeError" in line for line in broken) < 4
    assert sum(line.endswith(f"as {first}") for line in broken) > 3


MODEL = "        self.model = NearestCup()\n"
PEOPLE = '        self.population = Population.profiles(["strength"], np.linspace(-2, 2, 5))\n'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((MODEL, ""), "Cafe sets no `model`; set self.model in its constructor: how people"),
        ((MODEL, MODEL.replace("NearestCup()", "3")), "Cafe: `model` is 3; expected how people"),
        ((PEOPLE, ""), "Cafe sets no `population`; set self.population in its constructor: who"),
        (("self.num_turns, self", "self.turns, self"), "Cafe sets no `num_turns`; set self.num_t"),
        (("np.zeros(3), np.ones(3)", "np.zeros(3), np.ones(2)"), "expected as many numbers"),
        (
            ("        super().__init__(reward)\n", ""),
            "Cafe: call super().__init__(reward",
        ),
        (("    def question(", "    def quest("), "Cafe lacks question(): see UserTask"),
        (
            ("        self.actions = (", "        self.actions = 128 * ('a',) + ("),
            "at most 127",
        ),
        (("reshape(-1, self.num_turns, 3)", "reshape(-1, 3, 5)[:, :, :2]"), "draw_stimuli() retu"),
    ],
)
def test_what_is_missing_is_said_once_with_what_to_set(change, said, stranger, capsys, tmp_path):
    env_id = stranger(change)
    code, lines, _ = check(capsys, env_id)
    assert code == 1
    assert len(lines) == 3
    assert said in lines[1]
    words = ["--agent", "bayes", "--env", env_id, "--users", "2", "--out", str(tmp_path / "out")]
    assert run(words) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1


def test_a_run_looks_at_a_task_of_others_before_it_scores_anybody(stranger, capsys, tmp_path):
    twice = ("return weights / weights.sum", "return 2 * weights / weights.sum")
    words = ["--env", stranger(twice), "--agent", "bayes", "--users", "2"]
    assert run([*words, "--out", str(tmp_path / "out")]) == 2
    complaint = capsys.readouterr().err
    assert "over answers; divide by the sum. `acquaint check` runs all checks" in complaint
    assert complaint.count("\n") == 1
    assert not list((tmp_path / "out").rglob("people-*"))


def test_a_task_of_others_is_named_with_its_package_everywhere(stranger, capsys, tmp_path):
    env_id = stranger()
    words = ["--env", env_id, "--agent", "bayes", "--users", "2", "--out", str(tmp_path / "out")]
    assert run(words) == 0
    assert "stranger/Cafe-v0" in capsys.readouterr().out.splitlines()[0]
    named = ["--import", "stranger", "--env", "stranger/Cafe-v0", *words[2:]]
    assert run(named) == 0  # the same run: its traces are there


# Settings and respondents.


def test_settings_reach_the_task(stranger, capsys):
    few = (
        "self.num_turns, self",
        'assert num_turns != 3, "not three"\n        self.num_turns, self',
    )
    code, lines, _ = check(capsys, stranger(few), "--set", "num_turns=3")
    assert code == 1
    assert "AssertionError: not three" in lines[1]


def test_respondents_get_the_checks_that_are_meant_for_them(tmp_path, capsys):
    path = respondents(tmp_path / "people.csv", generator(5).integers(0, 6, (9, 50)))
    few = ["--set", "num_turns=4", "--split", "all", "--seed", "7"]
    code, lines, _ = check(capsys, QUESTIONNAIRE, "--data", path, *few)
    assert code == 0, lines
    assert [line.split()[1] for line in lines[1:-1]] == [c.__name__ for c in RESPONDENT_CHECKS]


# Saying no.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_package:cafe/Cafe-v0"], ["'no_such_package'", "No module named"]),
        ([".relative:cafe/Cafe-v0"], ["'.relative'"]),
        (["acquaint/Questionaire-v0"], [f"Did you mean '{QUESTIONNAIRE}'?"]),
        ([f"envs:{QUESTIONNAIRE[:-1]}7"], [f"Did you mean '{QUESTIONNAIRE}'?"]),
        (["CartPole-v1"], ["'CartPole-v1'"]),
        ([QUESTIONNAIRE, "--set", "levls=3"], ["Did you mean 'levels'?"]),
        ([QUESTIONNAIRE, "--set", "levels=x"], ["levels='x'", "expected int"]),
        ([QUESTIONNAIRE, "--set", "levels=1"], ["levels=1"]),
        ([QUESTIONNAIRE, "--set", "levels"], ["Expected key=value"]),
        ([QUESTIONNAIRE, "--set", "split=test"], ["--split, --seed, --data and --people"]),
        ([QUESTIONNAIRE, "--split", "tset"], ["Did you mean 'test'?"]),
        ([QUESTIONNAIRE, "--seed", "-1"], ["--seed -1"]),
        ([QUESTIONNAIRE, "--data", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        ([QUESTIONNAIRE, "acquaint/Nothing-v0"], ["'acquaint/Nothing-v0'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_refused_in_one_line_before_anything_is_checked(arguments, words, capsys):
    code, lines, complaint = check(capsys, *arguments)
    assert (code, lines, complaint.count("\n")) == (2, [], 1)
    for word in words:
        assert word in complaint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\nos.nothing\n", "AttributeError: "),
        ('x = 1\nraise ValueError("no cups")\n', "ValueError: no cups"),
        ("\nimport no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("\nlen(5)\n", "TypeError: "),
        ("import sys\nsys.exit()\n", "SystemExit: "),
    ],
)
def test_a_package_that_breaks_when_imported_is_refused_with_its_place(
    text, told, stranger, capsys
):
    code, lines, complaint = check(capsys, stranger(text=text))
    assert (code, lines, complaint.count("\n")) == (2, [], 1)
    assert f"Package 'stranger' cannot be imported: {told}" in complaint
    assert complaint.endswith("(stranger.py, line 2)\n")


def test_a_package_that_is_no_python_is_refused(stranger, capsys):
    code, _, complaint = check(capsys, stranger(text="x = 1\nclass\n"))
    assert code == 2
    assert "(stranger.py, line 2)" in complaint


def test_a_registration_that_leads_nowhere_is_refused(stranger, capsys):
    code, _, complaint = check(capsys, stranger(('"cafe:Cafe"', '"cafe:Caf"')))
    assert code == 2
    assert "Task 'stranger:Caf' cannot be loaded" in complaint


def test_an_interrupt_ends_it_with_130(capsys, monkeypatch):
    def interrupted(env_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "CHECKS", (*CHECKS[:1], interrupted))
    code, lines, complaint = check(capsys, QUESTIONNAIRE)
    assert code == 130
    assert len(lines) == 2
    assert complaint == "Interrupted.\n"
