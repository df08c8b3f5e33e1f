"""OFAC's SDN list as the Treasury publishes it: `sdn.csv` and `alt.csv`.

No header, `-0-` for empty, remarks as one text, and a Ctrl-Z as the last line. The format carries no
date, so the provenance sidecar is required.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

from activities.screening.lists.countries import country_codes
from activities.screening.lists.entries import (
    EntryKind,
    ListEntry,
    ListUnreadableError,
    PartialDate,
    ScreeningList,
    in_month,
    in_years,
    on_day,
)
from activities.screening.lists.files import files_digest
from activities.screening.lists.provenance import check_entry_count, read_provenance

FILES: Final = ("sdn.csv", "alt.csv")
"""The digest is over these, in this order."""

_SDN_COLUMNS: Final = 12
_ALT_COLUMNS: Final = 5
_END_MARK: Final = "\x1a"
_EMPTY: Final = "-0-"
_KINDS: Final[dict[str, EntryKind]] = {
    "individual": "person",
    _EMPTY: "entity",
    "vessel": "other",
    "aircraft": "other",
}
_REMARK_SPLIT: Final = re.compile(r";\s+")
_WEAK_ALIAS: Final = re.compile(r"(?:alt\. )?[afn]\.k\.a\. '(.+)'\.?")
_BORN: Final = re.compile(r"(?:alt\. )?DOB (circa )?(.+?)\.?")
_COUNTRY: Final = re.compile(r"(?:alt\. )?(?:nationality|citizen) (.+?)\.?")
_RANGE: Final = re.compile(r"\s+to\s+|(?<=\d{4})-(?=\d{4})")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_DAY: Final = re.compile(r"(?:(?:(\d{1,2}) )?([A-Z][a-z]{2}) )?(\d{4})")


def parse_ofac(list_id: str, files: Mapping[str, bytes]) -> ScreeningList:
    """The list in `sdn.csv` and `alt.csv`, by its sidecar.

    Raises:
        ListUnreadableError: no sidecar, or a file is cut short, malformed or not the one vouched for.
    """
    provenance = read_provenance(list_id, files, FILES)
    if provenance is None:
        raise ListUnreadableError(list_id, "it has no provenance sidecar to say when it was published")
    marked = not provenance.end_mark_missing
    aliases: dict[str, list[str]] = defaultdict(list)
    for row in _rows(list_id, files["alt.csv"], columns=_ALT_COLUMNS, marked=marked):
        aliases[row[0]].append(row[3])
    entries = tuple(
        _entry(list_id, row, aliases.pop(row[0], []))
        for row in _rows(list_id, files["sdn.csv"], columns=_SDN_COLUMNS, marked=marked)
    )
    if aliases:
        raise ListUnreadableError(list_id, "an alias belongs to no entry")
    if len({entry.entry_id for entry in entries}) != len(entries):
        raise ListUnreadableError(list_id, "two entries have the same number")
    check_entry_count(list_id, provenance, len(entries))
    return ScreeningList(
        list_id=list_id,
        source=provenance.source,
        published_on=provenance.published_on,
        entry_count=len(entries),
        digest=files_digest(files, FILES),
        entries=entries,
    )


def _rows(list_id: str, content: bytes, *, columns: int, marked: bool) -> Iterator[list[str]]:
    """The rows of one file up to its end mark, empty fields as empty texts."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ListUnreadableError(list_id, "a file is not text in UTF-8") from None
    body, mark, rest = text.partition(_END_MARK)
    if rest.strip():
        raise ListUnreadableError(list_id, "a file goes on after its end mark")
    if marked and not (mark and (not body or body.endswith("\n"))):
        raise ListUnreadableError(list_id, "a file is cut short: its end mark is missing")
    try:
        for row in csv.reader(io.StringIO(body, newline=""), strict=True):
            fields = [_field(value) for value in row]
            if len(fields) != columns or not fields[0].isdigit() or not _name_of(fields):
                raise ListUnreadableError(list_id, "a row has not the published columns")
            yield fields
    except csv.Error:
        raise ListUnreadableError(list_id, "a row is not readable as CSV") from None


def _field(value: str) -> str:
    stripped = value.strip()
    return "" if stripped == _EMPTY else stripped


def _name_of(fields: list[str]) -> str:
    return fields[1] if len(fields) == _SDN_COLUMNS else fields[3]


def _entry(list_id: str, row: list[str], aliases: list[str]) -> ListEntry:
    kind = _KINDS.get(row[2] or _EMPTY)
    if kind is None:
        raise ListUnreadableError(list_id, "an entry is of an unknown kind")
    remarks = _REMARK_SPLIT.split(row[11])
    weak = [found[1] for remark in remarks if (found := _WEAK_ALIAS.fullmatch(remark))]
    names = tuple(dict.fromkeys(name for name in (row[1], *aliases, *weak) if name))
    born = [_birth_date(found) for remark in remarks if (found := _BORN.fullmatch(remark))]
    return ListEntry(
        list_id=list_id,
        entry_id=row[0],
        kind=kind,
        names=names,
        weak_names=tuple(name for name in names if name in weak and name not in (row[1], *aliases)),
        birth_dates=tuple(date_ for date_ in born if date_ is not None),
        countries=country_codes(found[1] for remark in remarks if (found := _COUNTRY.fullmatch(remark))),
    )


def _birth_date(found: re.Match[str]) -> PartialDate | None:
    """The date of one remark; None for wording that is no date, which then damps nothing."""
    circa = found[1] is not None
    bounds = [_one_date(text) for text in _RANGE.split(found[2])]
    known = [bound for bound in bounds if bound is not None]
    if len(known) != len(bounds) or len(known) not in {1, 2}:
        return None
    first, last = known[0].first, known[-1].last
    return PartialDate(first=first, last=last, circa=circa) if first <= last else None


def _one_date(text: str) -> PartialDate | None:
    found = _DAY.fullmatch(text.strip())
    if found is None:
        return None
    day, month, year = found[1], found[2], int(found[3])
    try:
        if month is None:
            return in_years(year, year)
        if day is None:
            return in_month(year, _MONTHS[month])
        return on_day(date(year, _MONTHS[month], int(day)))
    except (KeyError, ValueError):
        return None
