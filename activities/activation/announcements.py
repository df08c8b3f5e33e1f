"""The outbox: what the world is told is written with the effect itself, then delivered until it arrives.

Every announcement becomes a document in the object store and, where a receiver is configured, a signed call
by Standard Webhooks. Receivers see one id however often a delivery is tried; nothing here names a subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from activities.activation.webhooks import WebhookReceiver
from activities.canonical import canonical_text, text_digest
from activities.clients.object_store import ObjectStore
from activities.contracts.shapes import batch_chain
from activities.failures import ServiceUnavailableError
from activities.store import audit
from activities.store.database import Database
from activities.store.locks import lock
from activities.store.tables import outbox

INTENT: Final = "announcement.intent"
"""The audit record that stands before the first sending of an announcement."""

_EVENTS: Final = UUID("6f0c7a43-5a0e-5d0a-9b2e-0d7f1f6a6a11")
"""Namespace of event ids: the same event of the same batch gets the same id on every try."""


_WAITING: Final = text(
    """
    SELECT o.event_id, b.batch_id FROM outbox o JOIN batches b USING (batch_no)
    WHERE o.delivered_at IS NULL AND o.created_at < clock_timestamp() - interval '30 seconds'
    ORDER BY o.created_at LIMIT :limit
    """
)
"""What its own batch has had time to deliver."""


def event_id(batch_id: str, event: str) -> str:
    """Gives the id of one event of one batch, for example `wave/2`."""
    return str(uuid5(_EVENTS, f"{batch_id}|{event}"))


def announcement_key(batch_id: str, event: str) -> str:
    """Where the announcement with that event id lies in the object store."""
    return f"batches/{batch_id}/announcements/{event}.json"


def enqueue(
    connection: Connection, *, batch_no: int, event: str, topic: str, facts: Mapping[str, Any]
) -> bool:
    """Writes an announcement in the transaction of its effect; False when it was there already."""
    written = connection.execute(
        insert(outbox)
        .values(event_id=event, batch_no=batch_no, topic=topic, body=dict(facts))
        .on_conflict_do_nothing(index_elements=["event_id"])
        .returning(outbox.c.event_id)
    )
    return written.first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Announcement:
    """An announcement as it is sent, and whether it arrived."""

    event: str
    topic: str
    content: str
    delivered: bool


class Announcer:
    """Delivers what stands in the outbox."""

    def __init__(
        self, *, database: Database, object_store: ObjectStore, receiver: WebhookReceiver | None = None
    ) -> None:
        self._database = database
        self._objects = object_store
        self._receiver = receiver

    def deliver(self, *, batch_id: str, event: str) -> bool:
        """Delivers one announcement unless it was delivered before; False when there is none.

        Raises: ServiceUnavailableError while the audit log, the object store or the receiver is away.
        Retry: it is sent again with the same id and content until its arrival is recorded.
        """
        with self._database.transaction() as connection:
            pending = _announcement(connection, event)
        if pending is None or pending.delivered:
            return pending is not None
        with self._database.transaction() as connection:
            _record_intent(connection, batch_id, pending)
        self._objects.put(announcement_key(batch_id, event), pending.content.encode())
        if self._receiver is not None:
            self._receiver.post(event=event, content=pending.content)
        with self._database.transaction() as connection:
            _record_arrival(connection, batch_id, pending)
        return True

    def try_to_deliver(self, *, batch_id: str, event: str) -> bool:
        """Delivers one announcement if that works now; else it stays in the outbox, and this is False."""
        try:
            return self.deliver(batch_id=batch_id, event=event)
        except ServiceUnavailableError:
            return False

    def deliver_waiting(self, *, limit: int) -> int:
        """Delivers what was written a while ago and has not arrived, the oldest first; counts what did.

        Stops at the first that does not arrive: a receiver that is away is not knocked at for each.
        """
        with self._database.transaction() as connection:
            waiting = connection.execute(_WAITING, {"limit": limit}).all()
        delivered = 0
        for row in waiting:
            if not self.try_to_deliver(batch_id=row.batch_id, event=str(row.event_id)):
                break
            delivered += 1
        return delivered


def _announcement(connection: Connection, event: str) -> _Announcement | None:
    row = connection.execute(select(outbox).where(outbox.c.event_id == event)).one_or_none()
    if row is None:
        return None
    moment = row.created_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = canonical_text({"type": row.topic, "timestamp": moment, "data": dict(row.body)})
    return _Announcement(
        event=event, topic=row.topic, content=content, delivered=row.delivered_at is not None
    )


def _record_intent(connection: Connection, batch_id: str, pending: _Announcement) -> None:
    """Nothing goes out that the log does not tell of; once, however often it is sent again."""
    lock(connection, f"announce/{pending.event}")
    intended = text(
        "SELECT 1 FROM audit_entries WHERE chain = :chain AND body::jsonb ->> 'kind' = :kind"
        " AND body::jsonb ->> 'event_id' = :event LIMIT 1"
    )
    chain = batch_chain(batch_id)
    known = connection.execute(intended, {"chain": chain, "kind": INTENT, "event": pending.event})
    if known.first() is None:
        audit.append(connection, chain, kind=INTENT, facts=_facts(pending))


def _facts(sent: _Announcement) -> dict[str, str]:
    return {"event_id": sent.event, "topic": sent.topic, "content_sha256": text_digest(sent.content)}


def _record_arrival(connection: Connection, batch_id: str, sent: _Announcement) -> None:
    """Two deliverers may both arrive; the first to say so is recorded."""
    arrived = connection.execute(
        update(outbox)
        .where(outbox.c.event_id == sent.event, outbox.c.delivered_at.is_(None))
        .values(delivered_at=func.clock_timestamp())
    )
    if arrived.rowcount == 1:
        audit.append(connection, batch_chain(batch_id), kind="announcement.delivered", facts=_facts(sent))
