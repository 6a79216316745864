"""The recipe of `train.gru`: its keys, and what is checked of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from acquaint_gym.agents.networks.gru import MEMORIES
from acquaint_gym.train.recipes.base import Recipe
from acquaint_gym.train.recipes.checks import at_least, one_of

OBJECTIVES = ("kl", "answers")


@dataclass(frozen=True)
class GruRecipe(Recipe):
    """A recipe.

    Attributes:
        traces: folders that `train.collect` wrote, or one of the splits in them; of several, all
            their traces are used together.
        out: folder of the result.
        objective: `kl`, to the teacher's distribution over the next answer; or `answers`, the
            people's own answers to this and all later questions of their traces.
        imitate: whose distribution `kl` is to: `teacher`, the exact one, or `agent`, the one of the
            traces.
        max_people: use the first so many people of each trace only.
        memory: `gru` or `sum`, see `agents.networks.recurrent.Network`.
        width: numbers in the memory.
        blocks: residual layers between memory and guess.
        dropout: share of numbers left out at random.
        ordinal: the answers' categories are in order, see `agents.networks.recurrent.polynomials`.
        networks: how many are trained, each from weights of its own; the agent averages them.
        epochs: times that every person's conversation is read.
        batch_size: people an update.
        prefixes: turns of each person an update, drawn at random; by default all of them.
        shuffle: turns in a new order for each person and update, where order tells nothing; of
            `answers` only, as a teacher's distribution belongs to the turns before it.
        as_asked: share of the epochs, the last ones, in which `shuffle` leaves them in the order
            in which they were asked.
        learning_rate: at most; it rises during the first twentieth and then falls as a cosine.
        weight_decay: of AdamW.
        choice_weight: of the cross-entropy to the teacher's choice, which is added; where answers
            are exactly as probable the teacher takes the first, and a little of it teaches that.
        holdout: share of each trace's people who are held out: networks do not learn from them and
            meet them in evaluations.
        eval_users: development people met in an evaluation, unless some people are held out; 0 for
            none.
        eval_split: their split.
        eval_data: file of respondents to meet instead of synthetic people.
        eval_every: epochs between evaluations; after the last epoch there is always one.
        seed: of weights, order and dropout.
    """

    traces: list[str] = field(metadata={"expected": "folders of train.collect"})
    out: str
    objective: str = "kl"
    imitate: str = "teacher"
    max_people: int | None = None
    memory: str = "gru"
    width: int = 128
    blocks: int = 1
    dropout: float = 0.0
    ordinal: bool = False
    networks: int = 1
    epochs: int = 20
    batch_size: int = 128
    prefixes: int | None = None
    shuffle: bool = False
    as_asked: float = 0.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    choice_weight: float = 0.0
    holdout: float = 0.0
    eval_users: int = 500
    eval_split: str = "dev"
    eval_data: str | None = None
    eval_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks words and numbers."""
        one_of("objective", self.objective, OBJECTIVES)
        one_of("imitate", self.imitate, ("teacher", "agent"))
        one_of("memory", self.memory, MEMORIES)
        for name in ("width", "networks", "epochs", "batch_size", "eval_every"):
            at_least(name, getattr(self, name), 1)
        for name in ("blocks", "weight_decay", "choice_weight", "learning_rate", "eval_users"):
            at_least(name, getattr(self, name), 0)
        for name in ("max_people", "prefixes"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        for name in ("dropout", "holdout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected a number in [0, 1).")
        if self.shuffle and self.objective != "answers":
            raise ValueError("shuffle goes with objective=answers; for kl, collect with shuffled.")
        if not 0 <= self.as_asked <= 1 or (self.as_asked and not self.shuffle):
            raise ValueError(f"as_asked={self.as_asked}; expected a share, and shuffle.")
        if not self.traces:
            raise ValueError("traces: expected at least one folder of train.collect.")
