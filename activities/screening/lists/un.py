"""The UN Security Council's consolidated list, `consolidated.xml`, in the Council's own schema.

Entities and external references in the XML are refused, never followed. The publication date is the
file's own `dateGenerated`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from activities.screening.lists.countries import country_codes
from activities.screening.lists.entries import (
    EntryKind,
    ListEntry,
    ListUnreadableError,
    PartialDate,
    ScreeningList,
    in_years,
    on_day,
)
from activities.screening.lists.files import files_digest
from activities.screening.lists.provenance import check_entry_count, read_provenance
from activities.screening.lists.spellings import spellings

FILES: Final = ("consolidated.xml",)
"""The digest is over this file."""

_SOURCE: Final = "United Nations Security Council Consolidated List"
_ROOT: Final = "CONSOLIDATED_LIST"
_MARKS_MAX: Final = 2_000_000
"""Tags and attributes, each a hundred bytes and more once read: thirty times those of the list today."""

_NAME_PARTS: Final = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")


def parse_un(list_id: str, files: Mapping[str, bytes]) -> ScreeningList:
    """The list in `consolidated.xml`.

    Raises:
        ListUnreadableError: the XML is cut short, malformed, hostile or not the Council's.
    """
    provenance = read_provenance(list_id, files, FILES)
    root = _root(list_id, files["consolidated.xml"])
    entries = (
        *(_entry(list_id, "person", element) for element in root.iterfind("INDIVIDUALS/INDIVIDUAL")),
        *(_entry(list_id, "entity", element) for element in root.iterfind("ENTITIES/ENTITY")),
    )
    if len({entry.entry_id for entry in entries}) != len(entries):
        raise ListUnreadableError(list_id, "two entries have the same number")
    check_entry_count(list_id, provenance, len(entries))
    return ScreeningList(
        list_id=list_id,
        source=_SOURCE if provenance is None else provenance.source,
        published_on=_published_on(list_id, root),
        entry_count=len(entries),
        digest=files_digest(files, FILES),
        entries=entries,
    )


def _root(list_id: str, content: bytes) -> Element:
    if content.count(b"<") + content.count(b"=") > _MARKS_MAX:
        raise ListUnreadableError(list_id, "the XML has more elements than any list may have")
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except (ParseError, ValueError, LookupError, DefusedXmlException):
        raise ListUnreadableError(list_id, "the XML is cut short or malformed") from None
    sections = [child.tag for child in root]
    if root.tag != _ROOT or "INDIVIDUALS" not in sections or "ENTITIES" not in sections:
        raise ListUnreadableError(list_id, "the XML is not a consolidated list")
    return root


def _published_on(list_id: str, root: Element) -> date:
    try:
        return date.fromisoformat(root.get("dateGenerated", "")[:10])
    except ValueError:
        raise ListUnreadableError(list_id, "the XML does not say when it was generated") from None


def _entry(list_id: str, kind: EntryKind, element: Element) -> ListEntry:
    prefix = "INDIVIDUAL" if kind == "person" else "ENTITY"
    entry_id = _text(element, "REFERENCE_NUMBER") or _text(element, "DATAID")
    primary = " ".join(part for tag in _NAME_PARTS if (part := _text(element, tag)))
    if not entry_id or not primary:
        raise ListUnreadableError(list_id, "an entry has no number or no name")
    strong, weak = _aliases(element.iterfind(f"{prefix}_ALIAS"))
    own_script = _text(element, "NAME_ORIGINAL_SCRIPT")
    strong = [*spellings(primary), *spellings(own_script), *strong]
    names = tuple(dict.fromkeys((*strong, *weak)))
    born = (_birth_date(item) for item in element.iterfind("INDIVIDUAL_DATE_OF_BIRTH"))
    return ListEntry(
        list_id=list_id,
        entry_id=entry_id,
        kind=kind,
        names=names,
        weak_names=tuple(name for name in dict.fromkeys(weak) if name not in strong),
        birth_dates=tuple(date_ for date_ in born if date_ is not None),
        countries=country_codes(value.text or "" for value in element.iterfind("NATIONALITY/VALUE")),
    )


def _text(element: Element, tag: str) -> str:
    return " ".join((element.findtext(tag) or "").split())


def _aliases(elements: Iterable[Element]) -> tuple[list[str], list[str]]:
    """Every spelling of the strong and of the low-quality aliases."""
    strong: list[str] = []
    weak: list[str] = []
    for element in elements:
        group = weak if _text(element, "QUALITY").lower() == "low" else strong
        group.extend(spellings((element.findtext("ALIAS_NAME") or "").strip()))
    return strong, weak


def _birth_date(element: Element) -> PartialDate | None:
    """The date of one element; None where it says nothing exact enough to damp with."""
    circa = _text(element, "TYPE_OF_DATE").upper() == "APPROXIMATELY"
    try:
        if day := _text(element, "DATE"):
            return on_day(date.fromisoformat(day[:10]), circa=circa)
        if year := _text(element, "YEAR"):
            return in_years(int(year), int(year), circa=circa)
        first, last = _text(element, "FROM_YEAR"), _text(element, "TO_YEAR")
        if first and last and int(first) <= int(last):
            return in_years(int(first), int(last), circa=circa)
    except (ValueError, OverflowError):
        return None
    return None
