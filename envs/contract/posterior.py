"""The contract check of a posterior: Bayes' rule by brute force, beside it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from scipy.special import entr

from acquaint_gym.envs.contract.play import batch, generator, meet
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.posterior import Belief, Posterior
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints


def check_posterior(env_id: str, **settings: Any) -> None:
    """The posterior is Bayes' rule over all types of people, within its own stated tolerance.

    Of the task's own choice and of the exact ones, in whatever order people answer, and of one
    person alone as of many.
    """
    env = batch(env_id, 3, **settings)
    meet(env)
    task, users = env.task, env.users
    turn = np.array([0, (task.num_turns + 1) // 2, task.num_turns])
    transcript = example_transcripts(task, users, turn)
    now = np.minimum(transcript.turn, users.length - 1)
    asked = users.stimuli[np.arange(3), now]
    choices = {"make_posterior()": task.posterior, "make_posterior('joint')": "joint"}
    if task.separable:
        choices["make_posterior('factored')"] = "factored"
    orders = {"": transcript, ", answers in reverse": _reversed(transcript)}
    for words, choice in choices.items():
        conditioned = TranscriptPosterior(task, choice=choice)
        for order, answered in orders.items():
            belief = conditioned.condition(answered)
            if order == "" or task.model.timed:  # otherwise the order makes no difference
                expected = np.stack([_enumerated(task, answered, row) for row in range(3)])
            differ = _differences(task, conditioned.posterior, belief, asked, now, expected)
            tolerance = conditioned.posterior.tolerance
            for what, off in differ.items():
                row = int(off.argmax())
                assert off[row] <= tolerance, (
                    f"{env_id}: {words}{order}: {what} after {transcript.turn[row]} answers is "
                    f"{off[row]:.1e} from enumerating all types; its tolerance is {tolerance:g}. "
                    "Check factor(), the prior, make_posterior(), or state another tolerance."
                )
        posterior, words = conditioned.posterior, f"{env_id}: {words}"
        _check_alone(words, conditioned, transcript, asked, now)
        _check_rows(words, task, posterior, belief)
        _check_sample(words, task, posterior, belief, expected)


def _differences(
    task: UserTask,
    posterior: Posterior,
    belief: Belief,
    asked: Floats,
    now: Ints,
    expected: Floats,
) -> dict[str, Floats]:
    """By what it is, `[3]` the largest difference from what is expected.

    Args:
        task: whose.
        posterior: to be checked.
        belief: about three people.
        asked: `[3, S]` what they are asked next.
        now: `[3]` at which turn.
        expected: `[3, P]` probabilities of all types.
    """
    population, three = task.population, np.arange(3)
    timed = task.model.at_turn(asked, now)
    probs = np.stack([task.model.probs(population.levels, stimulus) for stimulus in timed])
    predictive = np.einsum("bp,bpk->bk", expected, probs)
    likely = expected.argmax(axis=1)
    log_prob = posterior.log_prob(belief, population.levels[likely])
    off = {
        "the predictive": posterior.predict(belief, asked, now) - predictive,
        "the probability of a person's levels": np.exp(log_prob) - expected[three, likely],
    }
    if not task.model.timed:  # who chooses what to ask asks people who stay as they are
        known = np.einsum("bp,bp->b", expected, entr(probs).sum(axis=2))
        information = posterior.information(belief, asked)[three, three]
        together = posterior.predict_all(belief, asked)[three, three]
        off["the predictive of predict_all()"] = together - predictive
        off["the expected information"] = information - (entr(predictive).sum(axis=1) - known)
    if population.grid is not None:
        marginals = posterior.marginals(belief)
        assert marginals is not None, "The posterior has no marginals for the grid of levels."
        off["the posterior of a trait"] = marginals - _marginals(task, expected)
    return {what: np.abs(by).reshape(3, -1).max(axis=1) for what, by in off.items()}


def _check_rows(words: str, task: UserTask, posterior: Posterior, belief: Belief) -> None:
    """Who is taken out of a belief is who was there, and samples are types of people."""
    uniform = np.array([0.2, 0.5, 0.9])
    drawn = posterior.sample(belief, uniform)
    known = {tuple(levels) for levels in task.population.levels.tolist()}
    assert all(tuple(levels) in known for levels in drawn.tolist()), (
        f"{words}: sample() gives levels {drawn.tolist()}, which are of no type of people."
    )
    turned = posterior.take(belief, np.array([2, 0]))
    assert np.array_equal(posterior.sample(turned, uniform[[2, 0]]), drawn[[2, 0]]), (
        f"{words}: sample() of people that take() picked is not that of the same people before."
    )
    again = posterior.take(turned, np.array([1, 0]))
    back = posterior.put(posterior.start(3), np.array([0, 2]), again)
    assert np.array_equal(posterior.sample(back, uniform)[[0, 2]], drawn[[0, 2]]), (
        f"{words}: people that put() put back are others than take() picked."
    )


def _check_alone(
    words: str,
    conditioned: TranscriptPosterior,
    transcript: Transcript,
    asked: Floats,
    now: Ints,
) -> None:
    """A person's belief does not depend on who else is in the batch."""
    together = conditioned.posterior.predict(conditioned.condition(transcript), asked, now)
    for row in range(3):
        rows = slice(row, row + 1)
        one = conditioned.condition(transcript.rows(rows))
        alone = conditioned.posterior.predict(one, asked[rows], now[rows])[0]
        off = np.abs(alone - together[row]).max()
        assert off < 1e-9, (
            f"{words}: the predictive of a person alone is {off:.1e} from that of the same person "
            "among three; what is random must depend on the belief and the arguments alone."
        )


def _check_sample(
    words: str, task: UserTask, posterior: Posterior, belief: Belief, expected: Floats
) -> None:
    """Levels are drawn as often as they are probable, and so are eight groups of types."""
    population, rng = task.population, generator()
    num = int(np.clip(5e7 // posterior.bytes_per_person, 200, 1000))
    groups = rng.integers(8, size=len(population.levels))
    columns = [*population.levels.T, groups]
    index = {tuple(levels): at for at, levels in enumerate(population.levels.tolist())}
    for row in range(3):
        many = posterior.take(belief, np.full(num, row))
        drawn = posterior.sample(many, rng.random(num))
        types = np.array([index[tuple(levels)] for levels in drawn.tolist()])
        for column in columns:
            size = column.max() + 1
            share = np.bincount(column, expected[row], size)
            often = np.bincount(column[types], minlength=size) / num
            # By chance alone one share in two million would be further off.
            allowed = 5 * np.sqrt(share * (1 - share) / num) + 5 / num + posterior.tolerance
            worst = int((np.abs(often - share) - allowed).argmax())
            assert np.abs(often - share)[worst] <= allowed[worst], (
                f"{words}: sample() draws {often[worst]:.3f} of {num} people from types whose "
                f"probability is {share[worst]:.3f}; it must draw from the belief, for numbers "
                "that are uniform on [0, 1)."
            )


def _enumerated(task: UserTask, transcript: Transcript, row: int) -> Floats:
    """`[P]` probabilities of all types after one transcript, by brute force."""
    levels, model = task.population.levels, task.model
    weights = task.population.prior.astype(np.float64)
    if task.context is not None:
        known = task.context.task.model
        pairs = task.context.unpack(transcript.person(row))
        for stimulus, answer in zip(*pairs, strict=True):
            weights = weights * known.probs(levels, stimulus)[:, int(answer)]
            weights = weights / weights.sum()
    stimuli = model.at_turn(transcript.stimuli[row], np.arange(task.num_turns))
    for t in range(int(transcript.turn[row])):
        probs = model.probs(levels, stimuli[t])
        feedback = int(transcript["answers"][row, t])
        if task.binary_feedback:
            accepted = probs[:, int(transcript["actions"][row, t])]
            accepted = (1 - task.quirks.skepticism) * accepted
            weights = weights * (accepted if feedback else 1 - accepted)
        else:
            weights = weights * probs[:, feedback]
        weights = weights / weights.sum()
    return weights


def _marginals(task: UserTask, weights: Floats) -> Floats:
    """`[B, F, L]` of probabilities of all types `[B, P]`."""
    size, columns = task.population.num_levels, task.population.levels.T
    return np.stack([[np.bincount(c, row, size) for c in columns] for row in weights])


def _reversed(transcript: Transcript) -> Transcript:
    """The same transcripts, from the last answer to the first."""
    backwards = deepcopy(transcript)
    for row, turn in enumerate(transcript.turn):
        for there, here in zip(_parts(backwards), _parts(transcript), strict=True):
            there[row, :turn] = here[row, :turn][::-1]
    return backwards


def _parts(transcript: Transcript) -> tuple[Floats, ...]:
    """Stimuli `[B, T, S]`, actions and answers `[B, T]`, as views."""
    return transcript.stimuli, transcript["actions"], transcript["answers"]
