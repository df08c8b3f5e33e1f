"""How birth dates stand to each other."""

from datetime import date

import pytest

from activities.screening.birth_dates import birth_date_relation
from activities.screening.lists.entries import PartialDate, in_month, in_years, on_day

BORN = date(1970, 3, 14)


@pytest.mark.parametrize(
    ("listed", "relation"),
    [
        ((), "unknown"),
        ((on_day(BORN),), "agrees"),
        ((on_day(date(1970, 1, 1)),), "compatible"),
        ((on_day(date(1980, 3, 14)),), "near"),
        ((on_day(date(1970, 3, 15)),), "near"),
        ((on_day(date(1970, 4, 15)),), "conflicts"),
        ((on_day(date(1981, 3, 14)),), "conflicts"),
        ((on_day(date(1981, 3, 15)),), "conflicts"),
        ((on_day(date(1940, 1, 1)),), "conflicts"),
        ((on_day(date(1970, 3, 14), circa=True),), "compatible"),
        ((on_day(date(1971, 3, 14), circa=True),), "compatible"),
        ((in_years(1970, 1970),), "compatible"),
        ((in_years(1971, 1971),), "near"),
        ((in_years(1973, 1973),), "conflicts"),
        ((in_years(1972, 1972, circa=True),), "compatible"),
        ((in_years(1965, 1975),), "compatible"),
        ((in_month(1970, 3),), "compatible"),
        ((in_month(1990, 3),), "conflicts"),
        ((on_day(date(1940, 1, 1)), on_day(BORN)), "agrees"),
    ],
)
def test_the_best_of_the_listed_dates_counts(listed: tuple[PartialDate, ...], relation: str) -> None:
    """A slip of the pen is near, another year is a conflict, precision is respected."""
    assert birth_date_relation(BORN, listed) == relation


def test_a_subject_without_birth_date_conflicts_with_nothing() -> None:
    """What is not known speaks neither for nor against."""
    assert birth_date_relation(None, (on_day(BORN),)) == "unknown"


def test_day_and_month_the_wrong_way_round_are_compatible() -> None:
    """Half the world writes the month first."""
    assert birth_date_relation(date(1970, 3, 4), (on_day(date(1970, 4, 3)),)) == "compatible"
