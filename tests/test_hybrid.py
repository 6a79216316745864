"""A language model with the exact teacher at its side."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from tiny_llm import base, naive, questionnaire, random_model, seen, tokenizer

from acquaint_gym.agents import contract
from acquaint_gym.agents.llm import LLMAgent
from acquaint_gym.agents.llm.hybrid import FLOOR, HybridAgent
from acquaint_gym.agents.teacher import BayesTeacher
from acquaint_gym.eval.run import main

CLOSE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(base(tmp_path_factory.mktemp("tiny-llama")))


def test_the_pool_is_one_of_logarithms(folder):
    task = questionnaire(num_turns=6)
    told, nobody = seen(task, 3), np.zeros(3)
    exact = BayesTeacher(task).act(told, nobody).action_probs
    own = LLMAgent(task, folder).act(told, nobody).action_probs
    for weight in (0.0, 0.3, 1.0):
        agent = HybridAgent(task, folder, mode="fusion", weight=weight)
        decision = agent.act(told, nobody)
        logs = [np.log(np.maximum(p, FLOOR)) for p in (exact, own)]
        expected = softmax(weight * logs[0] + (1 - weight) * logs[1], axis=1)
        np.testing.assert_allclose(decision.action_probs, expected, atol=CLOSE)
    # With all the weight on it the teacher decides, but for the floor.
    np.testing.assert_allclose(decision.action_probs, exact, atol=0.01)
    np.testing.assert_array_equal(decision.belief, BayesTeacher(task).believe(told))


@pytest.mark.parametrize(
    ("weight", "exact", "own", "expected"),
    [
        # Certain as the teacher is, what it rules out can still be said, but hardly ever.
        (1.0, (1, 0, 0, 0, 0), (0.2, 0.2, 0.2, 0.2, 0.2), (1, 1e-4, 1e-4, 1e-4, 1e-4)),
        (0.0, (0.2, 0.2, 0.2, 0.2, 0.2), (0, 1, 0, 0, 0), (1e-4, 1, 1e-4, 1e-4, 1e-4)),
        # Each rules out what the other is certain of: they get half each, not NaN.
        (0.5, (1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (1e-2, 1e-2, 1e-4, 1e-4, 1e-4)),
        # Against a model that has no opinion, a certain teacher prevails.
        (0.5, (0, 0, 1, 0, 0), (0.2, 0.2, 0.2, 0.2, 0.2), (1e-2, 1e-2, 1, 1e-2, 1e-2)),
        # A few per cent, or one in a thousand, are what they are.
        (1.0, (0.9, 0.05, 0.03, 0.019, 0.001), (0.2, 0.2, 0.2, 0.2, 0.2), None),
    ],
    ids=["teacher", "model", "both", "no-opinion", "small"],
)
def test_nobody_can_rule_an_answer_out_nor_is_a_small_probability_changed(
    weight, exact, own, expected, folder, monkeypatch
):
    task = questionnaire(num_turns=6)
    told, nobody = seen(task, 3, people=1), np.zeros(1)
    agent = HybridAgent(task, folder, mode="fusion", weight=weight)
    decision = BayesTeacher(task).act(told, nobody)._replace(action_probs=np.array([exact]))
    monkeypatch.setattr(agent._teacher, "act", lambda *_: decision)
    with np.errstate(divide="ignore"):
        logs = np.log(np.array([own], dtype=float))
    monkeypatch.setattr(agent, "_scores", lambda *_: logs)
    found = agent.act(told, nobody).action_probs[0]
    expected = np.array(exact if expected is None else expected)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-9)


def test_the_posterior_stands_at_the_end_of_the_prompt(folder):
    task = questionnaire(num_turns=6)
    told = seen(task, 5)  # the second item of a trait
    agent = HybridAgent(task, folder, mode="prompt")
    found = agent.act(told, np.zeros(3))
    exact = BayesTeacher(task).act(told, np.zeros(3)).action_probs
    model, words = random_model(), []
    for row in range(3):
        messages = task.prompt(told.person(row))
        shares = ", ".join(f"{n + 1}: {100 * p:.0f} %" for n, p in enumerate(exact[row]))
        words.append(f"An exact analysis of what happened so far gives {shares}.")
        messages[-1]["content"] += f"\n{words[-1]}"
        ids = tokenizer().apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, date_string="26 Jul 2024"
        )
        ids = tokenizer()(ids, add_special_tokens=False)["input_ids"]
        replies = [tokenizer()(r, add_special_tokens=False)["input_ids"] for r in task.replies]
        expected = softmax(naive(model, ids, replies))
        np.testing.assert_allclose(found.action_probs[row], expected, atol=CLOSE)
    assert len(set(words)) > 1


@pytest.mark.parametrize("mode", ["prompt", "fusion"])
def test_it_keeps_the_contract(mode, folder):
    for check in contract.CHECKS:
        check(
            lambda task: HybridAgent(task, folder, mode=mode),
            "acquaint/FlightChoice-v0",
            num_turns=2,
            feedback="accept",
        )


def test_what_it_cannot_be_is_refused(folder):
    task = questionnaire(num_turns=2)
    with pytest.raises(ValueError, match="Did you mean 'fusion'"):
        HybridAgent(task, folder, mode="fusoin")
    with pytest.raises(ValueError, match=r"weight=1\.5; expected a number in \[0, 1\]"):
        HybridAgent(task, folder, weight=1.5)


def test_it_is_an_agent_like_any_other(folder, tmp_path, capsys):
    own = tmp_path / "hybrid.yaml"
    own.write_text(
        f"agent: acquaint_gym.agents.llm.hybrid:HybridAgent\nmodel: {folder}\nmode: fusion\n"
    )
    command = ["--agent", "bayes", str(own), f"{own}:weight=1.0", "--set", "num_turns=4"]
    assert main([*command, "--users", "6", "--out", str(tmp_path / "out")]) == 0
    assert "hybrid.yaml" in capsys.readouterr().out
