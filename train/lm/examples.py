"""Recorded conversations as what a language model reads and is asked, one sequence a person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from acquaint_gym.agents.llm.dialogue import Dialogue
from acquaint_gym.agents.llm.probe import LevelsProbe
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.transcripts import TranscriptPosterior
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.train.lm.token_choices import ReplyTrie, TrainingExample
from acquaint_gym.train.sources import TraceSource, transcripts


def training_examples(source: TraceSource, dialogue: Dialogue) -> Iterator[TrainingExample]:
    """One example a person with turns: the whole conversation, all its replies at once."""
    task, trace, observation = source.task, source.run.trace, transcripts(source)
    replies = ReplyTrie(dialogue.replies(task.replies))
    legal, (target, action) = _legal(task, observation), source.target
    # Where agents ask, an answer is none of the replies.
    answer = np.where(task.agent_asks, -1, trace.answers.astype(np.int64))
    for row, length in enumerate(trace.length.astype(int)):
        if not length:
            continue
        messages = task.prompt(observation.person(row))
        given = observation["actions"][row, :length].astype(np.int64)
        # The last reply is asked for, but nothing follows from it; nor from the farewell.
        ids, positions = dialogue.encode(messages[:-2])
        yield TrainingExample(
            ids=np.array([*ids, *replies.rest(given[-1])], dtype=np.int32),
            positions=np.array(positions),
            replies=replies,
            given=given,
            legal=legal[row, :length],
            target=target[row, :length].astype(np.float32),
            action=action[row, :length].astype(np.int64),
            answer=answer[row, :length],
        )


def belief_examples(
    source: TraceSource, dialogue: Dialogue, each: int, rng: np.random.Generator
) -> Iterator[list[TrainingExample]]:
    """For each person with turns, `each` questions about traits, the teacher's belief as target.

    The turns, from before the first to after the last, and the traits are drawn evenly. The
    questions are those of `agents.llm.probe.LevelsProbe`, put as `ChoiceAgent` puts them.

    Raises:
        ValueError: an imitated agent without beliefs, or no traits.
    """
    task, trace = source.task, source.run.trace
    probe, observation = LevelsProbe(task), transcripts(source)
    replies = ReplyTrie(dialogue.replies(probe.replies))
    turns = rng.integers(trace.length[:, None].astype(np.int64) + 1, size=(len(trace.length), each))
    factors = rng.integers(len(probe.questions), size=turns.shape)
    beliefs = [_beliefs(source, observation, turn) for turn in turns.T]
    for row in np.flatnonzero(trace.length):
        examples: list[TrainingExample] = []
        for number, belief in enumerate(beliefs):
            turn, factor = turns[row, number], factors[row, number]
            one = observation.rows(slice(row, row + 1))
            past = one.at(np.array([turn]), task).between_turns()
            messages = task.prompt(past.person(0))
            messages[-1]["content"] += f"\n{probe.questions[factor]}"
            ids, positions = dialogue.encode(messages)
            target = belief[row, factor][None].astype(np.float32)
            unknown = np.full(1, -1)
            # Nobody has replied: what the teacher finds most probable stands for a reply.
            given = target.argmax(axis=1)
            examples.append(
                TrainingExample(
                    ids=np.array([*ids, *replies.rest(given[0])], dtype=np.int32),
                    positions=np.array(positions[-1:]),
                    replies=replies,
                    given=given,
                    legal=np.ones(target.shape, dtype=bool),
                    target=target / target.sum(),
                    action=unknown,
                    answer=unknown,
                    asks_belief=True,
                )
            )
        yield examples


def _beliefs(source: TraceSource, observation: Transcript, turn: Ints) -> Floats:
    """`[N, F, L]` what the teacher, or the imitated agent, believes before turns `[N]`."""
    trace, everyone = source.run.trace, np.arange(len(turn))
    if source.imitate == "agent":
        if trace.belief.size == 0:
            raise ValueError(f"{source.folder}: {source.run.agent!r} recorded no beliefs.")
        return trace.belief[everyone, turn]
    marginals = TranscriptPosterior(source.task).marginals(observation.at(turn, source.task))
    if marginals is None:
        raise ValueError(f"{source.run.env}: its people have no traits to believe in.")
    return marginals


def _legal(task: UserTask, observation: Transcript) -> npt.NDArray[np.bool_]:
    """`[N, T, A]` which actions were legal."""
    num, turns = observation["answers"].shape
    legal = np.ones((num, turns, len(task.actions)), dtype=bool)
    if task.restricts_actions:
        for turn in range(turns):
            here = np.flatnonzero(observation.turn > turn)
            going = observation.rows(here)
            legal[here, turn] = task.legal(going.at(np.full(len(here), turn), task))
    return legal
