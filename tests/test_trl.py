"""TRL's trainers on the same conversations, tokens and adapters."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tiny_llm import base
from tiny_train import TURNS, examples_of, recipe, traces

from acquaint_gym.train import dpo, sft
from acquaint_gym.train.distill import distill
from acquaint_gym.train.recipes.command import read
from acquaint_gym.train.recipes.language_model import Distill, Dpo, Sft

CONSOLE = Console(stderr=True)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trl")
    return {"traces": str(traces(folder / "traces")), "model": str(base(folder / "base"))}


@pytest.mark.parametrize("target", ["teacher", "user"])
def test_fine_tuning_is_distillation_of_hard_labels(target, given, tmp_path):
    """The same people in the same order: the same losses, and the same adapter in the end."""
    common = given | {"max_steps": 3}
    ours = distill(
        recipe(
            Distill,
            **common,
            out=str(tmp_path / "ours"),
            objective=f"ce-{target}",
        )
    )
    words = ["--target", target, "--disable-tqdm", "--use-cpu"]
    words += [f"--{key}={value}" for key, value in ours["recipe"].items() if key in SAME]
    words += [f"--{key}={value}" for key, value in given.items()]
    assert sft.main([*words, "--out", str(tmp_path / "theirs")]) == 0
    theirs = json.loads((tmp_path / "theirs" / "adapter.json").read_text())
    loss = [[line["loss"] for line in made["history"] if "loss" in line] for made in (ours, theirs)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-4)
    weights = [
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("ours", "theirs")
    ]
    for key, value in weights[0].items():
        assert torch.allclose(value, weights[1][key], atol=1e-5), key
    assert theirs["method"] == "sft"


def test_whoever_asks_learns_whole_numbers(given, tmp_path):
    """Labels are all tokens of the teacher's numbers, up to what ends a turn; so are pairs."""
    asking = ["--env", "acquaint/Interview-v0", "--set=num_turns=3"]
    folder = traces(tmp_path / "traces", *asking, users=4)
    settings = given | {"traces": str(folder), "max_steps": 1}
    fit = sft.plan(recipe(Sft, **settings, out=str(tmp_path / "sft")), False, CONSOLE)
    trainer = fit.trainer
    for row, example in zip(trainer.train_dataset, examples_of(folder), strict=True):
        wanted = [example.replies.tokens[reply] for reply in example.action]
        assert [token for token in row["labels"] if token >= 0] == list(chain(*wanted))
        for position, tokens in zip(example.positions, wanted, strict=True):
            assert row["labels"][position + 1 : position + 1 + len(tokens)] == tokens
            assert row["input_ids"][position + 1 : position + 1 + len(tokens)] == tokens
    fit.run()
    # Where others asked, the number that stands there is read, and the teacher's is wanted.
    others = traces(tmp_path / "others", *asking, "--agent", "random", users=4)
    fit = sft.plan(
        recipe(Sft, **settings | {"traces": str(others)}, out=str(tmp_path / "other")),
        False,
        CONSOLE,
    )
    trainer = fit.trainer
    ends = 0
    for row, example in zip(trainer.train_dataset, examples_of(others), strict=True):
        assert row["input_ids"][:-1] == example.ids.tolist()
        assert min(row["input_ids"]) >= 0
        ends += row["labels"][-1] == -100
        first = [example.replies.tokens[reply][0] for reply in example.action]
        assert [row["labels"][at + 1] for at in example.positions] == first
    assert ends > 0  # the teacher's last number is another one
    fit.run()
    prefer = dpo.plan(recipe(Dpo, **settings, out=str(tmp_path / "dpo")), False, CONSOLE)
    trainer = prefer.trainer
    for row in trainer.train_dataset:
        assert len(row["chosen_ids"]) > 1
        assert row["chosen_ids"] != row["rejected_ids"]
    prefer.run()
    with pytest.raises(ValueError, match="people's own answers are no replies to learn"):
        sft.plan(
            recipe(Sft, **settings, target="user", out=str(tmp_path / "no")),
            False,
            CONSOLE,
        )


SAME = (
    "max_steps",
    "learning_rate",
    "per_device_train_batch_size",
    "lora_r",
    "lora_alpha",
    "logging_steps",
    "save_strategy",
)


def test_preferences_move_the_teachers_choice_up(given, tmp_path):
    settings = given | {"out": str(tmp_path / "out"), "pairs": 2, "eval_strategy": "steps"}
    made = dpo.plan(recipe(Dpo, **settings, eval_steps=6, eval_users=2), False, CONSOLE).run()
    margins = [line["rewards/margins"] for line in made["history"] if "rewards/margins" in line]
    assert margins[0] == pytest.approx(0)  # the adapter begins as nothing
    assert margins[-1] > 0.05
    assert "eval_accuracy" in made["history"][-1]
    assert made["method"] == "dpo"
    assert not (tmp_path / "out" / "ref").exists()


def test_a_pair_is_a_transcript_the_teachers_choice_and_another_reply(given, tmp_path):
    settings = given | {"out": str(tmp_path / "out"), "pairs": 3}
    trainer = dpo.plan(recipe(Dpo, **settings), False, CONSOLE).trainer
    rows = trainer.train_dataset
    examples = examples_of(given["traces"])
    assert len(rows) == 3 * len(examples)
    for number, row in enumerate(rows):
        example = examples[number // 3]
        [turn] = [t for t in range(TURNS) if example.positions[t] + 1 == len(row["prompt_ids"])]
        assert row["prompt_ids"] == example.ids[: example.positions[turn] + 1].tolist()
        assert row["chosen_ids"] == example.replies.tokens[example.action[turn]]
        assert row["rejected_ids"] in example.replies.tokens
        assert row["rejected_ids"] != row["chosen_ids"]


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (sft.main, ["--target", "users"], "Unknown target 'users'. Did you mean 'user'?"),
        (dpo.main, ["--pairs", "0"], "pairs=0; expected at least 1"),
        (dpo.main, ["--beat", "1"], "Did you mean 'beta'?"),
        (sft.main, ["--max-length", "64"], "max_length is not to be set; use nothing"),
        (dpo.main, ["--max-length", "64"], "max_length is not to be set; use nothing"),
        (sft.main, ["--label-smoothing-factor", "0.1"], "label_smoothing_factor is not to be set"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(command, words, message, given, tmp_path, capsys):
    common = ["--traces", given["traces"], "--model", given["model"], "--out", str(tmp_path / "x")]
    assert command([*common, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [sft.main, dpo.main])
def test_what_trls_trainers_do_not_take_is_said_before_anything_is_written(
    command, given, tmp_path, capsys
):
    out = tmp_path / "new" / "out"
    common = ["--traces", given["traces"], "--model", given["model"], "--out", str(out)]
    assert command([*common, "--use-cpu", "--disable-tqdm", "--report-to", "wandbb"]) == 2
    assert "wandbb is not supported" in capsys.readouterr().err.splitlines()[-1]
    assert not out.parent.exists()


KINDS = {"distill": Distill, "sft": Sft, "dpo": Dpo}
RECIPES = sorted(
    path
    for path in (Path(__file__).parent.parent / "configs" / "train").glob("*.yaml")
    # Those of train.gru and train.rl are read by the tests of these.
    if re.search(rf"python -m train\.({'|'.join(KINDS)}) ", path.read_text("utf-8"))
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_read_by_the_command_they_name(path):
    command = r"python -m train\.(\w+) --config configs/train/([\w.-]+\.yaml)"
    [[method, name]] = re.findall(command, path.read_text("utf-8"))
    assert name == path.name
    told = KINDS[method].parse(read(str(path)), path.name)
    assert told.out.startswith("runs/")
    assert read(path.stem) == read(str(path))
    assert isinstance(told.trainer["learning_rate"], float)


def test_recipes_take_arguments_of_trls_own(given, tmp_path):
    told = recipe(Sft, **given, out=str(tmp_path), packing=False)
    assert told.trainer["packing"] is False
