"""Seats and who fills them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import InvalidRequestError
from activities.trust.gates import SEATS_MAX, GateRule, still_needed

ROLES = ("a", "b", "c")
SEATS = st.dictionaries(st.sampled_from([*ROLES, "a|b", "b|c"]), st.integers(1, 2), min_size=1, max_size=3)
PERSONS = st.lists(st.frozensets(st.sampled_from(ROLES)), max_size=5)


def _most_seated(rule: GateRule, persons: list[frozenset[str]]) -> int:
    """The same by trying every order: slow and plain."""
    seats = [set(seat.split("|")) for seat, count in rule.seats.items() for _ in range(count)]
    padded = [*persons, *[frozenset[str]()] * len(seats)]
    return max(
        sum(bool(seat & roles) for seat, roles in zip(seats, order, strict=True))
        for order in itertools.permutations(padded[: max(len(persons), len(seats))], len(seats))
    )


@given(seats=SEATS, persons=PERSONS)
def test_seating_is_the_best_there_is(seats: dict[str, int], persons: list[frozenset[str]]) -> None:
    """No other seating leaves fewer seats empty."""
    rule = GateRule(seats=seats)
    empty = sum(still_needed(rule, persons).values())
    assert empty == rule.persons - _most_seated(rule, persons)


def test_extra_seat_may_be_filled_by_any_of_its_roles() -> None:
    """One person more, of any of the roles given."""
    rule = GateRule(seats={"a": 1}).with_more(1, roles=frozenset({"b", "a"}))
    assert rule.seats == {"a": 1, "a|b": 1}
    assert still_needed(rule, [frozenset({"b"})]) == {"a": 1}
    assert still_needed(rule, [frozenset({"b"}), frozenset({"a"})]) == {}


def test_extra_seats_of_a_single_role_add_up() -> None:
    """Raising a gate of one role asks for more persons of that role."""
    assert GateRule(seats={"a": 1}).at_least(3).seats == {"a": 3}


def test_floor_below_the_rule_changes_nothing() -> None:
    """A floor never lowers a gate."""
    rule = GateRule(seats={"a": 2})
    assert rule.at_least(1) is rule


def test_gate_may_ask_for_one_person_or_a_full_room() -> None:
    """The limits are the last numbers that are taken."""
    assert [GateRule(seats={"a": count}).persons for count in (1, SEATS_MAX)] == [1, SEATS_MAX]


@pytest.mark.parametrize("seats", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": SEATS_MAX + 1}])
def test_gate_that_asks_for_nobody_or_a_crowd_is_refused(seats: dict[str, int]) -> None:
    """A gate nobody guards is no gate."""
    with pytest.raises(InvalidRequestError):
        GateRule(seats=seats)
