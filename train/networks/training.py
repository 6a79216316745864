"""How `train.gru` trains: what the networks are shown, what it costs them, who examines them."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import nn

from acquaint_gym.agents.networks.gru import NetworkAgent
from acquaint_gym.agents.networks.recurrent import FILE, WEIGHTS, Ensemble, reads
from acquaint_gym.envs.files import atomic, write_json
from acquaint_gym.envs.registration import import_package
from acquaint_gym.envs.users.fast_draws import PersonStreams
from acquaint_gym.envs.users.response_models import Ints
from acquaint_gym.eval.rollout import rollout
from acquaint_gym.eval.runs.evaluation import People, plan
from acquaint_gym.train.lm.batches import generator
from acquaint_gym.train.lm.dev_evaluation import summary
from acquaint_gym.train.networks.dataset import Taught, cost, parted, shuffled, taught
from acquaint_gym.train.networks.recipe import Gru
from acquaint_gym.train.recipes.folders import (
    check_out,
    check_recipe,
    check_replaceable,
    clear,
    keep_recipe,
)
from acquaint_gym.train.sources import Source, check_people, sources

CHECKPOINT = "checkpoint.pt"
WARM_UP, LONGEST_GRADIENT = 0.05, 1.0
CHOSEN_BY = {"kl": "kl_from_teacher", "answers": "nll"}


class DevEvaluator:
    """Lets networks meet people who are not learned from, in the environment of some traces."""

    def __init__(self, source: Source, held: Ints, recipe: Gru) -> None:
        """Builds environment and teacher once.

        Raises:
            ValueError: an environment or people that are not here.
        """
        config = source.run.config
        import_package(config["env_spec"]["task"].partition(":")[0])
        theirs = config["people"]
        split, data = recipe.eval_split, recipe.eval_data
        self._person = np.arange(recipe.eval_users)
        if recipe.holdout:
            self._person = source.run.trace.person[held]
            split, data = theirs["split"], data or (theirs["data"] or {}).get("file")
        people = People(split, theirs["suite_seed"], data)
        if recipe.holdout and people.identity() != theirs:
            raise ValueError(f"eval_data={data}: not the people of the traces; name their file.")
        teacher = config["teacher_spec"]["label"]
        [job] = plan(source.run.env, [teacher], people, config["env_settings"])
        self._env, (_, self._teacher) = job.environment(len(self._person)), job.agents()
        streams = PersonStreams(people.suite_seed, "agents", self._env.task.num_turns)
        self._uniform = streams.uniform(self._person)

    def __call__(self, networks: Ensemble) -> dict[str, float]:
        """Metrics by name."""
        exact = copy.deepcopy(networks).double().eval()
        agent = NetworkAgent(self._teacher.task, exact)
        return summary(rollout(self._env, agent, self._teacher, self._person, self._uniform))


class Training:
    """A run in `recipe.out`; an unfinished one of the same recipe is taken up.

    Args:
        recipe: the settings.
        fresh: replace what lies in `out`.
        errors: where progress is shown.

    Raises:
        ValueError: input that cannot be used, or another run in `out`.
    """

    def __init__(self, recipe: Gru, fresh: bool, errors: Console) -> None:
        """Reads what is there; writes nothing."""
        self._recipe, self._fresh, self._errors = recipe, fresh, errors
        self._out, self._done = Path(recipe.out), None
        self._table = json.loads(json.dumps({"method": "gru", **recipe.plain()}))
        check_out(recipe.out, recipe.traces)
        if fresh:
            check_replaceable(self._out, lambda found: found.get("method") == "gru")
        else:
            check_recipe(self._out, self._table)
        found = sources(recipe.traces, recipe.max_people, recipe.imitate)
        check_people(found)
        if not fresh:
            self._compare_traces(found)
            if (self._out / FILE).is_file():
                self._done = json.loads((self._out / FILE).read_text("utf-8"))
                errors.print(
                    f"{self._out}: finished already; --fresh trains again.", highlight=False
                )
                return
        forms = [(reads(source.task), source.task.num_turns) for source in found]
        for source, form in zip(found, forms, strict=True):
            if form != forms[0]:
                raise ValueError(
                    f"traces: {source.run.env} is asked or answered otherwise than "
                    f"{found[0].run.env}, or in another number of turns; train one on each."
                )
        halves = [parted(source, recipe.holdout) for source in found]
        if recipe.holdout and any(len(part) == 0 for half in halves for part in half):
            raise ValueError(f"holdout={recipe.holdout}: nobody is left on one side.")
        self._taught = taught(found, [kept for kept, _ in halves])
        self._rooms: list[DevEvaluator] = []
        if recipe.holdout or recipe.eval_users:
            self._rooms = [
                DevEvaluator(source, held, recipe)
                for source, (_, held) in zip(found, halves, strict=True)
            ]
        words = ("memory", "width", "blocks", "dropout", "ordinal")
        sizes = {key: getattr(recipe, key) for key in words}
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self._networks = Ensemble(forms[0][0], recipe.networks, **sizes)
        self._made = provenance(recipe, found, self._networks)

    def _compare_traces(self, found: Sequence[Source]) -> None:
        """Refuses to go on from, or to keep, what was made of other traces."""
        try:
            if (self._out / FILE).is_file():
                made = json.loads((self._out / FILE).read_text("utf-8"))
            elif (self._out / CHECKPOINT).is_file():
                made = torch.load(self._out / CHECKPOINT, weights_only=True)
            else:
                return
            was = [env["traces"] for env in made["environments"]]
        except (RuntimeError, EOFError, UnpicklingError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._out}: {FILE} or {CHECKPOINT} is damaged; --fresh trains again."
            ) from error
        now = [source.digest for source in found]
        if was != now:
            raise ValueError(
                f"{self._out} holds a run on other traces: {', '.join(was)} then, "
                f"{', '.join(now)} now. Choose another --out, or --fresh to replace it."
            )

    def carry_out(self) -> dict[str, Any]:
        """Trains, from the last checkpoint where there is one; gives what `gru.json` says."""
        if self._done is not None:
            return self._done
        recipe, networks = self._recipe, self._networks
        if self._fresh:
            clear(self._out, (FILE, WEIGHTS, f"{CHECKPOINT}*"))
        keep_recipe(self._out, self._table)
        optimizer = torch.optim.AdamW(networks.parameters(), weight_decay=recipe.weight_decay)
        at: dict[str, Any] = {"epoch": 0, "seconds": 0.0, "history": [], "best": None, "kept": None}
        if (self._out / CHECKPOINT).is_file():
            at = torch.load(self._out / CHECKPOINT, weights_only=True)
            networks.load_state_dict(at.pop("weights"))
            optimizer.load_state_dict(at.pop("optimizer"))
        with _bar(self._errors) as bar, torch.random.fork_rng():
            row = bar.add_task("training", total=recipe.epochs, completed=at["epoch"])
            while at["epoch"] < recipe.epochs:
                started = time.perf_counter()
                line = {"loss": self._epoch(at["epoch"], optimizer)}
                at["epoch"] += 1
                if at["epoch"] % recipe.eval_every == 0 or at["epoch"] == recipe.epochs:
                    line |= self._examined(at)
                at["seconds"] += time.perf_counter() - started
                at["history"].append({"epoch": at["epoch"], **line})
                state = {"weights": networks.state_dict(), "optimizer": optimizer.state_dict()}
                told = {"environments": self._made["environments"]}
                _save(at | state | told, self._out / CHECKPOINT)
                words = ", ".join(f"{key} {value:.4f}" for key, value in line.items())
                bar.update(row, advance=1, description=words)
        return self._finish(at)

    def _epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> float:
        """Meets everybody once; the mean loss. Depends on weights, seed and epoch only."""
        recipe, people = self._recipe, self._taught
        rng = generator(recipe.seed, epoch)
        torch.manual_seed(int(rng.integers(2**62)))
        order = rng.permutation(len(people.length))
        updates = math.ceil(len(order) / recipe.batch_size)
        losses = []
        self._networks.train()
        for update, some in enumerate(np.array_split(order, updates)):
            batch = Taught._make(column[torch.as_tensor(some)] for column in people)
            if recipe.shuffle and epoch < recipe.epochs - round(recipe.as_asked * recipe.epochs):
                batch = shuffled(batch, rng)
            at = torch.arange(batch.answers.shape[1]).expand(len(some), -1)
            if recipe.prefixes is not None:
                drawn = torch.as_tensor(rng.random((len(some), recipe.prefixes)))
                at = (drawn * batch.length[:, None]).long()
            done = (epoch * updates + update + 1) / (recipe.epochs * updates)
            pace = 0.5 * (1 + math.cos(math.pi * done)) * min(1.0, done / WARM_UP)
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * pace
            optimizer.zero_grad()
            members = [cost(member, batch, at, recipe) for member in self._networks.each]
            torch.stack(members).sum().backward()  # type: ignore[no-untyped-call]
            for member in self._networks.each:  # each as if it were alone
                nn.utils.clip_grad_norm_(member.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            losses.append(sum(loss.item() for loss in members) / len(members))
        return float(np.mean(losses))

    def _examined(self, at: dict[str, Any]) -> dict[str, float]:
        """Metrics, averaged over environments; the best weights so far are kept in `at`."""
        if not self._rooms:
            return {}
        every = [room(self._networks) for room in self._rooms]
        found = {f"eval_{k}": float(np.mean([one[k] for one in every])) for k in every[0]}
        score = found[f"eval_{CHOSEN_BY[self._recipe.objective]}"]
        if at["best"] is None or score < at["best"]:
            weights = self._networks.state_dict()
            at |= {"best": score, "kept": {key: value.clone() for key, value in weights.items()}}
            at["chosen"] = at["epoch"]
        return found

    def _finish(self, at: dict[str, Any]) -> dict[str, Any]:
        """Writes the result: the best examined weights, or the last where nobody was met."""
        weights = at["kept"] or self._networks.state_dict()
        save_file(weights, self._out / WEIGHTS)
        told = {"epochs": at.get("chosen", at["epoch"]), "seconds": round(at["seconds"], 1)}
        made = self._made | told | {"history": at["history"]}
        write_json(self._out / FILE, made)
        (self._out / CHECKPOINT).unlink()
        self._errors.print(f"{self._out}: done.", highlight=False)
        return made


def provenance(recipe: Gru, found: Sequence[Source], networks: Ensemble) -> dict[str, Any]:
    """What `gru.json` says; folders are left out, they mean nothing elsewhere."""
    left_out = ("traces", "out", "eval_data")
    return {
        "format": 1,
        "method": "gru",
        "reads": networks.form,
        "sizes": networks.sizes,
        "parameters": sum(weights.numel() for weights in networks.parameters()),
        "environments": [source.described() for source in found],
        "recipe": {key: value for key, value in recipe.plain().items() if key not in left_out},
        "versions": {name: metadata.version(name) for name in ("acquaint-gym", "numpy", "torch")},
    }


def _save(state: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint; a reader never sees a half-written one."""
    with atomic(path) as partial:
        torch.save(state, partial)


def _bar(console: Console) -> Progress:
    """A bar of epochs on the error stream, with the last loss and metrics."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)
