"""What README, docs and results tell people to type and to write does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from kit import ROOT, call, draw_nothing

from acquaint_gym.agents.registry import parse_agent
from acquaint_gym.envs.names import parse_settings
from acquaint_gym.envs.registration import task_keys
from acquaint_gym.eval import belief, questions, show, stress, sweep
from acquaint_gym.eval.run import main, parser
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.train import collect, fit_items, fit_population, plan_interviews
from acquaint_gym.train.recipes import command as recipes
from acquaint_gym.train.sb3.recipe import RLRecipe

README = (ROOT / "README.md").read_text("utf-8")
CODE = (ROOT / "docs" / "code.md").read_text("utf-8")
# Every page for users, by its path; what is public is held to the code elsewhere.
PAGES = {
    path: path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "eval" / "RESULTS.md", *(ROOT / "docs").glob("*.md"))
}
BLOCKS = [
    block for text in PAGES.values() for block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
]
COMMANDS = [
    shlex.split(line, comments=True)
    for language, text in BLOCKS
    if language == "bash"
    for line in text.splitlines()
]
# Modules whose commands are tested here, and how many commands the pages hold.
TESTED = (
    "envs.check",
    "eval.run",
    "eval.sweep",
    "eval.stress",
    "eval.belief",
    "eval.questions",
    "eval.compare",
    "eval.show",
    "eval.bench",
    "train.fit_items",
    "train.fit_population",
    "train.collect",
    "train.distill",
    "train.dpo",
    "train.gru",
    "train.plan_interviews",
    "train.rl",
)
COUNT = 99
RUNS = [words[3:] for words in COMMANDS if words[:3] == ["python", "-m", "eval.run"]]
FILES = {
    text.splitlines()[0].removeprefix("# "): text
    for language, text in BLOCKS
    if language in ("python", "yaml") and re.match(r"# \w+\.(py|yaml)\n", text)
}


def typed(module: str) -> list[list[str]]:
    """The words after `python -m MODULE`, of each time that a page types it."""
    return [words[3:] for words in COMMANDS if words[:3] == ["python", "-m", module]]


def test_the_readme_holds_what_is_tested_here():
    assert set(FILES) == {
        *("cafe.py", "thompson.py", "thompson.yaml", "qwen.yaml", "train_mine.py", "mine.yaml")
    }
    assert all(typed(module) for module in TESTED)
    assert sum(len(typed(module)) for module in TESTED) == COUNT
    assert ["make", "demo"] in COMMANDS
    assert ["make", "test"] in COMMANDS


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_commands_name_what_exists(words):
    options = parser().parse_args(
        [word for word in words if word not in ("--help", "--list")] or ["--agent", "x"]
    )
    shipped = [name for name in options.agent if not name.endswith(".yaml") and name != "x"]
    if options.packages or options.settings == ["parameters=human.csv"]:
        return  # made by another block of the pages
    for env_id in options.env if shipped else []:
        jobs = plan(env_id, shipped, People("test", 0, None), parse_settings(options.settings))
        assert [job.agent.label for job in jobs] == shipped


def test_every_command_is_tested_here():
    assert {words[2] for words in COMMANDS if words[:2] == ["python", "-m"]} == set(TESTED)


@pytest.mark.parametrize("words", typed("eval.sweep"), ids=" ".join)
def test_sweeps_can_begin(words, tmp_path):
    options = sweep.parser().parse_args([*words, "--users", "1", "--out", str(tmp_path)])
    if any("model" in parse_agent(name, []).arguments for name in options.agent):
        # Language models take a while to load: they are tried out in the first of the settings.
        options.vary = [text.partition(",")[0] for text in options.vary]
    assert sweep.prepare(options)


@pytest.mark.parametrize("words", typed("eval.stress"), ids=" ".join)
def test_stress_tests_can_begin(words, tmp_path):
    options = stress.parser().parse_args([*words, "--users", "1", "--out", str(tmp_path)])
    cases, missing = stress.prepare(options, stress.choose_quirks(options.quirks))
    assert len(cases) > 20 > len(missing)


def test_the_other_commands_are_understood(capsys, monkeypatch):
    monkeypatch.delenv("ACQUAINT_DATA", raising=False)  # where the files might be
    (words,) = {tuple(words[:-1]) for words in typed("eval.belief")}
    belief.parser().parse_args([*words, "DIR"])
    recorded = {
        Path(module.parser().parse_args(words).out)
        for module in (collect, plan_interviews)
        for words in typed(module.__name__.removeprefix("acquaint_gym."))
    }
    for module in ("train.distill", "train.dpo", "train.gru"):
        for words in typed(module):
            at = words.index("--config")
            table = recipes.read(str(ROOT / words[at + 1])) | recipes.overrides(words[at + 2 :])
            traces = table["traces"] if isinstance(table["traces"], list) else [table["traces"]]
            assert {Path(folder) for folder in traces} <= recorded, words
    for words in typed("eval.show"):
        assert show.parser().parse_args(words).agent
    for words in typed("train.rl"):
        config = str(ROOT / words[words.index("--config") + 1])
        assert RLRecipe.parse(recipes.read(config), config)
    for words in typed("eval.questions"):
        options = questions.parser().parse_args(words)
        assert all(need.rpartition(":")[0] in options.agent for need in options.need)
        for env_id in options.env:
            settings = parse_settings(options.settings)
            assert plan(env_id, options.agent, People("test", 0, None), settings)
    for module in (fit_items, fit_population):
        (words,) = typed(module.__name__.removeprefix("acquaint_gym."))
        with pytest.raises(SystemExit):  # understood, but there is no such file here
            module.main(words)
        assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "agent"),
    [
        ("cafe.py", "clairvoyant"),
        ("thompson.yaml", None),
        pytest.param("mine.yaml", None, marks=pytest.mark.slow),  # trains a policy first
    ],
)
def test_recipes_work_word_for_word(file, agent, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    if file == "mine.yaml":
        call("python", "train_mine.py", cwd=tmp_path)
    mark = file.removesuffix(".py")
    (words,) = [run for run in RUNS if mark in run]
    command = ["python", "-m", "acquaint_gym.eval.run", *words, "--users", 40]
    done = call(*command, cwd=tmp_path, COLUMNS="120")
    assert (agent or file) in done.stdout


def test_the_yaml_of_a_language_model_is_understood(tmp_path):
    own = tmp_path / "qwen.yaml"
    own.write_text(FILES["qwen.yaml"], "utf-8")
    spec = parse_agent(str(own), task_keys("acquaint/Questionnaire-v0"))
    assert spec.target == "acquaint_gym.agents.llm:LLMAgent"
    assert spec.arguments["model"].startswith("Qwen/")


def places(text: str) -> set[str]:
    """Where a link can lead in a page, as GitHub names headings."""
    return {
        re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    }


def test_links_lead_to_what_exists():
    linked = set()
    for path, text in PAGES.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, place = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), (path.name, link)
            assert not place or place in places(PAGES[target]), (path.name, link)
            linked.add(target)
    assert linked >= set(PAGES) - {ROOT / "README.md"}  # no page that nobody finds


def test_the_first_page_is_short_and_explains_its_table():
    assert len(README.splitlines()) <= 200
    heads = re.search(r"^\| agent \| (.*) \|$", README, re.MULTILINE)[1].split(" | ")
    explained = re.search(r"\| head \| what it says \|\n(.*?)\n\n", README, re.DOTALL)[1]
    words = {word for line in explained.splitlines() for word in line.split("|")[1].split(",")}
    assert {head.rstrip("↑↓≈") for head in heads} <= {word.strip() for word in words}


def test_the_first_lines_of_python_run(capsys):
    (text,) = [
        text
        for language, text in BLOCKS
        if language == "python" and text.startswith("import gymnasium")
    ]
    assert len(text.splitlines()) <= 12
    names: dict[str, object] = {}
    exec(text, names)
    assert names["reward"] in (0.0, 1.0)
    assert "0 of 50 answers seen" in capsys.readouterr().out


def test_the_conversation_is_one_that_takes_place(tmp_path, capsys, monkeypatch):
    draw_nothing(monkeypatch)
    out = str(tmp_path / "run")
    assert main(["--agent", "micro-lora", "bayes", "--users", "8", "--out", out]) == 0
    capsys.readouterr()
    assert show.main([out, "--agent", "micro-lora", "--person", "7", "--turns", "6-7"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    told = re.search(r"```\n(turn 6: .*?)\n```", README, re.DOTALL)[1].splitlines()
    start = printed.index(told[0])
    assert printed[start : start + len(told)] == told


def test_the_tree_holds_every_folder_and_no_file_that_is_gone():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", CODE, re.DOTALL)[1]
    at, named, folders = "", set(), set()
    for line in tree.splitlines():
        head, text = line[:15].strip().rstrip("/"), line[15:]
        at = head or at
        folders.add(at)
        named |= {f"{at}/{name}" for name in re.findall(r"[\w/]+\.(?:py|md)\b", text)}
        folders |= {f"{at}/{name}" for name in re.findall(r"\b(\w+)/(?![\w*])", text)}
        folders |= {f"{at}/{name}" for name in re.findall(r"\b(\w+)/\*\.yaml", text)}
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).is_file()] == []
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("[a-z]*/**/*.py")}
    assert {path for path in packages if not path.startswith("build")} <= folders
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


def test_what_is_to_be_read_first_is_there_and_short():
    order = re.search(r"## Read the code in this order\n(.*?)\n## ", README, re.DOTALL)[1]
    read = re.findall(r"^\d+\. `([\w/.]+)`: .+\.$", order, re.MULTILINE)
    assert 5 <= len(read) <= 10
    assert len(read) == len(re.findall(r"^\d+\.", order, re.MULTILINE))
    lengths = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in read}
    assert {name: length for name, length in lengths.items() if length > 200} == {}


def test_what_happens_where_the_page_of_the_code_says():
    table = re.search(r"\| what happens \| file .*?\n\n", CODE, re.DOTALL)[0]
    for line in table.strip().splitlines()[2:]:
        _, _, where, inside, _ = line.split("|")
        texts = [(ROOT / n).read_text("utf-8") for n in re.findall(r"`([\w/]+\.py)`", where)]
        for name in re.findall(r"`(\w+)`", inside):
            assert re.search(rf"def _?{name}\b", "\n".join(texts)), line
