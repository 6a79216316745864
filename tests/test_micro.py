"""The embedded model: its tokenizer, its corpus, a shortened one, and the one that is shipped."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from registered import ids

from agents.llm.agent import LLMAgent
from agents.llm.dialogue import Dialogue
from agents.llm.hugging_face import load
from envs.contract_play import transcript
from envs.core import UserTask
from envs.registration import environment_spec, make_task, task_keys
from envs.simulator import Simulator
from train import micro, micro_build
from train.micro_corpus import (
    GROUPS,
    QUESTIONNAIRE,
    Document,
    Stage,
    about,
    compared,
    encode,
    recalled,
    stated,
)

FEW = ["--sampled", "200", "--examined", "5", "--save-every", "2"]
SHORT = ["--steps", "4", "--documents", "5", "--layers", "1", "--width", "16", "--heads", "2"]


def task_of(env_id: str, **arguments: object) -> UserTask:
    fixed = dict(environment_spec(env_id).kwargs)
    return make_task(fixed.pop("task"), **fixed, **arguments)


def built(out: Path, *more: str) -> bytes:
    micro.main(["--out", str(out), *SHORT, *FEW, *more])
    return (out / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("micro")
    built(out)
    return out


@pytest.fixture(scope="module")
def dialogue(short: Path) -> Dialogue:
    return Dialogue(load(str(short))[1], "short")


def drawn(writer: object = stated, seed: int = 0, **arguments: object) -> Document:
    return writer(np.random.default_rng(seed), Stage(varied=0), **arguments)  # type: ignore[operator]


def test_tokenizer_gives_any_text_back(short: Path) -> None:
    tokenizer = load(str(short))[1]
    for text in (
        'The statement is: "Am the life of the party."',
        "12:24 PM,\n$730",
        "Häß 東京 🙂 ",
    ):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_questionnaire_is_short_in_tokens(dialogue: Dialogue) -> None:
    task = task_of(QUESTIONNAIRE)
    seen = transcript(task, Simulator(task, "test", 0).draw(np.arange(1)), np.array([49]))
    ids_ = dialogue.encode(task.prompt({key: value[0] for key, value in seen.items()})).ids
    assert len(ids_) < 8 * 50 + 60


def test_replies_are_single_tokens(dialogue: Dialogue) -> None:
    for texts in ("12345", "ABCDE"):
        assert [len(reply) for reply in dialogue.replies(texts)] == [1] * 5


@pytest.mark.parametrize("env_id", ids())
def test_every_environment_can_be_written(env_id: str, dialogue: Dialogue) -> None:
    contexts = [{}, {"context": "traits"}] if "context" in task_keys(env_id) else [{}]
    for arguments in contexts:
        task = task_of(env_id, **arguments)
        users = Simulator(task, "test", 0).draw(np.arange(2))
        for turn in (0, 1, task.num_turns):
            seen = transcript(task, users, np.full(2, turn))
            for row in range(2):
                chat = task.prompt({key: value[row] for key, value in seen.items()})
                assert len(dialogue.encode(chat).answer_positions) == turn + 1


def test_targets_are_the_exact_answers_given_the_stated_profile(dialogue: Dialogue) -> None:
    several = (drawn(seed=seed, env_id=QUESTIONNAIRE) for seed in range(30))
    document = next(one for one in several if "That was all" not in str(one.messages))
    task = task_of(QUESTIONNAIRE, context="traits")
    example = encode(document, dialogue)
    items = np.arange(50, dtype=np.float32)[:, None]
    assert np.allclose(example.probs, task.model.probs(np.array(_levels(document)), items))
    assert (np.array(example.ids)[example.positions] == example.ids[-1]).all()


def _levels(document: Document) -> list[int]:
    names = ["very low", "low", "average", "high", "very high"]
    lines = document.messages[1]["content"].splitlines()[1:6]
    return [names.index(line.partition(": ")[2]) for line in lines]


def test_nothing_has_to_be_inferred() -> None:
    """Where no profile is stated, only what was said is asked back, and answers mean nothing."""
    answers = []
    for seed in range(40):
        document = drawn(recalled, seed)
        assert "very low" not in str(document.messages)
        questions = [m["content"] for m in document.messages if m["role"] == "user"]
        for due, question in zip(document.due, questions, strict=True):
            assert (due is not None) == ("How did the person answer" in question)
            if due is not None:
                statement = question.rpartition("answer: ")[2]
                assert str(document.messages).count(statement[1:-1].replace("'", "\\'")) >= 1
                answers.append(int(np.argmax(due.probs)))
    assert np.bincount(answers, minlength=5).min() > len(answers) / 10
    for name, (write, _) in GROUPS.items():
        if write not in (recalled, compared, about):
            texts = write(np.random.default_rng(0), Stage()).messages
            assert "This is known about the person:" in texts[1]["content"], name


def test_the_same_seed_gives_the_same_model(short: Path, tmp_path: Path) -> None:
    weights = (short / "model.safetensors").read_bytes()
    assert built(tmp_path / "again") == weights
    assert built(tmp_path / "other", "--seed", "1") != weights


def test_an_interrupted_run_goes_on(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = micro_build.rate

    def stop(step: int, steps: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate(step, steps)

    monkeypatch.setattr(micro_build, "rate", stop)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path)
    monkeypatch.setattr(micro_build, "rate", rate)
    assert (tmp_path / micro_build.CHECKPOINT).exists()
    with pytest.raises(SystemExit):
        built(tmp_path, "--learning-rate", "1")
    assert built(tmp_path) == (short / "model.safetensors").read_bytes()
    assert not (tmp_path / micro_build.CHECKPOINT).exists()


def test_model_card_says_how_it_was_made(short: Path) -> None:
    card = (short / "README.md").read_text("utf-8")
    assert "python -m train.micro --steps 4 --documents 5 --layers 1 --width 16" in card
    assert "license: apache-2.0" in card
    assert all(f"| {name} | " in card for name in GROUPS)


def test_agent_scores_with_it(short: Path) -> None:
    task = task_of(QUESTIONNAIRE)
    agent = LLMAgent(task, str(short), probe="levels")
    seen = transcript(task, Simulator(task, "test", 0).draw(np.arange(3)), np.array([0, 2, 5]))
    decision = agent.act(seen, np.zeros(3))
    assert decision.action_probs.shape == (3, 5)
    assert decision.belief is not None


def test_without_its_packages_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "train.micro_build", None)
    with pytest.raises(SystemExit) as stop:
        micro.main(["--out", str(tmp_path / "new")])
    assert stop.value.code == 2
    assert "pip install -e '.[llm]'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
