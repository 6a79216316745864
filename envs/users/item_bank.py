"""What can be asked: items, their keys, and parameters of the graded response model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acquaint_gym.envs.data import FOLDER, available, numbers, read_table
from acquaint_gym.envs.names import closest
from acquaint_gym.envs.users.response_models import Floats, Ints, graded_response, reverse_key


@dataclass(frozen=True)
class ItemBank:
    """Items of a questionnaire; nothing about a run is ever stored in it.

    Attributes:
        name: the questionnaire, e.g. `ipip50`.
        item_ids: `I` names, as in the columns of data files.
        aliases: `I` names that another publisher's files use for the same columns.
        text: `I` statements as the respondent reads them.
        traits: `F` names of the traits, in order of first appearance.
        trait: `[I]` which of the `F` traits an item measures.
        keying: `[I]` +1 keyed towards the trait, -1 reverse-keyed.
        codes: `K` codes of the response categories in data files, ascending, e.g. 1..5.
        labels: `K` words of the response categories, from the first code to the last.
        folder: where its items lie, and beside them sets of parameters.
    """

    name: str
    item_ids: tuple[str, ...]
    aliases: tuple[str, ...]
    text: tuple[str, ...]
    traits: tuple[str, ...]
    trait: Ints
    keying: Ints
    codes: tuple[int, ...]
    labels: tuple[str, ...]
    folder: Path = FOLDER

    @property
    def num_items(self) -> int:
        """I, the number of items."""
        return len(self.item_ids)

    @property
    def num_categories(self) -> int:
        """K, the number of response categories."""
        return len(self.labels)

    def apply_keying(self, responses: Ints) -> Ints:
        """Raw zero-based responses `[..., I]` -> keyed ones, and back (it is its own inverse)."""
        return reverse_key(responses, self.keying, self.num_categories)

    def response_table(self, grid: Floats, parameters: GradedParameters) -> Floats:
        """p(raw response | theta) of every item under the graded response model.

        Args:
            grid: `[L]` theta of each trait level, in population standard deviations.
            parameters: the items' discriminations and thresholds.

        Returns:
            `[I, L, K]` probabilities of the raw (not keyed) categories; rows sum to one.
        """
        keyed = graded_response(grid, parameters.discrimination, parameters.thresholds)
        order = reverse_key(
            np.arange(self.num_categories), self.keying[:, None], self.num_categories
        )
        return np.take_along_axis(keyed, order[:, None, :], axis=-1)

    def file(self, name: str) -> Path:
        """Where a set of numbers for these items lies: a CSV's path, or a name such as `human`.

        `X` of the questionnaire `ipip50` is `ipip50_X.csv` beside its items.
        """
        return Path(name) if name.endswith(".csv") else self.folder / f"{self.name}_{name}.csv"

    @classmethod
    def load(cls, name: str) -> ItemBank:
        """Reads `<name>_items.csv` and, beside it, `<name>_responses.csv`.

        Args:
            name: a questionnaire that is shipped, e.g. `ipip50`, or the path of one's own items: a
                CSV with the columns `item_id`, `text`, `trait` and `keying` (1 or -1), and `alias`
                where data files have other names for the same columns.

        Raises:
            ValueError: no such questionnaire, for which the message lists those that exist, or
                items or responses that are none; the message names file and column.
        """
        path = Path(name) if name.endswith(".csv") else FOLDER / f"{name}_items.csv"
        if not path.is_file():
            known = sorted(p.stem.removesuffix("_items") for p in FOLDER.glob("*_items.csv"))
            raise ValueError(
                f"Unknown questionnaire {closest(name, known)} Or give the path of a CSV of items."
            )
        short = path.stem.removesuffix("_items")
        beside = path.with_name(f"{short}_responses.csv")
        items = _columns(path, "item_id", "text", "trait", "keying")
        responses = _columns(beside, "code", "label")
        keying, codes = numbers(path, items["keying"]), numbers(beside, responses["code"])
        if len(set(items["item_id"])) < len(keying) or not np.isin(keying, (-1, 1)).all():
            raise ValueError(f"{path}: expected one row an item, with a keying of 1 or -1.")
        if len(codes) < 2 or (np.diff(codes) <= 0).any() or (codes % 1).any():
            raise ValueError(f"{beside}: expected two or more whole codes, from low to high.")
        traits = tuple(dict.fromkeys(items["trait"]))
        return cls(
            name=short,
            item_ids=tuple(items["item_id"]),
            aliases=tuple(items.get("alias", items["item_id"])),
            text=tuple(items["text"]),
            traits=traits,
            trait=np.array([traits.index(trait) for trait in items["trait"]]),
            keying=keying.astype(np.int64),
            codes=tuple(int(code) for code in codes),
            labels=tuple(responses["label"]),
            folder=path.parent,
        )


def _columns(path: Path, *names: str) -> dict[str, list[str]]:
    """The table of a file, if it has these columns and a row.

    Raises:
        ValueError: it has not.
    """
    table = read_table(path)
    if missing := [name for name in names if not table.get(name)]:
        raise ValueError(f"{path}: no column {missing[0]}, or no row; expected {', '.join(names)}.")
    return table


@dataclass(frozen=True)
class GradedParameters:
    """A parameter set of the graded response model for the items of one bank.

    Attributes:
        discrimination: `[I]` a > 0; below zero for an item whose answers run against its key.
        thresholds: `[I, K-1]` b, strictly increasing along the last axis; decreasing where a < 0.
        correlation: `[F, F]` latent correlations of the traits, or None for a uniform prior.
    """

    discrimination: Floats
    thresholds: Floats
    correlation: Floats | None

    @classmethod
    def load(cls, bank: ItemBank, name: str) -> GradedParameters:
        """Reads `<bank>_<name>.csv` and, where there is one, `<bank>_<name>_traits.csv`.

        Args:
            bank: the items, in whose order the parameters are returned.
            name: a shipped set (`study`, `human`) or the path of a CSV by `train.fit_items`.

        Raises:
            ValueError: unknown set, items that do not match the bank, or thresholds out of order.
        """
        path = bank.file(name)
        if not path.is_file():
            known = available(bank.folder, bank.name)
            raise ValueError(
                f"{bank.name} has no parameters {closest(name, known)} Or give the "
                "path of a CSV by train.fit_items; population=classes, where a bank has them, goes "
                "without."
            )
        table = read_table(path)
        wanted = ("item_id", "a", *(f"b{k}" for k in range(1, bank.num_categories)))
        missing = [column for column in wanted if column not in table]
        if missing or sorted(table["item_id"]) != sorted(bank.item_ids):
            detail = f"no column {missing[0]}" if missing else "its items are not those of the bank"
            raise ValueError(f"{path}: {detail}; expected {', '.join(wanted)} for {bank.name}.")
        row = [table["item_id"].index(item) for item in bank.item_ids]
        number = {column: numbers(path, table[column])[row] for column in wanted[1:]}
        thresholds = np.stack([number[column] for column in wanted[2:]], axis=1)
        # P(Y >= k) = 1 / (1 + exp(-a (theta - b_k))) has to fall with k.
        if (number["a"][:, None] * np.diff(thresholds, axis=1) <= 0).any():
            raise ValueError(
                f"{path}: discriminations must be positive and thresholds increasing, or both the "
                "other way round for items that run against their key."
            )
        return cls(number["a"], thresholds, _correlation(path, bank))


def _correlation(path: Path, bank: ItemBank) -> Floats | None:
    """The `[F, F]` correlations in the file beside a parameter set, None where there is none."""
    beside = path.with_name(f"{path.stem}_traits.csv")
    if not beside.exists():
        return None
    table = read_table(beside)
    if list(table) != ["trait", *bank.traits] or table["trait"] != list(bank.traits):
        raise ValueError(
            f"{beside}: rows and columns must be {', '.join(bank.traits)}, in this order."
        )
    correlation = np.array([numbers(beside, table[trait]) for trait in bank.traits])
    if not np.allclose(correlation, correlation.T) or np.linalg.eigvalsh(correlation)[0] <= 0:
        raise ValueError(f"{beside}: expected a symmetric, positive definite correlation matrix.")
    return correlation
