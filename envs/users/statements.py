"""Statements by threes, and people who say which of them is most like them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.fast_draws import smallest
from acquaint_gym.envs.users.response_models import Floats, Ints, ResponseModel


class MostLikeMe(ResponseModel):
    """The statement of greatest utility is picked: a random-utility model of forced choice.

    In the graded response model a person's agreement with an item is a(theta - b) plus logistic
    noise, against thresholds b_k; for a reverse-keyed item the sign is turned. That agreement,
    at the middle of the thresholds, is the utility of the statement, as in the Thurstonian item
    response model (Brown & Maydeu-Olivares, 2011, Educational and Psychological Measurement 71).
    Gumbel instead of normal noise gives choice probabilities in closed form, proportional to
    exp(utility) (McFadden, 1974; Luce, 1959).

    A stimulus is `[item, item, item]`, of three different traits.

    Args:
        utility: `[I, L]` of each item to a person of each level on its trait.
        trait: `[I]` which trait an item measures.
        everyone: `[P, F]` all types of people, for whom a teacher asks again and again.
    """

    def __init__(self, utility: Floats, trait: Ints, everyone: Ints) -> None:
        self._utility, self._trait, self._everyone = utility, trait, everyone
        self._odds = np.exp(np.take_along_axis(utility, everyone[:, trait].T, axis=1))  # [I, P]
        self._odds_by_level = np.exp(utility)

    def probs(self, levels: Ints, stimulus: Floats) -> Floats:
        """See `ResponseModel.probs`."""
        items = stimulus.astype(np.int64)
        shape = np.broadcast_shapes(items.shape[:-1], levels.shape[:-1])
        items = np.broadcast_to(items, (*shape, items.shape[-1]))
        levels = np.broadcast_to(levels, (*shape, levels.shape[-1]))
        level = np.take_along_axis(levels, self._trait[items], axis=-1)
        utility = self._utility[items, level]
        odds = np.exp(utility - utility.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)

    def likelihoods(self, levels: Ints, stimulus: Floats) -> Floats:
        """As the general form; for all types of people from a table."""
        if levels is not self._everyone:
            return super().likelihoods(levels, stimulus)
        odds = self._odds[stimulus.astype(np.int64)]
        odds /= odds.sum(axis=1, keepdims=True)
        return odds

    def sample(self, levels: Ints, stimuli: Floats, uniform: Floats) -> npt.NDArray[np.int8]:
        """As the general form, from a table, and in the general form what is too close to call."""
        # [3, B, T]: passes along many people are fast, along three statements they are not.
        items = np.ascontiguousarray(stimuli.transpose(2, 0, 1)).astype(np.intp)
        row = np.arange(len(levels))[:, None] * levels.shape[1]
        level = levels.ravel().take(self._trait.take(items) + row)
        odds = self._odds_by_level.ravel().take(items * self._odds_by_level.shape[1] + level)
        odds[1] += odds[0]
        odds[2] += odds[1]
        cumulative = (odds[:2] / odds[2]).astype(np.float32)
        return self.sample_near(cumulative, 1e-6, levels, stimuli, uniform)


class Triples:
    """Three items of a bank at a time, of different traits and all keyed alike, drawn at random.

    Args:
        trait: `[I]` which trait an item measures.
        keying: `[I]` +1 or -1.

    Attributes:
        num_uniforms: random numbers that a triple takes.

    Raises:
        ValueError: fewer than three traits with items of a keying; others are passed over.
    """

    def __init__(self, trait: Ints, keying: Ints) -> None:
        self._traits = int(trait.max()) + 1
        self.num_uniforms = 1 + self._traits + 3
        measures = trait == np.arange(self._traits)[:, None]
        known = measures & (keying == np.array([1, -1])[:, None, None])
        # [2 F] how many items each trait has, first those keyed +1; [2 F, I] which, in front.
        self._known = known.sum(axis=2).ravel().astype(np.float32)
        items = np.argsort(~known, axis=2, kind="stable").astype(np.float32)
        self._items = items.reshape(2 * self._traits, -1)
        self._none = np.argwhere(~known.any(axis=2))
        if (known.any(axis=2).sum(axis=1) < 3).any():
            raise ValueError("Fewer than three traits have statements that are keyed alike.")

    def draw(self, uniform: Floats) -> Floats:
        """`[n, 3]` float32 items: a keying, three traits in random order, an item of each.

        Args:
            uniform: n * `num_uniforms` numbers, multiples of 2^-24 in [0, 1).
        """
        numbers = np.ascontiguousarray(uniform.reshape(-1, self.num_uniforms).T)
        reverse = numbers[0] >= 0.5
        left_out = [(trait, reverse == keying) for keying, trait in self._none]
        group = smallest(numbers[1:-3], 3, left_out) + self._traits * reverse
        which = (numbers[-3:] * self._known.take(group)).astype(np.intp)
        items = self._items.take(group * self._items.shape[1] + which)
        return np.ascontiguousarray(items.T)
