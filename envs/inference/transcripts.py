"""What is believed after transcripts: the prior, the context, then answer by answer.

Beliefs of transcripts that go on are kept in a cache on which no result depends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.inference.exact import ExactPosterior, exact
from acquaint_gym.envs.inference.likelihoods import blocks
from acquaint_gym.envs.inference.posterior import Belief, Posterior
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.response_models import Floats, Ints


class TranscriptPosterior:
    """A task's posterior, for whole transcripts: begins with what their context says.

    A context is the beginning of another task with the same people. That task's own posterior,
    over the same types of people, learns from it; what it believes then is the belief before the
    first turn here.

    `begin` and `condition` work on all people at once; `after` and `marginals` block by block, and
    go on from their last call where the transcripts begin with those of that call.

    Args:
        task: the population, how people answer, and the choice of a posterior.
        discount: see `condition`.
        choice: which posterior; by default the task's own choice.

    Attributes:
        posterior: the task's.

    Raises:
        ValueError: a discount below 1 with a posterior that cannot forget.
    """

    def __init__(self, task: UserTask, discount: float = 1.0, choice: str | None = None) -> None:
        choice = choice or task.posterior
        self.posterior = task.make_posterior(choice)
        self._context, self._discount = task.context, discount
        self._accepts, self._cache = task.binary_feedback, PrefixCache()
        if discount < 1:
            exact(self.posterior, f"discount={discount}")
        # One of the exact ones can take over from another, and the cheapest does; a posterior of
        # somebody else's only from its own class.
        self._before: Posterior | None = None
        if task.context is not None:
            name = "auto" if isinstance(self.posterior, ExactPosterior) else choice
            self._before = task.context.task.make_posterior(name)

    def begin(self, transcript: Transcript) -> Belief:
        """The belief before the first turn of these transcripts: prior and context."""
        if self._context is None or self._before is None:
            return self.posterior.start(transcript.num_people)
        stimuli, answers = self._context.unpack(transcript)
        before, belief = self._before, self._before.start(len(answers))
        for turn in range(answers.shape[1]):
            answer, now = answers[:, turn].astype(np.int64), np.full(len(answers), turn)
            belief = before.update(belief, stimuli[:, turn], answer, turn=now)
        if isinstance(self.posterior, ExactPosterior) and isinstance(before, ExactPosterior):
            return self.posterior.adopt(belief, before)
        return belief

    def condition(
        self, transcript: Transcript, belief: Belief | None = None, since: int = 0
    ) -> Belief:
        """The belief after all answers in these transcripts, see the function `condition`."""
        belief = self.begin(transcript) if belief is None else belief
        return condition(self.posterior, transcript, belief, since, self._discount)

    def after(self, observation: Transcript) -> Iterator[tuple[slice, Belief]]:
        """Rows, and the belief after their transcripts, block by block."""
        turn = observation.turn
        events = [observation["answers"], observation.stimuli]
        if self._accepts:
            events.append(observation["actions"])
        context = observation.get("context", turn[:, None][:, :0])  # no numbers without one
        since, before = self._cache.take(turn, events, context)
        beliefs: list[Belief] = []
        for block, rows in enumerate(blocks(len(turn), self.posterior.bytes_per_person)):
            known = None if before is None else before[block]
            part = observation.rows(rows)
            beliefs.append(self.condition(part, known, since))
            yield rows, beliefs[-1]
        # Kept only once every block has been reached: an interrupted call leaves no half-truth.
        self._cache.keep(turn, events, context, beliefs)

    def marginals(self, observation: Transcript) -> Floats | None:
        """`[B, F, L]` belief about each trait; None where levels are unordered."""
        return join_blocks(
            [self.posterior.marginals(belief) for _, belief in self.after(observation)]
        )


def join_blocks(blocks: list[Floats | None]) -> Floats | None:
    """The blocks' beliefs as one, None where the hypotheses have no ordered levels."""
    known = [block for block in blocks if block is not None]
    return np.concatenate(known) if known else None


def condition(
    posterior: Posterior,
    transcript: Transcript,
    belief: Belief | None = None,
    since: int = 0,
    discount: float = 1.0,
) -> Belief:
    """The belief after all answers in transcripts, which may be of unequal length.

    Args:
        posterior: how to update.
        transcript: of B people.
        belief: after the first `since` turns, overwritten; by default the prior.
        since: turns that `belief` already knows.
        discount: before each answer the belief is raised to this power, the prior to the rest; 1
            is Bayes' rule, less needs an exact posterior.
    """
    turn = transcript.turn
    belief = posterior.start(len(turn)) if belief is None else belief
    for t in range(since, int(turn.max(initial=0))):
        if (turn > t).all():
            belief = _after_turn(posterior, transcript, belief, slice(None), t, discount)
        else:  # some transcripts have ended
            seen = np.flatnonzero(turn > t)
            part = posterior.take(belief, seen)
            part = _after_turn(posterior, transcript, part, seen, t, discount)
            belief = posterior.put(belief, seen, part)
    return belief


def _after_turn(
    posterior: Posterior,
    transcript: Transcript,
    belief: Belief,
    rows: slice | Ints,
    t: int,
    discount: float,
) -> Belief:
    """The belief about the people in some rows of transcripts after the answers of turn t."""
    if discount < 1:
        belief = exact(posterior, f"discount={discount}").forget(belief, discount)
    answers = transcript["answers"][rows, t].astype(np.int64)
    actions = transcript["actions"][rows, t].astype(np.int64)
    now = np.full(len(answers), t)
    return posterior.update(belief, transcript.stimuli[rows, t], answers, actions, now)


class PrefixCache:
    """Something kept of transcripts, for the next call, whose transcripts begin with them.

    Like the prefix cache of an inference server. Whether they do is compared, never assumed.
    """

    def __init__(self) -> None:
        self._kept: tuple[list[Floats], Floats | Ints, Any] | None = None

    def take(self, turn: Ints, events: Sequence[Floats], beside: Floats | Ints) -> tuple[int, Any]:
        """How many turns of these transcripts are known, and what was kept; 0 and None if none are.

        It is no longer kept then, so that it may be overwritten.

        Args:
            turn: `[B]` turns that are over.
            events: `[B, T, ...]` each, what happened turn by turn.
            beside: `[B, ...]` what was known before.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            return 0, None
        prefix, before, state = kept
        turns = prefix[0].shape[1]
        begins = (
            bool((turn >= turns).all())
            and _equal(before, beside)
            and all(_equal(old, new[:, :turns]) for old, new in zip(prefix, events, strict=True))
        )
        return (turns, state) if begins else (0, None)

    def keep(self, turn: Ints, events: Sequence[Floats], beside: Floats | Ints, state: Any) -> None:
        """Keeps something of transcripts, where all of them are equally long; see `take`."""
        turns = int(turn[0])
        if (turn == turns).all():
            self._kept = [part[:, :turns].copy() for part in events], beside.copy(), state


def _equal(old: Floats | Ints, new: Floats | Ints) -> bool:
    """Whether two arrays are; what `numpy.array_equal` checks besides costs a short step's time."""
    return old.shape == new.shape and bool((old == new).all())
