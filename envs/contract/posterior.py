"""The contract check of a posterior: Bayes' rule by brute force, beside it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

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
    task, users, three = env.task, env.users, np.arange(3)
    turn = np.array([0, (task.num_turns + 1) // 2, task.num_turns])
    transcript = example_transcripts(task, users, turn)
    now = np.minimum(transcript.turn, users.length - 1)
    every = users.stimuli.reshape(-1, users.stimuli.shape[-1])
    questions = _Questions(users.stimuli[three, now], now, every[:5], _some_types(task))
    choices = {"make_posterior()": task.posterior, "make_posterior('joint')": "joint"}
    if task.separable:
        choices["make_posterior('factored')"] = "factored"
    orders = {"": transcript, ", answers in reverse": _reverse(transcript)}
    # People alone, as many as stimuli, and so many that a posterior may work on them in blocks.
    batches = [three, three[:1], three[1:2], three[2:], np.arange(5) % 3, np.arange(50) % 3]
    for words, choice in choices.items():
        conditioned = TranscriptPosterior(task, choice=choice)
        posterior, words = conditioned.posterior, f"{env_id}: {words}"
        assert 0 <= posterior.tolerance < 1, (
            f"{words}: a tolerance of {posterior.tolerance}; it is of probabilities, below 1."
        )
        for order, answered in orders.items():
            if order == "" or task.model.timed:  # otherwise the order makes no difference
                weights = np.stack([_enumerate(task, answered, row) for row in range(3)])
                expected = questions.expected(task, weights)
            together: dict[str, Floats] = {}
            for rows in batches if order == "" else batches[:1]:
                belief = conditioned.condition(answered.rows(rows))
                given = questions.given(task, posterior, belief, rows)
                together = together or given
                for what, numbers in given.items():
                    _compare(
                        f"{words}{order}: {what} after {turn[rows].tolist()} answers",
                        numbers,
                        expected[what][rows],
                        together[what][rows],
                        posterior.tolerance,
                    )
        belief = conditioned.condition(transcript)
        _check_rows(words, task, posterior, belief, questions)
        _check_sample(words, task, posterior, belief, weights)


class _Questions(NamedTuple):
    """What a posterior is asked about three people.

    Attributes:
        asked: `[3, S]` what they are asked next.
        now: `[3]` at which turn.
        stimuli: `[N, S]` what else they could be asked.
        types: `[M]` types of people, whose probabilities are wanted.
    """

    asked: Floats
    now: Ints
    stimuli: Floats
    types: Ints

    def given(
        self, task: UserTask, posterior: Posterior, belief: Belief, rows: Ints
    ) -> dict[str, Floats]:
        """By what it is, `[B, ...]` what the posterior says of these rows of the three."""
        levels, num = task.population.levels[self.types], len(rows)
        log_probs = [posterior.log_prob(belief, np.repeat(one[None], num, 0)) for one in levels]
        given = {
            "the predictive": posterior.predict(belief, self.asked[rows], self.now[rows]),
            "the probability of a person's levels": np.exp(np.stack(log_probs, axis=1)),
        }
        marginals = posterior.marginals(belief)
        if not task.model.timed:  # who chooses what to ask asks people who stay as they are
            given["the predictive of predict_all()"] = posterior.predict_all(belief, self.stimuli)
            given["the expected information"] = posterior.information(belief, self.stimuli)
            given["the expected information, with marginals,"] = posterior.information(
                belief, self.stimuli, marginals
            )
        if task.population.grid is not None:
            assert marginals is not None, "The posterior has no marginals for the grid of levels."
            given["the posterior of a trait"] = marginals
        return given

    def expected(self, task: UserTask, weights: Floats) -> dict[str, Floats]:
        """The same of all three, by the probabilities `[3, P]` of all types."""
        levels = task.population.levels
        timed = task.model.at_turn(self.asked, self.now)
        asked = np.stack([task.model.probs(levels, stimulus) for stimulus in timed])
        expected = {
            "the predictive": np.einsum("bp,bpk->bk", weights, asked),
            "the probability of a person's levels": weights[:, self.types],
        }
        if not task.model.timed:
            probs = np.stack([task.model.probs(levels, stimulus) for stimulus in self.stimuli])
            predictive = np.einsum("bp,npk->bnk", weights, probs)
            information = entr(predictive).sum(axis=2) - weights @ entr(probs).sum(axis=2).T
            expected["the predictive of predict_all()"] = predictive
            expected["the expected information"] = information
            expected["the expected information, with marginals,"] = information
        if task.population.grid is not None:
            expected["the posterior of a trait"] = _marginals(task, weights)
        return expected


def _some_types(task: UserTask) -> Ints:
    """`[M]` a few types, spread over the population."""
    return np.unique(np.linspace(0, len(task.population.levels) - 1, 7).astype(np.int64))


def _compare(
    words: str, numbers: Floats, expected: Floats, together: Floats, tolerance: float
) -> None:
    """What is said of people is what enumeration gives, and the same in a batch of another size."""
    shape = expected.shape
    assert numbers.shape == shape, f"{words} is {list(numbers.shape)}; expected {list(shape)}."
    off = np.abs(numbers - expected).max()
    assert off <= tolerance, (
        f"{words} is {off:.1e} from enumerating all types; its tolerance is {tolerance:g}. Check "
        "factor(), the prior, make_posterior(), or state another tolerance."
    )
    apart = np.abs(numbers - together).max()
    assert apart < 1e-9, (
        f"{words} is {apart:.1e} from that of the same people among three; what is random must "
        "depend on the belief and the arguments alone."
    )


def _check_rows(
    words: str, task: UserTask, posterior: Posterior, belief: Belief, questions: _Questions
) -> None:
    """Who is taken out of a belief is who was there, and samples are types of people."""
    uniform = np.array([0.2, 0.5, 0.9])
    drawn = posterior.sample(belief, uniform)
    known = {tuple(levels) for levels in task.population.levels.tolist()}
    assert all(tuple(levels) in known for levels in drawn.tolist()), (
        f"{words}: sample() gives levels {drawn.tolist()}, which are of no type of people."
    )
    for rows in ([2, 0], [0], [1], [2]):
        turned = posterior.take(belief, np.array(rows))
        assert np.array_equal(posterior.sample(turned, uniform[rows]), drawn[rows]), (
            f"{words}: sample() of people that take() picked is not that of the same people before."
        )
    turned = posterior.take(belief, np.array([2, 0]))
    before = posterior.predict(belief, questions.asked, questions.now)
    copy = posterior.take(belief, np.arange(3))
    for answer in range(2):
        feedback = np.full(3, answer)
        copy = posterior.update(copy, questions.asked, feedback, feedback, questions.now)
    after = posterior.predict(belief, questions.asked, questions.now)
    assert np.array_equal(before, after), (
        f"{words}: take() must give a belief of its own; an update of it changed the other one."
    )
    again = posterior.take(turned, np.array([1, 0]))
    back = posterior.put(posterior.start(3), np.array([0, 2]), again)
    assert np.array_equal(posterior.sample(back, uniform)[[0, 2]], drawn[[0, 2]]), (
        f"{words}: people that put() put back are others than take() picked."
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


def _enumerate(task: UserTask, transcript: Transcript, row: int) -> Floats:
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


def _reverse(transcript: Transcript) -> Transcript:
    """The same transcripts, from the last answer to the first."""
    backwards = deepcopy(transcript)
    for row, turn in enumerate(transcript.turn):
        for there, here in zip(_parts(backwards), _parts(transcript), strict=True):
            there[row, :turn] = here[row, :turn][::-1]
    return backwards


def _parts(transcript: Transcript) -> tuple[Floats, ...]:
    """Stimuli `[B, T, S]`, actions and answers `[B, T]`, as views."""
    return transcript.stimuli, transcript["actions"], transcript["answers"]
