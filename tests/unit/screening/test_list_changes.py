"""What may take an old list's place, and what is screened again when it does."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from activities.screening.lists.changes import (
    check_against_previous,
    check_age,
    delta,
    fingerprints,
)
from activities.screening.lists.entries import ListEntry, ScreeningList, fingerprint, in_years
from activities.screening.lists.registry import list_files, load_list, parse_list
from tests.unit.screening.real_lists import ofac_folder

ENTRY = ListEntry(list_id="un-consolidated", entry_id="1", kind="person", names=("JANE DOE", "JD"))


def _list(*entries: ListEntry, published_on: date = date(2026, 1, 31)) -> ScreeningList:
    return ScreeningList(
        list_id="un-consolidated",
        source="UN",
        published_on=published_on,
        entry_count=len(entries),
        digest="00",
        entries=entries,
    )


@pytest.mark.parametrize(
    ("count", "previous", "share", "accepted"),
    [
        (95, 100, 0.05, True),
        (94, 100, 0.05, False),
        (100, 100, 0, True),
        (99, 100, 0, False),
        (9, 0, 0, True),
    ],
)
def test_a_list_may_shrink_by_the_policys_share_only(
    count: int, previous: int, share: float, accepted: bool
) -> None:
    """A published list that lost its tail is told from one that lost a few entries."""
    new = _list(*(replace(ENTRY, entry_id=str(number)) for number in range(count)))
    assert (check_against_previous(new, previous, share) is None) is accepted


@pytest.mark.parametrize(("days", "accepted"), [(-2, False), (-1, True), (0, True), (7, True), (8, False)])
def test_a_list_may_be_as_old_as_the_policy_allows(days: int, accepted: bool) -> None:
    """A stale list, and one from the future, are refused; a day ahead is another time zone."""
    listed = _list(ENTRY)
    assert (check_age(listed, listed.published_on + timedelta(days=days), 7) is None) is accepted


@pytest.mark.parametrize(
    "changed",
    [
        replace(ENTRY, names=("JANE DOE",)),
        replace(ENTRY, names=("JD", "JANE DOE")),
        replace(ENTRY, weak_names=("JD",)),
        replace(ENTRY, birth_dates=(in_years(1970, 1970),)),
        replace(ENTRY, countries=("ye",)),
        replace(ENTRY, kind="entity"),
    ],
)
def test_any_change_of_an_entry_is_found(changed: ListEntry) -> None:
    """Whatever an entry says takes part in its fingerprint."""
    assert fingerprint(changed) != fingerprint(ENTRY)
    assert delta(_list(ENTRY), _list(changed)).changed == (changed,)


def test_added_and_removed_entries_are_told_apart_from_those_that_stayed() -> None:
    """Only what is new or altered is screened; what is gone is named."""
    stayed, gone, came = (replace(ENTRY, entry_id=number) for number in ("1", "2", "3"))
    found = delta(fingerprints(_list(stayed, gone)), _list(stayed, came))
    assert found.changed == (came,)
    assert found.removed == ("2",)


def test_a_list_that_stands_unchanged_gives_no_delta(ofac: ScreeningList) -> None:
    """Republishing the same entries screens nobody again."""
    found = delta(ofac, replace(ofac, published_on=date(2030, 1, 1), digest="ff"))
    assert (found.changed, found.removed) == ((), ())


def test_the_delta_from_2019_to_2021_holds_what_came_went_and_changed(
    ofac: ScreeningList, tmp_path: Path
) -> None:
    """Two and a half years of one list: old entries and the delta together make the new one."""
    old = load_list("ofac-sdn", ofac_folder(tmp_path, "2019-01", date(2019, 1, 11), end_mark=False))
    found = delta(old, ofac)
    before = {entry.entry_id: entry for entry in old.entries}
    rebuilt = {**before, **{entry.entry_id: entry for entry in found.changed}}
    for gone in found.removed:
        del rebuilt[gone]
    assert rebuilt == {entry.entry_id: entry for entry in ofac.entries}
    assert len(found.removed) == 261
    assert sum(entry.entry_id not in before for entry in found.changed) == 8976 - 7379 + 261


def test_archived_bytes_are_read_as_the_folder_was(tmp_path: Path) -> None:
    """A list can be read again years later from the bytes that were stored."""
    lists = ofac_folder(tmp_path, "2021-07", date(2021, 7, 1))
    assert parse_list("ofac-sdn", list_files("ofac-sdn", lists)) == load_list("ofac-sdn", lists)
