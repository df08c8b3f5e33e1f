"""Screens one slice: opens its subjects, compares them with the pinned lists, stores the verdicts.

Personal data is in memory only for the length of one call, and at rest only sealed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from activities import merkle
from activities.contracts.shapes import SliceResult, SliceStep
from activities.failures import IntegrityError
from activities.personal_data import (
    ROW_GROUP,
    VERDICT_GROUP,
    BatchDataKey,
    SubjectVault,
    WrappedKey,
    leaf,
    open_bytes,
    wrapped_key,
)
from activities.screening.editions import Editions
from activities.screening.matcher import Matcher
from activities.screening.pinning import batch_policy, pinned_lists
from activities.screening.verdicts import (
    VERDICTS,
    ScreeningTerms,
    Verdict,
    erased_verdict,
    query_for,
    verdict_for,
)
from activities.store import audit, slices
from activities.store.database import Database, copy_rows, hold_fence
from activities.store.locks import lock_slice
from activities.store.tables import subjects, verdicts

SCREEN_STAGE: Final = "screen"

_COLUMNS: Final = ("batch_no", "ordinal", "verdict", "score", "leaf", "hold_digest", "sealed_detail")
_TYPES: Final = ("int8", "int4", "text", "float4", "bytea", "bytea", "bytea")


class StoredSubject(NamedTuple):
    """A subject as it is stored; a tuple, because there are many."""

    ordinal: int
    salt: bytes | None
    sealed: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCase:
    """What one slice is screened with and who is in it."""

    batch_no: int
    terms: ScreeningTerms
    wrapped: WrappedKey
    subjects: Sequence[StoredSubject]


class SliceScreener:
    """Screens slices of batches."""

    def __init__(self, *, database: Database, vault: SubjectVault, editions: Editions) -> None:
        self._database = database
        self._vault = vault
        self._editions = editions

    def screen(self, step: SliceStep) -> SliceResult:
        """Gives the slice its verdicts, once.

        Raises: IntegrityError when a stored row is not the one the plan was made over, PolicyViolationError
            when the audit chain is not the batch's.
        """
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            if done := slices.recorded(connection, batch_no=batch_no, stage=SCREEN_STAGE, step=step):
                return done
            chain = slices.require_own_chain(step)
            audit.append(connection, chain, kind="slice.intent", facts=_facts(step))
            case = _case(connection, batch_no, step)
        key = case.wrapped.opened_by(self._vault)
        matcher = self._editions.matcher(case.terms.list_digests, case.terms.threshold)
        found = [_verdict(subject, key, matcher, case.terms) for subject in case.subjects]
        rows = [
            _stored(case.batch_no, v, s, key, self._vault) for v, s in zip(found, case.subjects, strict=True)
        ]
        result = _result(found)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_slice(connection, SCREEN_STAGE, step)
            if done := slices.recorded(connection, batch_no=batch_no, stage=SCREEN_STAGE, step=step):
                return done
            copy_rows(connection, table=verdicts.name, columns=_COLUMNS, types=_TYPES, rows=rows)
            _record(connection, batch_no, step, result)
        return result


def opened_row(subject: StoredSubject, salt: bytes, key: BatchDataKey) -> dict[str, Any]:
    """Gives a subject's row as it was planned.

    Raises: IntegrityError when it does not open or is not the row of its manifest leaf.
    """
    plain = open_bytes(key, salt=salt, ordinal=subject.ordinal, group=ROW_GROUP, sealed=subject.sealed)
    if leaf(salt, plain) != subject.leaf:
        raise IntegrityError("a subject's row is not the one in the manifest", key.batch_id, subject.ordinal)
    row: dict[str, Any] = json.loads(plain)
    return row


def stored_subjects(connection: Connection, batch_no: int, *, first: int, end: int) -> list[StoredSubject]:
    """Gives the subjects with ordinals from `first` up to, not including, `end`."""
    rows = connection.execute(
        select(subjects.c.ordinal, subjects.c.salt, subjects.c.sealed, subjects.c.leaf)
        .where(subjects.c.batch_no == batch_no, subjects.c.ordinal >= first, subjects.c.ordinal < end)
        .order_by(subjects.c.ordinal)
    )
    return [StoredSubject(row.ordinal, row.salt, bytes(row.sealed), bytes(row.leaf)) for row in rows]


def screening_terms(
    connection: Connection, batch_no: int, batch_id: str, list_digests: dict[str, str]
) -> ScreeningTerms:
    """Gives what the batch's policy says of screening, for these editions of the lists."""
    policy = batch_policy(connection, batch_no)
    return ScreeningTerms(
        batch_id=batch_id,
        list_digests=list_digests,
        threshold=policy.screening.threshold,
        kyc_required=policy.kyc.reference_required,
    )


def batch_key(connection: Connection, batch_no: int, batch_id: str) -> WrappedKey:
    """Gives the wrapped key of the batch's personal data.

    Raises: IntegrityError when there is none.
    """
    wrapped = wrapped_key(connection, batch_no)
    if wrapped is None:
        raise IntegrityError("the batch has no key for personal data", batch_id)
    return wrapped


def _case(connection: Connection, batch_no: int, step: SliceStep) -> SliceCase:
    digests = pinned_lists(connection, batch_no)
    if not digests:
        raise IntegrityError("the batch has no lists to screen with", step.batch_id)
    found = stored_subjects(connection, batch_no, first=step.offset, end=step.offset + step.length)
    if len(found) != step.length:
        raise IntegrityError("subjects of a slice are missing", step.batch_id, step.slice_index)
    return SliceCase(
        batch_no=batch_no,
        terms=screening_terms(connection, batch_no, step.batch_id, digests),
        wrapped=batch_key(connection, batch_no, step.batch_id),
        subjects=found,
    )


def _verdict(subject: StoredSubject, key: BatchDataKey, matcher: Matcher, terms: ScreeningTerms) -> Verdict:
    if subject.salt is None:
        return erased_verdict(subject.ordinal)
    row = opened_row(subject, subject.salt, key)
    return verdict_for(subject.ordinal, row, matcher.screen(query_for(row)), terms)


def _stored(
    batch_no: int, verdict: Verdict, subject: StoredSubject, key: BatchDataKey, vault: SubjectVault
) -> tuple[Any, ...]:
    sealed = None
    if verdict.detail is not None and subject.salt is not None:
        sealed = vault.seal(
            key,
            salt=subject.salt,
            ordinal=verdict.ordinal,
            group=VERDICT_GROUP,
            fields=verdict.detail,
        )
    hold = bytes.fromhex(verdict.hold_digest) or None
    return (batch_no, verdict.ordinal, verdict.verdict, verdict.score, verdict.leaf, hold, sealed)


def _result(found: Sequence[Verdict]) -> SliceResult:
    counts = dict.fromkeys(VERDICTS, 0)
    for verdict in found:
        counts[verdict.verdict] += 1
    root = merkle.root(verdict.leaf for verdict in found).hex()
    return SliceResult(row_count=len(found), root=root, counts=counts)


def _facts(step: SliceStep) -> dict[str, Any]:
    return {
        "stage": SCREEN_STAGE,
        "tranche": step.tranche,
        "slice_index": step.slice_index,
        "first_position": step.offset,
        "length": step.length,
    }


def _record(connection: Connection, batch_no: int, step: SliceStep, result: SliceResult) -> None:
    slices.record(connection, batch_no=batch_no, stage=SCREEN_STAGE, step=step, result=result)
    outcome = {"row_count": result.row_count, "root": result.root, "counts": result.counts}
    audit.append(connection, step.audit_chain, kind="slice.outcome", facts=_facts(step) | outcome)
