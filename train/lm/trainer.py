"""`transformers.Trainer` with a teacher's distribution as the target at chosen positions."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import Trainer

from acquaint_gym.train.lm.batches import choices
from acquaint_gym.train.lm.dev_evaluation import RolloutEvaluation
from acquaint_gym.train.lm.objectives import (
    OBJECTIVES,
    Choices,
    StudentChoices,
    cross_entropy,
    kl,
    student_choices,
)


class DistillTrainer(RolloutEvaluation, Trainer):
    """Compares student and teacher at the answer positions of whole conversations.

    One forward pass a batch; logits are computed at the answer positions only. With student q,
    teacher's mass m of a node (1 at first tokens, see `train.lm.token_choices`) and the objective's
    loss there, see `train.lm.objectives`, a batch costs

        sum over positions of weight * (objective + mass_weight * m * -log q(any legal token))
                                          / number of replies,

    and the cross-entropy to the teacher's choice is added `choice_weight` times. With
    `objective="kl"` and `mass_weight=1` that is the cross-entropy, over the whole vocabulary, to
    the teacher's distribution, minus that distribution's entropy.

    A worked example, the one of `train.lm.token_choices`: the reply 12 stands there, the student
    gives 7 and 1 first 0.54 and 0.36, so 0.9 to legal tokens, of which 0.6 and 0.4; after the 1 it
    gives 2 and 5 0.5 each and nothing to other tokens. The root costs 0.0204 - ln 0.9 = 0.1258, the
    node after the 1 costs 0.0101 + 0.5 * 0 = 0.0101, and the reply 0.1359 nats.

    The number of replies is that of all processes and of all batches between two updates, so the
    gradient does not depend on how an update's conversations are cut into batches.

    Args:
        objective: key of `OBJECTIVES`.
        mass_weight: see above.
        choice_weight: see above; a little of it teaches how the teacher breaks exact ties.
        **arguments: as `RolloutEvaluation` and `transformers.Trainer`; the data is `Examples`.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        objective: str,
        mass_weight: float,
        choice_weight: float,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = True  # as above, for earlier versions of transformers
        self._objective, self._mass_weight = OBJECTIVES[objective], mass_weight
        self._choice_weight = choice_weight
        self._sums = torch.zeros(6)
        self._since = time.perf_counter()

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches until the next update, and how many replies all processes have in theirs."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        count = torch.zeros((), dtype=torch.long, device=device)
        for batch in batches:
            count += (batch["begins"] & ~batch["asks_belief"]).sum().to(device)
        return batches, self.accelerator.reduce(count, "sum")

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch, scaled as `training_step` wants it."""
        wanted = choices(inputs)
        logits = model(
            input_ids=inputs["input_ids"], logits_to_keep=inputs["answer_mask"], use_cache=False
        ).logits
        if logits.shape[:-1] != wanted.weight.shape:
            raise ValueError(
                f"{type(model).__name__} gave logits {list(logits.shape)} instead of "
                f"[{len(wanted.weight)}, vocabulary]: it does not take a mask as logits_to_keep."
            )
        student = student_choices(logits, wanted)
        legal_nll = student.legal_nll * wanted.target.sum(1)
        cells = self._objective(student, wanted) + self._mass_weight * legal_nll
        if self._choice_weight:
            cells = cells + self._choice_weight * cross_entropy(student, wanted.action)
        replies = num_items_in_batch
        if replies is None:
            replies = (wanted.begins & ~wanted.asks_belief).sum()
        loss = (wanted.weight * cells).sum() / replies
        if model.training:
            self._count(student, wanted, inputs["tokens"])
            # Gradients are averaged over processes, and the sum is wanted.
            loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    @torch.no_grad()
    def _count(self, student: StudentChoices, wanted: Choices, tokens: torch.Tensor) -> None:
        """Adds to what the next line of the log shows."""
        cells, question, reply = kl(student, wanted), wanted.asks_belief, ~wanted.asks_belief
        sums = (
            (cells * reply).sum(),
            (student.legal_nll * wanted.target.sum(1) * reply).sum(),
            (reply & wanted.begins).sum(),
            (cells * question).sum(),
            (question & wanted.begins).sum(),
            tokens.sum(),
        )
        self._sums = self._sums.to(cells.device) + torch.stack([part.float() for part in sums])

    def evaluate(self, *arguments: Any, **settings: Any) -> dict[str, float]:
        """See `RolloutEvaluation.evaluate`; takes the time out of the measured speed."""
        started = time.perf_counter()
        metrics = super().evaluate(*arguments, **settings)
        self._since += time.perf_counter() - started
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds to a line about the loss what it consists of, and the speed."""
        if "loss" in logs:
            sums = self.accelerator.reduce(self._sums.to(self.args.device), "sum").tolist()
            replies, questions = max(sums[2], 1), max(sums[4], 1)
            logs |= {"kl": sums[0] / replies, "elsewhere": sums[1] / replies}
            if sums[4]:
                logs["belief_kl"] = sums[3] / questions
            now = time.perf_counter()
            logs["tokens_per_second"] = sums[5] / (now - self._since)
            self._sums, self._since = torch.zeros(6), now
        super().log(logs, start_time)
