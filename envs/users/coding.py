"""How a data file writes answers: which code or word is which response category."""

from __future__ import annotations

import re
from dataclasses import dataclass

from acquaint_gym.envs.users.item_bank import ItemBank

MISSING = -1
ZERO = -2
"""A zero that is no code of its bank. Publishers mean a missing answer by it, others the lowest
category: `humans.load_respondents` counts them before it takes them for missing."""
# Of spreadsheets, SPSS, R and pandas; compared without blanks around them and in capitals.
MISSING_WORDS = ("", "NA", "N/A", "#N/A", "<NA>", "NAN", "NULL", "#NULL!", ".")


@dataclass(frozen=True)
class Coding:
    """Codes and words of a data file, where they are not the bank's own.

    Attributes:
        codes: `K` codes or words, one a response category, from the bank's first category to its
            last; none for the bank's own codes and labels.
        missing: codes or words that mean no answer, beside `MISSING_WORDS`.
    """

    codes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @classmethod
    def parse(cls, bank: ItemBank, codes: str, missing: str | float) -> Coding:
        """Reads the arguments `codes` and `missing` of tasks and fits.

        Args:
            bank: the items.
            codes: `auto` for the bank's own; `0..4`, first to last, or `5..1`; or one code or word
                a category, in order, separated by commas: `A,B,C,D,E`.
            missing: codes or words, separated by commas: `99,-9,refused`; usually none.

        Raises:
            ValueError: another number of codes than the bank has categories, or one that stands
                for two things.
        """
        listed = [] if codes == "auto" else _codes(codes)
        coding = cls(tuple(listed), tuple(plain(word) for word in str(missing).split(",")))
        if listed and len(listed) != bank.num_categories:
            raise ValueError(
                f"codes={codes}: {len(listed)} codes, {bank.name} has {bank.num_categories} "
                f"response categories, {bank.labels[0]} to {bank.labels[-1]}; expected e.g. "
                f"0..{bank.num_categories - 1}, or {bank.num_categories} words with commas."
            )
        answers = listed or list(map(str, bank.codes))
        twice = {word for word in answers if answers.count(word) > 1 or word in coding.missing}
        if twice:
            raise ValueError(
                f"codes={codes}, missing={missing}: {min(twice)!r} stands for two things; expected "
                "each code for one category, or for no answer."
            )
        return coding

    def meaning(self, bank: ItemBank) -> Meaning:
        """What cells mean in a file of this bank's answers."""
        meaning = {word: MISSING for word in MISSING_WORDS} | {"0": ZERO}
        if self.codes:
            meaning |= {"0": MISSING} | {code: k for k, code in enumerate(self.codes)}
        else:
            meaning |= {plain(label): k for k, label in enumerate(bank.labels)}
            meaning |= {str(code): k for k, code in enumerate(bank.codes)}
        return Meaning(meaning | {word: MISSING for word in self.missing})


PUBLISHED = Coding()
"""The bank's own codes."""


class Meaning(dict[str, int]):
    """A cell -> its category, `MISSING` or `ZERO`; a `KeyError` for what is no answer.

    Other ways to write the same are added as they are met, so that a million rows are looked up by
    code in C.
    """

    def __missing__(self, cell: str) -> int:
        """The meaning of a cell that is written in another way."""
        word = plain(cell)
        if word == cell:
            raise KeyError(cell)
        self[cell] = meaning = self[word]
        return meaning


def plain(text: str) -> str:
    """A cell without blanks around it, in capitals; a whole number without what follows the point.

    `" 4,0 "`, `4.00` and `04` are `4`.
    """
    text = text.strip().upper()
    number = re.fullmatch(r"([+-]?[0-9]{1,9})([.,]0*)?", text)
    return str(int(number[1])) if number else text


def _codes(text: str) -> list[str]:
    """`0..4` or `A,B,C` as a list."""
    ends = re.fullmatch(r"\s*(-?[0-9]{1,3})\s*\.\.\s*(-?[0-9]{1,3})\s*", text)
    if ends is None:
        return [plain(word) for word in text.split(",")]
    first, last = int(ends[1]), int(ends[2])
    step = 1 if last >= first else -1
    return [str(code) for code in range(first, last + step, step)]
