"""What a gate asks for, and which persons fill its seats.

A seat is a role, or several joined by `|` of which any one will do. A person fills one seat only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from activities.failures import InvalidRequestError

ANY_OF: Final = "|"
"""Joins the roles of a seat that any one of them may fill."""

SEATS_MAX: Final = 50
"""Persons one gate may ask for; keeps the matching of persons to seats small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """How many distinct persons a gate asks for, by seat."""

    seats: Mapping[str, int]

    def __post_init__(self) -> None:
        if any(count < 1 for count in self.seats.values()) or not 1 <= self.persons <= SEATS_MAX:
            raise InvalidRequestError("A gate must ask for a sensible number of persons")

    @classmethod
    def any_of(cls, roles: frozenset[str], *, persons: int) -> Self:
        """So many persons, each with any one of the roles."""
        return cls(seats={ANY_OF.join(sorted(roles)): persons})

    @property
    def persons(self) -> int:
        """Distinct persons needed."""
        return sum(self.seats.values())

    @property
    def roles(self) -> frozenset[str]:
        """Every role that can fill some seat."""
        return frozenset(role for seat in self.seats for role in seat.split(ANY_OF))

    def with_more(self, persons: int, *, roles: frozenset[str] | None = None) -> Self:
        """The rule asking for so many persons more, of any of the given roles (or of its own)."""
        if persons < 1:
            return self
        seat = ANY_OF.join(sorted(roles or self.roles))
        return type(self)(seats={**self.seats, seat: self.seats.get(seat, 0) + persons})

    def at_least(self, persons: int) -> Self:
        """The rule raised to so many persons, where it asks for fewer."""
        return self.with_more(persons - self.persons)


def still_needed(rule: GateRule, persons: Sequence[frozenset[str]]) -> dict[str, int]:
    """The seats left empty, by seat, when the persons with these roles sit where they help most."""
    seats = [seat for seat, count in rule.seats.items() for _ in range(count)]
    fits = [[bool(roles.intersection(seat.split(ANY_OF))) for seat in seats] for roles in persons]
    taken: dict[int, int] = {}
    for person in range(len(persons)):
        _seat_person(person, fits, taken, set())
    empty = [seat for index, seat in enumerate(seats) if index not in taken]
    return {seat: empty.count(seat) for seat in dict.fromkeys(empty)}


def _seat_person(person: int, fits: list[list[bool]], taken: dict[int, int], tried: set[int]) -> bool:
    """Seats a person, moving those seated before when that makes room (augmenting path)."""
    for seat, fit in enumerate(fits[person]):
        if not fit or seat in tried:
            continue
        tried.add(seat)
        if seat not in taken or _seat_person(taken[seat], fits, taken, tried):
            taken[seat] = person
            return True
    return False
