"""The upper bound of asking: interviews planned by somebody who has read the answers already.

A posterior does not depend on the order of its answers, so a plan is a growing set of questions. An
answer raises the log posterior of the true hypothesis by the log of how probable the answer is
given that hypothesis, less the log of how probable it was to the interviewer. A beam of sets grows
by a question at a time (Lowerre, 1976, The HARPY Speech Recognition System); of width 1 it is the
greedy choice. Like the clairvoyant it lives with the evaluator: no agent can know what it knows.
"""

from __future__ import annotations

from math import comb

import numpy as np

from acquaint_gym.agents.core import Agent, Decision
from acquaint_gym.agents.interviewers.base import require_questions
from acquaint_gym.envs.core import UserTask, best
from acquaint_gym.envs.inference.exact import exact
from acquaint_gym.envs.inference.likelihoods import blocks
from acquaint_gym.envs.interviews.scoring import InterviewScorer
from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.people import Users
from acquaint_gym.envs.users.response_models import Bools, Floats, Ints

BLOCK_BYTES = 2**25  # of the beliefs that are held at a time, 32 MiB


class Hindsight(Agent):
    """Asks what raises the log posterior of the true person fastest, knowing all answers.

    Where it may stop it takes the part of the plan that gains most after costs, which count as
    nats. Asked about a transcript that is not of its plan, it goes on with what it has planned and
    was not asked yet.

    Args:
        task: one in which agents ask.
        beam: how many sets of questions are kept, see `search`.
        sequence: 0 for the best plan; k for the best one that begins with the question that
            tells k-th most.

    Raises:
        ValueError: another task, or numbers out of range.
    """

    task: AskingTask

    def __init__(self, task: UserTask, beam: int = 8, sequence: int = 0) -> None:
        super().__init__(require_questions(task))
        if beam < 1 or not 0 <= sequence <= self.task.num_stimuli:
            raise ValueError(
                f"beam={beam}, sequence={sequence}; expected at least 1, and 0 to "
                f"{self.task.num_stimuli}: there are no more questions to begin with."
            )
        self._beam, self._sequence = beam, sequence
        self._plan: tuple[Ints, Ints, Ints] | None = None

    def observe_truth(self, users: Users, task: UserTask) -> None:
        """See `Agent.observe_truth`; people of unknown hypothesis have a target too.

        Raises:
            ValueError: another task than that the agent was built for.
        """
        if not isinstance(task, AskingTask) or task.actions != self.task.actions:
            raise ValueError("Agent 'hindsight' goes by the environment's own task.")
        self.task, order, gain = task, [], []
        each = self._beam * task.make_posterior().bytes_per_person
        for rows in blocks(len(users.person), each, BLOCK_BYTES):
            batch = Users._make(part[rows] for part in users)
            plans, gains = search(task, batch, self._beam, self._sequence)
            order.append(plans)
            gain.append(gains)
        length = np.full(len(users.person), task.num_turns)
        if task.allow_stop:
            net = np.concatenate(gain) - task.cost * np.arange(task.num_turns + 1)
            length = net.argmax(axis=1)
        # The plan of the length that is taken, not the beginning of a longer one.
        everyone = np.arange(len(length))
        self._plan = np.concatenate(order)[everyone, length], length, users.length.astype(np.int64)

    def act(self, observation: Transcript, uniform: Floats) -> Decision:
        """See `Agent.act`."""
        if self._plan is None:
            raise ValueError("Hindsight.act needs observe_truth(users, task) first.")
        (order, length, leaves), turn = self._plan, observation.turn
        if len(turn) < len(order):
            # Interviews that were stopped, and people who left, are not asked about any more.
            going = (length >= turn[0]) & (leaves > turn[0])
            order, length = order[going], length[going]
        legal = self.task.legal(observation)
        planned = np.where(order < 0, len(self.task.actions), order)
        open_ = np.concatenate([legal, np.zeros((len(legal), 1), dtype=bool)], axis=1)
        first = np.take_along_axis(open_, planned, axis=1).argmax(axis=1)
        action = planned[np.arange(len(planned)), first]
        if self.task.allow_stop:
            action = np.where(turn >= length, self.task.num_stimuli, action)
        return Decision(action, np.eye(legal.shape[1])[action])


def search(task: AskingTask, users: Users, beam: int, sequence: int = 0) -> tuple[Ints, Floats]:
    """The best plans of every length that begin with a given question.

    Args:
        task: what can be asked, and the hypotheses.
        users: N people, with all their answers.
        beam: how many sets of questions are kept at every length. All sets of a length, if there
            are no more: then the plans are the best.
        sequence: 0 to begin with whatever is best in the end, k with the question that gains k-th
            most at first.

    Returns:
        `[N, T + 1, T]` the questions of the plan of length 0..T in order, -1 beyond it, and
        `[N, T + 1]` what it gains, in nats of the log posterior of the true hypothesis.
    """
    num, turns, items = len(users.person), task.num_turns, task.num_stimuli
    posterior, answers = task.make_posterior(), users.answers.astype(np.int64)
    known = _log_known(task, users)
    belief = posterior.start(num)  # of [N * W], the sets of a person one after the other
    asked = np.zeros((num, 1, items), dtype=bool)
    order = np.full((num, 1, turns), -1)
    score = np.zeros((num, 1))
    plans, gains = np.full((num, turns + 1, turns), -1), np.zeros((num, turns + 1))
    person = np.arange(num)[:, None]
    for turn in range(turns):
        sets = asked.shape[1]
        predictive = posterior.predict_all(belief, task.offered).reshape(num, sets, items, -1)
        given = np.take_along_axis(predictive, answers[:, None, :, None], axis=3)[..., 0]
        total = np.where(asked, -np.inf, score[..., None] + known[:, None] - np.log(given))
        # There are no more sets of as many questions.
        width = min(beam, comb(items - 1, turn) if sequence else comb(items, turn + 1))
        parent, item = _distinct(total, asked, width if turn else max(width, sequence))
        if turn == 0 and sequence:
            parent, item = parent[:, sequence - 1 : sequence], item[:, sequence - 1 : sequence]
        score = total[person, parent, item]
        asked, order = asked[person, parent], order[person, parent]
        np.put_along_axis(asked, item[..., None], True, axis=2)
        order[..., turn] = item
        belief = posterior.update(
            posterior.take(belief, (person * sets + parent).ravel()),
            task.offered[item.ravel()],
            np.take_along_axis(answers, item, axis=1).ravel(),
        )
        plans[:, turn + 1], gains[:, turn + 1] = order[:, 0], score[:, 0]
    return plans, gains


def _log_known(task: AskingTask, users: Users) -> Floats:
    """`[N, I]` mean log probability of each answer to somebody who knows the hypothesis."""
    scorer = InterviewScorer(task, len(users.person))
    posterior = exact(task.make_posterior(), "Hindsight")
    scorer.begin(slice(None), users)
    target, known = scorer.target(), np.empty(users.answers.shape)
    for place, stimulus in enumerate(task.offered):
        by_answer = posterior.expected_log_likelihood(target, stimulus)
        known[:, place] = by_answer[np.arange(len(known)), users.answers[:, place]]
    return known


def _distinct(total: Floats, asked: Bools, width: int) -> tuple[Ints, Ints]:
    """`[N, width]` each: which set of the beam grows by which question, best first.

    The same set reached on another way is left out: the best-scored beginning has it.

    Args:
        total: `[N, W, I]` score after each further question, -inf where it was asked.
        asked: `[N, W, I]` the sets.
        width: how many to find; no more than there are.
    """
    num, _, items = total.shape
    person, pairs, total = np.arange(num), [], total.copy()
    for _ in range(width):
        flat = total.reshape(num, -1)
        # Sums of the same numbers in another order differ by rounding; the first of equals is it.
        parent, item = np.divmod(best(flat), items)
        pairs.append((parent, item))
        chosen: Bools = np.array(asked[person, parent])
        chosen[person, item] = True
        within: Bools = np.asarray((chosen[:, None] | ~asked).all(axis=2))
        total[within[..., None] & chosen[:, None]] = -np.inf
    parents, questions = np.stack(pairs, axis=2)
    return parents, questions
