"""What a trained model says of how it was made, and when it is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_llm import QWEN, questionnaire, tokenizer
from tiny_train import base, traces

from agents.llm import adapter
from agents.llm.adapter import (
    check_adapter,
    fixed_prompts,
    prompt_digest,
    read_adapter,
    token_digest,
    weights_digest,
)
from agents.llm.dialogue import Dialogue
from envs.registration import make_task


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def trained(model, tmp_path):
    """A folder as training leaves it, without weights."""
    from train.base_models import load_base, provenance
    from train.distill import Distill
    from train.lessons import sources

    folder = traces(tmp_path / "traces", users=3)
    recipe = Distill(traces=[str(folder)], model=str(model), out=str(tmp_path))
    net, words = load_base(recipe)
    made = provenance("distill", recipe, sources([str(folder)]), Dialogue(words, "x"), net)
    (tmp_path / "adapter.json").write_text(json.dumps(made))
    return tmp_path


def dialogue(template=None):
    return Dialogue(tokenizer() if template is None else tokenizer(template), "tiny")


def test_an_adapter_is_welcome_on_its_base(trained, model):
    check_adapter(trained, str(model), None, dialogue())


def test_an_adapter_of_somebody_elses_is_welcome_too(model, tmp_path):
    assert read_adapter(tmp_path) is None
    check_adapter(tmp_path, str(model), None, dialogue())


def test_other_weights_are_refused_in_one_line(trained, model, tmp_path):
    other = base(tmp_path / "other", initializer_range=0.2)
    with pytest.raises(ValueError, match="name the base it was trained on") as error:
        check_adapter(trained, str(other), None, dialogue())
    assert "\n" not in str(error.value)
    assert weights_digest(str(model)) in str(error.value)
    assert weights_digest(str(other)) in str(error.value)


def test_a_model_that_was_trained_as_a_whole_is_not_compared_with_its_base(trained, tmp_path):
    other = base(tmp_path / "other", initializer_range=0.2)
    made = read_adapter(trained)
    (trained / "adapter.json").write_text(json.dumps(made | {"tuning": "full"}))
    check_adapter(trained, str(other), None, dialogue())


def test_prompts_that_are_written_otherwise_are_refused(trained, model, monkeypatch):
    monkeypatch.setattr("envs.chat.OVER", ("Finished.",) * 3)
    with pytest.raises(ValueError, match=r"Questionnaire-v0 with prompts .* prompts or the token"):
        check_adapter(trained, str(model), None, dialogue())


def test_another_chat_template_is_refused(trained, model):
    with pytest.raises(ValueError, match=r"with tokens .*; the chat template or the tokenizer"):
        check_adapter(trained, str(model), None, dialogue(QWEN))


def test_a_task_that_is_not_here_is_not_asked_about(trained, model):
    made = read_adapter(trained)
    made["environments"][0]["task"] = "cafe:Cafe"
    (trained / "adapter.json").write_text(json.dumps(made))
    check_adapter(trained, str(model), None, dialogue())


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "adapter.json").write_text("{")
    with pytest.raises(ValueError, match=r"adapter.json: no JSON"):
        read_adapter(tmp_path)


@pytest.mark.parametrize(
    ("target", "same", "other"),
    [
        ("questionnaire:Questionnaire", {"parameters": "human"}, {"wording": 1}),
        ("questionnaire:Questionnaire", {"quirks": "careless:0.2"}, {"labels": "letters"}),
        ("questionnaire:Questionnaire", {"levels": 3}, {"option_order": "reversed"}),
        ("questionnaire:Questionnaire", {}, {"order": "shuffled"}),
        ("questionnaire:Questionnaire", {}, {"context": "acquaint/Flights-v0:2"}),
        ("flight_choice:FlightChoice", {"quirks": "impatience:0.2"}, {"feedback": "accept"}),
    ],
)
def test_a_digest_is_that_of_what_is_read_not_of_who_answers(target, same, other):
    plain = make_task(f"envs.tasks.{target}")
    changed = [make_task(f"envs.tasks.{target}", **settings) for settings in (same, other)]
    assert prompt_digest(plain) == prompt_digest(changed[0])
    assert prompt_digest(plain) != prompt_digest(changed[1])
    for task in (plain, *changed):
        finished = fixed_prompts(task)
        assert len({json.dumps(messages) for messages in finished}) == 3
        assert all(len(messages) == 2 * task.num_turns + 2 for messages in finished)


def test_tokens_are_those_of_the_template_as_well():
    task = questionnaire(num_turns=3)
    assert token_digest(task, dialogue()) == token_digest(task, dialogue())
    assert token_digest(task, dialogue()) != token_digest(task, dialogue(QWEN))


def test_a_digest_of_weights_looks_into_large_files(tmp_path, monkeypatch):
    values = {"a": np.zeros(300_000, dtype=np.float32)}
    file = tmp_path / "model.safetensors"
    save_file(values, file)
    before = weights_digest(str(tmp_path))
    values["a"][123_456] = 1
    save_file(values, file)
    assert weights_digest(str(tmp_path)) != before
    assert load_file(file)["a"][123_456] == 1
    # Of a file too large to be read as a whole, blocks from its beginning to its end.
    monkeypatch.setattr(adapter, "_BLOCK", 1000)
    before = weights_digest(str(tmp_path))
    values["a"][-1] = 1
    save_file(values, file)
    assert weights_digest(str(tmp_path)) != before


def test_a_model_without_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no model\*.safetensors"):
        weights_digest(str(tmp_path))
    with pytest.raises(ValueError, match="nobody/nothing: not on this disk"):
        weights_digest("nobody/nothing")
