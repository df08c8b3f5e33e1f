"""What each column of a source may hold, and why a value is refused.

Reasons are fixed sentences: a value never appears in one. No file is read here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from activities.intake.countries import COUNTRIES

Rule = Callable[[str], str]
"""Gives the reason why a value is refused, or nothing."""

REQUIRED_COLUMNS: Final = ("subject_id", "subject_kind", "full_name", "date_of_birth", "country")
OPTIONAL_COLUMNS: Final = ("nationality", "document_number", "kyc_reference", "label", "xpub", "address")
COLUMNS: Final = frozenset(REQUIRED_COLUMNS + OPTIONAL_COLUMNS)

SUBJECT_KINDS: Final = ("person", "entity")
FIRST_BIRTH_DATE: Final = date(1900, 1, 1)
"""Nobody alive was born before; an entity may be older."""

_ALWAYS_GIVEN: Final = ("subject_id", "subject_kind", "full_name", "country")
_ENTITY: Final = "entity"
_CHARS_MAX: Final = {"full_name": 200, "document_number": 64, "kyc_reference": 128, "label": 128}
_SUBJECT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_KEY_OR_ADDRESS: Final = re.compile(r"[A-Za-z0-9]{1,128}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

# Controls, line and paragraph separators, and characters that are invisible or turn the direction of text
# (they hide a name from a reader or from screening); the joiners U+200C and U+200D belong to Persian and
# Indic names and stay.
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NO_CHARACTER: Final = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class ColumnRules:
    """The rules of one reading; `today` bounds dates of birth, so that one reading has one answer."""

    def __init__(self, *, today: date) -> None:
        self._today = today
        self._rules: dict[str, Rule] = {
            "subject_id": _subject_id,
            "subject_kind": _subject_kind,
            "full_name": _full_name,
            "date_of_birth": self._date,
            "country": _country,
            "nationality": _country,
            "xpub": _key_or_address,
            "address": _key_or_address,
            **{column: _text_up_to(_CHARS_MAX[column]) for column in OPTIONAL_COLUMNS[1:4]},
        }

    def problems(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """Gives (column, reason) for all that is wrong; `values` holds known columns that are not empty."""
        rules = self._rules
        found = [(column, reason) for column, value in values.items() if (reason := rules[column](value))]
        found += [(column, "missing") for column in _ALWAYS_GIVEN if column not in values]
        if values.get("subject_kind") != _ENTITY:
            found += _person_problems(values)
        return found

    def _date(self, value: str) -> str:
        if not _DATE.fullmatch(value):
            return "not a date as YYYY-MM-DD"
        try:
            given = date.fromisoformat(value)
        except ValueError:
            return "not a date of the calendar"
        return "lies in the future" if given > self._today else ""


def _person_problems(values: Mapping[str, str]) -> list[tuple[str, str]]:
    born = values.get("date_of_birth")
    if born is None:
        return [("date_of_birth", "missing")]
    # ISO dates sort as text; what is no date at all has its reason already.
    if born < FIRST_BIRTH_DATE.isoformat() and _DATE.fullmatch(born):
        return [("date_of_birth", "lies before 1900")]
    return []


def _subject_id(value: str) -> str:
    return "" if _SUBJECT_ID.fullmatch(value) else "must be 1 to 64 of the characters A-Z a-z 0-9 . _ - :"


def _subject_kind(value: str) -> str:
    return "" if value in SUBJECT_KINDS else "must be person or entity"


def _country(value: str) -> str:
    return "" if value in COUNTRIES else "not an ISO 3166-1 alpha-2 country code"


def _key_or_address(value: str) -> str:
    return "" if _KEY_OR_ADDRESS.fullmatch(value) else "must be 1 to 128 ASCII letters and digits"


def _text_up_to(chars_max: int) -> Rule:
    def rule(value: str) -> str:
        if len(value) > chars_max:
            return f"longer than {chars_max} characters"
        # One call in C settles almost every value; the patterns only see the rest.
        return "" if value.isprintable() else _unprintable(value)

    return rule


_name_text: Final = _text_up_to(_CHARS_MAX["full_name"])


def _full_name(value: str) -> str:
    return _name_text(value) or ("" if any(map(str.isalnum, value)) else "has no letter")


def _unprintable(value: str) -> str:
    if _NO_CHARACTER.search(value):
        return "holds what is no Unicode character"
    return "holds a control or invisible character" if _CONTROL.search(value) else ""
