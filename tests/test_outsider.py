"""A stranger's package, `tests/outsider`, adds one of each thing through public names only."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from kit import call
from public_page import PAGE, ROW
from tiny_llm import questionnaire, seen

from acquaint_gym.agents.contract import CHECKS
from acquaint_gym.agents.llm import LLMAgent, hugging_face
from acquaint_gym.agents.llm.hybrid import HybridAgent
from acquaint_gym.envs import check as check_command
from acquaint_gym.envs.contract import RESPONDENT_CHECKS
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import import_package
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.eval import belief as belief_command
from acquaint_gym.eval.run import main
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.eval.runs.fingerprint import of_code, of_modules

PACKAGE = Path(__file__).parent / "outsider"
FILES = sorted(PACKAGE.glob("*.py"))
TEA, QUESTIONNAIRE = "outsider/Tea-v0", "acquaint/Questionnaire-v0"
IMAGINED, ENGINE = "outsider.people:Imagined", "outsider.scorer:Scorer"
PARTICLES = "outsider.posterior:ParticleFilter"
MICRO = "agents/models/micro"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The package's environment, for the tests of this file alone: others count what there is."""
    import_package("outsider")
    yield
    gym.registry.pop(TEA)


def run(folder: Path, *words: str) -> dict[tuple[str, str], float]:
    """The means in the report of a command, in a folder beside the package, by agent and metric."""
    shutil.copytree(PACKAGE, folder / "site" / "outsider")
    desk = folder / "desk"
    desk.mkdir()
    command = ("python", "-m", "acquaint_gym.eval.run", *words, "--out", "out")
    call(*command, cwd=desk, PYTHONPATH=str(folder / "site"))
    rows = json.loads((desk / "out" / "report.json").read_text("utf-8"))["rows"]
    return {(row["agent"], row["metric"]): row["mean"] for row in rows}


# What the files are.


def test_there_is_one_of_each_thing():
    assert [file.stem for file in FILES] == [
        "__init__",
        "agent",
        "people",
        "posterior",
        "scorer",
        "task",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_has_less_than_60_lines(file):
    assert sum(bool(line.strip()) for line in file.read_text("utf-8").splitlines()) < 60


def test_they_import_what_is_public_and_nothing_else():
    public = set(dict(ROW.findall(PAGE.read_text("utf-8"))))
    imported = [
        (node.module or "", alias.name)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    ours = [(module, name) for module, name in imported if module.startswith("acquaint_gym")]
    assert len(ours) > 10
    assert [p for p in ours if not {p[0], ".".join(p)} & public or p[1].startswith("_")] == []


# What they do.


def test_a_task_and_an_agent_run_from_another_folder(tmp_path):
    agent = tmp_path / "site" / "outsider" / "neighbours.yaml"
    names = ["random", "bayes", str(agent)]
    mean = run(tmp_path, "--import", "outsider", "--env", TEA, "--agent", *names, "--users", "300")
    nll = [mean[name, "nll"] for name in ("bayes", str(agent), "random")]
    assert nll == sorted(nll)


def test_a_scorer_a_posterior_and_a_source_of_people_run_from_another_folder(tmp_path):
    names = ["random", "bayes", f"micro-lora:scorer={ENGINE}", f"bayes:posterior={PARTICLES}"]
    words = ["--people", IMAGINED, "--agent", *names, "--set", "num_turns=3", "--users", "4"]
    mean = run(tmp_path, *words)
    assert 0.99 < mean[names[2], "answer_mass"] < 1
    assert mean["random", "nll"] == pytest.approx(np.log(5))
    assert 0 < mean[names[3], "kl_from_teacher"] < 0.01
    assert mean["bayes", "belief_correlation"] is None  # nobody knows their traits


def test_the_agent_keeps_the_contract():
    from outsider.agent import Neighbours

    for check in CHECKS:
        check(Neighbours, TEA)


@pytest.mark.parametrize("check", RESPONDENT_CHECKS, ids=lambda check: check.__name__)
def test_the_people_keep_the_contract(check):
    check(QUESTIONNAIRE, people=IMAGINED, num_turns=2)


@pytest.mark.parametrize("adapter", [None, f"{MICRO}-lora"])
def test_the_engine_gives_the_numbers_of_our_own(adapter):
    task, nobody = questionnaire(num_turns=5), np.zeros(3)
    ours, theirs = (
        LLMAgent(task, MICRO, adapter=adapter, device=device, **scorer)
        for device, scorer in (("cpu", {}), (None, {"scorer": ENGINE}))
    )
    for turn in (0, 2, 4):
        expected, found = (agent.act(seen(task, turn), nobody) for agent in (ours, theirs))
        np.testing.assert_allclose(found.action_probs, expected.action_probs, atol=1e-5)
        np.testing.assert_allclose(found.answer_mass, expected.answer_mass, atol=1e-5)
    ids = ours.conversations(seen(task, 4))
    replies = ours.dialogue.replies(["1", "I agree", "I disagree"])  # of several tokens
    assert max(map(len, replies)) > 1
    scores = (agent.scorer.score(ids, replies) for agent in (theirs, ours))
    np.testing.assert_allclose(*scores, atol=1e-4)


def test_another_engine_loads_no_weights_of_ours(monkeypatch):
    def load(*arguments):
        raise ValueError("weights are loaded")

    monkeypatch.setattr(hugging_face, "load_model", load)
    LLMAgent(questionnaire(num_turns=2), MICRO, scorer=ENGINE)
    with pytest.raises(ValueError, match="weights are loaded"):
        LLMAgent(questionnaire(num_turns=2), MICRO)


def test_the_hybrid_takes_another_engine_too():
    task, nobody = questionnaire(num_turns=3), np.zeros(3)
    agents = [HybridAgent(task, MICRO, device="cpu"), HybridAgent(task, MICRO, scorer=ENGINE)]
    ours, theirs = (agent.act(seen(task, 2), nobody).action_probs for agent in agents)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


class FromAnotherWorld(Simulator):
    """People whose traits are known, but who are not those of the simulator."""

    def __init__(self, task: UserTask, split: str, suite_seed: int) -> None:
        super().__init__(task, split, suite_seed + 1)


def test_people_of_another_source_may_have_known_traits(tmp_path):
    words = ["--agent", "random", "bayes", "--set", "num_turns=3", "--users", "4"]
    source = ["--people", "test_outsider:FromAnotherWorld", "--out", str(tmp_path)]
    assert main([*words, *source]) == 0
    rows = json.loads((tmp_path / "report.json").read_text("utf-8"))["rows"]
    found = {(row["agent"], row["metric"]): row["mean"] for row in rows}
    assert np.isfinite(found["bayes", "belief_nll"])
    assert belief_command.main([str(tmp_path)]) == 0  # meets the same people again


# What decides the traces.


@pytest.mark.parametrize(
    ("part", "name", "agent"),
    [
        ("scorer", "Scorer", "micro"),
        ("posterior", "ParticleFilter", "bayes"),
        ("people", "Imagined", None),
    ],
)
def test_their_code_decides_the_traces(part, name, agent, tmp_path, monkeypatch):
    target = f"fresh_{part}.{part}:{name}"
    shutil.copytree(PACKAGE, tmp_path / f"fresh_{part}")
    monkeypatch.syspath_prepend(str(tmp_path))

    def config() -> dict[str, Any]:
        of_code.cache_clear()
        of_modules.cache_clear()
        text = f"{agent}:{part}={target}" if agent else "bayes"
        people = People("test", 0, None, None if agent else target)
        [job] = plan(QUESTIONNAIRE, [text], people, {"num_turns": 2})
        return job.config()

    before = config()
    assert config() == before
    file = tmp_path / f"fresh_{part}" / f"{part}.py"
    file.write_text(file.read_text("utf-8") + "# another line\n", "utf-8")
    after = config()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"code" if agent else "people"}


# What does not fit.


def test_people_from_two_places_are_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"respondents='x\.csv' and people='outsider"):
        gym.make(QUESTIONNAIRE, respondents="x.csv", people=IMAGINED)
    words = ["--agent", "bayes", "--data", "x.csv", "--people", IMAGINED]
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert "people come from one of the two; leave one out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--people", "outsider.people"], "Source of people 'outsider.people': expected module:Cl"),
        (["--people", "outsider.people:Imagine"], "has no 'Imagine'. Did you mean 'Imagined'?"),
        (["--people", IMAGINED, "--split", "all"], "split='all'; expected train, dev or test."),
        (["--people", IMAGINED, "--set", "quirks=careless:0.2"], "without context or quirks"),
    ],
)
def test_people_that_are_not_there_are_refused_in_one_line(words, message, tmp_path, capsys):
    assert main(["--agent", "bayes", *words, "--out", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scorer": "outsider.scorer:Score"}, "has no 'Score'. Did you mean 'Scorer'?"),
        ({"scorer": ENGINE, "attention": "sdpa"}, "an unexpected keyword argument 'attention'"),
        ({"scorer": ENGINE, "cache": False}, "an unexpected keyword argument 'cache'"),
        ({"scorer": ENGINE, "scorer_options": {"gpus": 2}}, "keyword argument 'gpus'"),
        ({"scorer": ENGINE, "dtype": "bfloat16"}, "this engine computes in float64"),
    ],
)
def test_a_scorer_that_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        LLMAgent(questionnaire(num_turns=2), MICRO, **settings)


def test_the_check_command_takes_a_source_of_people(capsys):
    words = ["--set", "num_turns=1", "--people", "outsider.people:Imagine"]
    assert check_command.main([QUESTIONNAIRE, *words]) == 2
    assert "Did you mean 'Imagined'?" in capsys.readouterr().err
