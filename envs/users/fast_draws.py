"""Random draws that are fast, and exactly what plain ones would give.

Nearly all of a simulator's time goes into random numbers, so what is slow in NumPy is written out
here. The plain versions stand in `tests/test_fast_draws.py`, which compares every draw with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from acquaint_gym.envs.users.response_models import Floats, Ints

# Random numbers drawn at a time, so that they stay in a core's cache between the passes.
_AT_ONCE = 2**15
# Linux's allocator hands freed blocks back to the system above a size that is at first so small
# that drawing people takes half as long again, for the pages come anew each time. The size follows
# the largest block that was freed; this one of 16 MiB is never written to, so it costs nothing.
np.empty(2**21)


def fibonacci_hash(number: Ints) -> npt.NDArray[np.uint64]:
    """`[B]` numbers of 64 bits, in which neighbours lie far apart, of whole numbers `[B]`.

    The remainder of number * 0x9E3779B97F4A7C15 modulo 2^64, where the constant is the golden
    section of 2^64 (Knuth, The Art of Computer Programming 3, 6.4). Read as fractions of 2^64,
    0, 1, 2, 3, 4 are 0.00, 0.62, 0.24, 0.85, 0.47: each falls into the widest gap so far.
    """
    # Unsigned products wrap around, which is the remainder that is asked for.
    return number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def evenly(suite_seed: int, purpose: str, person: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """`[B]` numbers in [0, 1) of the people `[B]` that any run of consecutive people spread evenly.

    The multiples of the golden section modulo 1, shifted by a random number of the suite seed and
    the purpose, words that tell splits apart (a Kronecker sequence; Niederreiter, 1992, Random
    Number Generation and Quasi-Monte Carlo Methods). Types of people drawn with them are in their
    right proportions in every panel, so that panels differ less than independent draws would.
    """
    place = fibonacci_hash(person) + _seeded(suite_seed, purpose, 1)[0]
    return (place >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


@lru_cache
def _seeded(suite_seed: int, purpose: str, count: int) -> npt.NDArray[Any]:
    """`[count]` random words that belong to a suite seed and a purpose."""
    words = [suite_seed, *purpose.encode()]
    return np.random.SeedSequence(words).generate_state(count, np.uint64)


class _Key(np.random.SeedSequence):
    """A key in a form that `np.random.Philox` takes as a seed.

    `Philox(key=...)` would first gather entropy from the operating system and throw it away, which
    takes longer than drawing the numbers of one person. A seed sequence is asked for its state,
    and this one answers with the key.
    """

    def __init__(self, key: npt.NDArray[np.uint64]) -> None:
        super().__init__(0)
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> npt.NDArray[Any]:
        """The key, the only state that Philox asks for."""
        return self._key


class PersonStreams:
    """Random numbers that belong to people: the same however people are cut into batches.

    One counter-based generator (Philox; Salmon et al., 2011) per suite seed and purpose, in which
    person s owns a block of the counter, so a run of consecutive people is one vectorised draw.

    One count of the counter gives four words of 64 bits, that is eight numbers. Example: with
    `width` 50 a person owns 7 counts, person 3 those from 21 to 27, and of their 56 numbers the
    first 50 are used. A word holds two numbers, the lower half first; the upper 24 bits of a half
    are the number in units of 2^-24, as `Generator.random(dtype=np.float32)` reads them:

        word                  0x0000_0100_8000_0000
        lower half >> 8       0x0080_0000 = 2^23, the number 0.5
        upper half >> 8       0x0000_0001 = 1, the number 2^-24

    Args:
        suite_seed: >= 0; another number is another world of people.
        purpose: words that name the stream, e.g. a split; streams of other words are independent.
        width: how many numbers a person owns.
    """

    _PER_COUNT = 8

    def __init__(self, suite_seed: int, purpose: str, width: int) -> None:
        self._key = _Key(_seeded(suite_seed, purpose, 2))
        self._counts = -(-width // self._PER_COUNT)
        self.width = width

    def uniform(self, person: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """`[B, width]` multiples of 2^-24 in [0, 1), evenly drawn, of the people `[B]` >= 0."""
        numbers = np.empty((len(person), self.width), dtype=np.float32)
        gaps = np.flatnonzero(person[1:] != person[:-1] + 1) + 1
        at_once = max(1, _AT_ONCE // (1 + self.width))
        edges = [0, *gaps.tolist(), len(person)] if len(person) else []
        for start, stop in pairwise(edges):
            stream = np.random.Philox(self._key)
            stream.advance(int(person[start]) * self._counts)
            for first in range(start, stop, at_once):
                part = numbers[first : min(first + at_once, stop)]
                words = stream.random_raw(len(part) * self._counts * self._PER_COUNT // 2)
                bits = words.astype("<u8", copy=False).view("<u4").reshape(len(part), -1)
                np.copyto(part, (bits[:, : self.width] >> 8).view(np.int32), casting="unsafe")
                part *= np.float32(2**-24)
        return numbers


def smallest(
    numbers: Floats, count: int, left_out: Sequence[tuple[int, npt.NDArray[np.bool_]]]
) -> Ints:
    """Which rows hold the smallest numbers of each column, in ascending order; of equals the first.

    What `np.argsort(numbers, axis=0, kind="stable")[:count]` gives, without a sort of each column.
    A number is a multiple of 2^-24, so times 2^24 it is a whole number, and its row fits into a few
    bits below it. Minimum and maximum of two rows put them in order in all columns at once; after
    F - 1 such steps the smallest is in front. Example, one column of F = 3 rows, 2 bits for a row:

        0.50, row 0: 0.50 * 2^24 * 4 + 0 = 33554432
        0.25, row 1: 0.25 * 2^24 * 4 + 1 = 16777217
        0.50, row 2: 0.50 * 2^24 * 4 + 2 = 33554434

    In order 16777217, 33554432, 33554434; their last two bits are the rows 1, 0, 2.

    Args:
        numbers: `[F, n]` multiples of 2^-24 in [0, 1), F below 128.
        count: how many are wanted.
        left_out: (row, `[n]` the columns in which it does not take part).

    Returns:
        `[count, n]` rows.
    """
    bits = len(numbers).bit_length()
    packed = (numbers * np.float32(2**24)).astype(np.int32)
    packed <<= bits
    packed |= np.arange(len(numbers), dtype=np.int32)[:, None]
    rows = list(packed)
    for row, columns in left_out:
        rows[row][columns] = np.iinfo(np.int32).max
    for place in range(count):
        for later in range(place + 1, len(rows)):
            one, two = rows[place], rows[later]
            rows[place], rows[later] = np.minimum(one, two), np.maximum(one, two)
    return np.stack(rows[:count]) & (2**bits - 1)
