"""A small correct task, and tasks and adaptors that each break one promise.

Every check of the contract is tried on its culprits in `test_broken`: a check that nobody can fail
checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np

import acquaint_gym.envs.contract as contract
from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.gym_env import UserEnv, UserVectorEnv
from acquaint_gym.envs.inference.exact import FactoredPosterior
from acquaint_gym.envs.inference.joint import JointPosterior
from acquaint_gym.envs.inference.posterior import make_posterior
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.response_models import ResponseModel, TableModel, graded_response

GRID = np.array([-1.5, 0.0, 1.5])
ITEMS = 6
TABLE = graded_response(GRID, np.full(ITEMS, 1.5), np.linspace([-1, 0], [0, 1], ITEMS))
FACTOR = np.arange(ITEMS) % 2
PRIOR = np.outer([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).ravel()


class Toy(UserTask):
    """A stranger answers small questions.

    ## Description
    Predict the answers.

    ## Hidden person
    Two factors of three levels, not equally likely.

    ## Action Space
    `Discrete(3)`, or a `Box` of three weights.

    ## Observation Space
    The transcript.

    ## Rewards
    `accuracy` or `log_score`.

    ## Starting State
    A person.

    ## Episode End
    After `num_turns`.

    ## Information
    `person`.

    ## Arguments
    `num_turns`, `reward`, `extra`.

    ## References
    None.

    ## Version History
    v0.
    """

    model_class: type[ResponseModel] = TableModel
    population_class: type[Population] = Population

    def __init__(self, num_turns: int = 4, reward: str = "accuracy", extra: Any = None) -> None:
        super().__init__(reward)
        self.num_turns = num_turns
        self.actions = ("no", "perhaps", "yes")
        self.stimulus_low, self.stimulus_high = np.zeros(1), np.array([ITEMS - 1.0])
        levels = np.stack([index.ravel() for index in np.indices((3, 3))], axis=1)
        self.population = self.population_class(("warmth", "pace"), levels, PRIOR, GRID, True)
        self.model = self.model_class(TABLE, FACTOR)
        self.num_uniforms = ITEMS

    def draw_stimuli(self, uniform):
        return np.argsort(uniform, axis=1, kind="stable")[..., None].astype(np.float32)

    def instructions(self):
        return "Say what the stranger answers."

    def question(self, stimulus):
        return f"Question {stimulus[0]:.0f}?"

    def with_note(self, observation, note):
        """The prompt with some more text in the last message."""
        messages = Toy.prompt(self, observation)
        messages[-1]["content"] += str(note)
        return messages


class AsksNothing(Toy):
    def question(self, stimulus):
        return "Well?"


class Wordless(Toy):
    def instructions(self):
        return " "


class ParrotsItself(Toy):
    wordings = 2


class OutOfWords(Toy):
    wordings = 3

    def instructions(self):
        return self.phrase("Say what they answer.", "Guess what they say.")


class NotesNothing(Toy):
    def context_line(self, stimulus, answer):
        return ""


class WorstFirst(Toy):
    def scores(self, marginals, stimulus, predictive):
        return -predictive


class Masked(Toy):
    # Correct: the last action is never allowed. A docstring would hide the manual page.
    def legal(self, observation):
        legal = super().legal(observation)
        legal[:, -1] = False
        return legal


class Tiring(ResponseModel):
    """Correct: answers tell less and less from turn to turn."""

    timed = True

    def __init__(self, table: Any, factor: Any) -> None:
        self.rested = TableModel(table, factor)

    def probs(self, levels, stimulus):
        weights = self.rested.probs(levels, stimulus[..., :-1])
        weights = weights ** (1 / (1 + 0.2 * stimulus[..., -1:].astype(float)))
        return weights / weights.sum(axis=-1, keepdims=True)


class Timed(Toy):
    # Correct, with answers that depend on the turn.
    model_class = Tiring


class TwoOrThree(ResponseModel):
    """Correct: every other question has no last answer."""

    def __init__(self, table: Any, factor: Any) -> None:
        self.whole = TableModel(table, factor)

    def probs(self, levels, stimulus):
        weights = self.whole.probs(levels, stimulus).copy()
        weights[..., -1] *= stimulus[..., 0] % 2
        return weights / weights.sum(axis=-1, keepdims=True)


class Varying(Toy):
    # Correct, with two options at one turn and three at another.
    model_class = TwoOrThree

    def legal(self, observation):
        legal = super().legal(observation)
        turn = np.minimum(observation.turn, self.num_turns - 1)
        legal[:, -1] = observation.stimuli[np.arange(len(turn)), turn, 0] % 2 == 1
        return legal


# ---------------------------------------------------------------------------------- tasks


class Undocumented(Toy):
    """It has a docstring, without headings."""


class Unlisted(Toy):
    def __init__(self, num_turns: int = 4, reward: str = "accuracy", mystery: int = 0) -> None:
        super().__init__(num_turns, reward)


class BeyondItsSpace(Toy):
    def __init__(self, num_turns: int = 4, reward: str = "accuracy") -> None:
        super().__init__(num_turns, reward)
        self.stimulus_high = np.zeros(1)


class NotPicklable(Toy):
    def __init__(self, num_turns: int = 4, reward: str = "accuracy") -> None:
        super().__init__(num_turns, reward)
        self.hook = lambda: None


class OneGenerator(Toy):
    """One generator for everybody: a person depends on who came before."""

    def __init__(self, num_turns: int = 4, reward: str = "accuracy") -> None:
        super().__init__(num_turns, reward)
        self.rng = np.random.default_rng(0)

    def draw_stimuli(self, uniform):
        return super().draw_stimuli(self.rng.random(uniform.shape))


class GlobalGenerator(Toy):
    def draw_stimuli(self, uniform):
        return super().draw_stimuli(np.random.random(uniform.shape))  # noqa: NPY002


class DependsOnPlace(Toy):
    def draw_stimuli(self, uniform):
        lane = np.arange(len(uniform))[:, None, None]
        return ((super().draw_stimuli(uniform) + lane) % ITEMS).astype(np.float32)


class Diary(Toy):
    """Counts its people, and shows the count."""

    served = 0

    def draw_stimuli(self, uniform):
        self.served += len(uniform)
        return super().draw_stimuli(uniform)

    def prompt(self, observation):
        return self.with_note(observation, self.served)


class Shared(Toy):
    """The same, in a place that no pickle of the task shows."""

    served: list[int] = []  # noqa: RUF012 - that is what is wrong with it

    def draw_stimuli(self, uniform):
        self.served.append(len(uniform))
        return super().draw_stimuli(uniform)

    def legal(self, observation):
        legal = super().legal(observation)
        legal[:, 0] = len(self.served) % 2 == 0
        return legal


class Remembering(TableModel):
    levels = answers = None

    def sample(self, levels, stimuli, uniform):
        self.levels, self.answers = levels, super().sample(levels, stimuli, uniform)
        return self.answers


class Gossip(Toy):
    """Correct but for its model, which remembers."""

    model_class = Remembering


class ShowsLevels(Gossip):
    def prompt(self, observation):
        return self.with_note(observation, self.model.levels)


class ShowsNextAnswer(Gossip):
    def prompt(self, observation):
        return self.with_note(observation, self.model.answers)


class WritesOnStimuli(TableModel):
    def sample(self, levels, stimuli, uniform):
        answers = super().sample(levels, stimuli, uniform)
        stimuli[..., 0] = levels[:, :1]
        return answers


class ShowsLevelsAsStimuli(Toy):
    model_class = WritesOnStimuli


class Infinite(Toy):
    def reward(self, action, answer):
        if not self.states_distribution:
            return super().reward(action, answer)
        with np.errstate(divide="ignore", invalid="ignore"):
            stated = action[np.arange(len(answer)), answer] / action.sum(axis=1)
            return np.log(stated.astype(np.float64))


class Improper(Toy):
    """The probability of the answer itself: pays for exaggeration."""

    def reward(self, action, answer):
        if not self.states_distribution:
            return super().reward(action, answer)
        return np.exp(super().reward(action, answer))


class Generous(Toy):
    def reward(self, action, answer):
        if self.states_distribution:
            return super().reward(action, answer)
        return 1.0 - np.abs(action - answer) / 2


class FloatMask(Toy):
    def legal(self, observation):
        return super().legal(observation).astype(float)


class NothingAllowed(Toy):
    def legal(self, observation):
        return super().legal(observation) & (observation["turn"] < 2)


class MissingLabel(Toy):
    def prompt(self, observation):
        messages = super().prompt(observation)
        messages[0]["content"] = "Predict what the person says."
        return messages


class KeepsAnswersToItself(Toy):
    def prompt(self, observation):
        hidden = np.where(observation["answers"] < 0, -1, 0)
        return super().prompt(observation.replace(answers=hidden))


class OtherReplies(Toy):
    replies = ("a", "b", "c")

    def prompt(self, observation):
        plain = Toy()
        return plain.prompt(observation)


class TwoUsers(Toy):
    def prompt(self, observation):
        return [*super().prompt(observation), {"role": "user", "content": "Well?"}]


class Unnormalised(TableModel):
    def probs(self, levels, stimulus):
        return 0.9 * super().probs(levels, stimulus)


class UnnormalisedLikelihood(Toy):
    model_class = Unnormalised


class Hasty(TableModel):
    def likelihoods(self, levels, stimulus):
        return super().likelihoods(levels, stimulus)[:, ::-1]


class HastyTeacher(Toy):
    model_class = Hasty


class Certain(TableModel):
    def probs(self, levels, stimulus):
        probs = super().probs(levels, stimulus)
        return (probs == probs.max(axis=-1, keepdims=True)).astype(float)


class RulesAnswersOut(Toy):
    model_class = Certain


class WrongFactor(TableModel):
    def factor(self, stimulus):
        return 1 - super().factor(stimulus)


class LyingFactor(Toy):
    model_class = WrongFactor


class Swapped(TableModel):
    """Takes everybody's first and second factor for each other when it samples."""

    def sample(self, levels, stimuli, uniform):
        return super().sample(levels[:, ::-1], stimuli, uniform)


class WrongPerson(Toy):
    model_class = Swapped


class NextCategory(TableModel):
    def sample(self, levels, stimuli, uniform):
        return (super().sample(levels, stimuli, uniform) + 1) % 3


class OffByOne(Toy):
    model_class = NextCategory


class Strict(TableModel):
    """Right in distribution, but u = 0 and rounding fall on the other side."""

    def sample(self, levels, stimuli, uniform):
        return super().sample(levels, stimuli, 1 - uniform)


class OtherSampler(Toy):
    model_class = Strict


class OneSplit(Population):
    """Everybody is in every split."""

    @property
    def splits(self):
        return dict.fromkeys(("train", "dev", "test"), np.arange(len(self.prior)))


class LeakySplits(Toy):
    population_class = OneSplit


class NoChance(TableModel):
    """Always the same numbers: every world has the same answers."""

    def sample(self, levels, stimuli, uniform):
        return super().sample(levels, stimuli, np.full_like(uniform, 0.5))


class SameWorlds(Toy):
    """Another suite seed, the same world: everybody is the same person."""

    model_class = NoChance

    def draw_stimuli(self, uniform):
        return super().draw_stimuli(np.zeros_like(uniform))

    def __init__(self, num_turns: int = 4, reward: str = "accuracy") -> None:
        super().__init__(num_turns, reward)
        first = np.eye(9)[0] * (1 - 9e-12) + 1e-12
        self.population = replace(self.population, prior=first, split_by_type=False)


class ForgetsPrior(Toy):
    def make_posterior(self, name=None):
        flat = replace(self.population, prior=np.full(9, 1 / 9))
        return make_posterior(name or self.posterior, self.separable, flat, self.model)


class BackwardPrior(Toy):
    def make_posterior(self, name=None):
        backward = replace(self.population, prior=PRIOR[::-1])
        return make_posterior(name or self.posterior, self.separable, backward, self.model)


class Rounded(FactoredPosterior):
    """Off by up to 0.005 and says nothing of it: the exact one's tolerance is inherited."""

    def predict(self, belief, stimulus, turn=None):
        return super().predict(belief, stimulus, turn).round(2)


class Overconfident(Toy):
    def make_posterior(self, name=None):
        return Rounded(self.population, self.model)


class BeyondTheGrid(FactoredPosterior):
    def sample(self, belief, uniform):
        return 3 + super().sample(belief, uniform)


class SamplesStrangers(Toy):
    def make_posterior(self, name=None):
        return BeyondTheGrid(self.population, self.model)


class InOrder(FactoredPosterior):
    def take(self, belief, rows):
        return belief[np.sort(rows)]


class TakesOthers(Toy):
    def make_posterior(self, name=None):
        return InOrder(self.population, self.model)


class KnowsNothingNew(FactoredPosterior):
    def information(self, belief, stimuli, marginals=None):
        return super().information(belief, stimuli, marginals) - 1


class OffersNoInformation(Toy):
    def make_posterior(self, name=None):
        return KnowsNothingNew(self.population, self.model)


class DrawsFromThePrior(FactoredPosterior):
    def sample(self, belief, uniform):
        return super().sample(self.start(len(belief)), uniform)


class SamplesThePrior(Toy):
    def make_posterior(self, name=None):
        return DrawsFromThePrior(self.population, self.model)


class Crowded(FactoredPosterior):
    """Right in batches of three, and nowhere else."""

    def predict(self, belief, stimulus, turn=None):
        predictive = super().predict(belief, stimulus, turn)
        return predictive if len(belief) == 3 else predictive[:, ::-1]


class DependsOnCompany(Toy):
    def make_posterior(self, name=None):
        return Crowded(self.population, self.model)


class IgnoresMarginals(FactoredPosterior):
    def information(self, belief, stimuli, marginals=None):
        information = super().information(belief, stimuli, marginals)
        return information if marginals is None else information[:, ::-1]


class MisledByMarginals(Toy):
    def make_posterior(self, name=None):
        return IgnoresMarginals(self.population, self.model)


class OneTypeOnly(JointPosterior):
    """The probability of the most probable type, whoever is asked about."""

    def log_prob(self, belief, levels):
        return np.log(self.joint(belief)[:, 0].max(axis=1))


class KnowsOneType(Toy):
    def make_posterior(self, name=None):
        return OneTypeOnly(self.population, self.model)


class LendsItself(FactoredPosterior):
    def take(self, belief, rows):
        return belief if len(rows) == len(belief) else super().take(belief, rows)


class TakesNoCopy(Toy):
    def make_posterior(self, name=None):
        return LendsItself(self.population, self.model)


class Shrugs(FactoredPosterior):
    tolerance = 1.0


class PromisesNothing(Toy):
    def make_posterior(self, name=None):
        return Shrugs(self.population, self.model)


class DrawsEvenly(Population):
    """People do not come from the prior."""

    def draw(self, split, uniform):
        types = self.splits[split]
        return types[(uniform * len(types)).astype(int)]


class OtherPeople(Toy):
    population_class = DrawsEvenly


class PaysForMisses(Toy):
    def reward(self, action, answer):
        return -super().reward(action, answer)


# ------------------------------------------------------------------------------- adaptors


class WarnsGymnasium(UserEnv):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return {**observation, "turn": observation["turn"].astype(np.float64)}, info


class ClipsActions(UserEnv):
    def step(self, action):
        return super().step(np.clip(np.nan_to_num(np.asarray(action, float)), 0, 2).astype(int))


class MovesThenRefuses(UserEnv):
    def step(self, action):
        try:
            return super().step(action)
        except ValueError:
            self._episodes.turn[:] = 1
            raise


class GoesOnForever(UserEnv):
    def step(self, action):
        if self._started and self._episodes.over()[0]:
            return self._observation(), 0.0, True, False, {}
        return super().step(action)


class StartsByItself(UserEnv):
    def step(self, action):
        if not self._started:
            self.reset()
        return super().step(action)


class AlwaysTheSame(UserEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=3 if options is None else None, options=options)


class Silent(UserEnv):
    def render(self):
        return None


class ForgetsWhenPickled(UserEnv):
    def __setstate__(self, state):
        vars(self).update(state)
        self._episodes.turn[:] = 0


class DoublePay(UserVectorEnv):
    def step(self, actions):
        observation, reward, *rest = super().step(actions)
        return observation, 2 * reward, *rest


class ResetsAll(UserVectorEnv):
    """Ignores which lanes were to be reset."""

    def reset(self, *, seed=None, options=None):
        options = {key: value for key, value in (options or {}).items() if key != "reset_mask"}
        return super().reset(seed=seed, options=options)


class Spoiler(UserVectorEnv):
    """Shows all stimuli at once."""

    def step(self, actions):
        observation, *rest = super().step(actions)
        observation["stimuli"] = self.users.stimuli.reshape(self.num_envs, -1).copy()
        return observation, *rest


class ForgetsLastAnswer(UserVectorEnv):
    """In the short form of the observation."""

    def step(self, actions):
        observation, *rest = super().step(actions)
        return {
            key: -value if key == "answer" else value for key, value in observation.items()
        }, *rest


class MasksWithTheFuture(UserVectorEnv):
    def action_masks(self):
        masks = super().action_masks()
        masks[:, 0] = self.users.answers[:, -1] > 0
        return masks


class MasksWithLevels(UserVectorEnv):
    def action_masks(self):
        masks = super().action_masks()
        masks[:, 0] = self.users.levels[:, 0] > 0
        return masks


@dataclass(frozen=True)
class Culprit:
    """Who breaks the promise that a check watches over, and words of the message."""

    check: Callable[..., None]
    words: str
    task: type[UserTask] = Toy
    env: type[UserEnv] = UserEnv
    vector: type[UserVectorEnv] = UserVectorEnv
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        odd = [part for part in (self.task, self.env, self.vector) if part.__module__ == __name__]
        return "+".join(part.__name__ for part in odd if part is not Toy) or "Arguments"

    @contextmanager
    def registered(self) -> Iterator[str]:
        """Its id, for as long as it is needed."""
        target, env, vector = (
            f"{part.__module__}:{part.__name__}" for part in (self.task, self.env, self.vector)
        )
        env_id = f"broken/{self.name.replace('+', '')}-v0"
        kwargs = {"task": target, **self.arguments}
        gym.register(env_id, entry_point=env, vector_entry_point=vector, kwargs=kwargs)
        try:
            yield env_id
        finally:
            del gym.registry[env_id]


CULPRITS = (
    Culprit(contract.check_manual, "says nothing under", Undocumented),
    Culprit(contract.check_manual, "do not list `mystery`", Unlisted),
    Culprit(contract.check_gymnasium, "not within the observation space", BeyondItsSpace),
    Culprit(contract.check_gymnasium, "not within the observation space", env=WarnsGymnasium),
    Culprit(contract.check_spec, "is no JSON", arguments={"extra": np.zeros}),
    Culprit(contract.check_spec, "come back from JSON", arguments={"extra": (1, 2)}),
    Culprit(contract.check_pickle, "cannot be pickled", NotPicklable),
    Culprit(contract.check_pickle, "continues otherwise", env=ForgetsWhenPickled),
    Culprit(contract.check_seeds, "two different people", OneGenerator),
    Culprit(contract.check_seeds, "expected new people", env=AlwaysTheSame),
    Culprit(contract.check_same_person, "the same batch again", OneGenerator),
    Culprit(contract.check_same_person, "the same batch again", GlobalGenerator),
    Culprit(contract.check_same_person, "another order", DependsOnPlace),
    Culprit(contract.check_vector, "the observation", DependsOnPlace),
    Culprit(contract.check_vector, "the reward", vector=DoublePay),
    Culprit(contract.check_vector, "mode Disabled", vector=ResetsAll),
    Culprit(contract.check_resets, "after the end", env=GoesOnForever),
    Culprit(contract.check_resets, "before reset()", env=StartsByItself),
    Culprit(contract.check_actions, "was accepted", env=ClipsActions),
    Culprit(contract.check_actions, "moved the episode", env=MovesThenRefuses),
    Culprit(contract.check_masks, "expected bool", FloatMask),
    Culprit(contract.check_masks, "leaves no action", NothingAllowed),
    Culprit(contract.check_rewards, "not a finite number", Infinite),
    Culprit(contract.check_rewards, "more in expectation", Improper),
    Culprit(contract.check_rewards, "must earn 1", Generous),
    Culprit(contract.check_turn_form, "`answer` of observation='turn'", vector=ForgetsLastAnswer),
    Culprit(contract.check_future_hidden, "still to come", vector=Spoiler),
    Culprit(contract.check_future_hidden, "given later", vector=MasksWithTheFuture),
    Culprit(contract.check_no_leak, "prompt() differs", ShowsLevels),
    Culprit(contract.check_no_leak, "['stimuli'] differs", ShowsLevelsAsStimuli),
    Culprit(contract.check_no_leak, "prompt() differs", ShowsNextAnswer),
    Culprit(contract.check_no_leak, "legal() differs", vector=MasksWithLevels),
    Culprit(contract.check_stateless, "attributes changed", Diary),
    Culprit(contract.check_stateless, "has met others gives another legal()", Shared),
    Culprit(contract.check_stateless, "attributes changed", Gossip),
    Culprit(contract.check_prompts, "does not show the option 'no'", MissingLabel),
    Culprit(contract.check_prompts, "whatever the last answer", KeepsAnswersToItself),
    Culprit(contract.check_prompts, "expected one of task.replies", OtherReplies),
    Culprit(contract.check_prompts, "roles system, user, user", TwoUsers),
    Culprit(contract.check_words, "for different stimuli", AsksNothing),
    Culprit(contract.check_words, "instructions() is empty", Wordless),
    Culprit(contract.check_words, "are those of wording 0", ParrotsItself),
    Culprit(contract.check_words, "has no words", OutOfWords),
    Culprit(contract.check_words, "expected one line", NotesNothing),
    Culprit(contract.check_render, "expected str", env=Silent),
    Culprit(contract.check_splits, "belongs to two splits", LeakySplits),
    Culprit(contract.check_splits, "are the same", SameWorlds),
    Culprit(contract.check_response_model, "sums to 0.9", UnnormalisedLikelihood),
    Culprit(contract.check_response_model, "holds 0.0", RulesAnswersOut),
    Culprit(contract.check_response_model, "likelihoods is not model.probs", HastyTeacher),
    Culprit(contract.check_response_model, "Name the right factor", LyingFactor),
    Culprit(contract.check_sampler, "standard errors more surprising", WrongPerson),
    Culprit(contract.check_sampler, "standard errors more surprising", OffByOne),
    Culprit(contract.check_sampler, "other answers than ResponseModel.sample", OtherSampler),
    Culprit(contract.check_posterior, "after [0, ", ForgetsPrior),
    Culprit(contract.check_posterior, "from enumerating all types", LyingFactor),
    Culprit(contract.check_posterior, "its tolerance is 1e-09", Overconfident),
    Culprit(contract.check_posterior, "are of no type of people", SamplesStrangers),
    Culprit(contract.check_posterior, "is not that of the same people", TakesOthers),
    Culprit(contract.check_posterior, "the expected information after", OffersNoInformation),
    Culprit(contract.check_posterior, "with marginals, after", MisledByMarginals),
    Culprit(contract.check_posterior, "probability of a person's levels", KnowsOneType),
    Culprit(contract.check_posterior, "a belief of its own", TakesNoCopy),
    Culprit(contract.check_posterior, "a tolerance of 1.0", PromisesNothing),
    Culprit(contract.check_posterior, "it must draw from the belief", SamplesThePrior),
    Culprit(contract.check_posterior, "after [0] answers is", DependsOnCompany),
    Culprit(contract.check_calibrated_teacher, "do not belong together", OtherPeople),
    Culprit(contract.check_calibrated_teacher, "do not belong together", BackwardPrior),
    Culprit(contract.check_calibrated_teacher, "against random actions", PaysForMisses),
    Culprit(contract.check_calibrated_teacher, "against random actions", WorstFirst),
)
