"""Contract checks about how people answer, and about the teacher that inverts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr, xlogy
from scipy.stats import chi2, norm

from acquaint_gym.envs.contract.play import batch, generator, meet, scalar
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.simulator import example_transcripts
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Floats, ResponseModel

# Five standard errors: by chance alone one check in two million would fail.
ERRORS = 5.0


def check_response_model(env_id: str, **settings: Any) -> None:
    """The response model gives every type of person positive probabilities that sum to one."""
    env = batch(env_id, 32, **settings)
    meet(env)
    task, model, levels = env.task, env.task.model, env.task.population.levels
    # Where answers depend on the turn it stands at the end of each stimulus.
    asked = model.at_turn(env.users.stimuli, np.arange(env.users.stimuli.shape[1]))
    stimuli = np.unique(asked.reshape(-1, asked.shape[-1]), axis=0)[:64]
    for stimulus in stimuli:
        probs = model.probs(levels, stimulus)
        expected = f"float64 {[len(levels), len(task.categories)]}"
        came = f"{probs.dtype} {list(probs.shape)}"
        words = f"{env_id}: model.probs for stimulus {stimulus.tolist()}"
        assert came == expected, f"{words} returns {came}; expected {expected}, [types, answers]."
        # What nobody ever answers, an option that is not on offer, surprises nobody.
        assert ((probs > 0) | (probs == 0).all(axis=0)).all(), (
            f"{words} holds {probs.min()}; every answer that some type gives needs a probability "
            "above zero of every type, or one surprise rules out every hypothesis. Mix in a little "
            "of the uniform distribution."
        )
        total = probs.sum(axis=1)
        assert np.abs(total - 1).max() < 1e-9, (
            f"{words} sums to {total.min()}..{total.max()} over answers; divide by the sum."
        )
        if model.separable:
            _check_factor(env_id, task, stimulus, probs)
    together = model.probs(levels[:5, None, :], stimuli[None, :7])
    one_by_one = np.stack([model.probs(levels[:5], stimulus) for stimulus in stimuli[:7]], axis=1)
    assert np.array_equal(together, one_by_one), (
        f"{env_id}: model.probs of several people and stimuli at once is not that of each; let the "
        "leading axes of `levels` and `stimulus` broadcast."
    )
    fast = model.likelihoods(levels[:5], stimuli[:7]).transpose(2, 0, 1)
    assert np.abs(fast - together).max() < 1e-12, (
        f"{env_id}: model.likelihoods is not model.probs of every type for each stimulus."
    )


def _check_factor(env_id: str, task: UserTask, stimulus: Floats, probs: Floats) -> None:
    """The factor that a stimulus is said to inform is all that its answers depend on."""
    factor, population = task.model.factor(stimulus), task.population
    words = f"{env_id}: model.factor says {factor} for stimulus {stimulus.tolist()}"
    assert factor in range(len(population.factors)), (
        f"{words}; a separable model names one of {len(population.factors)} factors for each."
    )
    _, first, level = np.unique(
        population.levels[:, factor], return_index=True, return_inverse=True
    )
    assert np.allclose(probs, probs[first][level], rtol=0, atol=1e-12), (
        f"{words}, but people with equal levels on it answer differently. Name the right factor, "
        "or let `separable` be False."
    )


def check_sampler(env_id: str, **settings: Any) -> None:
    """People answer as the response model says, and a faster sampler equals the general one."""
    turns = scalar(env_id, **settings).task.num_stimuli
    env = batch(env_id, max(32, 8000 // turns), **settings)
    meet(env)
    users, model = env.users, env.task.model
    # People who leave early have turns without an answer at the end; whoever can be asked anything
    # has all answers ready.
    turn_mask = env.task.agent_asks | (np.arange(turns) < users.length[:, None])
    levels = np.broadcast_to(users.levels[:, None, :], (*turn_mask.shape, users.levels.shape[1]))
    asked = model.at_turn(users.stimuli, np.arange(turns))
    probs = model.probs(levels[turn_mask], asked[turn_mask])
    answers = users.answers[turn_mask].astype(np.int64)
    size = probs.shape[-1]
    assert np.isin(answers, np.arange(size)).all(), (
        f"{env_id}: answers {answers.min()}..{answers.max()}; expected 0..{size - 1}."
    )
    surprise = -np.log(np.take_along_axis(probs, answers[..., None], axis=-1)[..., 0])
    entropy = entr(probs).sum(axis=-1)
    spread = (xlogy(probs, probs) * np.log(np.where(probs > 0, probs, 1))).sum(axis=-1) - entropy**2
    off = (surprise - entropy).sum() / np.sqrt(spread.sum() + 1e-300)
    assert abs(off) < ERRORS, (
        f"{env_id}: the people's answers are {off:+.1f} standard errors more surprising than the "
        "response model expects; sample() and probs() are not the same model."
    )
    excess = np.bincount(answers, minlength=size) - probs.sum(axis=0)
    assert _plausible(excess, np.diag(probs.sum(axis=0)) - probs.T @ probs), (
        f"{env_id}: the categories are answered {np.round(excess).tolist()} times too often for "
        "the response model; sample() and probs() are not the same model."
    )
    rng = generator()
    uniform = rng.random(turn_mask.shape, dtype=np.float32)
    below_one = np.nextafter(np.float32(1), np.float32(0))
    uniform[0], uniform[-1] = 0, below_one
    # Numbers that hit the bound between the first two answers exactly.
    bounds = model.probs(users.levels[1::2, None, :], asked[1::2])[..., 0]
    uniform[1::2] = np.minimum(bounds.astype(np.float32), below_one)
    order = rng.random((len(turn_mask), env.task.num_uniforms), dtype=np.float32)
    # As they lie in the transcripts, and as the task hands them out, which may be a broadcast view.
    stayed = turn_mask.all(axis=1)
    for stimuli in (users.stimuli[stayed], env.task.draw_stimuli(order)[stayed, :turns]):
        stimuli = model.at_turn(stimuli, np.arange(turns))
        general = ResponseModel.sample(model, users.levels[stayed], stimuli, uniform[stayed])
        own = model.sample(users.levels[stayed], stimuli, uniform[stayed])
        assert np.array_equal(own, general), (
            f"{env_id}: sample() gives {(own != general).mean():.1%} other answers than "
            "ResponseModel.sample for the same numbers; compare float32 with float32, category by "
            "category, or leave it out."
        )


def _plausible(excess: Floats, covariance: Floats) -> bool:
    """Whether `[K]` counts, less their expectations, may be chance: a chi-square test."""
    statistic = float(excess @ np.linalg.pinv(covariance) @ excess)
    return statistic < chi2.isf(2 * norm.sf(ERRORS), len(excess) - 1)


def check_calibrated_teacher(env_id: str, **settings: Any) -> None:
    """The teacher is as often right as it says, and earns at least what a random agent earns."""
    task = scalar(env_id, **settings).task
    work = task.num_turns * task.make_posterior().bytes_per_person
    env = batch(env_id, int(np.clip(2e8 // work, 128, 1024)), **settings)
    task = env.task
    # The prior speaks of all types; those of one split are a part of them.
    task.population = replace(task.population, split_by_type=False)
    meet(env)
    surprise, excess, gain = _taught(task, env.users)
    off = surprise.mean() / _error(surprise)
    assert abs(off) < ERRORS, (
        f"{env_id}: the answers of people from the prior are {off:+.1f} standard errors more "
        "surprising than the teacher's own entropy; the people, the prior and make_posterior() do "
        "not belong together."
    )
    assert _plausible(excess.sum(axis=0), excess.T @ excess), (
        f"{env_id}: {len(excess)} people from the prior answer the categories "
        f"{np.round(excess.sum(axis=0)).tolist()} times too often for the teacher; the people, the "
        "prior and make_posterior() do not belong together."
    )
    assert gain.mean() > -ERRORS * _error(gain), (
        f"{env_id}: the teacher earns {gain.mean():+.3f} per person against random actions; check "
        "reward() and scores(), and that action k predicts answer k."
    )


def _error(values: Floats) -> float:
    """Standard error of a mean; a little above zero, so that it can divide."""
    return float(values.std() / np.sqrt(len(values))) + 1e-12


def _taught(
    task: UserTask, users: Users
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each person's sums over turns, of differences that are 0 on average under an exact teacher.

    Returns:
        `[B]` surprise minus entropy, `[B, K]` answers given minus their probabilities, and, 0 or
        more on average, `[B]` the teacher's minus random rewards.
    """
    everyone, transcripts = np.arange(len(users.person)), TranscriptPosterior(task)
    posterior = transcripts.posterior
    belief = transcripts.begin(example_transcripts(task, users, np.zeros_like(everyone)))
    surprise, gain = np.zeros(len(everyone)), np.zeros(len(everyone))
    excess = np.zeros((len(everyone), len(task.categories)))
    for t in range(task.num_turns):
        # People who leave early count no further.
        here = users.length > t
        stimulus, answer = users.stimuli[:, t], np.maximum(users.answers[:, t].astype(np.int64), 0)
        now = np.full(len(everyone), t)
        predictive = posterior.predict(belief, stimulus, now)
        surprise -= here * np.log(predictive[everyone, answer])
        surprise -= here * entr(predictive).sum(axis=1)
        excess[everyone, answer] += here
        excess -= here[:, None] * predictive
        if not task.agent_asks:  # where agents ask they earn by what they learn
            present = example_transcripts(task, users, np.full(len(everyone), t))
            legal = task.legal(present).astype(np.float64)
            scores = task.scores(posterior.marginals(belief), stimulus, predictive)
            earned = _earned(task, predictive * legal, np.where(legal, scores, -np.inf), answer)
            gain += here * (earned - _random(task, legal, answer))
        action = answer * (t % 2)  # wrong at times, so that some are rejected
        feedback = task.feedback_of(action, answer, users.would_accept[:, t])
        belief = posterior.update(belief, stimulus, feedback, action, now)
    return surprise, excess, gain


def _earned(task: UserTask, probs: Floats, scores: Floats, answer: npt.NDArray[np.int64]) -> Floats:
    """`[B]` rewards for the action of the highest score, or for stating the distribution."""
    stated = task.states_distribution
    return task.reward(task.to_box(probs) if stated else scores.argmax(axis=1), answer)


def _random(task: UserTask, legal: Floats, answer: npt.NDArray[np.int64]) -> Floats:
    """`[B]` expected rewards for any legal action, each as likely as the others."""
    share = legal / legal.sum(axis=1, keepdims=True)
    if task.states_distribution:
        return task.reward(task.to_box(share), answer)
    each = [task.reward(np.full(len(answer), action), answer) for action in range(legal.shape[1])]
    return (share * np.stack(each, axis=1)).sum(axis=1)
