"""The loss of distillation, added up by hand from logits that are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from transformers import TrainingArguments

from acquaint_gym.train.lm.batches import Collator, choices
from acquaint_gym.train.lm.objectives import kl, student_choices
from acquaint_gym.train.lm.token_choices import ReplyTrie, TrainingExample
from acquaint_gym.train.lm.trainer import DistillTrainer

VOCABULARY, TURNS, BELIEF_WEIGHT = 11, 3, 0.5
OPTIONS = np.array([7, 2, 5, 9])
REPLIES = ReplyTrie(OPTIONS[:, None].tolist())
REVERSED = ReplyTrie(OPTIONS[::-1, None].tolist())


class Says(torch.nn.Module):
    """Has the same logits for whatever it reads."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.from_numpy(logits))

    def forward(self, **inputs):
        return SimpleNamespace(logits=self.logits)


def conversation(rng):
    legal = np.ones((TURNS, 4), dtype=bool)
    legal[1, 2] = False
    target = rng.dirichlet(np.ones(4), TURNS) * legal
    return TrainingExample(
        ids=np.arange(9, dtype=np.int32),
        positions=np.array([2, 5, 8]),
        replies=REPLIES,
        given=np.array([1, 3, 0]),
        legal=legal,
        target=(target / target.sum(1, keepdims=True)).astype(np.float32),
        action=np.array([3, 0, 2]),
        answer=np.array([0, 1, 2]),
    )


def question(rng):
    return TrainingExample(
        ids=np.arange(4, dtype=np.int32),
        positions=np.array([3]),
        replies=REVERSED,
        given=np.array([2]),
        legal=np.ones((1, 4), dtype=bool),
        target=rng.dirichlet(np.ones(4), 1).astype(np.float32),
        action=np.array([-1]),
        answer=np.array([-1]),
        asks_belief=True,
    )


def mixed():
    """Two people's conversations, with one question about the first, two about the second."""
    rng = np.random.default_rng(0)
    return [[conversation(rng), *(question(rng) for _ in range(n))] for n in (1, 2)]


def said(groups):
    positions = sum(len(example.positions) for group in groups for example in group)
    return 2 * np.random.default_rng(1).normal(size=(positions, VOCABULARY))


def by_hand(groups, mass_weight, choice_weight=0.0):
    """The sum of the loss over positions, one at a time."""
    total, logits = 0.0, iter(said(groups))
    for group in groups:
        questions = len(group) - 1
        for example in group:
            weight = BELIEF_WEIGHT * TURNS / questions if example.asks_belief else 1.0
            for turn in range(len(example.positions)):
                row = next(logits)
                legal, tokens = example.legal[turn], np.ravel(example.replies.tokens)
                options = row[tokens[legal]]
                among = options - logsumexp(options)
                target = example.target[turn, legal].astype(float)
                cell = sum(p * (np.log(p) - q) for p, q in zip(target, among, strict=True))
                cell -= mass_weight * (logsumexp(options) - logsumexp(row))
                if not example.asks_belief:
                    chosen = row[tokens[example.action[turn]]]
                    cell -= choice_weight * (chosen - logsumexp(options))
                total += weight * cell
    return total


@pytest.fixture
def loss(tmp_path):
    """Of a batch, and its gradient with respect to the logits."""

    def of(batch, logits, mass_weight=1.0, choice_weight=0.0, objective="kl+belief", replies=None):
        net = Says(logits).eval()
        trainer = DistillTrainer(
            objective=objective,
            mass_weight=mass_weight,
            choice_weight=choice_weight,
            evaluator=None,
            lengths=[],
            model=net,
            args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"),
        )
        found = trainer.compute_loss(net, batch, num_items_in_batch=replies)
        found.backward()
        return found.item(), net.logits.grad.numpy()

    return of


@pytest.mark.parametrize("mass_weight", [0.0, 0.5, 3.0])
def test_what_is_said_elsewhere_counts_as_much_as_its_weight(mass_weight, loss):
    groups = mixed()
    batch, logits = Collator(0, BELIEF_WEIGHT)(groups), said(groups)
    for objective in ("kl", "kl+belief"):
        found, gradient = loss(batch, logits, mass_weight, objective=objective)
        assert found == pytest.approx(by_hand(groups, mass_weight) / (2 * TURNS), rel=1e-6)
    # Without it no token but the options is moved, with it every other one is pushed down.
    others = np.delete(gradient, OPTIONS, axis=1)
    assert (others > 0).all() if mass_weight else (others == 0).all()


@pytest.mark.parametrize("choice_weight", [0.25, 2.0])
def test_the_choice_is_that_of_actions_only(choice_weight, loss):
    groups = mixed()
    batch, logits = Collator(0, BELIEF_WEIGHT)(groups), said(groups)
    found, gradient = loss(batch, logits, 0.5, choice_weight)
    assert found == pytest.approx(by_hand(groups, 0.5, choice_weight) / (2 * TURNS), rel=1e-6)
    _, without = loss(batch, logits, 0.5)
    moved = np.abs(gradient - without).max(axis=1) > 1e-6
    assert moved.tolist() == (~batch["asks_belief"]).tolist()


def test_questions_alone_have_no_choice(loss):
    whole = Collator(0, BELIEF_WEIGHT)(mixed())
    asked, rows = whole["asks_belief"], whole["answer_mask"].nonzero()[:, 0]
    assert asked.sum() == 3
    by_row = {"input_ids", "answer_mask", "tokens"}
    batch = {
        name: part[rows[asked]] if name in by_row else part[asked] for name, part in whole.items()
    }
    logits = said(mixed())[asked.numpy()]
    # The replies are in the other batches until the update.
    (without, still), (found, gradient) = (
        loss(batch, logits, choice_weight=weight, replies=torch.tensor(6)) for weight in (0.0, 2.0)
    )
    assert without > 0
    assert found == without
    np.testing.assert_array_equal(gradient, still)


# 7 1, 7 2, 5 and 9 3 1; what begins with 7 or 9 parts, or ends, further on.
SPELLED = [[7, 1], [7, 2], [5], [9, 3, 1]]


def spelled():
    """Three turns, in which 7 2, 9 3 1 and 5 were given."""
    target = np.random.default_rng(2).dirichlet(np.ones(4), TURNS).astype(np.float32)
    return TrainingExample(
        ids=np.arange(11, dtype=np.int32),
        positions=np.array([1, 5, 10]),
        replies=ReplyTrie(SPELLED),
        given=np.array([1, 3, 2]),
        legal=np.ones((TURNS, 4), dtype=bool),
        target=target,
        action=np.array([0, 3, 1]),
        answer=np.full(TURNS, -1),
    )


@pytest.mark.parametrize("mass_weight", [0.0, 0.5, 3.0])
def test_replies_of_several_tokens_count_as_one_reply(mass_weight, loss):
    example = spelled()
    batch, total = Collator(0)([[example]]), 0.0
    assert batch["answer_mask"].sum() == 2 + 3 + 1
    logits = 2 * np.random.default_rng(1).normal(size=(6, VOCABULARY))
    rows = iter(logits)
    for turn, reply in enumerate(example.given):
        for far in range(len(SPELLED[reply])):
            row, passing = next(rows), {}
            for number, tokens in enumerate(SPELLED):
                if tokens[:far] == SPELLED[reply][:far] and len(tokens) > far:
                    chance = float(example.target[turn, number])
                    passing[tokens[far]] = passing.get(tokens[far], 0.0) + chance
            mass, options = sum(passing.values()), row[list(passing)]
            among = options - logsumexp(options)
            for p, q in zip(passing.values(), among, strict=True):
                total += p * (np.log(p / mass) - q)
            total += mass_weight * mass * (logsumexp(row) - logsumexp(options))
    for replies in (None, torch.tensor(3)):
        found, _ = loss(batch, logits, mass_weight, objective="kl", replies=replies)
        assert found == pytest.approx(total / 3, rel=1e-5)


def test_the_log_counts_replies_and_questions_once_and_weighs_what_is_said_elsewhere(tmp_path):
    example = spelled()
    asked = example._replace(asks_belief=True)
    batch = Collator(0)([[example, asked]])
    places = len(batch["weight"])
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(places, VOCABULARY)))
    net = Says(logits.numpy())
    trainer = DistillTrainer(
        objective="kl",
        mass_weight=1.0,
        choice_weight=0.0,
        evaluator=None,
        lengths=[],
        model=net,
        args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"),
    )
    net.train()
    trainer.compute_loss(net, batch)
    divergence, elsewhere, replies, _, questions, tokens = trainer._sums.tolist()
    assert (replies, questions, tokens) == (TURNS, TURNS, 2 * 11)
    reply = ~batch["asks_belief"]
    wanted = choices(batch)
    student = student_choices(logits, wanted)
    mass = (student.legal_nll * wanted.target.sum(1))[reply].sum().item()
    assert elsewhere == pytest.approx(mass, rel=1e-5)
    assert divergence == pytest.approx(kl(student, wanted)[reply].sum().item())
    assert wanted.target.sum(1)[reply].min() < 0.9  # there is something to weigh


def test_the_choice_among_replies_of_several_tokens_is_made_where_it_passes(loss):
    batch = Collator(0)([[spelled()]])
    logits = np.zeros((6, VOCABULARY))
    (without, _), (found, _) = (loss(batch, logits, 0.0, weight) for weight in (0.0, 1.0))
    # 7 among 7, 5, 9, and then 1 among 1 and 2; 9, and what is sure after it; 7 where 5 was given.
    assert found - without == pytest.approx((3 * np.log(3) + np.log(2)) / 3, rel=1e-5)
