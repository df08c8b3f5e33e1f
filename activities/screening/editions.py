"""Editions of lists: the newest in the folder when it may be believed, the accepted ones from the archive.

A list that is missing, malformed, too old or shrunk is a service that is away: a batch waits for it visibly,
and nothing ever reads it as empty. Archived bytes are found again by their digest alone.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from activities.clients.object_store import ObjectStore
from activities.failures import IntegrityError, ServiceUnavailableError
from activities.policy.shape import ScreeningRules
from activities.screening.lists.changes import check_against_previous, check_age
from activities.screening.lists.entries import ListUnreadableError, ScreeningList
from activities.screening.lists.files import PROVENANCE, files_digest
from activities.screening.lists.provenance import read_provenance
from activities.screening.lists.registry import READERS, list_files, parse_list
from activities.screening.matcher import Matcher
from activities.store.tables import list_versions

MATCHERS_KEPT: Final = 2
"""Prepared sets of lists one process keeps, some 100 MB each: running batches mostly share theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEdition:
    """An edition that was accepted before: digest (hex), publication date, number of entries."""

    digest: str
    published_on: date
    entry_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """The edition in the folder; `listed` is read only where it has not been accepted before."""

    list_id: str
    digest: str
    listed: ScreeningList | None = None


class Editions:
    """Reads the lists' folder, archives what is accepted, and prepares lists for comparing."""

    def __init__(self, *, lists_folder: Path, object_store: ObjectStore) -> None:
        self._folder = lists_folder
        self._objects = object_store
        self._matchers: OrderedDict[tuple[Any, ...], Matcher] = OrderedDict()
        self._preparing = threading.Lock()

    def newest(self, list_id: str, rules: ScreeningRules, known: Sequence[KnownEdition]) -> Edition:
        """Gives the edition in the folder, archived, when the rules let it be believed.

        `known` are the list's accepted editions, the last one last: from that one it may not shrink too far.

        Raises: ServiceUnavailableError naming the list, with a fixed reason.
        """
        try:
            files = list_files(list_id, self._folder)
            digest = files_digest(files, READERS[list_id].files)
            seen = next((edition for edition in known if edition.digest == digest), None)
            if seen is not None:
                _require_fresh(list_id, _restated_on(list_id, files) or seen.published_on, rules)
                return Edition(list_id=list_id, digest=digest)
            listed = parse_list(list_id, files)
        except ListUnreadableError as error:
            raise _away(list_id, error.reason) from None
        _require_fresh(list_id, listed.published_on, rules)
        _require_size(listed, known, rules)
        for name, content in files.items():
            self._objects.put(f"{_archive(list_id, digest)}/{name}", content)
        return Edition(list_id=list_id, digest=digest, listed=listed)

    def archived(self, list_id: str, digest: str) -> ScreeningList:
        """Gives an accepted edition as it was.

        Raises: IntegrityError when the archive no longer holds exactly its bytes.
        """
        folder = _archive(list_id, digest)
        files = {name: self._objects.get(f"{folder}/{name}") for name in READERS[list_id].files}
        try:
            files[PROVENANCE] = self._objects.get(f"{folder}/{PROVENANCE}")
        except IntegrityError:
            # Only some formats need a sidecar; where one is needed, parsing says so.
            files.pop(PROVENANCE, None)
        try:
            listed = parse_list(list_id, files)
        except ListUnreadableError:
            raise IntegrityError("an archived list cannot be read", list_id, digest) from None
        if listed.digest != digest:
            raise IntegrityError("an archived list is not the one it was", list_id, digest)
        return listed

    def matcher(self, digests: Mapping[str, str], threshold: float) -> Matcher:
        """Gives the pinned editions ready to compare with; prepared once per process."""
        wanted = (threshold, *sorted(digests.items()))
        with self._preparing:
            found = self._matchers.get(wanted)
            if found is None:
                lists = [self.archived(list_id, digest) for list_id, digest in sorted(digests.items())]
                found = self._matchers[wanted] = Matcher(lists, threshold)
            self._matchers.move_to_end(wanted)
            while len(self._matchers) > MATCHERS_KEPT:
                self._matchers.popitem(last=False)
        return found

    def archive_uri(self, list_id: str, digest: str) -> str:
        """Where an edition's files lie."""
        return self._objects.uri(_archive(list_id, digest))


def known_editions(connection: Connection, list_ids: Sequence[str]) -> dict[str, list[KnownEdition]]:
    """Gives the accepted editions of each list, in the order they were accepted."""
    rows = connection.execute(
        select(list_versions)
        .where(list_versions.c.list_id.in_(list_ids))
        .order_by(list_versions.c.accepted_at)
    )
    known: dict[str, list[KnownEdition]] = {list_id: [] for list_id in list_ids}
    for row in rows:
        known[row.list_id].append(_known(row))
    return known


def record_edition(connection: Connection, listed: ScreeningList, archive_uri: str) -> None:
    """Writes down an accepted edition, once."""
    connection.execute(
        insert(list_versions)
        .values(
            list_id=listed.list_id,
            digest=bytes.fromhex(listed.digest),
            source=listed.source,
            published_on=listed.published_on.isoformat(),
            entry_count=listed.entry_count,
            archive_uri=archive_uri,
        )
        .on_conflict_do_nothing()
    )


def _known(row: Row[Any]) -> KnownEdition:
    return KnownEdition(
        digest=bytes(row.digest).hex(),
        published_on=date.fromisoformat(row.published_on),
        entry_count=row.entry_count,
    )


def _archive(list_id: str, digest: str) -> str:
    return f"lists/{list_id}/{digest}"


def _away(list_id: str, reason: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"list {list_id} ({reason})")


def _require_fresh(list_id: str, published_on: date, rules: ScreeningRules) -> None:
    dated = ScreeningList(
        list_id=list_id, source="", published_on=published_on, entry_count=0, digest="", entries=()
    )
    if check_age(dated, datetime.now(tz=UTC).date(), rules.list_age_days_max):
        raise _away(list_id, "its date is older than the policy allows, or in the future")


def _restated_on(list_id: str, files: Mapping[str, bytes]) -> date | None:
    """When the authority last published these very bytes: they may stand unchanged for weeks."""
    provenance = read_provenance(list_id, files, READERS[list_id].files)
    return provenance.published_on if provenance else None


def _require_size(listed: ScreeningList, known: Sequence[KnownEdition], rules: ScreeningRules) -> None:
    share = rules.list_shrink_share_max
    if known and check_against_previous(listed, known[-1].entry_count, share):
        raise _away(listed.list_id, "it shrank by more than the policy allows")
