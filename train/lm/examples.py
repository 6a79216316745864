"""Recorded conversations as what a language model reads and is asked, one sequence a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.registration import make_task
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.transcript import Observation, as_of, masked
from acquaint_gym.envs.users.response_models import Floats, Ints
from acquaint_gym.eval.runs.store import Run, load_runs
from acquaint_gym.eval.trace import Trace
from acquaint_gym.train.lm.token_choices import Replies

if TYPE_CHECKING:  # collecting and exporting go without what language models need
    from acquaint_gym.agents.llm.dialogue import Dialogue


class Lesson(NamedTuple):
    """One sequence, and the positions in it at which a reply is due; A replies, T of them.

    Attributes:
        ids: `[n]` int32 tokens, up to where the last token of the last reply is predicted.
        positions: `[T]` where the model predicts the first token of a reply, ascending.
        replies: among which it chooses.
        given: `[T]` which of them stand there.
        legal: `[T, A]` which of them may be chosen.
        target: `[T, A]` float32 the teacher's distribution.
        action: `[T]` the teacher's choice.
        answer: `[T]` the person's own answer, -1 where it is no reply.
        report: whether the positions ask for a belief, not for an action.
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int64]
    replies: Replies
    given: npt.NDArray[np.int64]
    legal: npt.NDArray[np.bool_]
    target: npt.NDArray[np.float32]
    action: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    report: bool = False


@dataclass(frozen=True)
class Source:
    """Traces of one environment.

    Attributes:
        folder: the run's DIR.
        run: as found on disk.
        task: the environment's task.
        imitate: `teacher`, or the traces' `agent`.
    """

    folder: Path
    run: Run
    task: UserTask
    imitate: str = "teacher"

    @property
    def target(self) -> tuple[Floats, Ints]:
        """The distributions `[N, T, A]` and choices `[N, T]` to be learned."""
        trace = self.run.trace
        if self.imitate == "agent":
            return trace.action_probs, trace.actions
        return trace.teacher_probs, trace.teacher_actions

    def described(self) -> dict[str, Any]:
        """What an adapter or a network says of the traces it learned from."""
        config = self.run.config
        arguments = {**config["env_spec"], **config["env_settings"]}
        return {
            "env": self.run.env,
            "task": arguments.pop("task"),
            "arguments": arguments,
            "agent": self.run.agent,
            "people": config["people"],
            "number": len(self.run.trace.person),
            "traces": self.digest,
        }

    @property
    def digest(self) -> str:
        """Digest of what was recorded, however it is cut into files."""
        columns = (self.run.trace.person, self.run.trace.actions, *self.target)
        parts = b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
        return hashlib.sha256(parts).hexdigest()[:16]


def sources(
    folders: Sequence[str], max_people: int | None = None, imitate: str = "teacher"
) -> list[Source]:
    """The traces in some folders; of a folder with splits, those of training.

    Args:
        folders: of `train.collect`.
        max_people: the first so many of each trace.
        imitate: see `Source`.

    Raises:
        ValueError: no traces there, or of a task that is not here.
    """
    found = []
    for name in folders:
        folder = Path(name)
        if not (folder / "traces").is_dir():
            folder /= "train"
        if not (folder / "traces").is_dir():
            raise ValueError(
                f"traces: {name} holds none; python -m train.collect --out {name} makes them."
            )
        for run in load_runs(folder):
            arguments = {**run.config["env_spec"], **run.config["env_settings"]}
            task = make_task(arguments.pop("task"), **arguments)
            trace = run.trace.select(slice(max_people))
            told = Run(run.env, run.agent, run.config, trace)
            found.append(Source(folder, told, task, imitate))
    return found


def check_people(found: Sequence[Source]) -> None:
    """Raises a `ValueError` for traces of the synthetic people on whom agents are scored."""
    for source in found:
        people = source.run.config["people"]
        if people["split"] == "test" and people["data"] is None:
            raise ValueError(
                f"traces: {source.folder} is of split 'test', on whose people agents are scored; "
                "train on others, python -m train.collect --split train."
            )


def check_answers(found: Sequence[Source]) -> None:
    """Raises a `ValueError` for traces in which people's answers are no replies of the agent's."""
    for source in found:
        if source.task.agent_asks:
            raise ValueError(
                f"{source.run.env}: agents ask here, and people's own answers are no replies to "
                "learn; take the teacher's choice (objective kl or ce-teacher; target teacher)."
            )


def transcripts(source: Source) -> Observation:
    """The finished transcripts of all people of a source.

    Raises:
        ValueError: of sceptical respondents, who may have rejected the right action.
    """
    task, trace, people = source.task, source.run.trace, source.run.config["people"]
    actions = _chosen(task, trace) if task.states_distribution else trace.actions.astype(np.int64)
    happened = trace.happened
    willing = np.ones(actions.shape, dtype=bool)
    if task.quirks.skepticism:
        if people["data"] is not None:
            raise ValueError(f"{source.folder}: traces of sceptical respondents cannot be taught.")
        everyone = Simulator(task, people["split"], people["suite_seed"])
        willing = everyone.draw(trace.person).would_accept
    shown = task.feedback_of(actions, trace.answers.astype(np.int64), willing)
    told = {
        "turn": trace.length[:, None].astype(np.float32),
        "stimuli": trace.stimuli.reshape(len(actions), -1),
        "actions": np.where(happened, actions, -1).astype(np.float32),
        "answers": np.where(happened, shown, -1).astype(np.float32),
    }
    context = {} if task.context is None else {"context": trace.context}
    return masked(task, {**told, **context})


def _chosen(task: UserTask, trace: Trace) -> Ints:
    """`[N, T]` actions in the transcripts of a task whose actions state distributions."""
    stated = task.to_box(np.nan_to_num(trace.action_probs).reshape(-1, len(task.actions)))
    return task.from_box(stated).reshape(trace.actions.shape)


def lessons(source: Source, dialogue: Dialogue) -> Iterator[Lesson]:
    """A lesson a person: the whole conversation, all its replies at once. Nobody without turns."""
    task, trace, observation = source.task, source.run.trace, transcripts(source)
    replies = Replies(dialogue.replies(task.replies))
    legal, (target, action) = _legal(task, observation), source.target
    # Where agents ask, an answer is none of the replies.
    answer = np.where(task.agent_asks, -1, trace.answers.astype(np.int64))
    for row, length in enumerate(trace.length.astype(int)):
        if not length:
            continue
        messages = task.prompt({key: value[row] for key, value in observation.items()})
        given = observation["actions"][row, :length].astype(np.int64)
        # The last reply is asked for, but nothing follows from it; nor from the farewell.
        ids, positions = dialogue.encode(messages[:-2])
        yield Lesson(
            ids=np.array([*ids, *replies.rest(given[-1])], dtype=np.int32),
            positions=np.array(positions),
            replies=replies,
            given=given,
            legal=legal[row, :length],
            target=target[row, :length].astype(np.float32),
            action=action[row, :length].astype(np.int64),
            answer=answer[row, :length],
        )


def reports(
    source: Source, dialogue: Dialogue, each: int, rng: np.random.Generator
) -> Iterator[list[Lesson]]:
    """For each person with turns, `each` questions about traits, the teacher's belief as target.

    The turns, from before the first to after the last, and the traits are drawn evenly. The
    questions are those of `agents.llm.probe.LevelsProbe`, put as `ChoiceAgent` puts them.

    Raises:
        ValueError: an imitated agent without beliefs, or no traits.
    """
    from acquaint_gym.agents.llm.probe import LevelsProbe, ended

    task, trace = source.task, source.run.trace
    probe, observation = LevelsProbe(task), transcripts(source)
    replies = Replies(dialogue.replies(probe.replies))
    turns = rng.integers(trace.length[:, None].astype(np.int64) + 1, size=(len(trace.length), each))
    factors = rng.integers(len(probe.questions), size=turns.shape)
    beliefs = [_believed(source, observation, turn) for turn in turns.T]
    for row in np.flatnonzero(trace.length):
        some: list[Lesson] = []
        for number, belief in enumerate(beliefs):
            turn, factor = turns[row, number], factors[row, number]
            one = {key: value[row : row + 1] for key, value in observation.items()}
            past = ended(as_of(task, one, np.array([turn])))
            messages = task.prompt({key: value[0] for key, value in past.items()})
            messages[-1]["content"] += f"\n{probe.questions[factor]}"
            ids, positions = dialogue.encode(messages)
            target = belief[row, factor][None].astype(np.float32)
            unknown = np.full(1, -1)
            # Nobody has replied: what the teacher finds most probable stands for a reply.
            given = target.argmax(axis=1)
            some.append(
                Lesson(
                    ids=np.array([*ids, *replies.rest(given[0])], dtype=np.int32),
                    positions=np.array(positions[-1:]),
                    replies=replies,
                    given=given,
                    legal=np.ones(target.shape, dtype=bool),
                    target=target / target.sum(),
                    action=unknown,
                    answer=unknown,
                    report=True,
                )
            )
        yield some


def _believed(source: Source, observation: Observation, turn: Ints) -> Floats:
    """`[N, F, L]` what the exact teacher, or the imitated agent, believes before turns `[N]`."""
    trace, everyone = source.run.trace, np.arange(len(turn))
    if source.imitate == "agent":
        if trace.belief.size == 0:
            raise ValueError(f"{source.folder}: {source.run.agent!r} recorded no beliefs.")
        return trace.belief[everyone, turn]
    engine, told = source.task.inference(), as_of(source.task, observation, turn)
    blocks = []
    for rows in engine.blocks(len(turn)):
        weights = engine.condition({key: value[rows] for key, value in told.items()})
        blocks.append(engine.marginals(weights))
    known = [block for block in blocks if block is not None]
    if not known:
        raise ValueError(f"{source.run.env}: its people have no traits to believe in.")
    return np.concatenate(known)


def _legal(task: UserTask, observation: Observation) -> npt.NDArray[np.bool_]:
    """`[N, T, A]` which actions were legal."""
    num, turns = observation["answers"].shape
    legal = np.ones((num, turns, len(task.actions)), dtype=bool)
    if type(task).legal is not UserTask.legal:
        for turn in range(turns):
            here = np.flatnonzero(observation["turn"][:, 0] > turn)
            some = {key: value[here] for key, value in observation.items()}
            legal[here, turn] = task.legal(as_of(task, some, np.full(len(here), turn)))
    return legal
