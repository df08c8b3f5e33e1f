"""The shapes every list is read into, whatever the authority's format.

They hold what the authority published and judge nothing.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Literal

from activities.canonical import digest

EntryKind = Literal["person", "entity", "other"]


class ListUnreadableError(Exception):
    """A list could not be read whole; carries a fixed reason and nothing of the content."""

    def __init__(self, list_id: str, reason: str) -> None:
        super().__init__(f"List {list_id} cannot be used: {reason}")
        self.list_id = list_id
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialDate:
    """A date as precisely as the authority knows it: every day from `first` to `last`, both included."""

    first: date
    last: date
    circa: bool = False

    @property
    def is_day(self) -> bool:
        """Whether this names one day for certain."""
        return self.first == self.last and not self.circa


def on_day(day: date, *, circa: bool = False) -> PartialDate:
    """The partial date of one known day."""
    return PartialDate(first=day, last=day, circa=circa)


def in_month(year: int, month: int) -> PartialDate:
    """The partial date of a known month."""
    return PartialDate(first=date(year, month, 1), last=date(year, month, monthrange(year, month)[1]))


def in_years(first: int, last: int, *, circa: bool = False) -> PartialDate:
    """The partial date of a year, or of a span of years."""
    return PartialDate(first=date(first, 1, 1), last=date(last, 12, 31), circa=circa)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """One listed person, entity or other thing.

    `names` are in the authority's own spelling, primary first; `weak_names` is the part of them that the
    authority calls weak. `countries` are lower-case ISO 3166 alpha-2 codes of nationality or citizenship.
    """

    list_id: str
    entry_id: str
    kind: EntryKind
    names: tuple[str, ...]
    weak_names: tuple[str, ...] = ()
    birth_dates: tuple[PartialDate, ...] = ()
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningList:
    """One published version of a list.

    `digest` is the hex SHA-256 of the list's files, one after the other in the reader's stated order.
    """

    list_id: str
    source: str
    published_on: date
    entry_count: int
    digest: str
    entries: tuple[ListEntry, ...]


def fingerprint(entry: ListEntry) -> str:
    """The hex SHA-256 of everything an entry says: equal exactly when nothing about it changed."""
    return digest(
        {
            "list_id": entry.list_id,
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "names": list(entry.names),
            "weak_names": list(entry.weak_names),
            "birth_dates": [
                [born.first.isoformat(), born.last.isoformat(), born.circa] for born in entry.birth_dates
            ],
            "countries": list(entry.countries),
        }
    )
