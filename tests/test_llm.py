"""Language models as agents, on random weights: what is kept between turns changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import httpx
from peft import LoraConfig, PeftModel, get_peft_model
from scipy.special import softmax
from tiny_llm import base, naive, questionnaire, random_model, seen, tokenizer
from transformers import (
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    Qwen2Config,
)
from transformers.utils import logging

from acquaint_gym.agents import contract
from acquaint_gym.agents.core import OutsideError
from acquaint_gym.agents.llm import ChoiceAgent, LLMAgent, cache, slots
from acquaint_gym.agents.llm import tokenizer as llm_tokenizer
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.hugging_face import HuggingFaceScorer, load_model
from acquaint_gym.agents.llm.probe import ItemsProbe
from acquaint_gym.agents.llm.tokenizer import load_tokenizer
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.envs.files import find_folder
from acquaint_gym.envs.inference.transcripts import condition
from acquaint_gym.envs.registration import make_task
from acquaint_gym.eval import bench
from acquaint_gym.eval.run import main
from acquaint_gym.eval.speed import llm as bench_llm

# PEFT asks transformers for an attribute that has a newer name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

CLOSE = 1e-4
MODEL = random_model()
# Every second layer of the last two looks back no further than 16 tokens.
ARCHITECTURES = {
    "llama": (LlamaConfig, {}),
    "eager": (LlamaConfig, {"attn_implementation": "eager"}),
    "qwen2": (
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1},
    ),
    "gemma3": (
        Gemma3TextConfig,
        {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}


def agent_of(task: Any, model: Any = MODEL, probe: str | None = None, **settings: Any) -> Any:
    scorer = HuggingFaceScorer(model, **settings)
    return ChoiceAgent(task, Dialogue(tokenizer(), "tiny"), scorer, probe)


def told(agent: Any, observation: dict[str, np.ndarray]) -> list[list[int]]:
    return agent.conversations(observation)


def played(agent: Any, people: int = 5, late: int = 0) -> np.ndarray:
    """`[T, B, A]` probabilities turn by turn; the odd people are `late` turns behind."""
    turns = range(late, agent.task.num_turns)
    behind = late * (np.arange(people) % 2)
    observations = [seen(agent.task, turn - behind, people) for turn in turns]
    return np.stack([agent.act(shown, np.zeros(people)).action_probs for shown in observations])


@torch.inference_mode()
def teacher_forced(agent: Any, model: Any, people: int = 5) -> np.ndarray:
    """`[T, B, A]`: each finished conversation in one pass, read at all answer positions."""
    last = seen(agent.task, agent.task.num_turns, people)
    replies = [tokens[0] for tokens in agent.replies]
    rows = []
    for row in range(people):
        messages = agent.task.prompt(last.person(row))
        ids, positions = agent.dialogue.encode(messages[:-1])
        logits = model(torch.tensor([ids])).logits[0, positions]
        rows.append(softmax(logits.double().numpy()[:, replies], axis=1))
    return np.stack(rows, axis=1)


# The same probabilities, however they are computed.


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kept_keys_and_values_change_nothing(arch: str) -> None:
    config, sizes = ARCHITECTURES[arch]
    model = random_model(config, **sizes)
    # Shuffled items: everybody's turns are of other lengths.
    task = questionnaire(num_turns=6, order="shuffled")
    expected = teacher_forced(agent_of(task), model)
    assert np.ptp(expected, axis=2).min() > 0.01  # the model does prefer something
    for size, keep in ((1, True), (2, True), (64, True), (2, False)):
        found = played(agent_of(task, model, batch_size=size, cache=keep))
        np.testing.assert_allclose(found, expected, atol=CLOSE, err_msg=f"{size} {keep}")


def test_a_window_that_was_not_looked_through_would_be_noticed() -> None:
    config, sizes = ARCHITECTURES["gemma3"]
    near = random_model(config, **sizes)
    far = random_model(config, **{**sizes, "sliding_window": 4096})
    task = questionnaire(num_turns=6)
    one, other = (teacher_forced(agent_of(task), model) for model in (near, far))
    assert np.abs(one - other).max() > 0.01


def test_people_at_different_turns_are_scored_together() -> None:
    task = questionnaire(num_turns=8)
    found = played(agent_of(task, batch_size=3), late=3)
    expected = teacher_forced(agent_of(task), MODEL)
    for row in range(5):
        turns = slice(0, 5) if row % 2 else slice(3, 8)
        np.testing.assert_allclose(found[:, row], expected[turns, row], atol=CLOSE)


def test_the_contract_of_an_agent_holds() -> None:
    for env_id, settings in (
        ("acquaint/Questionnaire-v0", {"num_turns": 4, "order": "shuffled"}),
        ("acquaint/FlightChoice-v0", {"feedback": "accept", "num_turns": 3}),
    ):
        for check in contract.CHECKS:
            check(lambda task: agent_of(task, batch_size=2), env_id, **settings)


def test_the_contract_notices_a_cache_that_does_not_compare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "common_prefix", lambda one, other: min(len(one), len(other)))
    with pytest.raises(AssertionError, match="met people before"):
        contract.check_no_memory(agent_of, "acquaint/Questionnaire-v0", num_turns=4)


@pytest.mark.parametrize("fault", ["read", "write", "positions", "mask"])
def test_a_cache_that_looks_in_the_wrong_place_is_noticed(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aim = cache.SlotCache.aim

    def wrong(self: Any, slots: Any, starts: Any, new: int) -> Any:
        mask, positions = aim(self, slots, starts, new)
        if fault == "read":
            self._window.read = (self._window.read - 1).clamp(min=0)
        if fault == "write":
            self._window.write = self._window.write.roll(1)
        return (None if fault == "mask" else mask), positions + (fault == "positions") * (
            torch.arange(len(slots))[:, None]
        )

    monkeypatch.setattr(cache.SlotCache, "aim", wrong)
    task = questionnaire(num_turns=6, order="shuffled")
    expected = teacher_forced(agent_of(task), MODEL)
    try:
        noticed = not np.allclose(played(agent_of(task)), expected, rtol=0, atol=10 * CLOSE)
    except OutsideError:  # what lies where nothing was written may be no number at all
        noticed = True
    assert noticed


def test_an_interrupted_call_leaves_no_half_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    task = questionnaire(num_turns=4)
    agent, shown = agent_of(task, batch_size=2), [seen(task, turn, 6) for turn in (1, 2)]
    expected = agent_of(task).act(shown[1], np.zeros(6)).action_probs
    agent.act(shown[0], np.zeros(6))
    update, calls = cache._Layer.update, []

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:  # the second layer of the second pass
            raise KeyboardInterrupt
        return update(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(cache._Layer, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agent.act(seen(task, 3, 6), np.zeros(6))
    found = agent.act(shown[1], np.zeros(6)).action_probs
    np.testing.assert_allclose(found, expected, atol=CLOSE)


# Replies.


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("replies", [("1", "2", "3", "4", "5"), ("one", "2", "a (b)", "no", "yes")])
def test_replies_are_scored_as_a_naive_loop_scores_them(
    keep: bool, replies: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = questionnaire(num_turns=4)
    monkeypatch.setattr(type(task), "replies", replies)
    agent = agent_of(task, batch_size=2, cache=keep)
    assert (max(map(len, agent.replies)) > 2) == ("no" in replies)
    for turn in (1, 2):
        shown = seen(task, turn)
        decision = agent.act(shown, np.zeros(3))
        logs = np.array([naive(MODEL, ids, agent.replies) for ids in told(agent, shown)])
        np.testing.assert_allclose(decision.action_probs, softmax(logs, axis=1), atol=CLOSE)
        np.testing.assert_allclose(decision.answer_mass, np.exp(logs).sum(axis=1), atol=CLOSE)
        assert (decision.action == decision.action_probs.argmax(axis=1)).all()
        assert (decision.answer_mass < 1).all()


def test_replies_that_begin_others_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    task = questionnaire(num_turns=4)
    monkeypatch.setattr(type(task), "replies", ("1", "1 2", "1 2 3", "4", "5"))
    agent, shown = agent_of(task), seen(task, 2)
    decision = agent.act(shown, np.zeros(3))
    [end] = tokenizer().encode("<|end|>", add_special_tokens=False)
    logs = np.array([naive(MODEL, ids, agent.replies) for ids in told(agent, shown)])
    assert {reply[-1] for reply in agent.replies} == {end}
    np.testing.assert_allclose(decision.answer_mass, np.exp(logs).sum(axis=1), atol=CLOSE)


def test_illegal_replies_have_no_probability_and_no_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    task, legal = questionnaire(num_turns=4), np.array([True, False, True, True, False])
    shown = seen(task, 1)
    free = agent_of(task).act(shown, np.zeros(3))
    monkeypatch.setattr(type(task), "legal", lambda self, o: np.tile(legal, (o.num_people, 1)))
    bound = agent_of(task).act(shown, np.zeros(3))
    share = (free.action_probs * legal).sum(axis=1)
    np.testing.assert_allclose(bound.answer_mass, free.answer_mass * share, atol=1e-6)
    expected = free.action_probs * legal / share[:, None]
    np.testing.assert_allclose(bound.action_probs, expected, atol=1e-6)


# What is computed.


def test_a_token_is_computed_once() -> None:
    task, people = questionnaire(), 3
    agent = agent_of(task, batch_size=2)
    for turn in range(50):
        agent.act(seen(task, turn, people), np.zeros(people))
    whole = sum(map(len, told(agent, seen(task, 49, people))))
    assert agent.scorer.tokens_computed <= whole  # <= 1.02 was asked; the shared prefix is a gain
    assert agent.scorer.tokens_computed > 0.9 * whole
    alone = agent_of(task)
    for turn in range(0, 50, 5):
        alone.act(seen(task, turn, 1), np.zeros(1))
    [ids] = told(alone, seen(task, 45, 1))
    assert alone.scorer.tokens_computed == len(ids)
    anew = agent_of(task, cache=False)
    for turn in range(0, 50, 7):
        anew.act(seen(task, turn, people), np.zeros(people))
    assert 7 * anew.scorer.tokens_computed > 15 * agent.scorer.tokens_computed


def test_what_all_begin_with_is_computed_once() -> None:
    task = questionnaire(num_turns=4)
    one, many = agent_of(task), agent_of(task)
    one.act(seen(task, 0, 1), np.zeros(1))
    many.act(seen(task, 0, 9), np.zeros(9))
    assert many.scorer.tokens_computed == one.scorer.tokens_computed + 8
    many.act(seen(task, 0, 9, first=20), np.zeros(9))  # other people, the same beginning
    assert many.scorer.tokens_computed == one.scorer.tokens_computed + 8 + 9


def test_those_who_stay_are_found_when_others_leave() -> None:
    task, stay = questionnaire(num_turns=6, order="shuffled"), np.array([1, 2, 5, 7])
    agent = agent_of(task, batch_size=3)
    agent.act(seen(task, 2, 8), np.zeros(8))
    before = agent.scorer.tokens_computed
    shown = [seen(task, turn, 8).rows(stay) for turn in (2, 3, 4)]
    found = [agent.act(some, np.zeros(4)).action_probs for some in shown[1:]]
    told_then, told_now = (sum(map(len, told(agent, some))) for some in (shown[0], shown[2]))
    assert agent.scorer.tokens_computed - before == told_now - told_then
    for some, probs in zip(shown[1:], found, strict=True):
        expected = agent_of(task).act(some, np.zeros(4)).action_probs
        np.testing.assert_allclose(probs, expected, atol=CLOSE)


# Probes.


@pytest.mark.parametrize("probe", ["levels", "items"])
def test_a_probe_reports_and_changes_nothing(probe: str) -> None:
    task = questionnaire(num_turns=4, questionnaire="bfi25", parameters="human")
    plain, asking = agent_of(task), agent_of(task, probe=probe)
    beliefs = []
    for turn in (0, 1, 2, 3):
        shown = seen(task, turn)
        expected, found = (agent.act(shown, np.zeros(3)) for agent in (plain, asking))
        np.testing.assert_allclose(found.action_probs, expected.action_probs, atol=CLOSE)
        np.testing.assert_allclose(found.answer_mass, expected.answer_mass, atol=CLOSE)
        assert expected.belief is None
        beliefs.append(found.belief)
        assert found.belief.shape == (3, 5, 5)
        np.testing.assert_allclose(found.belief.sum(axis=2), 1)
        np.testing.assert_allclose(found.belief, asking.believe(shown), atol=CLOSE)
    assert np.ptp(beliefs, axis=0).max() > 0.01  # what was said in between matters
    assert asking.believe(seen(task, 4)).shape == (3, 5, 5)
    assert plain.believe(seen(task, 4)) is None


def test_a_probe_is_a_question_at_the_end_of_the_transcript() -> None:
    task = questionnaire(num_turns=4)
    agent, shown = agent_of(task, probe="levels"), seen(task, 2, 1)
    asked: list[list[int]] = []
    score = agent.scorer.score
    agent.scorer.score = lambda ids, replies: asked.extend(ids) or score(ids, replies)
    decision = agent.act(shown, np.zeros(1))
    texts = [tokenizer().decode(ids) for ids in asked]
    assert len(texts) == 5 + 1
    for text, trait in zip(texts, task.population.factors, strict=False):
        question = text.split("<|user|>")[-1]
        assert question.strip().startswith("The person answered")
        assert f"stand on {trait}? Reply" in question
        assert "3. average\n4. 1 standard deviation above average" in question
        assert "The statement is" not in question
    logs = naive(MODEL, asked[1], agent.dialogue.replies(["1", "2", "3", "4", "5"]))
    np.testing.assert_allclose(decision.belief[0, 1], softmax(logs), atol=CLOSE)


@pytest.mark.parametrize("parameters", ["study", "human"])
def test_items_that_a_bayesian_reports_give_back_the_marginals(parameters: str) -> None:
    task = questionnaire(parameters=parameters)
    teacher, probe, posterior = BayesTeacher(task), ItemsProbe(task), task.make_posterior()
    for turn in (0, 10, 40):
        shown = seen(task, turn, people=20)
        belief = condition(posterior, shown)
        reported = np.stack(
            [
                posterior.predict(belief, np.full((20, 1), float(item)), shown["turn"])
                for item in range(50)
            ],
            axis=1,
        )
        np.testing.assert_allclose(probe.belief(reported), teacher.believe(shown), atol=0.02)


def test_a_probe_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown probe 'level'\. Did you mean 'levels'"):
        agent_of(questionnaire(), probe="level")
    with pytest.raises(ValueError, match="none with ordered levels"):
        agent_of(questionnaire(population="classes", parameters="human"), probe="levels")
    flights = make_task("acquaint_gym.envs.tasks.flight_choice:FlightChoice")
    with pytest.raises(ValueError, match="probe"):
        agent_of(flights, probe="items")


# Loading.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as `save_pretrained` leaves it."""
    out = tmp_path_factory.mktemp("tiny-llama")
    MODEL.save_pretrained(out)
    tokenizer().save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter with random weights."""
    out = tmp_path_factory.mktemp("adapter")
    adapted = get_peft_model(random_model(), LoraConfig(r=4, target_modules="all-linear"))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    adapted.save_pretrained(out)
    return out


def test_an_adapter_in_the_weights_is_the_adapter_beside_them(folder: Path, adapter: Path) -> None:
    task = questionnaire(num_turns=5)
    merged = LLMAgent(task, str(folder), adapter=str(adapter), device="cpu")
    assert not isinstance(merged.scorer._model, PeftModel)
    beside = PeftModel.from_pretrained(random_model(), adapter).eval()
    expected = teacher_forced(agent_of(task), beside)
    assert np.abs(expected - teacher_forced(agent_of(task), MODEL)).max() > 0.01
    np.testing.assert_allclose(played(merged), expected, atol=CLOSE)
    np.testing.assert_allclose(played(agent_of(task, beside)), expected, atol=CLOSE)
    short = load_model(str(folder), str(adapter), dtype="bfloat16", device="cpu")
    assert isinstance(short, PeftModel)  # the sum would be rounded
    assert short.dtype == torch.bfloat16


def test_only_safetensors_are_read(folder: Path, adapter: Path, tmp_path: Path) -> None:
    for source, weights, message in (
        (folder, "model.safetensors", "Model .*bin.* cannot be loaded: .*Expected a folder with s"),
        (adapter, "adapter_model.safetensors", "Adapter .*bin.* has no adapter_model.safetensors"),
    ):
        out = tmp_path / source.name / "bin"
        out.mkdir(parents=True)
        for file in source.iterdir():
            if file.name != weights:
                (out / file.name).write_bytes(file.read_bytes())
        pickled = weights.replace("model.safetensors", "model.bin")
        torch.save({}, out / pickled.replace("model.bin", "pytorch_model.bin", source is folder))
        with pytest.raises(ValueError, match=message) as error:
            load_model(*((out,) if source is folder else (str(folder), str(out))), device="cpu")
        assert "\n" not in str(error.value)


def test_what_cannot_be_had_is_said_in_one_line(
    folder: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base(tmp_path / "wide", hidden_size=48)
    with pytest.raises(ValueError, match=r"Adapter .* does not fit the model"):
        load_model(str(tmp_path / "wide"), str(adapter), device="cpu")
    own = tmp_path / "away.yaml"
    own.write_text(f"agent: acquaint_gym.agents.llm:LLMAgent\nmodel: {tmp_path}/away\n", "utf-8")
    out = str(tmp_path / "out")
    assert main(["--agent", str(own), "--users", "2", "--out", out]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be loaded" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("cut", ["model", "adapter", "dtype=float8", "device=cuda:3", "device=x"])
def test_what_cannot_be_loaded_is_said_in_one_line(
    cut: str, folder: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if cut == "device=cuda:3" and torch.cuda.device_count() > 3:
        pytest.skip("that device is here")
    settings = {"model": str(folder), "adapter": str(adapter), "device": "cpu"}
    if cut in settings:
        copy = Path(shutil.copytree(settings[cut], tmp_path / cut))
        [weights] = copy.glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-100])
        settings[cut], expected = str(copy), f"{cut.capitalize()} "
    else:
        expected = cut.partition("=")[2]
        settings |= [cut.split("=")]
    own = tmp_path / "own.yaml"
    table = "".join(f"{key}: {value}\n" for key, value in settings.items())
    own.write_text(f"agent: acquaint_gym.agents.llm:LLMAgent\n{table}", "utf-8")
    assert main(["--agent", str(own), "--users", "2", "--out", str(tmp_path / "out")]) == 2
    # Transformers draws a bar before it.
    said = capsys.readouterr().err.splitlines()
    assert expected in said[-1]
    assert "Traceback" not in str(said)


def test_weights_are_read_without_a_bar(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.enable_progress_bar()
    load_model(str(folder))
    assert "Loading weights" not in capfd.readouterr().err
    LlamaForCausalLM.from_pretrained(folder)  # others keep theirs
    assert "Loading weights" in capfd.readouterr().err


def test_a_model_counts_what_it_reads_and_says_which_weights_it_has(
    folder: Path, adapter: Path
) -> None:
    task = questionnaire()
    agent, observation = LLMAgent(task, str(folder), str(adapter)), seen(task, 2)
    agent.act(observation, np.zeros(3))
    once = agent.usage()["prompt_tokens"]
    assert once == sum(map(len, agent.conversations(observation)))
    agent.act(observation, np.zeros(3))
    assert agent.usage() == {"prompt_tokens": 3 * once}
    info, alone = agent.model_info(), LLMAgent(task, str(folder)).model_info()
    assert set(info) - set(alone) == {"adapter", "adapter_weights"}
    assert info["weights"] == alone["weights"] != info["adapter_weights"]
    assert (info["model"], info["adapter"]) == (str(folder), str(adapter))


def test_a_hub_out_of_reach_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with pytest.raises(ValueError, match="hf download nobody/nothing") as refused:
        load_tokenizer("nobody/nothing")
    assert "\n" not in str(refused.value)
    assert pauses == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (200, False),
        (503, False),  # it may be there in a moment: its client tries again
        (httpx.ConnectError("no route"), True),
        (httpx.ConnectTimeout("nothing came"), True),
        (OfflineModeIsEnabled("as the user wants"), True),
    ],
    ids=["there", "busy", "no route", "silent", "offline"],
)
def test_what_a_hub_in_reach_has_is_downloaded(
    answer: Any, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def head(self, url: str, timeout: float) -> int:
            assert (url, timeout) == (constants.ENDPOINT, constants.HF_HUB_ETAG_TIMEOUT)
            if isinstance(answer, Exception):
                raise answer
            return int(answer)

    asked = []

    def from_pretrained(model: str, **settings: Any) -> None:
        asked.append(settings["local_files_only"])
        raise OSError("Not today.")

    monkeypatch.setattr(llm_tokenizer, "get_session", Session)
    monkeypatch.setattr(llm_tokenizer.AutoTokenizer, "from_pretrained", from_pretrained)
    with pytest.raises(ValueError, match="Not today"):
        load_tokenizer("nobody/nothing")
    assert asked == [expected]


def test_a_model_without_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="no chat template"):
        LLMAgent(questionnaire(), str(tmp_path), device="cpu")


def test_what_a_scorer_cannot_do_is_said() -> None:
    with pytest.raises(ValueError, match="batch_size=0"):
        HuggingFaceScorer(MODEL, batch_size=0)
    with pytest.raises(ValueError, match="training mode"):
        HuggingFaceScorer(random_model().train())
    recurrent = random_model(MambaConfig, state_size=4, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"keys and values .*set cache=False"):
        HuggingFaceScorer(recurrent)


def test_a_recurrent_model_encodes_everything_anew() -> None:
    recurrent = random_model(MambaConfig, state_size=4, num_hidden_layers=1)
    task = questionnaire(num_turns=3)
    found = played(agent_of(task, recurrent, batch_size=2, cache=False))
    np.testing.assert_allclose(found, teacher_forced(agent_of(task), recurrent), atol=CLOSE)


def test_too_many_people_for_the_memory_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_of(questionnaire(num_turns=4), batch_size=2)
    agent.act(seen(agent.task, 0), np.zeros(3))

    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(cache._Layer, "update", full)
    with pytest.raises(ValueError, match=r"3 people at a time .*\(--batch-size of eval.run\)"):
        agent.act(seen(agent.task, 1), np.zeros(3))


# The commands.


def test_a_new_base_model_is_one_yaml(folder: Path, adapter: Path, tmp_path: Path) -> None:
    own = tmp_path / "tiny.yaml"
    settings = f"model: {folder}\nadapter: {adapter}\ndevice: cpu\nprobe: levels\n"
    own.write_text(f"agent: acquaint_gym.agents.llm:LLMAgent\n{settings}", "utf-8")
    out = tmp_path / "out"
    arguments = ["--agent", "random", "bayes", str(own), "--users", "3", "--set", "num_turns=3"]
    assert main([*arguments, "--out", str(out)]) == 0
    rows = json.loads((out / "report.json").read_text("utf-8"))["rows"]
    means = {(row["agent"], row["metric"]): row["mean"] for row in rows}
    assert means[str(own), "nll"] > 0
    assert means[str(own), "belief_nll"] > 0


def test_the_benchmark_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "one_core", lambda: "On any core.")
    arguments = ["llm", "--people", "2", "--turns", "3"]
    assert bench.main(arguments) == 0
    told = capsys.readouterr().out
    assert "generate(), one token" in told
    # The embedded model as it is shipped: its weights in blocks, and its tokenizer.
    shipped = load_model(find_folder("agents/models/micro"), device="cpu")
    weights = sum(weight.numel() for weight in shipped.model.layers.parameters())
    assert f"micro: {weights / 1e6:.1f} M weights in blocks" in told
    chats = bench_llm.config_and_tokenizer("micro", [])
    assert chats[0].intermediate_size == shipped.config.intermediate_size
    assert chats[1].get_vocab() == load_tokenizer(find_folder("agents/models/micro")).get_vocab()
    capsys.readouterr()
    assert "tokens in all transcripts" in told
    if not torch.cuda.is_available():
        # Of a model that takes minutes a person, one person.
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        monkeypatch.setitem(bench_llm.ARCHS, "llama-100m", {**sizes, "num_attention_heads": 4})
        assert bench.main(["llm", "--arch", "llama-100m", "--turns", "2"]) == 0
        assert "blocks, people: 1, 2 turns" in capsys.readouterr().out.replace("\n", " ")
        assert bench.main(["llm", "--arch", "llama-8b", "--random-weights"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "needs an accelerator" in error
