"""Find out which of a thousand recorded people is behind the screen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.interviews.task import AskingTask
from acquaint_gym.envs.simulator import Simulator
from acquaint_gym.envs.tasks.interview import Interview
from acquaint_gym.envs.users.coding import Coding
from acquaint_gym.envs.users.item_bank import ItemBank
from acquaint_gym.envs.users.population import Population
from acquaint_gym.envs.users.raters import WIDTH, Raters, load_raters, response_table
from acquaint_gym.envs.users.response_models import Ints, TableModel

SIMULATED = "simulated"


class Identify(AskingTask):
    """Which of the recorded people is it? Each turn, ask the item that tells them apart.

    ## Description
    The hypotheses are people: a bank of raters, each with an answer to every item. The agent asks,
    and the posterior over which rater this is sharpens. There are no traits and nothing was fitted
    but the width of one kernel, so that what identifies somebody is their recorded answers alone.

    ## Hidden person
    One of the raters, all equally probable, who answers anew: k in place of the recorded y with a
    probability proportional to exp(-|k - y| / width). With `respondents=PATH` a real person. If
    PATH is the raters' file, people of its training split who are in the bank are known by their
    published row and repeat what is recorded; all others, the development split above all, are
    outsiders, whom the bank can only resemble: their unasked answers are predicted from the raters,
    weighted by the posterior.

    ## Action Space
    `Discrete(I)`, the index of the item to ask, or `Discrete(I + 1)` with `allow_stop`, whose last
    action stops; see `acquaint/Interview-v0`.

    ## Observation Space
    A `Dict` of float32 boxes, -1 where nothing stands yet.

    | key | shape | meaning |
    |---|---|---|
    | `turn` | `[1]` | answers seen so far, 0..T |
    | `stimuli` | `[T]` | index of each item asked |
    | `actions` | `[T]` | the same, as actions |
    | `answers` | `[T]` | the person's answers, 0 the lowest code |
    | `action_mask` | `[A]` | 1 for what may be chosen now, 0 for what was asked |

    With `observation="turn"` only the mask and the last `action` and `answer`; the `stimulus` is
    still -1.

    ## Rewards
    The gain of each answer, less `cost`: `profile`, in log posterior probability of the true rater,
    nats (of outsiders, its mean under the posterior that all their answers would give); `unasked`,
    in the mean log predictive probability of the answers not asked for.

    ## Starting State
    `reset(seed=s)` meets person s, the next `reset()` person s + 2**20, `options={"person": k}`
    person k. Raters are the same in all splits, only how they answer anew differs. Real respondents
    are numbered by row of the split; one lane meets all in turn.

    ## Episode End
    `terminated` after `num_turns` questions, or when the agent stops.

    ## Information
    `person`, the number of the person met.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `questionnaire` | `ipip50` | the item bank, as of the Questionnaire |
    | `raters` | `simulated` | a file of respondents, or the first people of the Interview |
    | `num_raters` | 1000 | how many; 0 for all in the file's training split |
    | `width` | 1.0 | of the kernel, in categories; `train.fit_raters` finds it |
    | `population` | `profiles` | of simulated raters, as of the Interview |
    | `parameters` | `human` | of simulated raters, as of the Interview |
    | `num_turns` | 10 | questions at most, up to the whole bank |
    | `reward` | `profile` | `profile` or `unasked` |
    | `allow_stop` | False | whether the last action ends the interview |
    | `cost` | 0 | what a question costs, in units of the reward |
    | `codes` | `auto` | of data files: `0..4`, or `A,B,C,D,E`; see `envs.users.coding` |
    | `missing` | none | further codes or words of data files for no answer: `99,-9` |

    ## References
    Parzen (1962), Annals of Mathematical Statistics 33, 1065-1076, and Aitchison & Aitken (1976),
    Biometrika 63, 413-420, for kernels around recorded cases; Nosofsky (1986), Journal of
    Experimental Psychology: General 115, 39-57, for exemplars as a model of people.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        questionnaire: str = "ipip50",
        raters: str = SIMULATED,
        num_raters: int = 1000,
        width: float = WIDTH,
        population: str = "profiles",
        parameters: str = "human",
        num_turns: int = 10,
        reward: str = "profile",
        allow_stop: bool = False,
        cost: float = 0.0,
        codes: str = "auto",
        missing: str | float = "",
    ) -> None:
        bank = ItemBank.load(questionnaire)
        super().__init__(bank, num_turns, reward, allow_stop, cost)
        self.codes, self.missing = codes, missing
        if reward == "traits":
            raise ValueError("reward=traits: raters have no traits; take profile or unasked.")
        if raters != SIMULATED:
            coding = Coding.parse(bank, codes, missing)
            known = load_raters(bank, raters, num_raters, coding)
        elif num_raters < 2:
            raise ValueError(f"num_raters={num_raters}; expected at least 2 simulated raters.")
        else:
            source = Simulator(Interview(questionnaire, parameters, population), "train", 0)
            invented = source.draw(np.arange(num_raters))
            known = Raters(invented.answers, np.full(num_raters, -1))  # in nobody's file
        self._raters = known
        self.population = Population.classes(np.full(len(known.row), 1.0 / len(known.row)))
        table = response_table(known.answers, bank.num_categories, width)
        self.model = TableModel(table, np.zeros(bank.num_items, dtype=np.int64))

    def known_levels(self, row: Ints, answers: Ints) -> npt.NDArray[np.int32]:
        """See `UserTask.known_levels`: the number of the rater of this row and these answers."""
        known = self._raters
        place = np.minimum(np.searchsorted(known.row, row), len(known.row) - 1)
        same = (known.row[place] == row) & (known.answers[place] == answers).all(axis=1)
        return np.where(same, place, -1)[:, None].astype(np.int32)
