"""Conversations side by side, in arrays: the mechanics below both environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users, UserSource
from acquaint_gym.envs.users.response_models import Floats

# People are numbered below this; further on the numbers start over.
NUM_NUMBERS = 2**62

Rows = slice | npt.NDArray[np.int64]
EVERYONE = slice(None)
OPTIONS = ("person", "reset_mask")


class Episodes:
    """B conversations side by side, in arrays; the mechanics below both environments.

    Arrays have a spare turn at the end that holds -1, for when nothing is left to ask.

    Args:
        task: the task.
        source: where its people come from.
        num: B.
        observation: `transcript` or `turn`.
        keep_transcript: keep it even if it is not observed, to be rendered.

    Attributes:
        hit: `[B]` whether the last action was the person's own answer.
        teacher: an `envs.info.TeacherInfo`, where infos are to tell what it says.
        leaves: `[B]` whether the person leaves before the task is over.

    Raises:
        ValueError: unknown observation.
    """

    def __init__(
        self,
        task: UserTask,
        source: UserSource,
        num: int,
        observation: str,
        keep_transcript: bool = False,
    ) -> None:
        if observation not in ("transcript", "turn"):
            raise ValueError(f"Unknown observation {closest(observation, ('transcript', 'turn'))}")
        self.task, self.source = task, source
        self._latest_only = observation == "turn"
        # What is legal is a function of the transcript.
        self._kept = keep_transcript or task.restricts_actions or not self._latest_only
        width, size = task.num_turns + 1, len(task.stimulus_low)
        self.person = np.zeros(num, dtype=np.int64)
        self.levels = np.full((num, len(task.population.factors)), -1, dtype=np.int32)
        self.turn = np.zeros(num, dtype=np.int64)
        self.length = np.zeros(num, dtype=np.int64)
        self._stimuli = np.full((num, width, size), -1, dtype=np.float32)
        self._answers = np.full((num, width), -1, dtype=np.int8)
        self.hit, self.teacher = np.zeros(num, dtype=bool), cast(Any, None)
        self.leaves = np.zeros(num, dtype=bool)
        self._willing = np.ones((num, width), dtype=bool)
        space = task.context.space.shape if task.context else (0,)
        self._context = np.full((num, *space), -1, dtype=np.float32)
        self._start = np.arange(num, dtype=np.int64) * width
        if self._kept:
            self._seen_stimuli = np.full((num, width, size), -1, dtype=np.float32)
            self._seen_actions = np.full((num, width), -1, dtype=np.float32)
            self._seen_answers = np.full((num, width), -1, dtype=np.float32)
        if self._latest_only:
            self._last_action = np.full((num, 1), -1, dtype=np.float32)
            self._last_answer = np.full((num, 1), -1, dtype=np.float32)

    @property
    def users(self) -> Users:
        """Who is behind the screens, for the evaluator's side of the wall."""
        turns = self.task.num_turns
        return Users(
            self.person,
            self.levels,
            self._stimuli[:, :turns],
            self._answers[:, :turns],
            self.length.astype(np.int16),
            self.leaves,
            self._willing[:, :turns],
            self._context,
        )

    def next_person(self, rows: Rows) -> npt.NDArray[np.int64]:
        """`[n]` numbers of the next people of the lanes `rows`, whatever is on the others."""
        known = self.source.num_people or NUM_NUMBERS
        return (self.person[rows] % known + self.source.stride) % known

    def begin(
        self, rows: Rows, person: npt.NDArray[np.int64], numbers_at_once: int = 2**17
    ) -> None:
        """Puts new people on lanes.

        Args:
            rows: the lanes, n of them.
            person: `[n]` the people's numbers.
            numbers_at_once: about how many random numbers are drawn at a time: what is worked out
                from them then stays in a core's cache. No result depends on it.
        """
        numbers = len(person) * max(self.task.num_uniforms, self._stimuli[0].size)
        at_once = max(1, -(-len(person) // (1 + numbers // numbers_at_once)))
        for start in range(0, len(person), at_once):
            part = slice(start, start + at_once)
            self._begin(part if isinstance(rows, slice) else rows[part], person[part])

    def _begin(self, rows: Rows, person: npt.NDArray[np.int64]) -> None:
        users, turns = self.source.draw(person), self.task.num_turns
        self.person[rows], self.levels[rows] = person, users.levels
        self.turn[rows], self.length[rows] = 0, users.length
        self.leaves[rows], self._context[rows] = users.left, users.context
        if self.task.binary_feedback:
            self._willing[rows, :turns] = users.would_accept
        if self._kept:
            for column in (self._seen_stimuli, self._seen_actions, self._seen_answers):
                column[rows] = -1
        if self._latest_only:
            self._last_action[rows] = self._last_answer[rows] = -1
        self._put(rows, users)

    def _put(self, rows: Rows, users: Users) -> None:
        """Stores what these people will be asked and how they will answer."""
        turns = self.task.num_turns
        self._stimuli[rows, :turns] = users.stimuli
        self._answers[rows, :turns] = users.answers
        if self._kept:
            self._seen_stimuli[rows, 0] = users.stimuli[:, 0]

    def advance(self, rows: Rows, action: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """One turn of conversations `rows`, none of them over: the `[n]` rewards."""
        cell = self._start[rows] + self.turn[rows]
        answer = self._answers.reshape(-1).take(cell)
        reward = self.task.reward(action, answer)
        chosen = self.task.from_box(action)
        # Where answers are revealed everybody is willing, and any column says so.
        accepts = self.task.binary_feedback
        willing = self._willing.reshape(-1).take(cell) if accepts else self._willing[rows, 0]
        feedback = self.task.feedback_of(chosen, answer, willing)
        self.hit[rows] = chosen == answer
        self.turn[rows] += 1
        if self._kept:
            size = self._stimuli.shape[-1]
            self._seen_actions.reshape(-1)[cell] = chosen
            self._seen_answers.reshape(-1)[cell] = feedback
            cell += 1
            coming = self._stimuli.reshape(-1, size).take(cell, axis=0)
            self._seen_stimuli.reshape(-1, size)[cell] = coming
        if self._latest_only:
            self._last_action[rows, 0] = chosen
            self._last_answer[rows, 0] = feedback
        return reward

    def over(self) -> npt.NDArray[np.bool_]:
        """`[B]` which conversations have ended."""
        return self.turn >= self.length

    def legal(self) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are allowed now."""
        if not self.task.restricts_actions:
            return np.ones((len(self.person), len(self.task.actions)), dtype=bool)
        return self.task.legal(self.transcript())

    def interview_stats(self) -> Floats:
        """`[B, D]` what the evaluator knows of interviews so far; D = 0 in other tasks."""
        return np.zeros((len(self.person), 0))

    def observe(self) -> dict[str, Floats]:
        """A new copy of what the agent sees, see `observation_space`."""
        if not self._latest_only:
            return dict(self.transcript())
        size = self._stimuli.shape[-1]
        return {
            "turn": self.turn[:, None].astype(np.float32),
            "stimulus": self._stimuli.reshape(-1, size).take(self._start + self.turn, axis=0),
            "action": self._last_action.copy(),
            "answer": self._last_answer.copy(),
            **self._besides(),
        }

    def transcript(self) -> Transcript:
        """A new copy of what agents have seen."""
        turns = self.task.num_turns
        return Transcript.of(
            self.turn,
            self._seen_stimuli[:, :turns],
            self._seen_actions[:, :turns],
            self._seen_answers[:, :turns],
            **self._besides(),
        )

    def _besides(self) -> dict[str, npt.NDArray[np.float32]]:
        """A copy of what stands beside the conversation: the context, in a task that has one."""
        return {} if self.task.context is None else {"context": self._context.copy()}


def next_people(
    episodes: Episodes,
    seed: int | Sequence[int] | None,
    options: dict[str, Any] | None,
    started: bool,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """`[B]` numbers of the people to meet on a reset: by option, by seed, or the next ones.

    Raises:
        ValueError: not one number per lane, a negative number, or a row that no respondent has.
    """
    num, known = len(episodes.person), episodes.source.num_people
    options = options or {}
    for key in options:
        if key not in OPTIONS:
            raise ValueError(f"Unknown option {closest(key, OPTIONS)}")
    wanted = options.get("person", seed)
    if wanted is None:
        if started:
            return episodes.next_person(EVERYONE)
        wanted = int(rng.integers(2**20))
    person = np.asarray(wanted)
    if person.ndim == 0:
        person = person + np.arange(num)
    fits = person.shape == (num,) and person.dtype.kind in "iu"
    if not fits or (person < 0).any() or (person >= NUM_NUMBERS).any():
        raise ValueError(
            f"People are whole numbers from 0 to below 2**62, one for each of {num} lanes; got "
            f"{wanted!r}."
        )
    if "person" in options and known is not None and person.max() >= known:
        raise ValueError(f"There is no person {person.max()}: {known} respondents, 0..{known - 1}.")
    return person.astype(np.int64)


def check_action(episodes: Episodes, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`[B]` actions in 0..A-1, or `[B, A]` numbers in [-1, 1], as they came.

    Raises:
        ValueError: another shape, type or range. An action of the space that is not legal now
            passes, as Gymnasium's checker samples them; the evaluation loop refuses it.
    """
    task, num, size = episodes.task, len(episodes.person), len(episodes.task.actions)
    if task.states_distribution:
        fits = action.shape == (num, size) and action.dtype.kind == "f"
        # A NaN fails both comparisons.
        if not (fits and action.min() >= -1 and action.max() <= 1):
            raise ValueError(f"Expected [{num}, {size}] in [-1, 1], got {_describe(action)}.")
    else:
        fits = action.shape == (num,) and action.dtype.kind in "iu"
        if not (fits and action.min() >= 0 and action.max() < size):
            raise ValueError(f"Expected {num} actions in 0..{size - 1}, got {_describe(action)}.")
    return action


def _describe(action: npt.NDArray[Any]) -> str:
    """Shape, type and range of what came, for a message."""
    span = f", {action.min()}..{action.max()}" if action.size and action.dtype.kind in "iuf" else ""
    return f"{action.dtype} {list(action.shape)}{span}"


def observation_space(task: UserTask, form: str) -> spaces.Dict:
    """Space of the `transcript` observation of one person, or of this `turn` only."""
    low = np.minimum(task.stimulus_low, -1).astype(np.float32)
    high = task.stimulus_high.astype(np.float32)
    turns = task.num_turns
    last_action, last_answer = float(len(task.actions) - 1), float(len(task.categories) - 1)
    parts: dict[str, spaces.Space[object]] = {"turn": spaces.Box(0, turns, (1,), np.float32)}
    if form == "turn":
        parts["stimulus"] = spaces.Box(low, high, dtype=np.float32)
        parts["action"] = spaces.Box(-1, last_action, (1,), np.float32)
        parts["answer"] = spaces.Box(-1, last_answer, (1,), np.float32)
    else:
        parts["stimuli"] = spaces.Box(np.tile(low, turns), np.tile(high, turns))
        parts["actions"] = spaces.Box(-1, last_action, (turns,), np.float32)
        parts["answers"] = spaces.Box(-1, last_answer, (turns,), np.float32)
    if task.context is not None:
        parts["context"] = task.context.space
    if task.agent_asks:
        parts["action_mask"] = spaces.Box(0, 1, (len(task.actions),), np.float32)
    return spaces.Dict(parts)
