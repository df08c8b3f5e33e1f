"""Writes the record of a batch: one zip that an auditor verifies offline.

Changes nothing that is attested: the reading of personal data is recorded on a chain of its own.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, select
from temporalio import activity

from activities.canonical import canonical
from activities.clients.object_store import ObjectStore
from activities.contracts.record import Record
from activities.contracts.shapes import BatchStep, Document
from activities.evidence import layout
from activities.evidence.histories import Histories
from activities.evidence.public_part import BatchRow, find_batch, one_snapshot, write_public_part
from activities.evidence.restricted import AUDITOR_ROLE, encrypted, recipients
from activities.evidence.restricted_part import restricted_lines
from activities.evidence.writer import BundleWriter
from activities.personal_data import BatchDataKey, SubjectVault, wrapped_key
from activities.reading.log import record_read
from activities.store import tables as t
from activities.store.database import Database
from activities.trust.mounted import mounted_trust
from activities.trust.trust_file import Trust

_PART_BYTES: Final = 2**20


class RecordActivities(Record):
    """Writes bundles to the object store."""

    def __init__(
        self,
        *,
        database: Database,
        object_store: ObjectStore,
        vault: SubjectVault,
        trust_path: Path,
        deployment: str,
        histories: Histories,
    ) -> None:
        self._database = database
        self._objects = object_store
        self._vault = vault
        self._trust_path = trust_path
        self._deployment = deployment
        self._histories = histories

    @activity.defn
    async def write_bundle(self, step: BatchStep) -> Document:
        """Writes the bundle; readers see the old or the new one, never a part.

        Raises: InvalidRequestError for an unknown batch, IntegrityError when no head is attested or what
            is stored differs from its digest, ServiceUnavailableError.
        """
        with tempfile.TemporaryDirectory(prefix="walletworks-bundle-") as folder:
            histories = Path(folder) / layout.HISTORIES
            await self._spool_histories(step.batch_id, histories)
            return await asyncio.to_thread(self._write, step.batch_id, Path(folder), histories)

    async def _spool_histories(self, batch_id: str, path: Path) -> None:
        """Runs come in any order; only the runs' names are held to sort them."""
        runs: dict[tuple[str, str], Path] = {}
        async for event in self._histories.events(batch_id):
            run = (event.workflow_id, event.run_id)
            part = runs.setdefault(run, path.with_name(f"run-{len(runs)}"))
            with part.open("ab") as sink:
                sink.write(canonical({**asdict(event), "payload_digests": list(event.payload_digests)}))
                sink.write(b"\n")
        with path.open("wb") as whole:
            for run in sorted(runs):
                whole.write(runs[run].read_bytes())
                runs[run].unlink()

    def _write(self, batch_id: str, folder: Path, histories: Path) -> Document:
        tenant = self._tenant(batch_id)
        auditors = recipients(self._trust(), [AUDITOR_ROLE], tenant=tenant)
        key = self._data_key(batch_id) if auditors else None
        path = folder / "bundle.zip"
        with self._database.transaction() as connection:
            one_snapshot(connection)
            batch = find_batch(connection, batch_id)
            with BundleWriter(path) as writer:
                write_public_part(connection, batch, writer)
                writer.parts(layout.HISTORIES, _parts(histories))
                if key is not None:
                    sealed = self._sealed(connection, batch, key, auditors, folder)
                    writer.parts(layout.RESTRICTED, _parts(sealed))
                writer.close(self._facts(batch))
        return self._objects.put(layout.bundle_key(batch_id), _parts(path))

    def _sealed(
        self, connection: Connection, batch: BatchRow, key: BatchDataKey, auditors: list[Any], folder: Path
    ) -> Path:
        path = folder / layout.RESTRICTED
        lines = restricted_lines(connection, batch, vault=self._vault, key=key)
        with path.open("wb") as sink:
            encrypted(lines, auditors, sink)
        return path

    def _tenant(self, batch_id: str) -> str:
        with self._database.transaction() as connection:
            return find_batch(connection, batch_id).tenant

    def _data_key(self, batch_id: str) -> BatchDataKey | None:
        """Opens the batch's data key, with the reading on record first; None when nothing was stored."""
        own = t.batches.c
        with self._database.transaction() as connection:
            found = connection.execute(select(own.batch_no).where(own.batch_id == batch_id))
            wrapped = wrapped_key(connection, int(found.scalar_one()))
            if wrapped is not None:
                record_read(connection, batch_id, reader="bundle", reason="restricted part for auditors")
        return wrapped.opened_by(self._vault) if wrapped else None

    def _facts(self, batch: BatchRow) -> dict[str, Any]:
        return {
            "v": layout.FORMAT_VERSION,
            "deployment": self._deployment,
            "batch_id": batch.batch_id,
            "tenant": batch.tenant,
            "outcome": batch.outcome,
            "made_at": batch.made_at,
        }

    def _trust(self) -> Trust:
        """Read anew each time, so that a new auditor counts at once."""
        return mounted_trust(self._trust_path)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from _read(stream)


def _read(stream: BinaryIO) -> Iterator[bytes]:
    while part := stream.read(_PART_BYTES):
        yield part
