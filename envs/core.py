"""The contract: what a downstream task says of itself, and where its people come from."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.belief import Inference
from envs.names import check_types, closest
from envs.transcript import Observation, stimuli_of
from envs.users.item_bank import ItemBank
from envs.users.population import Population
from envs.users.response_models import Floats, Ints, ResponseModel

# A stated probability under this counts as this: the logarithmic score stays finite.
PROBABILITY_FLOOR = 1e-4


class Users(NamedTuple):
    """A batch of hidden people, complete from the start: every agent would meet the same answers.

    Attributes:
        person: `[B]` int64 the people's numbers.
        levels: `[B, F]` int32 hidden factor levels; -1 where nobody knows them.
        stimuli: `[B, T, S]` float32 what each turn asks; -1 beyond `length`.
        answers: `[B, T]` int8 what the person replies; -1 beyond `length`.
        length: `[B]` int16 turns of the person's episode, 0..T.
    """

    person: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int32]
    stimuli: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int8]
    length: npt.NDArray[np.int16]


class UserSource(Protocol):
    """Where people come from."""

    @property
    def num_people(self) -> int | None:
        """How many there are; None for as many as one likes."""

    @property
    def stride(self) -> int:
        """How much further on the next person of a lane is."""

    def draw(self, person: npt.NDArray[np.int64]) -> Users:
        """The people with these numbers `[B]`, the same in whatever batch they are drawn."""


class UserTask(ABC):
    """One downstream task against hidden people. Holds the model, never a person.

    A subclass sets the attributes in its constructor and writes `draw_stimuli`, `instructions` and
    `question`; simulator, environment, vector environment, exact teacher, prompts and contract
    tests follow.

    Args:
        reward: `accuracy`, 1 for an action equal to the person's answer, else 0, actions
            `Discrete(A)`; or `log_score`, the logarithm in nats of the probability that the action
            gives the answer: a `Box` of A numbers in [-1, 1], -1 no weight and 1 all of it, which
            are normalised as weights and floored at 1e-4.
        feedback: what is revealed after an action: `choice`, the person's own answer, or `accept`,
            only whether the action was it.

    Attributes:
        num_turns: T, the longest episode.
        actions: `A` labels among which an agent chooses; also what the person's answers are.
        stimulus_low: `[S]` smallest values of a stimulus.
        stimulus_high: `[S]` largest values of a stimulus.
        population: who may be behind the screen.
        model: how they answer.
        form: form of the exact inference, see `envs.belief.Inference`.
        num_uniforms: random numbers per person that `draw_stimuli` takes.
        num_answers: random numbers per person for answers, see `slots`; None for one a turn.
        bank: the items, for tasks whose stimulus is `[item]`; real respondents can answer those.
    """

    num_turns: int
    actions: tuple[str, ...]
    stimulus_low: Floats
    stimulus_high: Floats
    population: Population
    model: ResponseModel
    form: str = "auto"
    num_uniforms: int = 0
    num_answers: int | None = None
    bank: ItemBank | None = None

    def __init__(self, reward: str = "accuracy", feedback: str = "choice") -> None:
        """Chooses what an action is, what it earns and what it reveals."""
        if reward not in ("accuracy", "log_score"):
            raise ValueError(f"Unknown reward {closest(reward, ('accuracy', 'log_score'))}")
        if feedback not in ("choice", "accept"):
            raise ValueError(f"Unknown feedback {closest(feedback, ('choice', 'accept'))}")
        self.states_distribution = reward == "log_score"
        self.accepts = feedback == "accept"

    @abstractmethod
    def draw_stimuli(self, uniform: Floats) -> Floats:
        """What each person is asked, in this order; the first T that can be answered are.

        Args:
            uniform: `[B, num_uniforms]` in [0, 1), the person's own numbers.

        Returns:
            `[B, N, S]` float32, N >= T.
        """

    def slots(self, stimuli: Floats) -> Ints | None:
        """`[B, T]` which of the person's `num_answers` numbers answers each turn's stimulus.

        None for the turn's own. A task that can ask the same thing at another turn names the
        thing's slot, so that a person gives the same answer whenever it is asked.
        """
        return None

    def settle(self, stimuli: Floats, split: str) -> Floats:
        """`[B, N, S]` stimuli as people of this split meet them; unchanged, unless overridden.

        Where the same stimuli in training and testing would give answers away, a task keeps the
        splits' stimuli apart here.
        """
        return stimuli

    def shown(self, action: Ints, answer: Ints) -> Ints:
        """`[B]` what stands in the transcript after actions `[B]` and the people's answers `[B]`.

        The answer itself, or with `feedback="accept"` 1 for an accepted action and 0 for another.
        """
        return (action == answer).astype(np.int8) if self.accepts else answer

    @abstractmethod
    def instructions(self) -> str:
        """What a language model is told first: the situation, and what a reply should be about."""

    @abstractmethod
    def question(self, stimulus: Floats) -> str:
        """A stimulus `[S]` in words, with units."""

    def revealed(self, shown: int) -> str:
        """What was shown after an action, in words, as it opens the next turn."""
        if self.accepts:
            return "The person accepted this." if shown else "The person rejected this."
        return f"The answer was {self.replies[shown]} ({self.actions[shown]})."

    def prompt(self, observation: Observation) -> list[dict[str, str]]:
        """One transcript (no batch axis) as chat messages, each with `role` and `content`.

        A system turn with the instructions and the options; then a user turn per question, which
        opens with the last answer, and an assistant turn per action, which is one of `replies`.
        """
        pairs = zip(self.replies, self.actions, strict=True)
        options = "\n".join(f"{reply}. {label}" for reply, label in pairs)
        told = f"{self.instructions()} Reply with the number of one option:\n{options}"
        messages = [{"role": "system", "content": told}]
        asked, opening = stimuli_of(observation), ""
        answered = int(observation["turn"][0])
        for turn in range(answered + 1):
            over = turn == self.num_turns or asked[turn, 0] < 0
            words = "That was all. Thank you." if over else self.question(asked[turn])
            messages.append({"role": "user", "content": opening + words})
            if turn < answered:
                reply = self.replies[int(observation["actions"][turn])]
                messages.append({"role": "assistant", "content": reply})
                opening = self.revealed(int(observation["answers"][turn])) + "\n"
        return messages

    def reward(self, action: npt.NDArray[Any], answer: Ints) -> npt.NDArray[np.float64]:
        """`[B]` reward of actions `[B]`, or of stated distributions `[B, A]`, for answers `[B]`."""
        if not self.states_distribution:
            return (action == answer).astype(np.float64)
        weights = np.maximum((action.astype(np.float64) + 1) / 2, PROBABILITY_FLOOR)
        return np.log(weights[np.arange(len(answer)), answer] / weights.sum(axis=1))

    def stated(self, action_probs: Floats) -> npt.NDArray[np.float32]:
        """`[B, A]` the `Box` action that states these probabilities `[B, A]`."""
        return (2 * action_probs - 1).astype(np.float32)

    def chosen(self, action: npt.NDArray[Any]) -> Ints:
        """`[B]` the action that stands in the transcript: the first of the most weight."""
        if not self.states_distribution:
            return action
        # Equal probabilities may differ by a rounding error in the float32 that states them.
        return (action >= action.max(axis=1, keepdims=True) - 1e-6).argmax(axis=1)

    def legal(self, observation: Observation) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are allowed after these transcripts; all, unless overridden."""
        return np.ones((len(observation["turn"]), len(self.actions)), dtype=bool)

    def inference(self) -> Inference:
        """A new engine of exact inference for this task."""
        return Inference(self.population, self.model, self.form, self.accepts)

    def scores(self, weights: Floats, stimulus: Floats, predictive: Floats) -> Floats:
        """`[B, A]` what the teacher's action maximises: by default the probability of the answer.

        Args:
            weights: `[B, F, H]` its belief, see `envs.belief`.
            stimulus: `[B, S]` the present stimuli.
            predictive: `[B, A]` its posterior predictive.
        """
        return predictive

    @property
    def replies(self) -> tuple[str, ...]:
        """`A` texts, one per action, that an assistant's turn in the prompt may hold: 1, 2, ..."""
        return tuple(str(number) for number in range(1, len(self.actions) + 1))

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What the environment accepts from an agent in one turn."""
        if self.states_distribution:
            return spaces.Box(-1.0, 1.0, (len(self.actions),), np.float32)
        return spaces.Discrete(len(self.actions))

    def observation_space(self, form: str) -> spaces.Dict:
        """Space of the `transcript` observation, or of this `turn` only."""
        low = np.minimum(self.stimulus_low, -1).astype(np.float32)
        high = self.stimulus_high.astype(np.float32)
        turns, last = self.num_turns, float(len(self.actions) - 1)
        turn = spaces.Box(0, turns, (1,), np.float32)
        if form == "turn":
            one = spaces.Box(-1, last, (1,), np.float32)
            stimulus = spaces.Box(low, high, dtype=np.float32)
            return spaces.Dict(turn=turn, stimulus=stimulus, action=one, answer=one)
        rows = spaces.Box(-1, last, (turns,), np.float32)
        stimuli = spaces.Box(np.tile(low, turns), np.tile(high, turns))
        return spaces.Dict(turn=turn, stimuli=stimuli, actions=rows, answers=rows)


def make_task(target: str, **arguments: Any) -> UserTask:
    """Builds a task from `module:Class` and its constructor's arguments.

    Raises:
        ValueError: an argument that the task does not take; the message names those it takes.
    """
    module, _, name = target.partition(":")
    try:
        task_class = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Task {target!r} cannot be had: {error}.") from error
    known = list(inspect.signature(task_class).parameters)
    for key in arguments:
        if key not in known:
            raise ValueError(f"{name} has no argument {closest(key, known)}")
    check_types(name, task_class, arguments)
    task: UserTask = task_class(**arguments)
    return task


def register_task(env_id: str, task: str, **arguments: Any) -> None:
    """Registers a task as a Gymnasium environment and as a native vector environment.

    Args:
        env_id: `namespace/Name-vN`; raise N when a change can move a score.
        task: `module:Class` of a `UserTask`; a string, so that the spec stays JSON.
        **arguments: fixed arguments of the task, for several ids from one class.
    """
    gym.register(
        id=env_id,
        entry_point="envs.adaptors:UserEnv",
        vector_entry_point="envs.adaptors:UserVectorEnv",
        kwargs={"task": task, **arguments},
    )
