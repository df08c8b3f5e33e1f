"""Stores the good rows of a source slice by slice, each slice with its record in one transaction.

Goes on after the last committed slice. Two attempts at once wait for each other and store each slice once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from activities import merkle
from activities.canonical import canonical_strings
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import SLICE_SIZE, BatchStep, SliceResult, SliceStep, batch_chain
from activities.failures import InvalidRequestError
from activities.intake.inspection import BATCH_SUBJECTS_MAX
from activities.intake.rows import Row, read_rows
from activities.intake.source import OpenedSource
from activities.personal_data import ROW_GROUP, SALT_SIZE, BatchDataKey, leaf, seal_bytes
from activities.store import audit, slices
from activities.store.database import Database, copy_rows, hold_fence
from activities.store.locks import lock_slice
from activities.store.tables import audit_entries, batches, subjects
from activities.store.tables import slices as slice_rows

INTAKE_STAGE: Final = "intake"

_COLUMNS: Final = ("batch_no", "ordinal", "subject_id", "salt", "sealed", "leaf")
_TYPES: Final = ("int8", "int4", "text", "bytea", "bytea", "bytea")
_CHANGED: Final = "source: the file changed since it was inspected"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSoFar:
    """What is committed of a batch's intake, and the request it works on."""

    batch_no: int
    request: BatchRequest
    slice_count: int
    subject_count: int
    cursor: int
    prefix_digest: str


class SealedSubject(NamedTuple):
    """A row of the table of subjects, in the order of its columns."""

    batch_no: int
    ordinal: int
    subject_id: str
    salt: bytes
    sealed: bytes
    leaf: bytes


class _Fill(NamedTuple):
    """The rows of one slice, how many bytes were read up to its end, and their digest."""

    rows: list[Row]
    cursor: int
    prefix_digest: str


def stored_so_far(connection: Connection, step: BatchStep) -> StoredSoFar:
    """Gives where a batch's intake stands.

    Raises: StaleFenceError.
    """
    batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
    request = connection.execute(select(batches.c.request).where(batches.c.batch_no == batch_no)).scalar_one()
    totals = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(slice_rows.c.row_count), 0),
            func.coalesce(func.max(slice_rows.c.source_cursor), 0),
        ).where(slice_rows.c.batch_no == batch_no, slice_rows.c.stage == INTAKE_STAGE)
    ).one()
    slice_count = int(totals[0])
    return StoredSoFar(
        batch_no=batch_no,
        request=parse_request(request),
        slice_count=slice_count,
        subject_count=int(totals[1]),
        cursor=int(totals[2]),
        prefix_digest=_prefix_digest(connection, step.batch_id, slice_count - 1) if slice_count else "",
    )


class SubjectWriter:
    """Writes one batch's subjects; `done` and `count` say how many slices and subjects are committed."""

    def __init__(
        self, database: Database, *, step: BatchStep, key: BatchDataKey, so_far: StoredSoFar
    ) -> None:
        self._database = database
        self._step = step
        self._key = key
        self._so_far = so_far
        self.done = so_far.slice_count
        self.count = so_far.subject_count

    def write(self, source: OpenedSource, *, today: date) -> None:
        """Stores what is not stored yet, and requires the file to be the one that was inspected.

        Raises: InvalidRequestError when it is another, StaleFenceError, ServiceUnavailableError.
        """
        rows = self._good_rows(source, today)
        while fill := self._next_fill(rows, source):
            if self.count % SLICE_SIZE:
                raise InvalidRequestError(_CHANGED)
            self._write_slice(fill)
        if not self.count or source.sha256_of_all() != self._so_far.request.source.sha256:
            raise InvalidRequestError(_CHANGED)

    def _good_rows(self, source: OpenedSource, today: date) -> Iterator[Row]:
        refuses = self._so_far.request.on_bad_rows == "refuse"
        rows = read_rows(source, today=today, after=self._so_far.cursor)
        if self._so_far.slice_count and source.sha256_so_far() != self._so_far.prefix_digest:
            raise InvalidRequestError(_CHANGED)
        for row in rows:
            if isinstance(row, Row):
                yield row
            elif refuses:
                raise InvalidRequestError(_CHANGED)

    def _next_fill(self, rows: Iterator[Row], source: OpenedSource) -> _Fill | None:
        """Takes rows until a slice is full or the file ends; rows that repeat an id are left out."""
        filled: dict[str, Row] = {}
        while wanted := SLICE_SIZE - len(filled):
            taken = list(islice(rows, wanted))
            if not taken:
                break
            self._add_new(filled, taken)
        return _Fill(list(filled.values()), source.offset, source.sha256_so_far()) if filled else None

    def _add_new(self, filled: dict[str, Row], taken: list[Row]) -> None:
        known = self._already_stored([row.values["subject_id"] for row in taken])
        for row in taken:
            subject_id = row.values["subject_id"]
            if subject_id not in known and subject_id not in filled:
                filled[subject_id] = row
            elif self._so_far.request.on_bad_rows == "refuse":
                raise InvalidRequestError(_CHANGED)

    def _already_stored(self, subject_ids: list[str]) -> set[str]:
        with self._database.transaction() as connection:
            found = connection.execute(
                select(subjects.c.subject_id).where(
                    subjects.c.subject_id == func.any(subject_ids),
                    subjects.c.batch_no == self._so_far.batch_no,
                    subjects.c.ordinal < self.count,
                )
            )
            return {row.subject_id for row in found}

    def _write_slice(self, fill: _Fill) -> None:
        step = SliceStep(
            batch_id=self._step.batch_id,
            fence=self._step.fence,
            tranche=0,
            slice_index=self.done,
            offset=self.count,
            length=len(fill.rows),
            audit_chain=batch_chain(self._step.batch_id),
        )
        if step.offset + step.length > BATCH_SUBJECTS_MAX:
            raise InvalidRequestError(_CHANGED)
        facts = {"stage": INTAKE_STAGE, "slice_index": step.slice_index, "row_count": step.length}
        with self._database.transaction() as connection:
            audit.append(connection, step.audit_chain, kind="slice.intent", facts=facts)
        sealed = seal_rows(
            fill.rows, key=self._key, batch_no=self._so_far.batch_no, first_ordinal=step.offset
        )
        result = SliceResult(
            row_count=len(sealed),
            root=merkle.root([row.leaf for row in sealed]).hex(),
            counts={"kyc_references_missing": kyc_references_missing(row.values for row in fill.rows)},
        )
        with self._database.transaction() as connection:
            self._commit(connection, step, fill=fill, sealed=sealed, result=result)
        self.done += 1
        self.count += step.length

    def _commit(
        self,
        connection: Connection,
        step: SliceStep,
        *,
        fill: _Fill,
        sealed: list[SealedSubject],
        result: SliceResult,
    ) -> None:
        batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
        lock_slice(connection, INTAKE_STAGE, step)
        recorded = slices.recorded(connection, batch_no=batch_no, stage=INTAKE_STAGE, step=step)
        if recorded is not None:
            # Another attempt was faster; it must have read the same bytes.
            if _prefix_digest(connection, step.batch_id, step.slice_index) != fill.prefix_digest:
                raise InvalidRequestError(_CHANGED)
            return
        copy_rows(connection, table=subjects.name, columns=_COLUMNS, types=_TYPES, rows=sealed)
        slices.record(
            connection,
            batch_no=batch_no,
            stage=INTAKE_STAGE,
            step=step,
            result=result,
            source_cursor=fill.cursor,
        )
        facts = {**_outcome(step, result), "prefix_digest": fill.prefix_digest}
        audit.append(connection, step.audit_chain, kind="slice.outcome", facts=facts)


def seal_rows(
    rows: list[Row], *, key: BatchDataKey, batch_no: int, first_ordinal: int
) -> list[SealedSubject]:
    """Seals rows under salts of their own and makes their manifest leaves."""
    salts = os.urandom(SALT_SIZE * len(rows))
    sealed = []
    for place, row in enumerate(rows):
        salt = salts[SALT_SIZE * place : SALT_SIZE * (place + 1)]
        ordinal = first_ordinal + place
        plain = canonical_strings(row.values)
        box = seal_bytes(key, salt=salt, ordinal=ordinal, group=ROW_GROUP, plain=plain)
        sealed.append(
            SealedSubject(batch_no, ordinal, row.values["subject_id"], salt, box, leaf(salt, plain))
        )
    return sealed


def kyc_references_missing(rows: Iterable[Mapping[str, str]]) -> int:
    """How many rows have no KYC reference: what the policy asks about when nobody may open rows."""
    return sum("kyc_reference" not in values for values in rows)


def _prefix_digest(connection: Connection, batch_id: str, slice_index: int) -> str:
    """The digest of the file up to a slice's end, as the slice's outcome recorded it.

    A later attempt must find the same bytes before it goes on: otherwise a file that was exchanged and
    put back between two attempts would leave rows that are not the pinned file's.
    """
    body = cast(audit_entries.c.body, JSONB)
    outcome = {"kind": "slice.outcome", "stage": INTAKE_STAGE, "slice_index": slice_index}
    return str(
        connection.execute(
            select(body["prefix_digest"].astext).where(
                audit_entries.c.chain == batch_chain(batch_id), body.contains(outcome)
            )
        ).scalar_one()
    )


def _outcome(step: SliceStep, result: SliceResult) -> Mapping[str, Any]:
    return {
        "stage": INTAKE_STAGE,
        "slice_index": step.slice_index,
        "row_count": result.row_count,
        "root": result.root,
        "counts": result.counts,
    }
