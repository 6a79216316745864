"""The contract: what a downstream task says of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from acquaint_gym.envs.inference.posterior import Posterior, check_name, make_posterior
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.prompt import PromptedTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.quirks import DistortedModel, Drift, Quirks
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel

# A stated probability under this counts as this: the logarithmic score stays finite.
PROBABILITY_FLOOR = 1e-4


def best(scores: Floats, margin: float = 1e-9) -> Ints:
    """`[...]` the first of K that is within a margin of the highest score, of scores `[..., K]`.

    Exact ties are common in symmetric models; without the margin rounding would break them
    differently in batches of different size.
    """
    return (scores >= scores.max(axis=-1, keepdims=True) - margin).argmax(axis=-1)


class UserTask(PromptedTask):
    """One downstream task against hidden people. Holds the model, never a person.

    A subclass sets the attributes in its constructor and writes `draw_stimuli`, `instructions` and
    `question`; simulator, environments, exact teacher, prompts and contract tests follow.

    Args:
        reward: `accuracy`, 1 for an action equal to the person's answer, else 0, actions
            `Discrete(A)`; or `log_score`, the logarithm in nats of the probability that the action
            gives the answer: a `Box` of A numbers in [-1, 1], -1 no weight and 1 all of it, which
            are normalised as weights and floored at 1e-4.
        feedback: what is revealed after an action: `choice`, the person's own answer, or `accept`,
            only whether the action was it.

    Attributes:
        num_turns, actions, agent_asks: see `envs.prompt.PromptedTask`, as for all that is worded.
        teacher: the agent that others are compared with here, and learn from.
        restricts_actions: whether `legal` rules actions out at times.
        episodes: `module:Class` of the `envs.episodes.Episodes` in which the task is played.
        stimulus_low: `[S]` smallest values of a stimulus.
        stimulus_high: `[S]` largest values of a stimulus.
        population: who may be behind the screen.
        model: how they answer.
        posterior: which posterior, see `envs.inference.posterior.make_posterior`.
        num_uniforms: random numbers per person that `draw_stimuli` takes.
        num_answers: random numbers per person for answers, see `answer_slot`; None for one a turn.
        bank: the items, for tasks whose stimulus is `[item]`; real respondents can answer those.
        codes, missing: how files of respondents write their answers, see `envs.users.coding`.
        context: what is known of a person before the first turn; None for nothing.
        quirks: how people depart from `model`.
    """

    stimulus_low: Floats
    stimulus_high: Floats
    population: Population
    model: ResponseModel
    posterior: str = "auto"
    num_uniforms: int = 0
    num_answers: int | None = None
    bank: ItemBank | None = None
    codes: str = "auto"
    missing: str | float = ""
    context: Context | None = None
    quirks: Quirks = Quirks()
    teacher: str = "bayes"
    restricts_actions: bool = False
    episodes: str = "acquaint_gym.envs.episodes:Episodes"

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Notes whether the class has a `legal` of its own, so that nobody has to say it twice."""
        super().__init_subclass__(**arguments)
        cls.restricts_actions = cls.legal is not UserTask.legal

    def __init__(self, reward: str = "accuracy", feedback: str = "choice") -> None:
        if reward not in ("accuracy", "log_score"):
            raise ValueError(f"Unknown reward {closest(reward, ('accuracy', 'log_score'))}")
        if feedback not in ("choice", "accept"):
            raise ValueError(f"Unknown feedback {closest(feedback, ('choice', 'accept'))}")
        self.states_distribution = reward == "log_score"
        self.binary_feedback = feedback == "accept"

    def configure(
        self,
        quirks: str = "none",
        wording: int = 0,
        option_order: str = "printed",
        labels: str = "numbers",
        posterior: str = "auto",
    ) -> None:
        """Takes the arguments that every task has, beside those of its constructor.

        Args:
            quirks: difficult people, e.g. `careless:0.2`, see `envs.users.quirks.Quirks`.
            wording: which paraphrase of the prompt, 0..wordings-1.
            option_order: `printed`, or `reversed` in the prompt.
            labels: what a reply is in the prompt: `numbers`, or `letters`.
            posterior: how teachers infer, see `envs.inference.posterior.make_posterior`.

        Raises:
            ValueError: an unknown word or number, or a quirk that has no meaning in this task.
        """
        self.choose_words(wording, option_order, labels)
        check_name(posterior)
        self.posterior = posterior
        self.quirks = Quirks.parse(quirks)
        if self.quirks.skepticism and not self.binary_feedback:
            raise ValueError("quirks=skepticism needs feedback='accept'.")
        if self.agent_asks and (self.quirks.drift or self.quirks.incoherence):
            # Whatever may be asked is answered from the start.
            raise ValueError(f"quirks={quirks}: where agents ask, people stay as they are.")
        if self.quirks.changes_responses:
            self.model = DistortedModel(self.model, self.quirks)
        if self.context is not None:
            self.context.apply_quirks(self.quirks)

    @property
    def stream(self) -> str:
        """Name of the random numbers by which people answer: those of another task are others."""
        return type(self).__name__

    @property
    def categories(self) -> tuple[str, ...]:
        """`K` words for the people's answers."""
        return self.actions

    @property
    def num_stimuli(self) -> int:
        """N, how many stimuli every person has an answer to."""
        return self.num_turns

    def known_levels(self, row: Ints, answers: Ints) -> npt.NDArray[np.int32]:
        """`[B, F]` hidden levels, -1 for unknown, of respondents whose levels the task knows.

        They are given by published row number `[B]` and all answers `[B, I]`, -1 missing.
        """
        return np.full((len(row), len(self.population.factors)), -1, dtype=np.int32)

    @abstractmethod
    def draw_stimuli(self, uniform: Floats) -> Floats:
        """What each person is asked, in this order; the first N that can be answered are.

        Args:
            uniform: `[B, num_uniforms]` in [0, 1), the person's own numbers.

        Returns:
            `[B, N', S]` float32, N' >= N.
        """

    def answer_slot(self, stimuli: Floats) -> Ints | None:
        """`[B, T]` which of the person's `num_answers` numbers answers each turn's stimulus.

        None for the turn's own. A task that can ask the same thing at another turn names the
        thing's slot, so that a person gives the same answer whenever it is asked.
        """
        return None

    def separate_splits(self, stimuli: Floats, split: str) -> Floats:
        """`[B, N', S]` stimuli as people of this split meet them; unchanged, unless overridden.

        For tasks in which a stimulus met in training would give the answer away in testing.
        """
        return stimuli

    def feedback_of(self, action: Ints, answer: Ints, would_accept: npt.NDArray[np.bool_]) -> Ints:
        """`[B]` what stands in the transcript after actions `[B]` and the people's answers `[B]`.

        The answer itself, or with `feedback="accept"` 1 for an accepted action and 0 for another;
        people who would not (`would_accept` `[B]`) accept nothing.
        """
        accepted = (action == answer) & would_accept
        return accepted.astype(np.int8) if self.binary_feedback else answer

    def context_text(self, observation: Transcript) -> str:
        """See `PromptedTask.context_text`."""
        return "" if self.context is None else self.context.words(observation) + "\n"

    def feature(self, name: str, stimulus: Floats) -> Floats:
        """`[B, A]` a property, e.g. the price, of actions; a ValueError if they have none."""
        raise ValueError(f"{type(self).__name__} has no options with a {name!r}.")

    def reward(self, action: npt.NDArray[Any], answer: Ints) -> npt.NDArray[np.float64]:
        """`[B]` reward of actions `[B]`, or of stated distributions `[B, A]`, for answers `[B]`."""
        if not self.states_distribution:
            return (action == answer).astype(np.float64)
        return np.log(self.probs_of_box(action)[np.arange(len(answer)), answer])

    def probs_of_box(self, action: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """`[B, A]` the probabilities that `Box` actions `[B, A]` state; weights are floored."""
        weights = np.maximum((action.astype(np.float64) + 1) / 2, PROBABILITY_FLOOR)
        return weights / weights.sum(axis=1, keepdims=True)

    def to_box(self, action_probs: Floats) -> npt.NDArray[np.float32]:
        """`[B, A]` the `Box` action that states these probabilities `[B, A]`."""
        return (2 * action_probs - 1).astype(np.float32)

    def from_box(self, action: npt.NDArray[Any]) -> Ints:
        """`[B]` the action that stands in the transcript: the first of the most weight."""
        if not self.states_distribution:
            return action
        # Equal probabilities may differ by a rounding error in the float32 that states them.
        return best(action, 1e-6)

    def legal(self, observation: Transcript) -> npt.NDArray[np.bool_]:
        """`[B, A]` which actions are allowed after these transcripts; all, unless overridden."""
        return np.ones((observation.num_people, len(self.actions)), dtype=bool)

    @property
    def separable(self) -> bool:
        """Whether the factors stay independent, whatever is known of a person, context included."""
        alone = self.population.independent and self.model.separable
        return alone and (self.context is None or self.context.task.separable)

    def make_posterior(self, name: str | None = None) -> Posterior:
        """A new posterior about these people, by default of the task's own choice `posterior`."""
        dynamics: dict[str, Any] = {}
        if self.binary_feedback:
            dynamics["acceptance"] = 1 - self.quirks.skepticism
        if self.quirks.drift:
            dynamics["drift"] = Drift(self.population, self.quirks.drift)
        people = self.population, self.model
        return make_posterior(name or self.posterior, self.separable, *people, **dynamics)

    def scores(self, marginals: Floats | None, stimulus: Floats, predictive: Floats) -> Floats:
        """`[B, A]` what the teacher's action maximises: by default the probability of the answer.

        Args:
            marginals: `[B, F, L]` what it believes of each factor; None if levels are unordered.
            stimulus: `[B, S]` the present stimuli.
            predictive: `[B, A]` its posterior predictive.
        """
        return predictive

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What the environment accepts from an agent in one turn."""
        if self.states_distribution:
            return spaces.Box(-1.0, 1.0, (len(self.actions),), np.float32)
        return spaces.Discrete(len(self.actions))


class Context:
    """The first turns of another task with the same people, answers revealed.

    Args:
        task: the other task; the same person gives the same answers in it as on its own.
            Careless, styled and incoherent people are so there as well, see `apply_quirks`.
        turns: C, how many of its turns are known.

    Raises:
        ValueError: more turns than the task has.
    """

    def __init__(self, task: UserTask, turns: int) -> None:
        if not 1 <= turns <= task.num_turns:
            raise ValueError(f"context: {turns} turns; {task.stream} has 1..{task.num_turns}.")
        self.task, self.turns = task, turns
        low = np.tile(np.append(np.minimum(task.stimulus_low, -1), 0), turns)
        high = np.tile(np.append(task.stimulus_high, len(task.categories) - 1), turns)
        self.space = spaces.Box(low.astype(np.float32), high.astype(np.float32))

    def apply_quirks(self, quirks: Quirks) -> None:
        """People answer there with the same quirks, but for those of conversations and of time."""
        asked = replace(quirks, skepticism=0.0, impatience=0.0, drift=0.0)
        if asked.changes_responses:
            self.task.quirks, self.task.model = asked, DistortedModel(self.task.model, asked)

    def __str__(self) -> str:
        """What is known, in a few words."""
        return f"{self.turns} turns of {self.task.stream}"

    def pack(self, stimuli: Floats, answers: Ints) -> Floats:
        """`[B, C * (S' + 1)]` float32 of stimuli `[B, T', S']` and answers `[B, T']`."""
        pairs = np.concatenate([stimuli, answers[..., None]], axis=2)[:, : self.turns]
        return pairs.reshape(len(pairs), -1).astype(np.float32)

    def unpack(self, observation: Transcript) -> tuple[Floats, Floats]:
        """Stimuli `[..., C, S']` and answers `[..., C]` of transcripts."""
        flat = observation["context"]
        pairs = flat.reshape(*flat.shape[:-1], self.turns, -1)
        return pairs[..., :-1], pairs[..., -1]

    def words(self, observation: Transcript) -> str:
        """The context of one transcript (no batch axis) in words, a line a turn."""
        known = zip(*self.unpack(observation), strict=True)
        lines = [f"- {self.task.context_line(stimulus, int(answer))}" for stimulus, answer in known]
        return "This is known about the person:\n" + "\n".join(lines)
