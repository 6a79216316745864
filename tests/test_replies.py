"""Replies of several tokens, chosen token by token: their divergence, added up by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax, rel_entr, xlogy

from acquaint_gym.train.lm.batches import Collator, choices
from acquaint_gym.train.lm.objectives import cross_entropy, kl, student_choices
from acquaint_gym.train.lm.token_choices import ReplyTrie, TrainingExample

# 1, 2, 10, 11, 12, 2 followed by another end: digits, and tokens that end a turn.
TOKENS = [[1, 9], [2, 9], [1, 0, 9], [1, 1, 9], [1, 2, 9], [2, 8]]
VOCABULARY = 10


def example(tokens, given_, target, legal=None, action=None, answer=None):
    """Replies at turns that begin at 10, 20, ...: the token at p predicts the one at p + 1."""
    turns, replies = len(given_), ReplyTrie(tokens)
    return TrainingExample(
        ids=np.arange(10 * turns + 1 + len(tokens[given_[-1]]) - 1, dtype=np.int32),
        positions=10 * (1 + np.arange(turns)),
        replies=replies,
        given=np.array(given_),
        legal=np.ones((turns, len(tokens)), dtype=bool) if legal is None else legal,
        target=np.asarray(target, dtype=np.float32),
        action=np.full(turns, -1) if action is None else np.array(action),
        answer=np.full(turns, -1) if answer is None else np.array(answer),
    )


def student(tokens, seed):
    """`{beginning of a reply: [V] logits}`: a language model that has only this to say."""
    rng = np.random.Generator(np.random.Philox(seed))
    starts = sorted({tuple(reply[:n]) for reply in tokens for n in range(len(reply))})
    return {start: 2 * rng.normal(size=VOCABULARY) for start in starts}


def says(logits, reply):
    """Log-probability of a whole reply."""
    each = [log_softmax(logits[tuple(reply[:n])])[token] for n, token in enumerate(reply)]
    return sum(each)


def heard(logits, some):
    """The student's logits at the positions of an example, in float64."""
    steps = some.replies.choices(some)
    rows = []
    for position in steps.positions:
        turn = np.searchsorted(some.positions, position, side="right") - 1
        reply = some.replies.tokens[some.given[turn]]
        rows.append(logits[tuple(reply[: position - some.positions[turn]])])
    return torch.from_numpy(np.array(rows)), choices(Collator(0)([[some]]))


def loss(logits, some, mass_weight=1.0):
    """`[P]` of the trainer: divergence, and what is said elsewhere."""
    own, wanted = heard(logits, some)
    said = student_choices(own, wanted)
    return (kl(said, wanted) + mass_weight * said.legal_nll * wanted.target.sum(1)).numpy()


@st.composite
def trees(draw):
    """Two to seven replies of one to three tokens, none of which begins another."""
    token = st.integers(0, VOCABULARY - 1)
    every = st.lists(token, min_size=1, max_size=3).map(tuple)
    found = sorted(draw(st.sets(every, min_size=2, max_size=7)))
    if any(longer[: len(one)] == one for one, longer in permutations(found, 2)):
        found = [(*reply, VOCABULARY) for reply in found]  # a token that ends a turn
    return [list(reply) for reply in found]


@settings(max_examples=200, deadline=None)
@given(trees(), st.integers(0, 999))
def test_on_the_teachers_own_reply_it_is_the_cross_entropy_of_the_whole_reply(tokens, seed):
    rng = np.random.Generator(np.random.Philox(seed))
    logits = {key: np.append(value, rng.normal()) for key, value in student(tokens, seed).items()}
    reply = int(rng.integers(len(tokens)))
    some = example(tokens, [reply], np.eye(len(tokens))[[reply]])
    assert_allclose(loss(logits, some).sum(), -says(logits, tokens[reply]), rtol=1e-9)


@settings(max_examples=200, deadline=None)
@given(trees(), st.integers(0, 999))
def test_over_all_places_it_is_the_divergence_from_the_teacher(tokens, seed):
    """Each place of the tree once, whichever reply shows it: the sum is that over replies."""
    rng = np.random.Generator(np.random.Philox(seed))
    logits = {key: np.append(value, rng.normal()) for key, value in student(tokens, seed).items()}
    target = rng.dirichlet(np.ones(len(tokens))).astype(np.float32)
    seen: dict[tuple[int, ...], float] = {}
    for reply, said in enumerate(tokens):
        some = example(tokens, [reply], target[None])
        cells = loss(logits, some)
        assert len(cells) == len(said)  # the teacher may give each of them
        for n, cell in enumerate(cells):
            seen[tuple(said[:n])] = float(cell)
    whole = np.array([says(logits, reply) for reply in tokens])
    expected = (xlogy(target, target) - target * whole).sum()
    assert len(seen) == len(logits)
    assert_allclose(sum(seen.values()), expected, rtol=1e-5, atol=1e-6)


def test_single_tokens_are_the_replies_themselves():
    target = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    some = example([[4], [7], [2]], [2, 0], target, action=[0, 1], answer=[2, -1])
    steps = some.replies.choices(some)
    assert steps.options.tolist() == [[4, 7, 2]] * 2
    assert_array_equal(steps.target, target)
    assert steps.positions.tolist() == [10, 20]
    assert (steps.action.tolist(), steps.answer.tolist()) == ([0, 1], [2, -1])
    assert steps.begins.all()
    assert steps.legal.all()


def test_places_are_those_on_the_way_of_what_was_given_where_the_teacher_may_pass():
    # 10 was given twice; the teacher wants 1, 11 or 2 at first, and 2 alone then.
    target = np.array([[0.25, 0.25, 0, 0.5, 0, 0], [0, 1, 0, 0, 0, 0]])
    some = example(TOKENS, [2, 2], target, action=[3, 1], answer=[2, 4])
    steps = some.replies.choices(some)
    # 1 or 2; after 1: end, 0, 1, 2; after 10 an answer ends. In the second turn 1 or 2, then
    # only the answer, 12, passes by.
    assert steps.positions.tolist() == [10, 11, 12, 20, 21]
    assert steps.begins.tolist() == [True, False, False, True, False]
    assert steps.options[0, :2].tolist() == [1, 2]
    assert steps.options[1].tolist() == [9, 0, 1, 2]
    assert_array_equal(
        steps.target,
        [[0.75, 0.25, 0, 0], [0.25, 0, 0.5, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]],
    )
    assert steps.action.tolist() == [0, 2, -1, 1, -1]
    assert steps.answer.tolist() == [0, 1, 0, 0, 3]
    assert steps.legal.sum(1).tolist() == [2, 4, 1, 2, 4]


def test_what_no_legal_reply_goes_on_with_is_not_legal():
    legal = np.array([[True, False, True, False, True, False]])  # 1, 10, 12
    some = example(TOKENS, [4], np.eye(6)[[4]], legal=legal)
    steps = some.replies.choices(some)
    assert steps.legal.tolist() == [
        [True, False, False, False],
        [True, True, False, True],
        [True, False, False, False],
    ]
    logits = student(TOKENS, 0)
    own, wanted = heard(logits, some)
    said = student_choices(own, wanted)
    # Among the legal ones 12 is sure of its first and last token.
    assert kl(said, wanted).tolist()[::2] == [0, 0]
    among = log_softmax(logits[1,][[9, 0, 2]])[2]
    assert kl(said, wanted)[1].item() == pytest.approx(-among)


def test_a_choice_that_does_not_pass_costs_nothing():
    some = example(TOKENS, [2], np.full((1, 6), 1 / 6), action=[5], answer=[2])
    own, wanted = heard(student(TOKENS, 1), some)
    said = student_choices(own, wanted)
    action, answer = cross_entropy(said, wanted.action), cross_entropy(said, wanted.answer)
    assert action[0] > 0
    assert action[1:].tolist() == [0, 0]
    assert (answer[:2] > 0).all()


def test_lessons_of_several_tokens_stand_in_one_batch_with_those_of_one():
    target = np.full((1, 6), 1 / 6)
    many, few = example(TOKENS, [2], target), example([[4], [7]], [1], [[0.5, 0.5]])
    batch = Collator(0)([[many], [few]])
    assert batch["options"].shape == (4, 4)
    assert batch["begins"].tolist() == [True, False, False, True]
    assert batch["answer_mask"].sum(1).tolist() == [3, 1]
    wanted = choices(batch)
    torch.manual_seed(0)
    logits = torch.randn(4, VOCABULARY, dtype=torch.float64)
    both = kl(student_choices(logits, wanted), wanted)
    alone = choices(Collator(0)([[few]]))
    assert both[3].item() == pytest.approx(kl(student_choices(logits[3:], alone), alone).item())
    # Options 4 and 7 alike: the divergence of a coin from the student's coin.
    student_ = np.exp(log_softmax(logits[3, [4, 7]].numpy()))
    assert both[3].item() == pytest.approx(rel_entr([0.5, 0.5], student_).sum(), abs=1e-7)


def test_the_worked_examples_of_the_docstrings_add_up():
    """Those of `train.lm.token_choices` and of `train.lm.trainer`, to their four digits."""
    target, probs = np.array([0.5, 0.3, 0.2]), np.full((2, VOCABULARY), 1e-12)
    probs[0, [7, 1, 0]] = 0.54, 0.36, 0.1  # 0 is no reply
    probs[1, [2, 5]] = 0.5
    logits = {(): np.log(probs[0]), (1,): np.log(probs[1])}
    twelve = example([[7], [1, 2], [1, 5]], [1], target[None])
    assert loss(logits, twelve, mass_weight=0.0).round(4).tolist() == [0.0204, 0.0101]
    assert loss(logits, twelve).round(4).tolist() == [0.1258, 0.0101]
    q = np.array([0.6, 0.4 * 0.5, 0.4 * 0.5])
    assert rel_entr(target, q).sum().round(4) == 0.0305
    seven = example([[7], [1, 2], [1, 5]], [0], target[None])
    assert loss(logits, seven, mass_weight=0.0).round(4).tolist() == [0.0204]
