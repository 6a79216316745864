"""The embedded model: its tokenizer, its corpus, a shortened one, and the one that is shipped."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from registered import ROOT, ids
from scipy.special import rel_entr

from acquaint_gym.agents.llm.agent import LLMAgent
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.tokenizer import load_tokenizer
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserVectorEnv
from acquaint_gym.envs.registration import environment_spec, make_task, task_keys
from acquaint_gym.envs.simulator import Simulator, example_transcripts
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.train import micro
from acquaint_gym.train.embedded import build as micro_build
from acquaint_gym.train.embedded.corpus import (
    GROUPS,
    QUESTIONNAIRE,
    Document,
    SoftTarget,
    Stage,
    about,
    encode,
    write_comparison,
    write_profile,
    write_recall,
)

SHIPPED = ROOT / "agents/models/micro"
FEW = ["--sampled", "200", "--examined", "5", "--save-every", "2"]
SHORT = ["--steps", "4", "--documents", "5", "--layers", "1", "--width", "16", "--heads", "2"]


def task_of(env_id: str, **arguments: object) -> UserTask:
    fixed = dict(environment_spec(env_id).kwargs)
    return make_task(fixed.pop("task"), **fixed, **arguments)


def built(out: Path, *more: str) -> bytes:
    assert micro.main(["--out", str(out), *SHORT, *FEW, *more]) == 0
    return (out / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("micro")
    built(out)
    return out


@pytest.fixture(scope="module")
def dialogue(short: Path) -> Dialogue:
    return Dialogue(load_tokenizer(str(short)), "short")


def drawn(writer: object = write_profile, seed: int = 0, **arguments: object) -> Document:
    return writer(np.random.default_rng(seed), Stage(varied=0), **arguments)  # type: ignore[operator]


def test_tokenizer_gives_any_text_back(short: Path) -> None:
    tokenizer = load_tokenizer(str(short))
    for text in (
        'The statement is: "Am the life of the party."',
        "12:24 PM,\n$730",
        "Häß 東京 🙂 ",
    ):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_questionnaire_is_short_in_tokens(dialogue: Dialogue) -> None:
    task = task_of(QUESTIONNAIRE)
    seen = example_transcripts(task, Simulator(task, "test", 0).draw(np.arange(1)), np.array([49]))
    ids_ = dialogue.encode(task.prompt(seen.person(0))).ids
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
            seen = example_transcripts(task, users, np.full(2, turn))
            for row in range(2):
                chat = task.prompt(seen.person(row))
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
    task, answers = task_of(QUESTIONNAIRE), []
    for seed in range(40):
        document = drawn(write_recall, seed)
        assert "very low" not in str(document.messages)
        questions = [m["content"] for m in document.messages if m["role"] == "user"]
        whole = "\n".join(questions)
        for due, question in zip(document.targets, questions, strict=True):
            assert (due is not None) == ("How did the person answer" in question)
            if due is not None:
                statement = question.rpartition("answer: ")[2]
                # Told before the question: in the list at the beginning, or as an answer.
                assert whole.count(statement) >= 2
                [told] = re.findall(
                    rf"{re.escape(statement)}(?: |\nThe person answered \d \()([A-Z][A-Za-z ]+)",
                    whole,
                )
                answers.append(int(np.argmax(due.probs)))
                assert task.categories[answers[-1]] == told
    assert np.bincount(answers, minlength=5).min() > len(answers) / 10
    for name, (write, _) in GROUPS.items():
        if write not in (write_recall, write_comparison, about):
            texts = write(np.random.default_rng(0), Stage()).messages
            assert "This is known about the person:" in texts[1]["content"], name


def test_the_same_seed_gives_the_same_model(short: Path, tmp_path: Path) -> None:
    weights = (short / "model.safetensors").read_bytes()
    assert built(tmp_path / "again") == weights
    assert built(tmp_path / "other", "--seed", "1") != weights


def test_an_interrupted_run_goes_on(
    short: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rate = micro_build.rate

    def stop(step: int, steps: int) -> float:
        if step == 3:
            raise KeyboardInterrupt
        return rate(step, steps)

    monkeypatch.setattr(micro_build, "rate", stop)
    arguments = ["--out", str(tmp_path), *SHORT, *FEW]
    assert micro.main(arguments) == 130
    assert "the same command goes on" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(micro_build, "rate", rate)
    assert (tmp_path / micro_build.CHECKPOINT).exists()
    assert micro.main([*arguments, "--learning-rate", "1"]) == 2
    assert "a run with other settings" in capsys.readouterr().err
    content = (tmp_path / micro_build.CHECKPOINT).read_bytes()
    (tmp_path / micro_build.CHECKPOINT).write_bytes(content[:1000])
    assert micro.main(arguments) == 2
    assert "damaged (" in capsys.readouterr().err
    (tmp_path / micro_build.CHECKPOINT).write_bytes(content)
    assert built(tmp_path) == (short / "model.safetensors").read_bytes()
    assert not (tmp_path / micro_build.CHECKPOINT).exists()


def test_model_card_says_how_it_was_made(short: Path) -> None:
    card = (short / "README.md").read_text("utf-8")
    assert "python -m train.micro --steps 4 --documents 5 --layers 1 --width 16" in card
    assert "license: apache-2.0" in card
    assert all(f"| {name} | " in card for name in GROUPS)
    # After four steps nothing is learned, and it says so.
    assert "It learned nothing. It did NOT learn to answer the questionnaire" in card
    first, last = (sum(map(len, documents.values())) for documents in _read(0, 4))
    assert (first, last) == (2 * last, last)
    assert "about 10 up to 60% of the steps, then 5 up to 100% of the steps" in " ".join(
        card.split()
    )


def _read(*steps: int) -> list[dict[str, list[Document]]]:
    """What is read at some steps of five."""
    options = micro.parser().parse_args(["--steps", "5", "--documents", "50"])
    return [micro_build.curriculum(options, step) for step in steps]


def test_a_uniform_guess_is_measured_by_hand() -> None:
    several = Document(
        [], [None, SoftTarget("AB", np.array([1.0, 0.0])), SoftTarget("12345", np.full(5, 0.2))]
    )
    assert np.allclose(micro_build.uniform_nats(several), [np.log(2), 0])
    halves = SoftTarget("ABCD", np.array([0.5, 0.5, 0, 0]))  # log 4 less the entropy, log 2
    assert np.allclose(micro_build.uniform_nats(Document([], [halves])), [np.log(2)])


def test_the_shipped_card_says_what_was_not_learned() -> None:
    card = " ".join((SHIPPED / "README.md").read_text("utf-8").split())
    assert "did NOT learn to choose flights as a stated profile would, to compare flights" in card
    assert "| of a uniform guess |" in card
    assert "about 32 up to 60% of the steps, then 16" in card


def test_the_shipped_student_is_near_the_teacher() -> None:
    env = gym.make_vec(
        QUESTIONNAIRE, num_envs=24, autoreset_mode=AutoresetMode.DISABLED, split="test"
    ).unwrapped
    assert isinstance(env, UserVectorEnv)
    student = LLMAgent(env.task, str(SHIPPED), adapter=f"{SHIPPED}-lora", device="cpu")
    uniform = np.zeros((24, env.task.num_turns))
    trace = rollout(env, student, BayesTeacher(env.task), np.arange(24), uniform)
    assert rel_entr(trace.teacher_probs, trace.action_probs).sum(axis=2).mean() < 0.006
    assert trace.answer_mass.mean() > 0.999
    assert (trace.actions == trace.teacher_actions).mean() > 0.93


def test_the_shipped_base_reads_a_profile_and_infers_nothing() -> None:
    off = {}
    for context in ("traits", "none"):
        task = task_of(QUESTIONNAIRE, context=context)
        users = Simulator(task, "test", 0).draw(np.arange(24))
        exact = task.model.probs(users.levels[:, None], users.stimuli)
        agent, nats = LLMAgent(task, str(SHIPPED), device="cpu"), []
        for turn in range(0, task.num_turns, 5):
            seen = example_transcripts(task, users, np.full(24, turn))
            said = agent.act(seen, np.zeros(24)).action_probs
            nats.append(rel_entr(exact[:, turn], said).sum(axis=1).mean())
        off[context] = np.mean(nats)
    assert off["traits"] < 0.05
    assert off["none"] > 0.3


def test_agent_scores_with_it(short: Path) -> None:
    task = task_of(QUESTIONNAIRE)
    agent = LLMAgent(task, str(short), probe="levels")
    seen = example_transcripts(
        task, Simulator(task, "test", 0).draw(np.arange(3)), np.array([0, 2, 5])
    )
    decision = agent.act(seen, np.zeros(3))
    assert decision.action_probs.shape == (3, 5)
    assert decision.belief is not None


def test_without_its_packages_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "acquaint_gym.train.embedded.build", None)
    assert micro.main(["--out", str(tmp_path / "new")]) == 2
    assert "pip install -e '.[llm]'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *((f"--{name} 0", "at least 1") for name in ("save-every", "steps", "heads", "documents")),
        ("--layers 0", "at least 1"),
        ("--seed -1", "at least 0"),
        ("--learning-rate 0", "more than 0"),
        ("--width 15", "expected a multiple of 8"),
        ("--out {file}", "no folder can be made there"),
        ("--out {file}/new", "no folder can be made there"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(given, said, capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    arguments = ["--out", str(tmp_path / "new"), *given.format(file=file).split()]
    assert micro.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert file.read_text() == "mine"


def test_a_finished_model_is_replaced_only_if_asked(short: Path, tmp_path: Path, capsys) -> None:
    weights = built(tmp_path)
    before = (tmp_path / "README.md").read_text("utf-8")
    capsys.readouterr()
    assert micro.main(["--out", str(tmp_path), *SHORT, *FEW]) == 2
    error = capsys.readouterr().err
    assert "replace it with --fresh" in error
    assert error.count("\n") == 1
    (tmp_path / "model.safetensors").write_bytes(b"old")
    assert built(tmp_path, "--fresh") == weights
    assert (tmp_path / "README.md").read_text("utf-8") == before


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git")
def test_checkpoints_are_not_committed() -> None:
    for name in (micro_build.CHECKPOINT, "checkpoint.partial"):
        asked = ["git", "check-ignore", "--quiet", f"agents/models/micro/{name}"]
        assert subprocess.run(asked, cwd=ROOT, check=False).returncode == 0
