"""How `train.gru` trains: plan a run, then run it, epoch by epoch from checkpoint to checkpoint."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn

from acquaint_gym.agents.networks.gru import NetworkAgent
from acquaint_gym.agents.networks.recurrent import FILE, WEIGHTS, Ensemble, reads
from acquaint_gym.envs.console import ProgressBars
from acquaint_gym.envs.files import atomic, write_json
from acquaint_gym.envs.users.response_models import Ints
from acquaint_gym.eval.runs.evaluation import People
from acquaint_gym.train.dev_evaluation import DevEvaluator, dev_evaluator
from acquaint_gym.train.lm.batches import generator
from acquaint_gym.train.networks.dataset import Batch, batch_of, holdout_split, loss, shuffle
from acquaint_gym.train.networks.recipe import GruRecipe
from acquaint_gym.train.recipes.folders import Finished, RunFolder
from acquaint_gym.train.recipes.provenance import provenance
from acquaint_gym.train.sources import TraceSource, check_people, load_sources

CHECKPOINT = "checkpoint.pt"
WARM_UP, LONGEST_GRADIENT = 0.05, 1.0
CHOSEN_BY = {"kl": "kl_from_teacher", "answers": "nll"}
PACKAGES = ("acquaint-gym", "numpy", "torch")


def plan(recipe: GruRecipe, fresh: bool, console: Console) -> Training | Finished:
    """Checks a recipe and all it names; an unfinished run of the same recipe is taken up.

    Args:
        recipe: the settings.
        fresh: replace what lies in `out`.
        console: where progress is shown.

    Raises:
        ValueError: input that cannot be used, or another run in `out`; nothing was written.
    """
    folder = RunFolder(
        recipe.out,
        {"method": "gru", **recipe.plain()},
        fresh,
        console,
        inputs=recipe.traces,
        leaves=(FILE, WEIGHTS, f"{CHECKPOINT}*"),
        ours=lambda before: before.get("method") == "gru",
    )
    sources = load_sources(recipe.traces, recipe.max_people, recipe.imitate)
    check_people(sources)
    if not fresh:
        compare_traces(folder, sources)
        if (folder.path / FILE).is_file():
            return Finished(folder, json.loads((folder.path / FILE).read_text("utf-8")))
    return Training(recipe, folder, sources)


def compare_traces(folder: RunFolder, sources: Sequence[TraceSource]) -> None:
    """Refuses to go on from, or to keep, what was made of other traces."""
    try:
        if (folder.path / FILE).is_file():
            made = json.loads((folder.path / FILE).read_text("utf-8"))
        elif (folder.path / CHECKPOINT).is_file():
            made = torch.load(folder.path / CHECKPOINT, weights_only=True)
        else:
            return
        before = [env["traces"] for env in made["environments"]]
    except (RuntimeError, EOFError, UnpicklingError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder.path}: {FILE} or {CHECKPOINT} is damaged; --fresh trains again."
        ) from error
    now = [(f"traces of {source.run.env}", source.digest) for source in sources]
    folder.compare_inputs(before, now, "other traces")


@dataclass
class Progression:
    """How far a training is, as its checkpoint keeps it.

    Attributes:
        epoch: epochs behind it.
        seconds: that they took.
        history: a line an epoch: its number, the loss, and metrics where people were met.
        best: value of the metric that chooses, where it was lowest; None before the first.
        kept: the weights of then.
        chosen: the epoch of then.
    """

    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    kept: dict[str, Tensor] | None = None
    chosen: int | None = None


class Training:
    """Networks, what they learn from, and people whom they meet; ready to run.

    Args:
        recipe: the settings.
        folder: of the run.
        sources: the traces.

    Raises:
        ValueError: traces that do not go together, nobody to learn from or to meet, or sizes that
            do not fit the task.
    """

    def __init__(
        self, recipe: GruRecipe, folder: RunFolder, sources: Sequence[TraceSource]
    ) -> None:
        self._recipe, self._folder = recipe, folder
        form = common_form(sources)
        splits = [holdout_split(source, recipe.holdout) for source in sources]
        if recipe.holdout and any(len(rows) == 0 for split in splits for rows in split):
            raise ValueError(f"holdout={recipe.holdout}: nobody is left on one side.")
        self._people = batch_of(sources, [kept for kept, _ in splits])
        self._evaluators: list[DevEvaluator] = []
        if recipe.holdout or recipe.eval_users:
            self._evaluators = [
                evaluator_of(recipe, source, held)
                for source, (_, held) in zip(sources, splits, strict=True)
            ]
        words = ("memory", "width", "blocks", "dropout", "ordinal")
        sizes = {key: getattr(recipe, key) for key in words}
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self._networks = Ensemble(form, recipe.networks, **sizes)
        self._card = provenance(
            "gru",
            recipe.plain(),
            [source.describe() for source in sources],
            PACKAGES,
            reads=self._networks.form,
            sizes=self._networks.sizes,
            parameters=sum(weights.numel() for weights in self._networks.parameters()),
        )

    def run(self) -> dict[str, Any]:
        """Trains, from the last checkpoint where there is one; gives what `gru.json` says."""
        recipe, networks = self._recipe, self._networks
        self._folder.start()
        optimizer = torch.optim.AdamW(networks.parameters(), weight_decay=recipe.weight_decay)
        at = self._resume(optimizer)
        with ProgressBars(self._folder.console, "epochs") as bar, torch.random.fork_rng():
            row = bar.add_task("training", total=recipe.epochs, completed=at.epoch)
            while at.epoch < recipe.epochs:
                started = time.perf_counter()
                line = {"loss": self.train_epoch(at.epoch, optimizer)}
                at.epoch += 1
                if at.epoch % recipe.eval_every == 0 or at.epoch == recipe.epochs:
                    line |= self._evaluate(at)
                at.seconds += time.perf_counter() - started
                at.history.append({"epoch": at.epoch, **line})
                self._save(at, optimizer)
                words = ", ".join(f"{key} {value:.4f}" for key, value in line.items())
                bar.update(row, advance=1, description=words)
        return self.finish(at)

    def _resume(self, optimizer: torch.optim.Optimizer) -> Progression:
        """Takes up the checkpoint, if there is one."""
        file = self._folder.path / CHECKPOINT
        if not file.is_file():
            return Progression()
        state = torch.load(file, weights_only=True)
        self._networks.load_state_dict(state.pop("weights"))
        optimizer.load_state_dict(state.pop("optimizer"))
        state.pop("environments")
        return Progression(**state)

    def _save(self, at: Progression, optimizer: torch.optim.Optimizer) -> None:
        """Writes the checkpoint; a reader never sees a half-written one."""
        state = {
            **vars(at),
            "weights": self._networks.state_dict(),
            "optimizer": optimizer.state_dict(),
            "environments": self._card["environments"],
        }
        with atomic(self._folder.path / CHECKPOINT) as partial:
            torch.save(state, partial)

    def train_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> float:
        """Meets everybody once; the mean loss. Depends on weights, seed and epoch only."""
        recipe, people = self._recipe, self._people
        rng = generator(recipe.seed, epoch)
        torch.manual_seed(int(rng.integers(2**62)))
        order = rng.permutation(len(people.length))
        updates = math.ceil(len(order) / recipe.batch_size)
        losses = []
        self._networks.train()
        for update, rows in enumerate(np.array_split(order, updates)):
            batch = Batch._make(column[torch.as_tensor(rows)] for column in people)
            if recipe.shuffle and epoch < recipe.epochs - round(recipe.as_asked * recipe.epochs):
                batch = shuffle(batch, rng)
            turns = torch.arange(batch.answers.shape[1]).expand(len(rows), -1)
            if recipe.prefixes is not None:
                drawn = torch.as_tensor(rng.random((len(rows), recipe.prefixes)))
                turns = (drawn * batch.length[:, None]).long()
            done = (epoch * updates + update + 1) / (recipe.epochs * updates)
            pace = 0.5 * (1 + math.cos(math.pi * done)) * min(1.0, done / WARM_UP)
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * pace
            optimizer.zero_grad()
            members = [loss(member, batch, turns, recipe) for member in self._networks.each]
            torch.stack(members).sum().backward()  # type: ignore[no-untyped-call]
            for member in self._networks.each:  # each as if it were alone
                nn.utils.clip_grad_norm_(member.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            losses.append(sum(one.item() for one in members) / len(members))
        return float(np.mean(losses))

    def _evaluate(self, at: Progression) -> dict[str, float]:
        """Metrics, averaged over environments; the best weights so far are kept in `at`."""
        if not self._evaluators:
            return {}
        exact = copy.deepcopy(self._networks).double().eval()
        every = [one.metrics(NetworkAgent(one.teacher.task, exact)) for one in self._evaluators]
        metrics = {f"eval_{k}": float(np.mean([one[k] for one in every])) for k in every[0]}
        score = metrics[f"eval_{CHOSEN_BY[self._recipe.objective]}"]
        if at.best is None or score < at.best:
            weights = self._networks.state_dict()
            at.best, at.chosen = score, at.epoch
            at.kept = {key: value.clone() for key, value in weights.items()}
        return metrics

    def finish(self, at: Progression) -> dict[str, Any]:
        """Writes the result: the weights that did best, or the last where nobody was met."""
        out = self._folder.path
        save_file(at.kept or self._networks.state_dict(), out / WEIGHTS)
        epochs = at.epoch if at.chosen is None else at.chosen
        card = self._card | {
            "epochs": epochs,
            "seconds": round(at.seconds, 1),
            "history": at.history,
        }
        write_json(out / FILE, card)
        (out / CHECKPOINT).unlink()
        self._folder.say("done.")
        return card


def common_form(sources: Sequence[TraceSource]) -> dict[str, Any]:
    """What a network of all these traces reads.

    Raises:
        ValueError: traces of tasks that are asked or answered otherwise.
    """
    forms = [(reads(source.task), source.task.num_turns) for source in sources]
    for source, form in zip(sources, forms, strict=True):
        if form != forms[0]:
            raise ValueError(
                f"traces: {source.run.env} is asked or answered otherwise than "
                f"{sources[0].run.env}, or in another number of turns; train one on each."
            )
    return forms[0][0]


def evaluator_of(recipe: GruRecipe, source: TraceSource, held: Ints) -> DevEvaluator:
    """Lets networks meet people in the environment of these traces: development people or held out.

    Args:
        recipe: the settings.
        source: the traces.
        held: rows of the people who are held out.

    Raises:
        ValueError: an environment or people that are not here.
    """
    theirs = source.run.config["people"]
    if not recipe.holdout:
        people = People(recipe.eval_split, theirs["suite_seed"], recipe.eval_data)
        return dev_evaluator(source, people, np.arange(recipe.eval_users))
    data = recipe.eval_data or (theirs["data"] or {}).get("file")
    given = (theirs["data"] or {}).get("people")
    people = People(theirs["split"], theirs["suite_seed"], data, given)
    if people.identity() != theirs:
        raise ValueError(f"eval_data={data}: not the people of the traces; name their file.")
    return dev_evaluator(source, people, source.run.trace.person[held])
