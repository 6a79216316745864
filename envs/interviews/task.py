"""Tasks in which the agent asks: an action is the stimulus, the answer is revealed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.core import UserTask
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.transcript import Transcript
from acquaint_gym.envs.users.item_bank import GradedParameters, ItemBank
from acquaint_gym.envs.users.response_models import Floats, Ints

GOALS = ("profile", "unasked", "traits")
STOP = "Stop asking"


class AskingTask(UserTask):
    """A bank of items of which the agent asks the most telling ones, each at most once.

    Rewards are differences of a score of the exact posterior, so that they add up to the score
    after the last question less the score before the first, whatever was asked on the way:

    - `profile`: log posterior probability in nats of the person's true hypothesis; of people whose
      hypothesis nobody knows, its mean under the posterior that all their answers would give;
    - `unasked`: mean log predictive probability in nats of the answers to what was not asked;
    - `traits`: minus the squared error of the posterior mean of theta, averaged over traits.

    Args:
        bank: what can be asked.
        num_turns: the budget, questions at most.
        reward: what is rewarded, see above.
        allow_stop: whether the last action ends the interview.
        cost: what a question costs, in units of the reward.

    Attributes:
        goal: what is rewarded.
        allow_stop: whether one may stop.
        cost: of a question.
        offered: `[N, S]` what can be asked, by action.
        graded: the items' parameters, where they follow the graded response model.

    Raises:
        ValueError: unknown reward, a budget beyond the bank, or a negative cost.
    """

    bank: ItemBank
    graded: GradedParameters | None = None
    agent_asks = True
    episodes = "acquaint_gym.envs.interviews.episodes:Interviews"
    teacher = "infomax"
    wordings = 3

    def __init__(
        self, bank: ItemBank, num_turns: int, reward: str, allow_stop: bool, cost: float
    ) -> None:
        super().__init__()
        if reward not in GOALS:
            raise ValueError(f"Unknown reward {closest(reward, GOALS)}")
        if not 1 <= num_turns <= bank.num_items:
            raise ValueError(
                f"num_turns={num_turns}; {bank.name} has 1..{bank.num_items} items to ask."
            )
        if not 0 <= cost < np.inf:
            raise ValueError(f"cost={cost}; expected at least 0.")
        self.goal, self.allow_stop, self.cost = reward, allow_stop, float(cost)
        self.bank, self.num_turns = bank, num_turns
        self.actions = (*bank.text, STOP) if allow_stop else bank.text
        self.offered = np.arange(bank.num_items, dtype=np.float32)[:, None]
        self.stimulus_low, self.stimulus_high = np.zeros(1), np.array([bank.num_items - 1.0])

    @property
    def categories(self) -> tuple[str, ...]:
        """See `UserTask.categories`: the response categories of the bank."""
        return self.bank.labels

    @property
    def num_stimuli(self) -> int:
        """See `UserTask.num_stimuli`: everything that can be asked."""
        return len(self.offered)

    def draw_stimuli(self, uniform: Floats) -> Floats:
        """See `UserTask.draw_stimuli`: everybody can be asked the same."""
        return np.broadcast_to(self.offered, (len(uniform), *self.offered.shape))

    def legal(self, observation: Transcript) -> npt.NDArray[np.bool_]:
        """`[B, A]` what was not asked yet, and to stop where that is allowed."""
        taken = observation["actions"].astype(np.int64)
        free = np.ones((len(taken), len(self.actions) + 1), dtype=bool)
        np.put_along_axis(free, np.where(taken < 0, len(self.actions), taken), False, axis=1)
        return free[:, :-1]

    def instructions(self) -> str:
        """See `UserTask.instructions`."""
        scale = ", ".join(self.categories)
        return self.phrase(
            "You want to get to know a person with few questions. In each turn choose a statement; "
            f"the person says how accurately it describes them ({scale}).",
            f"Interview somebody you do not know. Every statement you pick is rated ({scale}) as a "
            "description of themselves. Pick what tells you most.",
            "Find out what a person is like. Each time, name the statement that they should rate; "
            f"ratings are {scale}.",
        )

    def question(self, stimulus: Floats) -> str:
        """See `UserTask.question`: the same whatever was chosen before."""
        return self.phrase(
            "Which statement should the person rate next?",
            "What do you ask now?",
            "Which one comes next?",
        )

    def feedback_text(self, feedback: int) -> str:
        """See `UserTask.feedback_text`."""
        given = self.categories[feedback]
        return self.phrase(
            f"The person answered: {given}.", f"They said: {given}.", f"The answer was: {given}."
        )

    def context_line(self, stimulus: Floats, answer: int) -> str:
        """See `UserTask.context_line`."""
        return f'"{self.bank.text[int(stimulus[0])]}" {self.categories[answer]}'

    def first_free_action(self, action: Ints, free: npt.NDArray[np.bool_]) -> Ints:
        """`[B]` actions `[B]`, where not `free` `[B, A]` the next one that is, in order."""
        if free[np.arange(len(action)), action].all():
            return action
        places = np.arange(free.shape[1])
        # How far on from the action, all round; to stop never stands in for a question.
        far = (places - action[:, None]) % free.shape[1]
        stops = self.allow_stop & (places == len(self.actions) - 1) & (far > 0)
        chosen: Ints = np.where(free & ~stops, far, free.shape[1]).argmin(axis=1)
        return chosen
