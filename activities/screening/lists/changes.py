"""What differs between two versions of a list, and whether a new version may take the old one's place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from activities.screening.lists.entries import ListEntry, ScreeningList, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDelta:
    """`changed` holds the new and altered entries, to be screened; `removed` the ids that are gone."""

    changed: tuple[ListEntry, ...]
    removed: tuple[str, ...]


def fingerprints(listed: ScreeningList) -> dict[str, str]:
    """Entry id to fingerprint, the short form of a version that a later one is compared with."""
    return {entry.entry_id: fingerprint(entry) for entry in listed.entries}


def delta(old: ScreeningList | Mapping[str, str], new: ScreeningList) -> ListDelta:
    """The entries of `new` that `old`, a list or its fingerprints, does not hold word for word."""
    before = fingerprints(old) if isinstance(old, ScreeningList) else old
    changed = tuple(entry for entry in new.entries if before.get(entry.entry_id) != fingerprint(entry))
    kept = {entry.entry_id for entry in new.entries}
    return ListDelta(changed=changed, removed=tuple(sorted(gone for gone in before if gone not in kept)))


def check_against_previous(new: ScreeningList, previous_count: int, shrink_share_max: float) -> str | None:
    """Why the new version may not follow one of `previous_count` entries; None when it may.

    `shrink_share_max` is the share of entries (0 to 1) that one version may lose.
    """
    if new.entry_count < previous_count * (1 - shrink_share_max):
        return f"List {new.list_id} shrank by more than the share the policy allows"
    return None


def check_age(listed: ScreeningList, today: date, age_days_max: int) -> str | None:
    """Why a list is too old, or dated in the future, to screen with; None when it is neither."""
    if listed.published_on > today + timedelta(days=1):
        return f"List {listed.list_id} says that it will be published in the future"
    if (today - listed.published_on).days > age_days_max:
        return f"List {listed.list_id} is older than the policy allows"
    return None
