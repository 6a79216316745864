"""One conversation of a run, turn by turn, with the teacher beside it: what `eval.show` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import rel_entr

from acquaint_gym.agents.core import Agent
from acquaint_gym.agents.interviewers.base import require_questions
from acquaint_gym.envs.core import PROBABILITY_FLOOR, UserTask
from acquaint_gym.envs.inference.exact import ExactPosterior
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats
from acquaint_gym.eval.metrics import metric_named
from acquaint_gym.eval.runs.evaluation import Evaluation
from acquaint_gym.eval.runs.replay import reference, replay
from acquaint_gym.eval.runs.store import Run
from acquaint_gym.eval.trace import Trace

# Of many options, as in an interview, those are shown that somebody chose and so many others.
MOST_OPTIONS = 8


@dataclass(frozen=True)
class Option:
    """One of the actions in a turn: what agent and teacher gave it, 0..1, and who took it."""

    text: str
    agent: float
    teacher: float
    by_agent: bool
    by_teacher: bool
    is_answer: bool


@dataclass(frozen=True)
class Turn:
    """One question and one answer.

    Attributes:
        number: from 1.
        question: what the agent was asked; where it asks, what it chose.
        options: the actions, or the most telling of them.
        feedback: what the agent was told in the end, in words.
        hit: whether the action was the person's answer; None where the agent asked.
        kl: KL(teacher || agent) in nats; NaN where the agent asked.
        lost: nats of log score that the agent lost against the teacher, see `lost_by_turn`; where
            it asked, of expected information.
        mass: see `Decision.answer_mass`; NaN without one.
        messages: what a model wrote.
        information: expected nats of what was asked, of the best there was, and which that was;
            None where the agent predicts.
        posterior: `[F, L]` what the teacher believed when the answer was known; None without.
    """

    number: int
    question: str
    options: tuple[Option, ...]
    feedback: str
    hit: bool | None
    kl: float
    lost: float
    mass: float
    messages: tuple[str, ...]
    information: tuple[float, float, str] | None
    posterior: Floats | None


@dataclass(frozen=True)
class Conversation:
    """A person and an agent.

    Attributes:
        env, agent, person: whose conversation it is.
        instructions: what a language model is told first, without the options.
        context: what was known of the person before the first turn, in words; often nothing.
        factors: `F` names.
        levels: `[F]` the person's true levels, from 0; -1 where nobody knows.
        prior: `[F, L]` what the teacher believed before the first turn; None without.
        turns: all of them.
        summary: name of a number -> the agent's and the teacher's, NaN where there is none.
    """

    env: str
    agent: str
    person: int
    instructions: str
    context: str
    factors: tuple[str, ...]
    levels: tuple[int, ...]
    prior: Floats | None
    turns: tuple[Turn, ...]
    summary: dict[str, tuple[float, float]]

    def belief_before(self, turn: Turn) -> Floats | None:
        """`[F, L]` what the teacher believed before one of the turns; None without."""
        return self.prior if turn.number == 1 else self.turns[turn.number - 2].posterior


def lost_by_turn(trace: Trace) -> Floats:
    """`[N, T]` nats of log score that the agent lost against the teacher; 0 beyond `length`.

    log p(teacher) - log p(agent) of what the person answered, both counted as at least 1e-4: an
    agent that gave 0.2 to an answer that the teacher gave 0.4 lost log 2 = 0.69 nats.
    """
    answer = np.maximum(trace.answers, 0).astype(np.int64)[..., None]
    teacher, agent = (
        np.log(np.maximum(np.take_along_axis(probs, answer, axis=2)[..., 0], PROBABILITY_FLOOR))
        for probs in (trace.teacher_probs, trace.action_probs)
    )
    return np.where(trace.turn_mask, teacher - agent, 0.0)


def information_lost(run: Run, evaluation: Evaluation) -> Floats:
    """`[N, T]` nats of expected information that an agent that asks left; 0 beyond `length`.

    What the best question was expected to tell, less what the agent's was, under the teacher's
    posterior at that moment.
    """
    trace, task = run.trace, reference(evaluation).task
    posterior, lost = TranscriptPosterior(task), np.zeros(run.trace.answers.shape)
    for turn, observation in enumerate(replay(run, evaluation)):
        live = np.flatnonzero(trace.length > turn)
        if len(live):
            worth = _information(task, posterior, observation.rows(live))
            asked = worth[np.arange(len(live)), trace.actions[live, turn]]
            lost[live, turn] = worth.max(axis=1) - asked
    return lost


def _information(task: UserTask, posterior: TranscriptPosterior, observation: Transcript) -> Floats:
    """`[B, A]` nats that each action is expected to tell; 0 for what is not allowed, or stops."""
    parts = [
        posterior.posterior.information(belief, require_questions(task).offered)
        for _, belief in posterior.after(observation)
    ]
    worth = np.zeros((observation.num_people, len(task.actions)))
    information = np.concatenate(parts)
    worth[:, : information.shape[1]] = information
    return np.where(task.legal(observation), worth, 0.0)


def conversation(run: Run, evaluation: Evaluation, agent: Agent | None = None) -> Conversation:
    """The conversation of the one person in a run.

    Args:
        run: of one person, see `eval.trace.Trace.select`.
        evaluation: see `eval.runs.replay.evaluation_of`.
        agent: asked for what it wrote; None for agents that write nothing.

    Raises:
        ValueError: see `eval.runs.replay.replay`.
    """
    trace, task = run.trace, reference(evaluation).task
    length = int(trace.length[0])
    seen = list(replay(run, evaluation))
    posterior = TranscriptPosterior(task)
    beliefs = [_marginals(posterior, one) for one in seen[: length + 1]]
    turns = []
    for number in range(length):
        worth = _information(task, posterior, seen[number])[0] if task.agent_asks else None
        messages = None if agent is None else agent.messages(seen[number])
        written = () if messages is None else tuple(messages[0])
        turns.append(_turn(task, trace, number, seen[-1], worth, written, beliefs[number + 1]))
    first = seen[0].person(0)
    return Conversation(
        run.env,
        run.agent,
        int(trace.person[0]),
        task.instructions(),
        task.context_text(first).strip(),
        task.population.factors,
        tuple(int(level) for level in trace.levels[0]),
        beliefs[0],
        tuple(turns),
        _summary(trace, turns),
    )


def _marginals(posterior: TranscriptPosterior, observation: Transcript) -> Floats | None:
    """`[F, L]` what the teacher believes after the one transcript; None if it does not say."""
    (belief,) = (belief for _, belief in posterior.after(observation))
    kept = posterior.posterior
    marginals = kept.marginals(belief)
    if marginals is None and isinstance(kept, ExactPosterior):
        marginals = kept.by_factor(belief)  # classes: levels without an order
    return None if marginals is None else marginals[0].copy()


def _turn(
    task: UserTask,
    trace: Trace,
    number: int,
    last: Transcript,
    worth: Floats | None,
    messages: tuple[str, ...],
    posterior: Floats | None,
) -> Turn:
    """One turn, from 0, of the one person.

    Args:
        task: in whose words.
        trace: what happened.
        number: of the turn.
        last: the whole conversation.
        worth: `[A]` expected information, where the agent asks.
        messages: what a model wrote.
        posterior: what the teacher believed afterwards.
    """
    stated, teacher = trace.action_probs[0, number], trace.teacher_probs[0, number]
    action, answer = int(trace.actions[0, number]), int(trace.answers[0, number])
    advice = int(trace.teacher_actions[0, number])
    feedback = task.feedback_text(int(last["answers"][0, number]))
    if worth is None:
        question, hit = task.question(last.stimuli[0, number]), action == answer
        kl = float(rel_entr(teacher, stated).sum())
        lost, information = float(lost_by_turn(trace)[0, number]), None
    else:
        question, hit, kl = task.actions[action], None, np.nan
        top = int(worth.argmax())
        lost = float(worth[top] - worth[action])
        information = (float(worth[action]), float(worth[top]), task.actions[top])
    chosen = {action, advice} if worth is not None else {action, advice, answer}
    probable = np.argsort(-np.maximum(stated, teacher), kind="stable")[:MOST_OPTIONS]
    # Whoever asks at random gives fifty items 0.02 each, which tells nothing.
    least = 0.0 if worth is None else 0.05
    telling = {n for n in probable.tolist() if max(stated[n], teacher[n]) > least}
    options = tuple(
        Option(
            task.action_names[n],
            float(stated[n]),
            float(teacher[n]),
            n == action,
            n == advice,
            worth is None and n == answer,
        )
        for n in sorted(chosen | telling)
    )
    mass = float(trace.answer_mass[0, number])
    return Turn(
        number + 1,
        question,
        options,
        feedback,
        hit,
        kl,
        lost,
        mass,
        messages,
        information,
        posterior,
    )


def _summary(trace: Trace, turns: Sequence[Turn]) -> dict[str, tuple[float, float]]:
    """Name of a number -> that of the agent and that of the teacher, of the one person."""
    if trace.agent_asks:
        log_score, entropy = trace.interview_stats[0, int(trace.length[0]), :2]
        worth = np.array([one.information[:2] for one in turns if one.information]).reshape(-1, 2)
        asked, best = worth.sum(axis=0)
        return {
            "questions": (float(len(turns)), np.nan),
            "expected information of what was asked, nats": (float(asked), float(best)),
            "log score, nats": (float(log_score), np.nan),
            "entropy that is left, nats": (float(entropy), np.nan),
        }
    taught = replace(trace, actions=trace.teacher_actions, action_probs=trace.teacher_probs)
    metrics = [metric_named(name) for name in ("accuracy", "nll", "kl_from_teacher")]
    return {
        f"{metric.name}, {metric.unit}": (
            float(metric.statistics(trace)[0, 0]),
            float(metric.statistics(taught)[0, 0]),
        )
        for metric in metrics
    }
