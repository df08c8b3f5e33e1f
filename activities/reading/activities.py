"""Answers readers: the wallet table, the open holds for those who adjudicate, one subject's story.

Every reading is on record, with who and why, before anything is given out. Personal data leaves encrypted
only; what is told of screening tips nobody off.
"""

import csv
import hashlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, Row, Select, and_, collate, exists, select
from temporalio import activity

from activities.canonical import canonical
from activities.clients.object_store import ObjectStore
from activities.contracts.reading import ReadBatch, Reading, SubjectAccount
from activities.contracts.request import BATCH_ID
from activities.contracts.shapes import Document
from activities.evidence.layout import bundle_key
from activities.evidence.public_part import one_snapshot, stream
from activities.evidence.restricted import encrypted_parts, recipients
from activities.failures import (
    IntegrityError,
    InvalidRequestError,
    PolicyViolationError,
)
from activities.personal_data import ROW_GROUP, VERDICT_GROUP, BatchDataKey, SubjectVault, wrapped_key
from activities.reading.log import record_read
from activities.reading.story import subject_account
from activities.store import tables as t
from activities.store.database import Database
from activities.trust.gates import GateRule
from activities.trust.mounted import mounted_trust
from activities.trust.trust_file import Trust

WALLET_COLUMNS: Final = ("subject_id", "chain", "address", "state")

SUBJECT_SHOWN: Final = ("full_name", "date_of_birth", "country", "nationality")
"""What an adjudicator sees of a held subject: enough to tell two people apart, and no more."""

_TEXT_CHARS_MAX: Final = 500
_PART_BYTES: Final = 2**18
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A cell that begins with one of these is run as a formula by spreadsheets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A batch whose reading is on record."""

    batch_no: int
    batch_id: str
    tenant: str


class ReadingActivities(Reading):
    """Reads the store for the command line."""

    def __init__(
        self, *, database: Database, object_store: ObjectStore, vault: SubjectVault, trust_path: Path
    ) -> None:
        self._database = database
        self._objects = object_store
        self._vault = vault
        self._trust_path = trust_path

    @activity.defn
    def publish_wallets(self, step: ReadBatch) -> Document:
        """Writes the wallet table as CSV, by subject and chain.

        Raises: InvalidRequestError for an unknown batch, ServiceUnavailableError.
        Retry: the table is written again, as wallets stand then.
        """
        opened = self._open(step, what="wallets")
        table = _WalletTable()
        with self._database.transaction() as connection:
            one_snapshot(connection)
            parts = table.parts(connection, opened.batch_no)
            written = self._objects.put(f"batches/{opened.batch_id}/tables/wallets.csv", parts)
        return replace(written, rows=table.rows)

    @activity.defn
    def publish_holds(self, step: ReadBatch) -> Document:
        """Writes the open holds, encrypted to the SSH keys of everybody who may settle one.

        Raises: InvalidRequestError for an unknown batch, PolicyViolationError when nobody who may
            adjudicate holds a key that age can encrypt to, ServiceUnavailableError.
        """
        opened = self._open(step, what="holds")
        with self._database.transaction() as connection:
            wrapped = wrapped_key(connection, opened.batch_no)
            keys = self._adjudicators(connection, opened)
        if not keys:
            raise PolicyViolationError("nobody who may adjudicate has an Ed25519 or RSA key", opened.batch_id)
        key = wrapped.opened_by(self._vault) if wrapped else None
        holds = _Holds(self._vault, key)
        with tempfile.TemporaryFile(prefix="walletworks-holds-") as spool:
            with self._database.transaction() as connection:
                one_snapshot(connection)
                encrypted_parts(holds.parts(connection, opened), keys, spool)
            spool.seek(0)
            written = self._objects.put(f"batches/{opened.batch_id}/tables/holds.age", _read(spool))
        return replace(written, rows=holds.count)

    @activity.defn
    def explain_subject(self, step: ReadBatch) -> SubjectAccount:
        """Tells the story of one subject.

        Raises: InvalidRequestError when the batch has no such subject.
        """
        if not step.subject_id.isprintable():
            raise InvalidRequestError("subject_id: the batch has no such subject")
        opened = self._open(step, what="subject")
        with self._database.transaction() as connection:
            one_snapshot(connection)
            return subject_account(connection, batch_no=opened.batch_no, subject_id=step.subject_id)

    @activity.defn
    def find_bundle(self, step: ReadBatch) -> Document:
        """Finds the evidence bundle, also when Temporal has forgotten the batch.

        Raises: InvalidRequestError for an unknown batch or one without a bundle, ServiceUnavailableError.
        """
        opened = self._open(step, what="bundle")
        key = bundle_key(opened.batch_id)
        try:
            with self._objects.open(key) as stream:
                digest, size = hashlib.sha256(), 0
                while part := stream.read(_PART_BYTES):
                    digest.update(part)
                    size += len(part)
                return Document(uri=self._objects.uri(key), sha256=digest.hexdigest(), size=size)
        except IntegrityError:
            missing = InvalidRequestError("the batch has no bundle yet: it is written when the batch ends")
        raise missing

    def _open(self, step: ReadBatch, *, what: str) -> _Opened:
        """Puts the reading on record and gives the batch."""
        for name, value in (("reader", step.reader), ("reason", step.reason)):
            if not value.strip() or len(value) > _TEXT_CHARS_MAX or not value.isprintable():
                raise InvalidRequestError(f"{name}: must be a short line of text")
        if not BATCH_ID.fullmatch(step.batch_id):
            raise InvalidRequestError("batch_id: no such batch")
        with self._database.transaction() as connection:
            row = connection.execute(
                select(t.batches.c.batch_no, t.batches.c.tenant).where(t.batches.c.batch_id == step.batch_id)
            ).one_or_none()
            if row is None:
                raise InvalidRequestError("batch_id: no such batch")
            record_read(connection, step.batch_id, reader=step.reader, reason=step.reason, what=what)
        return _Opened(batch_no=row.batch_no, batch_id=step.batch_id, tenant=row.tenant)

    def _adjudicators(self, connection: Connection, opened: _Opened) -> list[Any]:
        decision = connection.execute(
            select(t.plans.c.decision).where(t.plans.c.batch_no == opened.batch_no)
        ).scalar_one_or_none()
        asked = ((decision or {}).get("gates", {}).get("hold") or {}).get("roles")
        if not asked:
            return []
        return recipients(self._trust(), GateRule(seats=asked).roles, tenant=opened.tenant)

    def _trust(self) -> Trust:
        """Read anew each time, so that a revocation counts at once."""
        return mounted_trust(self._trust_path)


class _WalletTable:
    """The wallet table as it is written; `rows` is known afterwards."""

    def __init__(self) -> None:
        self.rows = 0

    def parts(self, connection: Connection, batch_no: int) -> Iterator[bytes]:
        """The CSV in parts."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(WALLET_COLUMNS)
        for row in stream(connection, _wallets(batch_no)):
            writer.writerow([_cell(value) for value in row])
            self.rows += 1
            if sink.tell() >= _PART_BYTES:
                yield sink.getvalue().encode()
                sink.seek(0)
                sink.truncate()
        yield sink.getvalue().encode()


class _Holds:
    """The open holds as one JSON document; `count` is known afterwards."""

    def __init__(self, vault: SubjectVault, key: BatchDataKey | None) -> None:
        self._vault = vault
        self._key = key
        self.count = 0

    def parts(self, connection: Connection, opened: _Opened) -> Iterator[bytes]:
        """The document in parts: `batch_id` and `holds`."""
        yield b'{"batch_id":' + canonical(opened.batch_id) + b',"holds":['
        for row in stream(connection, _open_holds(opened.batch_no)):
            yield (b"," if self.count else b"") + canonical(self._hold(row))
            self.count += 1
        yield b"]}"

    def _hold(self, row: Row[Any]) -> dict[str, Any]:
        subject = self._opened(row, row.sealed, ROW_GROUP)
        detail = self._opened(row, row.sealed_detail, VERDICT_GROUP)
        return {
            "ordinal": row.ordinal,
            "subject_id": row.subject_id,
            "hold_digest": bytes(row.hold_digest).hex(),
            "subject": {name: subject[name] for name in SUBJECT_SHOWN if name in subject},
            "hits": detail.get("hits", []),
        }

    def _opened(self, row: Row[Any], sealed: bytes | None, group: str) -> dict[str, Any]:
        if self._key is None or sealed is None or row.salt is None:
            return {}
        return self._vault.open(
            self._key, salt=bytes(row.salt), ordinal=row.ordinal, group=group, sealed=bytes(sealed)
        )


def _wallets(batch_no: int) -> Select[Any]:
    own, people = t.wallets.c, t.subjects.c
    same = and_(people.batch_no == own.batch_no, people.ordinal == own.ordinal)
    return (
        select(people.subject_id, own.chain, own.address, own.state)
        .join(t.subjects, same)
        .where(own.batch_no == batch_no)
        .order_by(own.ordinal, collate(own.chain, "C"))
    )


def _open_holds(batch_no: int) -> Select[Any]:
    own, people, decided = t.verdicts.c, t.subjects.c, t.adjudications.c
    same = and_(people.batch_no == own.batch_no, people.ordinal == own.ordinal)
    settled = exists().where(decided.batch_no == own.batch_no, decided.ordinal == own.ordinal)
    return (
        select(
            own.ordinal,
            own.hold_digest,
            own.sealed_detail,
            people.subject_id,
            people.salt,
            people.sealed,
        )
        .join(t.subjects, same)
        .where(own.batch_no == batch_no, own.verdict == "held", ~settled)
        .order_by(own.ordinal)
    )


def _cell(value: str) -> str:
    """A value no spreadsheet runs."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _read(spool: BinaryIO) -> Iterator[bytes]:
    while part := spool.read(_PART_BYTES):
        yield part
