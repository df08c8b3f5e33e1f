"""How a subject's birth date and the listed ones stand to each other. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, Literal

from activities.screening.lists.entries import PartialDate

BirthDateRelation = Literal["agrees", "compatible", "near", "conflicts", "unknown"]

CIRCA: Final = timedelta(days=2 * 365)
"""How far a date that the authority calls approximate may be off."""

NEAR: Final = timedelta(days=366)
"""A known year that is off by no more than this may be a slip of the pen."""

_BEST_FIRST: Final[tuple[BirthDateRelation, ...]] = ("agrees", "compatible", "near", "conflicts")


def birth_date_relation(born: date | None, listed: Sequence[PartialDate]) -> BirthDateRelation:
    """The best relation to any of the listed dates; unknown when either side has none."""
    if born is None or not listed:
        return "unknown"
    return min((_relation(born, one) for one in listed), key=_BEST_FIRST.index)


def _relation(born: date, listed: PartialDate) -> BirthDateRelation:
    if listed.is_day:
        return _relation_to_day(born, listed.first)
    slack = CIRCA if listed.circa else timedelta(0)
    if _within(born, listed, slack):
        return "compatible"
    return "near" if _within(born, listed, slack + NEAR) else "conflicts"


def _relation_to_day(born: date, listed: date) -> BirthDateRelation:
    if born == listed:
        return "agrees"
    if born.year == listed.year and (born.month, born.day) == (listed.day, listed.month):
        return "compatible"
    if (listed.day, listed.month) == (1, 1) and born.year == listed.year:
        # Registries write the first of January for a known year.
        return "compatible"
    return "near" if _one_slip(born, listed) else "conflicts"


def _one_slip(born: date, listed: date) -> bool:
    """Whether one of day, month and year differs, and the year by one digit at most."""
    digits = sum(one != other for one, other in zip(str(born.year), str(listed.year), strict=False))
    differ = (born.day != listed.day) + (born.month != listed.month) + (digits > 0)
    return differ == 1 and digits <= 1


def _within(born: date, listed: PartialDate, slack: timedelta) -> bool:
    return listed.first.toordinal() - slack.days <= born.toordinal() <= listed.last.toordinal() + slack.days
