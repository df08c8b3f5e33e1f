"""List changes before a wave: who is not active yet is compared with what is new on the lists.

Withholds and never releases: an entry that left a list clears nobody. Costs one look at the files where
nothing changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from activities.contracts.screening import ApplyListChanges, ListChanges
from activities.contracts.shapes import SLICE_SIZE, batch_chain
from activities.digests import withholding_root
from activities.personal_data import VERDICT_GROUP, BatchDataKey, SubjectVault, WrappedKey
from activities.screening.editions import Edition, Editions
from activities.screening.lists.changes import delta
from activities.screening.lists.entries import ScreeningList
from activities.screening.matcher import Matcher
from activities.screening.pinning import (
    add_lists,
    applied_lists,
    read_newest,
    record_accepted,
    screening_rules,
    stated_editions,
)
from activities.screening.slices import StoredSubject, batch_key, opened_row, screening_terms
from activities.screening.verdicts import HITS_SHOWN_MAX, ScreeningTerms, detail_of, query_for
from activities.store import audit
from activities.store.database import Database, hold_fence
from activities.store.locks import lock
from activities.store.tables import plans, withholdings

_NOT_YET_ACTIVE: Final = text(
    """
    SELECT s.ordinal, s.salt, s.sealed, s.leaf
    FROM subjects s JOIN verdicts v ON v.batch_no = s.batch_no AND v.ordinal = s.ordinal
    WHERE s.batch_no = :batch_no AND s.ordinal >= :first AND s.ordinal < :end AND v.verdict <> 'refused'
      AND NOT EXISTS (SELECT FROM adjudications a WHERE a.batch_no = s.batch_no AND a.ordinal = s.ordinal
                      AND a.decision <> 'clear')
      AND NOT EXISTS (SELECT FROM withholdings h WHERE h.batch_no = s.batch_no AND h.ordinal = s.ordinal)
      AND NOT EXISTS (SELECT FROM wallets w WHERE w.batch_no = s.batch_no AND w.ordinal = s.ordinal
                      AND w.state NOT IN ('derived', 'ready'))
    ORDER BY s.ordinal
    """
)
"""Open holds are among them: their decision will be about the old hits alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What changed on the lists since a batch was last screened, and what screening it takes."""

    batch_no: int
    subject_count: int
    editions: Mapping[str, Edition]
    replaced: Mapping[str, str]
    new_entries: tuple[ScreeningList, ...]
    terms: ScreeningTerms
    wrapped: WrappedKey


class _Withheld(NamedTuple):
    """A subject that a new entry hit, by the list of its best hit."""

    ordinal: int
    list_id: str
    sealed_detail: bytes


class ListChangeApplier:
    """Applies list changes to batches."""

    def __init__(self, *, database: Database, vault: SubjectVault, editions: Editions) -> None:
        self._database = database
        self._vault = vault
        self._editions = editions

    def apply(self, step: ApplyListChanges) -> ListChanges:
        """Withholds whom the changes hit; gives the lists in force and how many the wave's changes hit."""
        in_force = self._brought_up_to_date(step)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            withheld = _withheld_before(connection, batch_no, step.wave)
        return ListChanges(digests=in_force, withheld=withheld)

    def _brought_up_to_date(self, step: ApplyListChanges) -> dict[str, str]:
        """Gives the lists in force, once every one of them is applied, by this attempt or by another."""
        while True:
            with self._database.transaction() as connection:
                batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
                rules = screening_rules(connection, batch_no)
                applied = applied_lists(connection, batch_no)
            newest = read_newest(self._database, self._editions, rules)
            fresh = {e.list_id: e for e in newest if e.digest not in applied.get(e.list_id, [])}
            if fresh:
                change = self._change(step, batch_no, fresh, applied)
            if not fresh or self._commit(step, change, list(self._hits(change))):
                return {e.list_id: e.digest for e in newest}

    def _change(
        self,
        step: ApplyListChanges,
        batch_no: int,
        fresh: Mapping[str, Edition],
        applied: Mapping[str, list[str]],
    ) -> _Change:
        replaced = {list_id: applied[list_id][-1] for list_id in fresh if applied.get(list_id)}
        entries = tuple(self._new_entries(e, replaced.get(e.list_id)) for e in fresh.values())
        with self._database.transaction() as connection:
            digests = {list_id: edition.digest for list_id, edition in fresh.items()}
            return _Change(
                batch_no=batch_no,
                subject_count=_subject_count(connection, batch_no),
                editions=fresh,
                replaced=replaced,
                new_entries=entries,
                terms=screening_terms(connection, batch_no, step.batch_id, digests),
                wrapped=batch_key(connection, batch_no, step.batch_id),
            )

    def _new_entries(self, edition: Edition, before: str | None) -> ScreeningList:
        """The edition with nothing but the entries that the one before does not hold word for word."""
        listed = edition.listed or self._editions.archived(edition.list_id, edition.digest)
        if before is None:
            return listed
        changed = delta(self._editions.archived(edition.list_id, before), listed).changed
        return replace(listed, entries=changed, entry_count=len(changed))

    def _hits(self, change: _Change) -> Iterator[_Withheld]:
        if not any(listed.entries for listed in change.new_entries):
            return
        key = change.wrapped.opened_by(self._vault)
        matcher = Matcher(change.new_entries, change.terms.threshold)
        for first in range(0, change.subject_count, SLICE_SIZE):
            with self._database.transaction() as connection:
                waiting = _not_yet_active(connection, change.batch_no, first)
            for subject in waiting:
                if found := self._withheld(subject, key, matcher, change.terms):
                    yield found

    def _withheld(
        self, subject: StoredSubject, key: BatchDataKey, matcher: Matcher, terms: ScreeningTerms
    ) -> _Withheld | None:
        if subject.salt is None:
            # What was erased cannot be compared, and what was not compared is not clear.
            return _Withheld(subject.ordinal, min(terms.list_digests), b"")
        row = opened_row(subject, subject.salt, key)
        hits = matcher.screen(query_for(row))
        if not hits:
            return None
        sealed = self._vault.seal(
            key,
            salt=subject.salt,
            ordinal=subject.ordinal,
            group=VERDICT_GROUP,
            fields=detail_of(row, hits[:HITS_SHOWN_MAX], terms),
        )
        return _Withheld(subject.ordinal, hits[0].list_id, sealed)

    def _commit(self, step: ApplyListChanges, change: _Change, hit: list[_Withheld]) -> bool:
        """Gives false when another attempt applied one of the lists meanwhile."""
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock(connection, f"lists/{step.batch_id}")
            applied = applied_lists(connection, batch_no)
            if any(e.digest in applied.get(list_id, []) for list_id, e in change.editions.items()):
                return False
            record_accepted(connection, change.editions.values(), self._editions)
            digests = {list_id: edition.digest for list_id, edition in change.editions.items()}
            add_lists(connection, batch_no, digests, wave=step.wave)
            withheld = _withhold(connection, batch_no, step.wave, change, hit)
            facts = {
                "wave": step.wave,
                "lists": digests,
                "editions": stated_editions(connection, digests),
                "replaced": dict(change.replaced),
                "new_entries": {listed.list_id: listed.entry_count for listed in change.new_entries},
                "withheld": len(withheld),
                "withheld_root": _root(change, withheld),
            }
            audit.append(connection, batch_chain(step.batch_id), kind="list.changed", facts=facts)
        return True


def _root(change: _Change, withheld: list[_Withheld]) -> str:
    """The root over whom the change withholds; they come in the order of ordinals."""
    return withholding_root(
        (one.ordinal, one.list_id, change.editions[one.list_id].digest) for one in withheld
    )


def _withhold(
    connection: Connection, batch_no: int, wave: int, change: _Change, hit: list[_Withheld]
) -> list[_Withheld]:
    """Gives those it withholds: whom a change of a moment before withheld stays that one's."""
    if not hit:
        return []
    rows = [
        {
            "batch_no": batch_no,
            "ordinal": one.ordinal,
            "list_id": one.list_id,
            "list_digest": bytes.fromhex(change.editions[one.list_id].digest),
            "before_wave": wave,
            "sealed_detail": one.sealed_detail,
        }
        for one in hit
    ]
    writing = insert(withholdings).on_conflict_do_nothing().returning(withholdings.c.ordinal)
    written = set(connection.execute(writing, rows).scalars())
    return [one for one in hit if one.ordinal in written]


def _not_yet_active(connection: Connection, batch_no: int, first: int) -> list[StoredSubject]:
    rows: Any = connection.execute(
        _NOT_YET_ACTIVE, {"batch_no": batch_no, "first": first, "end": first + SLICE_SIZE}
    )
    return [StoredSubject(row.ordinal, row.salt, bytes(row.sealed), bytes(row.leaf)) for row in rows]


def _subject_count(connection: Connection, batch_no: int) -> int:
    return int(
        connection.execute(select(plans.c.subject_count).where(plans.c.batch_no == batch_no)).scalar_one()
    )


def _withheld_before(connection: Connection, batch_no: int, wave: int) -> int:
    counted = connection.execute(
        select(func.count()).where(withholdings.c.batch_no == batch_no, withholdings.c.before_wave == wave)
    )
    return int(counted.scalar_one())
