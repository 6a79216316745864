"""Synthetic people: drawn from a task's population, answering by its response model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.fast_draws import PersonStreams, evenly
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.population import SPLITS
from acquaint_gym.envs.users.quirks import Drift
from acquaint_gym.envs.users.response_models import Floats, Ints


class Simulator:
    """Synthetic people: levels from the population's prior, answers from the response model.

    Args:
        task: the task they take part in.
        split: `train`, `dev` or `test`: types of people, and people, of different splits differ.
        suite_seed: >= 0; another number is another world of people.

    Raises:
        ValueError: unknown split.
    """

    def __init__(self, task: UserTask, split: str, suite_seed: int) -> None:
        if split not in SPLITS:
            raise ValueError(f"Unknown split {closest(split, SPLITS)}")
        self._task, self._split, self._seed = task, split, suite_seed
        self._context = Simulator(task.context.task, split, suite_seed) if task.context else None
        quirks, turns = task.quirks, task.num_turns
        self._drift = Drift(task.population, quirks.drift) if quirks.drift else None
        # Streams of their own, so that who a person is does not depend on how many turns there are,
        # nor, where a task names slots, what they answer on the order of being asked; quirks leave
        # what is drawn otherwise as it is.
        widths = {"answers": task.num_answers or task.num_stimuli, "stimuli": task.num_uniforms}
        if quirks.skepticism:
            widths["skepticism"] = turns
        if quirks.impatience:
            widths["impatience"] = turns
        if quirks.drift:
            widths["drift"] = turns * len(task.population.factors)
        self._streams = {
            purpose: PersonStreams(suite_seed, f"{purpose}/{split}/{task.stream}", width)
            for purpose, width in widths.items()
        }

    @property
    def num_people(self) -> int | None:
        """See `UserSource.num_people`: as many as one likes."""
        return None

    @property
    def stride(self) -> int:
        """See `UserSource.stride`: beyond any number of lanes, so that no two meet one person."""
        return 2**20

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """See `UserSource.draw`."""
        # One number for all tasks: the same person is of the same type in each of them.
        uniform = evenly(self._seed, f"type/{self._split}", person)
        return self._complete(person, self._task.population.draw(self._split, uniform))

    def _complete(self, person: npt.NDArray[np.int64], types: Ints) -> Users:
        """The people with these numbers `[B]`, who are of these types `[B]`."""
        task, turns, num = self._task, self._task.num_turns, len(person)
        asked = task.num_stimuli
        uniform = {purpose: stream.uniform(person) for purpose, stream in self._streams.items()}
        drawn = task.draw_stimuli(uniform["stimuli"])
        size = len(task.stimulus_low)
        if drawn.ndim != 3 or drawn.shape[::2] != (num, size) or drawn.shape[1] < asked:
            raise ValueError(
                f"{type(task).__name__}: draw_stimuli() returns {list(drawn.shape)} for {num} "
                f"people; expected [{num}, {asked} or more, {size}]: people, turns, numbers of a "
                "stimulus."
            )
        stimuli = task.separate_splits(drawn[:, :asked], self._split)
        slots, answering = task.answer_slot(stimuli), uniform["answers"]
        if slots is not None:
            answering = np.take_along_axis(answering, slots, axis=1)
        before = types
        types, answers = self._answers(types, stimuli, answering[:, :asked], uniform.get("drift"))
        length = np.full(num, turns, dtype=np.int16)
        willing = np.ones((num, turns), dtype=bool)
        if task.quirks.skepticism:
            willing = uniform["skepticism"] >= task.quirks.skepticism
        if task.quirks.impatience:
            leaves = uniform["impatience"][:, :-1] < task.quirks.impatience
            length = np.where(leaves.any(axis=1), leaves.argmax(axis=1) + 1, turns).astype(np.int16)
        if task.quirks.impatience and not task.agent_asks:
            over = np.arange(turns) >= length[:, None]
            stimuli, answers = stimuli.copy(), np.where(over, np.int8(-1), answers)
            stimuli[over] = -1
        context = np.zeros((num, 0), dtype=np.float32)
        if task.context is not None and self._context is not None:
            known = self._context._complete(person, before)
            context = task.context.pack(known.stimuli, known.answers)
        levels = task.population.levels.take(types, axis=0).astype(np.int32)
        left = length < turns
        return Users(person, levels, stimuli, answers, length, left, willing, context)

    def _answers(
        self, types: Ints, stimuli: Floats, uniform: Floats, moves: Floats | None
    ) -> tuple[Ints, npt.NDArray[np.int8]]:
        """`[B]` last types and `[B, T]` answers of people of `[B]` types, who move by `moves`."""
        model, levels = self._task.model, self._task.population.levels
        stimuli = model.at_turn(stimuli, np.arange(stimuli.shape[1]))
        if self._drift is None or moves is None:
            return types, model.sample(levels.take(types, axis=0), stimuli, uniform)
        answers = []
        for t, move in enumerate(moves.reshape(*stimuli.shape[:2], -1).swapaxes(0, 1)):
            types = self._drift.move(types, move) if t else types
            now = slice(t, t + 1)
            answers.append(model.sample(levels[types], stimuli[:, now], uniform[:, now]))
        return types, np.concatenate(answers, axis=1)


def example_transcripts(task: UserTask, users: Users, turn: Ints) -> Transcript:
    """Transcripts of B people after `turn` `[B]` turns, without an environment or an agent.

    The actions are right ones; where people only accept or reject them, every other one is wrong.
    Where agents choose what to ask, every person is asked in another order.
    """
    turn = np.minimum(turn, users.length)
    stimuli, answers, column = users.stimuli, users.answers, np.arange(task.num_turns)
    if task.agent_asks:
        order = np.random.Generator(np.random.Philox(0)).permutation(answers.shape[1])
        actions = order[(np.arange(len(turn))[:, None] + column) % len(order)]
        answers = np.take_along_axis(answers, actions, axis=1)
        stimuli = np.take_along_axis(stimuli, actions[..., None], axis=1)
    else:
        actions = (answers + task.binary_feedback * (column % 2)) % len(task.actions)
    feedback = task.feedback_of(actions, answers, users.would_accept)
    context = None if task.context is None else users.context
    return Transcript.of(turn, stimuli, actions, feedback, context=context).at(turn, task)
