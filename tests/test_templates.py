"""Chat templates that TRL publishes, arguments, the clock; and what models cannot read."""

from __future__ import annotations

import datetime
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from kit import QUESTIONNAIRE
from templates_page import PAGE, dialogue, page, row, templates, words
from tiny_llm import GEMMA2, LLAMA3, QWEN, base, questionnaire, random_model, seen, tokenizer
from tiny_train import traces
from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config
from transformers.utils import chat_template_utils

from acquaint_gym.agents.llm import LLMAgent
from acquaint_gym.agents.llm.adapter import check_adapter, fixed_prompts, token_digest
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.limits import Limits, limits_of
from acquaint_gym.envs.prompt import CLOCK
from acquaint_gym.eval.run import main

# A day in the system turn whatever is given, and the hour in every turn.
DAY = LLAMA3.replace("{% if not date_string is defined %}", "").replace(
    "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}",
    "{% set date_string = strftime_now('%A, %d %B %Y') + strftime_now('%H:%M') %}",
)
# Thinks unless it is told not to, and drops thoughts from history.
THINKING = QWEN.replace(
    "{{ '<|assistant|>\n' }}",
    "{{ '<|assistant|>\n' }}{% if enable_thinking is not defined or enable_thinking %}"
    "{{ '<think>\n' }}{% endif %}",
)
FALSE = "{enable_thinking: false}"


def on(day, monkeypatch):
    """Lets it be another day for whoever asks the system."""

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return day

    monkeypatch.setattr(chat_template_utils, "datetime", Frozen)


# What TRL publishes.


def test_the_page_is_what_the_templates_do():
    old = PAGE.read_text("utf-8")
    assert page(old) == old, "run `make docs`"
    assert len(templates()) == 41  # of the version in constraints.txt


@pytest.mark.parametrize("name", templates())
def test_what_is_read_is_how_transformers_writes_the_whole(name, monkeypatch):
    on(CLOCK, monkeypatch)
    has, reader = row(name), dialogue(name)
    [messages, *_] = fixed_prompts(questionnaire(num_turns=3))
    if not has.system:
        system, user, *rest = messages
        messages = [user | {"content": f"{system['content']}\n\n{user['content']}"}, *rest]
    chat = [
        m | {"content": [{"type": "text", "text": m["content"]}] if has.parts else m["content"]}
        for m in messages
    ]
    whole = words().apply_chat_template(
        chat, chat_template=templates()[name], tokenize=False, **has.needs
    )
    for turn in range(3):
        at = turn * 2 + 1 + has.system
        ids = words()(whole, add_special_tokens=False)["input_ids"]
        encoded = reader.encode(messages[: at + 1])
        assert ids[: len(encoded.ids)] == encoded.ids
        assert reader.encode(messages[:at]).ids == encoded.ids[: encoded.answer_positions[-1] + 1]


# Arguments and templates of one's own.


def test_a_refusal_names_arguments_that_do(tmp_path):
    with pytest.raises(ValueError, match="rewrites history") as error:
        Dialogue(tokenizer(THINKING), "some/model")
    assert f"Set template_arguments: {FALSE}" in str(error.value)
    assert "\n" not in str(error.value)
    plays = Dialogue(tokenizer(THINKING), "x", template_arguments={"enable_thinking": False})
    messages = [{"role": "user", "content": "Well?"}]
    assert plays.encode(messages) == Dialogue(tokenizer(QWEN), "x").encode(messages)
    (tmp_path / "own.jinja").write_text(QWEN)
    for template in (QWEN, str(tmp_path / "own.jinja")):
        given = Dialogue(tokenizer(THINKING), "x", template)
        assert given.encode(messages) == plays.encode(messages)


def test_arguments_and_files_that_are_not_there_are_named():
    with pytest.raises(ValueError, match=r"reads no 'enable_thinkin'. Did you mean 'enable_thin"):
        Dialogue(tokenizer(THINKING), "x", template_arguments={"enable_thinkin": False})
    with pytest.raises(ValueError, match=r"reads no 'strftime_now'"):
        Dialogue(tokenizer(DAY), "x", template_arguments={"strftime_now": "today"})
    with pytest.raises(ValueError, match=r"template 'nowhere.jinja': cannot be read"):
        Dialogue(tokenizer(), "x", "nowhere.jinja")
    with pytest.raises(ValueError, match="is no Jinja"):
        Dialogue(tokenizer(), "x", "{% for %}")
    with pytest.raises(ValueError, match="template of x fails: can only concatenate"):
        Dialogue(tokenizer(), "x", "{{ 'a' + 1 }}")


# The day.


def test_a_prompt_is_the_same_on_every_day(monkeypatch):
    on(datetime.datetime(2025, 11, 27, 23, 59), monkeypatch)
    dialogue, task = Dialogue(tokenizer(DAY), "tiny"), questionnaire(num_turns=3)
    before, [messages, *_] = token_digest(task, dialogue), fixed_prompts(task)
    dialogue.encode(messages[:4])
    on(datetime.datetime(2025, 11, 28, 0, 1), monkeypatch)
    ids = dialogue.encode(messages).ids  # alive after midnight
    assert "Friday, 26 July 2024" in tokenizer().decode(ids).replace("Ġ", " ")
    assert token_digest(task, Dialogue(tokenizer(DAY), "tiny")) == before
    own = Dialogue(tokenizer(LLAMA3), "x", template_arguments={"date_string": "1 May 2030"})
    assert "1 May 2030" in tokenizer().decode(own.encode(messages).ids)


# What a model cannot read.


def test_conversations_fit_to_the_token(tmp_path):
    task = questionnaire(num_turns=3)
    dialogue = Dialogue(tokenizer(), "x")
    need = max(len(dialogue.encode(m[:-2]).ids) for m in fixed_prompts(task))
    folder = str(base(tmp_path / "fits", max_position_embeddings=need))
    assert LLMAgent(task, folder).act(seen(task, 2, people=1), np.zeros(1)).action_probs.shape == (
        1,
        5,
    )
    config = json.loads((tmp_path / "fits" / "config.json").read_text())
    config["max_position_embeddings"] = need - 1
    (tmp_path / "fits" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"reads at most {need - 1} tokens, .* 2 turns fit") as e:
        LLMAgent(task, folder)
    assert f"has {need}, " in str(e.value)
    LLMAgent(questionnaire(num_turns=2), folder)
    with pytest.raises(ValueError, match="2 turns fit"):
        LLMAgent(questionnaire(num_turns=2), folder, probe="levels")  # asked after the last turn


def test_limits_are_those_that_configurations_state():
    assert limits_of(GPT2Config(n_positions=256, vocab_size=99)) == Limits(256, 99)
    config = random_model(max_position_embeddings=64).config
    assert limits_of(config).tokens == 64
    config.rope_parameters = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}
    assert limits_of(config).tokens == 256
    assert limits_of(BloomConfig(vocab_size=99)) == Limits(None, 99)


def test_tokens_without_embeddings_are_refused_unless_no_text_has_them():
    size = len(tokenizer())
    with pytest.raises(ValueError, match=f"embeddings for {size - 2} tokens: they do not belong"):
        Dialogue(tokenizer(), "x", limits=Limits(vocabulary=size - 2))
    Dialogue(tokenizer(), "x", limits=Limits(vocabulary=size + 62))  # padded
    more = words()
    beyond = len(more) - len(more.get_added_vocab())
    Dialogue(more, "x", GEMMA2.replace("<|begin|>", ""), limits=Limits(vocabulary=beyond + 8))


# As people type it.


@pytest.fixture(scope="module")
def thinking(tmp_path_factory) -> Path:
    """A tiny base whose template drops thoughts, and that reads 256 tokens."""
    folder = tmp_path_factory.mktemp("thinking")
    random_model(max_position_embeddings=256).save_pretrained(folder)
    tokenizer(THINKING).save_pretrained(folder)
    return folder


def run(tmp_path, model, *arguments):
    (tmp_path / "my.yaml").write_text(
        f"agent: acquaint_gym.agents.llm:LLMAgent\nmodel: {model}\ndevice: cpu\n"
    )
    told = ["--agent", f"{tmp_path}/my.yaml", "--users", "3", *arguments]
    return main([*told, "--out", str(tmp_path / "out")])


def test_arguments_decide_traces_and_are_recorded(thinking, tmp_path, capsys):
    few = "--set=num_turns=3"
    assert run(tmp_path, thinking, few) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"Set template_arguments: {FALSE}" in line
    assert run(tmp_path, thinking, few, f"--set=agent.template_arguments={FALSE}") == 0
    [file] = (tmp_path / "out").glob("traces/*/*/config.json")
    config = json.loads(file.read_text())
    assert config["agent_spec"]["arguments"]["template_arguments"] == {"enable_thinking": False}
    assert config["clock"] == "2024-07-26T12:00:00"
    capsys.readouterr()
    (tmp_path / "own.jinja").write_text(QWEN)
    assert run(tmp_path, thinking, few, f"--set=agent.template={tmp_path}/own.jinja") == 2
    assert "holds traces of another configuration" in capsys.readouterr().err
    assert run(tmp_path, thinking, few, f"--set=agent.template={QWEN!r}", "--fresh") == 0


@pytest.mark.parametrize("kind", ["rotary", "learned"])
def test_more_turns_than_fit_are_refused_with_those_that_do(kind, tmp_path, capsys):
    if kind == "rotary":
        net = random_model(max_position_embeddings=256)
    else:
        sizes = {"n_positions": 256, "n_embd": 32, "n_layer": 1, "n_head": 2}
        net = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=len(tokenizer()), **sizes))
    net.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    capsys.readouterr()
    assert run(tmp_path, tmp_path / "model", "--set=num_turns=30") == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "reads at most 256 tokens" in line
    turns = int(line.partition("set num_turns=")[2].partition(",")[0])
    assert 2 < turns < 30
    assert run(tmp_path, tmp_path / "model", f"--set=num_turns={turns}") == 0
    assert run(tmp_path, tmp_path / "model", f"--set=num_turns={turns + 1}") == 2


def test_a_tokenizer_of_another_model_is_refused(tmp_path, capsys):
    base(tmp_path / "model", vocab_size=len(tokenizer()) - 2)
    capsys.readouterr()
    assert run(tmp_path, tmp_path / "model", "--set=num_turns=3") == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "they do not belong together" in line


@pytest.mark.parametrize("method", ["distill", "sft", "dpo"])
def test_training_refuses_the_same(method, thinking, tmp_path, capsys):
    folder = traces(tmp_path / "traces", "--env", QUESTIONNAIRE, "--set=num_turns=12", users=3)
    train = import_module(f"acquaint_gym.train.{method}").main
    told = ["--traces", str(folder), "--model", str(thinking), "--out", str(tmp_path / "run")]
    capsys.readouterr()
    assert train(told) == 2
    assert f"Set template_arguments: {FALSE}" in capsys.readouterr().err
    assert train([*told, "--template_arguments", FALSE]) == 2
    assert "reads at most 256 tokens" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_adapter_says_how_its_template_was_used_and_holds_others_to_it(thinking, tmp_path):
    from acquaint_gym.train.distill import distill
    from acquaint_gym.train.recipes.language_model import Distill

    folder = traces(tmp_path / "traces", users=3)
    given = {"traces": [str(folder)], "model": str(thinking), "out": str(tmp_path / "run")}
    quick = {"max_steps": 1, "lora_r": 2, "use_cpu": True, "save_strategy": "no"}
    told = {"template_arguments": {"enable_thinking": False}, "template": THINKING}
    made = distill(Distill.parse(given | quick | told, "test"))
    assert made["chat_template"]["arguments"] == {"enable_thinking": False}
    assert made["chat_template"]["clock"] == "2024-07-26T12:00:00"
    assert made["recipe"]["template_arguments"] == {"enable_thinking": False}
    task = questionnaire(num_turns=3)
    LLMAgent(task, str(thinking), str(tmp_path / "run"), **told)
    with pytest.raises(ValueError, match=r"Of the chat template: template '.*' then, '.*' now"):
        check_adapter(tmp_path / "run", str(thinking), None, Dialogue(tokenizer(GEMMA2), "x"))
