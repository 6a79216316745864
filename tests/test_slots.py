"""Which cached conversation each of a call's conversations goes on from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acquaint_gym.agents.llm.slots import align, common_prefix


def test_those_who_stayed_are_found_behind_one_who_left() -> None:
    cached = [[1, 2], [3, 4], [5, 6]]
    assert align([[3, 4, 9], [5, 6, 8]], cached) == ([1, 2], [2, 2])


def test_of_equally_good_slots_the_first_is_taken() -> None:
    assert align([[7, 8], [7, 9]], [[7], [7], [7], []]) == ([0, 1], [1, 1])


def test_nobody_takes_so_far_a_slot_that_a_later_one_has_none() -> None:
    # The best slot of the first is the last one, which it must leave to the second.
    assert align([[5, 6], [1, 1]], [[0], [5], [5, 6]]) == ([1, 2], [1, 0])


@given(st.data())
def test_slots_rise_and_people_who_only_went_on_are_all_found(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 6))
    # Conversations that begin with their own number are told apart by the first token.
    cached = [[n, *data.draw(st.lists(st.integers(0, 2), max_size=3))] for n in range(number)]
    stay = data.draw(st.lists(st.integers(0, number - 1), unique=True, min_size=1).map(sorted))
    slots, shared = align([[*cached[n], 3] for n in stay], cached)
    assert slots == stay
    assert shared == [len(cached[n]) for n in stay]


@given(
    st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=4, max_size=7),
)
def test_everybody_has_a_slot_of_their_own_in_the_same_order(
    sequences: list[list[int]], cached: list[list[int]]
) -> None:
    slots, shared = align(sequences, cached)
    assert slots == sorted(set(slots))
    assert len(slots) == len(sequences)
    assert slots[-1] < len(cached)
    for ids, slot, count in zip(sequences, slots, shared, strict=True):
        assert count == common_prefix(ids, cached[slot])
