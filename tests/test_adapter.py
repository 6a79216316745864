"""What a trained model says of how it was made, and when it is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from registered import ROOT
from safetensors.numpy import load_file, save_file
from tiny_llm import QWEN, base, questionnaire, tokenizer
from tiny_train import traces

from acquaint_gym.agents.llm.adapter import (
    check_adapter,
    config_digest,
    fixed_prompts,
    prompt_digest,
    read_adapter,
    token_digest,
    weights_digest,
)
from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.envs.registration import make_task


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def trained(model, tmp_path):
    """A folder as training leaves it, without weights."""
    from acquaint_gym.train.lm.base_models import adapter_card, load_base
    from acquaint_gym.train.recipes.language_model import Distill
    from acquaint_gym.train.sources import load_sources

    folder = traces(tmp_path / "traces", users=3)
    recipe = Distill(traces=[str(folder)], model=str(model), out=str(tmp_path))
    net, words = load_base(recipe)
    made = adapter_card("distill", recipe, load_sources([str(folder)]), Dialogue(words, "x"), net)
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
    monkeypatch.setattr("acquaint_gym.envs.prompt.OVER", ("Finished.",) * 3)
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "acquaint_gym.envs.tasks.renamed:Questionnaire"}, "No module named"),
        ({"task": "acquaint_gym.envs.tasks.questionnaire:Renamed"}, "has no 'Renamed'"),
        ({"arguments": {"renamed": 1}}, "has no argument 'renamed'"),
    ],
)
def test_a_task_of_ours_that_cannot_be_made_is_not_skipped(trained, model, change, message):
    made = read_adapter(trained)
    made["environments"][0] |= change
    (trained / "adapter.json").write_text(json.dumps(made))
    with pytest.raises(ValueError, match="cannot be compared with those of training") as error:
        check_adapter(trained, str(model), None, dialogue())
    assert message in str(error.value)


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
    plain = make_task(f"acquaint_gym.envs.tasks.{target}")
    changed = [
        make_task(f"acquaint_gym.envs.tasks.{target}", **settings) for settings in (same, other)
    ]
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


def test_a_digest_of_weights_looks_into_large_files(tmp_path):
    values = {"a": np.zeros(300_000, dtype=np.float32)}
    file = tmp_path / "model.safetensors"
    save_file(values, file)
    before = weights_digest(str(tmp_path))
    values["a"][123_456] = 1
    save_file(values, file)
    assert weights_digest(str(tmp_path)) != before
    assert load_file(file)["a"][123_456] == 1
    # Of a file too large to be read as a whole, blocks from its beginning to its end.
    before = weights_digest(str(tmp_path), block=1000)
    values["a"][-1] = 1
    save_file(values, file)
    assert weights_digest(str(tmp_path), block=1000) != before


def test_a_model_without_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no model\*.safetensors"):
        weights_digest(str(tmp_path))
    with pytest.raises(ValueError, match="nobody/nothing: not on this disk"):
        weights_digest("nobody/nothing")


def _recorded(trained, model):
    """The folder of `trained`, whose `adapter.json` says which config its base has."""
    made = read_adapter(trained)
    made["base"]["config"] = config_digest(str(model))
    (trained / "adapter.json").write_text(json.dumps(made))


def test_another_architecture_with_the_same_weights_is_refused(trained, model, tmp_path):
    _recorded(trained, model)
    check_adapter(trained, str(model), None, dialogue())
    other = shutil.copytree(model, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    # Who wrote it, and in which type it is to be loaded, says nothing.
    passing = {"transformers_version": "9", "dtype": "float16", "_name_or_path": "x"}
    (other / "config.json").write_text(json.dumps(config | passing))
    check_adapter(trained, str(other), None, dialogue())
    heads = {"num_attention_heads": 2 * config["num_attention_heads"]}
    (other / "config.json").write_text(json.dumps(config | heads))
    with pytest.raises(ValueError, match=r"\(config.json .* its architecture is not") as error:
        check_adapter(trained, str(other), None, dialogue())
    assert "\n" not in str(error.value)


def test_adapters_that_do_not_say_which_config_are_welcome(trained, model):
    made = read_adapter(trained)
    made["base"].pop("config", None)
    (trained / "adapter.json").write_text(json.dumps(made))
    check_adapter(trained, str(model), None, dialogue())


def test_a_digest_of_a_config_leaves_out_what_passes_in_its_parts_too(tmp_path):
    digests = []
    for part in ({"layers": 2}, {"layers": 2, "torch_dtype": "float16"}, {"layers": 3}):
        (tmp_path / "config.json").write_text(json.dumps({"text_config": part}))
        digests.append(config_digest(str(tmp_path)))
    assert digests[0] == digests[1] != digests[2]
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json: no JSON"):
        config_digest(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config.json in"):
        config_digest(str(tmp_path))


def test_the_shipped_adapter_says_which_base_it_is_of():
    made = read_adapter(ROOT / "agents/models/micro-lora")
    shipped = str(ROOT / "agents/models/micro")
    assert made["base"]["weights"] == weights_digest(shipped)
    assert made["base"]["config"] == config_digest(shipped)


@pytest.mark.parametrize("change", [{"base": {}}, {"base": []}, {"versions": {}}, {}, []])
def test_a_file_that_lacks_something_is_named(trained, change):
    made = read_adapter(trained) | change if change else change
    (trained / "adapter.json").write_text(json.dumps(made))
    with pytest.raises(ValueError, match=r"adapter.json: not what train.distill writes") as error:
        read_adapter(trained)
    assert "\n" not in str(error.value)


# Networks of train.gru say the same of themselves, without a base.


def gru(folder, out, *words):
    from acquaint_gym.train.gru import main

    small = ["--width", "4", "--epochs", "2", "--eval-users", "0"]
    return main(["--traces", str(folder), "--out", str(out), *small, *map(str, words)])


def test_fresh_networks_replace_what_a_run_wrote_and_nothing_else(tmp_path, capsys):
    folder, out = traces(tmp_path / "traces", users=3), tmp_path / "out"
    assert gru(folder, out) == 0
    (out / "notes.txt").write_text("mine")
    assert gru(folder, out, "--epochs", "1", "--fresh") == 0
    assert json.loads((out / "gru.json").read_text())["epochs"] == 1
    assert (out / "notes.txt").read_text() == "mine"
    (out / "recipe.yaml").unlink()
    capsys.readouterr()
    for where, message in (
        (out, "something else than a run of this command"),
        (folder, "folders apart"),
    ):
        before = {path: path.stat().st_mtime_ns for path in where.rglob("*")}
        assert gru(folder, where, "--fresh") == 2
        assert message in capsys.readouterr().err
        assert {path: path.stat().st_mtime_ns for path in where.rglob("*")} == before


@pytest.mark.parametrize("finished", [True, False])
def test_networks_do_not_go_on_with_other_traces(finished, tmp_path, capsys, monkeypatch):
    from acquaint_gym.train.networks import training as gru_training

    def interrupted(self, at):
        raise KeyboardInterrupt

    folder, out = traces(tmp_path / "traces", users=4), tmp_path / "out"
    with monkeypatch.context() as patch:
        if not finished:
            patch.setattr(gru_training.Training, "finish", interrupted)
        assert gru(folder, out) == (0 if finished else 130)
    traces(folder, "--fresh", users=3)
    capsys.readouterr()
    assert gru(folder, out) == 2
    assert "holds a run on other traces" in capsys.readouterr().err
    assert gru(folder, out, "--fresh") == 0


def test_networks_do_not_learn_from_the_people_of_the_test_split(tmp_path, capsys):
    from acquaint_gym.train.collect import main as collect

    told = ["--users", "3", "--split", "test", "--out", str(tmp_path / "traces")]
    assert collect(told) == 0
    capsys.readouterr()
    assert gru(tmp_path / "traces" / "test", tmp_path / "out") == 2
    assert "is of split 'test'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
