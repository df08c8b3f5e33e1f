"""Reads the public part of a bundle out of the store, member by member, as streams of canonical JSON.

No personal data and no subject_id passes here. All reads are of one snapshot.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Text, and_, cast, collate, select, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.canonical import canonical, sha256_hex
from activities.contracts.shapes import batch_chain
from activities.digests import adjudication_root, evidence_document, plan_document
from activities.evidence import layout
from activities.evidence.check_wallets import wallet_line
from activities.evidence.rows import WalletRow
from activities.evidence.writer import BundleWriter
from activities.failures import IntegrityError, InvalidRequestError
from activities.keys.chains import CHAINS
from activities.store import tables as t

_FETCH_ROWS: Final = 2048
"""Rows the server sends at a time: keeps memory flat whatever the batch's size."""

_CHAINED: Final = text(
    """
    SELECT body::jsonb ->> 'chain' AS shard, max((body::jsonb ->> 'seq')::bigint) AS seq
    FROM audit_entries
    WHERE chain = :chain AND seq <= :seq AND body::jsonb ->> 'kind' = 'shard.closed' GROUP BY 1
    """
)
"""How far each shard chain is chained into the attested part of the batch's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """The batch whose record is read, and where its attested audit head stands."""

    batch_no: int
    batch_id: str
    tenant: str
    outcome: str
    made_at: str
    head_seq: int
    facts: Row[Any]


def one_snapshot(connection: Connection) -> None:
    """Makes every read of this transaction see the same moment; must be its first statement."""
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


def find_batch(connection: Connection, batch_id: str) -> BatchRow:
    """Gives the batch with its newest attestation.

    Raises: InvalidRequestError for an unknown batch, IntegrityError when no head of it is attested.
    """
    row = connection.execute(select(t.batches).where(t.batches.c.batch_id == batch_id)).one_or_none()
    if row is None:
        raise InvalidRequestError("batch_id: no such batch")
    signed, entries = t.attestations.c, t.audit_entries.c
    attested = connection.execute(
        select(signed.seq, entries.recorded_at)
        .join(t.audit_entries, and_(entries.chain == signed.chain, entries.seq == signed.seq))
        .where(signed.batch_no == row.batch_no, signed.chain == batch_chain(batch_id))
        .order_by(signed.seq.desc())
        .limit(1)
    ).one_or_none()
    if attested is None:
        raise IntegrityError("the batch's audit head is not attested", batch_id)
    return BatchRow(
        batch_no=row.batch_no,
        batch_id=batch_id,
        tenant=row.tenant,
        outcome=row.outcome or "",
        made_at=attested.recorded_at,
        head_seq=attested.seq,
        facts=row,
    )


def write_public_part(connection: Connection, batch: BatchRow, writer: BundleWriter) -> None:
    """Writes every public member that comes from the database, in the layout's order."""
    writer.document(layout.REQUEST, batch.facts.request)
    _write_plan(connection, batch, writer)
    _write_evidence(connection, batch, writer)
    writer.document(layout.LISTS, {"lists": [_list(row) for row in _lists(connection, batch)]})
    writer.lines(layout.GATES, _lines(connection, _gates(batch), _gate))
    writer.lines(layout.APPROVALS, _lines(connection, _attempts(batch), _attempt))
    writer.lines(layout.SLICES, _lines(connection, _slices(batch), _slice))
    writer.lines(layout.ADJUDICATIONS, _lines(connection, _adjudications(batch), _adjudication))
    writer.lines(layout.WITHHOLDINGS, _lines(connection, _withholdings(batch), _withholding))
    waves = select(t.waves).where(t.waves.c.batch_no == batch.batch_no).order_by(t.waves.c.wave)
    writer.document(layout.WAVES, {"waves": [_wave(row) for row in connection.execute(waves)]})
    writer.lines(layout.WALLETS, (_wallet(row) for row in stream(connection, _wallets(batch))))
    writer.lines(layout.AUDIT, _audit_lines(connection, batch))
    heads = [_head(row) for row in connection.execute(_heads(batch))]
    writer.document(layout.HEADS, {"heads": heads})


def stream(connection: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    """The rows of a query, fetched from the server part by part."""
    options = {"yield_per": _FETCH_ROWS}
    yield from connection.execute(query, execution_options=options)


def instant(moment: datetime | None) -> str | None:
    """A moment of the store as RFC 3339 UTC with microseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _write_plan(connection: Connection, batch: BatchRow, writer: BundleWriter) -> None:
    plan = connection.execute(select(t.plans).where(t.plans.c.batch_no == batch.batch_no)).one_or_none()
    if plan is None:
        return
    document = plan_document(
        batch.facts.request,
        manifest_root=bytes(plan.manifest_root).hex(),
        subject_count=plan.subject_count,
        policy_digest=bytes(plan.policy_digest).hex(),
    )
    writer.parts(layout.PLAN, [document])
    writer.parts(layout.POLICY, [plan.policy_text.encode()])


def _write_evidence(connection: Connection, batch: BatchRow, writer: BundleWriter) -> None:
    """Each document is made again from its parts; one that no longer has its digest is not let out."""
    plan = t.plans.c.plan_digest
    sealed = connection.execute(
        select(t.evidence, plan.label("plan_digest"))
        .join(t.plans, t.plans.c.batch_no == t.evidence.c.batch_no)
        .where(t.evidence.c.batch_no == batch.batch_no)
        .order_by(t.evidence.c.tranche)
    ).all()
    for row in sealed:
        document = evidence_document(
            plan_digest=bytes(row.plan_digest).hex(),
            list_digests=row.list_digests,
            verdict_root=bytes(row.verdict_root).hex(),
            adjudication_root=_adjudication_root(connection, batch, row.tranche),
            counts=row.counts,
        )
        if sha256_hex(document) != bytes(row.evidence_digest).hex():
            raise IntegrityError("the stored evidence differs from its digest", batch.batch_id, row.tranche)
        writer.parts(layout.EVIDENCE[row.tranche], [document])


def _adjudication_root(connection: Connection, batch: BatchRow, tranche: int) -> str:
    taken = _adjudications(batch).where(t.adjudications.c.tranche == tranche)
    return adjudication_root(
        (row.ordinal, bytes(row.hold_digest).hex(), row.decision) for row in connection.execute(taken)
    )


def _lines(
    connection: Connection, query: Select[Any], shape: Callable[[Row[Any]], dict[str, Any]]
) -> Iterator[bytes]:
    return (canonical(shape(row)) for row in stream(connection, query))


def _lists(connection: Connection, batch: BatchRow) -> list[Row[Any]]:
    pinned, known = t.batch_lists.c, t.list_versions.c
    same = and_(pinned.list_id == known.list_id, pinned.digest == known.digest)
    found: Select[Any] = (
        select(
            pinned.list_id,
            pinned.digest,
            pinned.applied_in_wave,
            known.source,
            known.published_on,
            known.entry_count,
        )
        .join(t.list_versions, same)
        .where(pinned.batch_no == batch.batch_no)
        .order_by(pinned.applied_in_wave, _bytewise(pinned.list_id), pinned.digest)
    )
    return list(connection.execute(found))


def _list(row: Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "digest": bytes(row.digest).hex()}


def _gates(batch: BatchRow) -> Select[Any]:
    own = t.gates.c
    return select(t.gates).where(own.batch_no == batch.batch_no).order_by(own.opened_at, own.gate, own.digest)


def _gate(row: Row[Any]) -> dict[str, Any]:
    return {
        "gate": row.gate,
        "digest": bytes(row.digest).hex(),
        "terms": row.terms,
        "expires_at": instant(row.expires_at),
        "outcome": row.outcome or "",
    }


def _attempts(batch: BatchRow) -> Select[Any]:
    """Attempts the attested log tells of: one that came after its head is not part of this record."""
    own, log = t.attempts.c, t.audit_entries.c
    body = cast(log.body, JSONB)
    recorded = (
        select(body["attempt_key"].astext)
        .where(log.chain == batch_chain(batch.batch_id), log.seq <= batch.head_seq)
        .where(body["kind"].astext.in_(["attempt.counted", "attempt.refused"]))
    )
    return (
        select(t.attempts)
        .where(own.batch_no == batch.batch_no, cast(own.attempt_key, Text).in_(recorded))
        .order_by(own.received_at, own.attempt_key)
    )


def _attempt(row: Row[Any]) -> dict[str, Any]:
    return {
        "attempt_key": row.attempt_key,
        "message": row.message,
        "statement": row.statement,
        "signature": row.signature,
        "counted": row.counted,
        "reason_code": row.reason_code,
        "received_at": instant(row.received_at),
    }


def _slices(batch: BatchRow) -> Select[Any]:
    own = t.slices.c
    ordered = (_bytewise(own.stage), own.tranche, own.slice_index)
    return select(t.slices).where(own.batch_no == batch.batch_no).order_by(*ordered)


def _slice(row: Row[Any]) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "tranche": row.tranche,
        "slice_index": row.slice_index,
        "first_position": row.first_position,
        "length": row.length,
        "row_count": row.row_count,
        "counts": row.counts,
        "root": bytes(row.root).hex(),
        "signature": row.signature,
    }


def _adjudications(batch: BatchRow) -> Select[Any]:
    own = t.adjudications.c
    return select(t.adjudications).where(own.batch_no == batch.batch_no).order_by(own.ordinal)


def _adjudication(row: Row[Any]) -> dict[str, Any]:
    return {
        "ordinal": row.ordinal,
        "hold_digest": bytes(row.hold_digest).hex(),
        "decision": row.decision,
        "tranche": row.tranche,
    }


def _withholdings(batch: BatchRow) -> Select[Any]:
    own = t.withholdings.c
    found = select(own.ordinal, own.list_id, own.list_digest, own.before_wave)
    return found.where(own.batch_no == batch.batch_no).order_by(own.ordinal)


def _withholding(row: Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "list_digest": bytes(row.list_digest).hex()}


def _wave(row: Row[Any]) -> dict[str, Any]:
    return {
        "wave": row.wave,
        "tranche": row.tranche,
        "first_position": row.first_position,
        "length": row.length,
        "percent": row.percent,
        "outcome": row.outcome or "",
    }


def _wallets(batch: BatchRow) -> Select[Any]:
    own = t.wallets.c
    return select(t.wallets).where(own.batch_no == batch.batch_no).order_by(own.ordinal, _bytewise(own.chain))


def _wallet(row: Row[Any]) -> bytes:
    chain = CHAINS[row.chain]
    path = chain.path_template.format(coin=chain.coin_type, account=row.account, index=row.address_index)
    return wallet_line(
        WalletRow.model_construct(
            ordinal=row.ordinal,
            chain=row.chain,
            path=path,
            address=row.address,
            possession=bytes(row.possession).hex(),
            state=row.state,
            tranche=row.tranche,
            wave=row.wave,
        )
    )


def _audit_lines(connection: Connection, batch: BatchRow) -> Iterator[bytes]:
    """The batch's chain up to its attested head; the others as far as they are chained into it."""
    own, log = batch_chain(batch.batch_id), t.audit_entries.c
    closed = connection.execute(_CHAINED, {"chain": own, "seq": batch.head_seq}).all()
    ends = {own: batch.head_seq, **{row.shard: row.seq for row in closed}}
    for chain in sorted(ends):
        entries = select(t.audit_entries).where(log.chain == chain, log.seq <= ends[chain]).order_by(log.seq)
        yield from _lines(connection, entries, _entry)


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "chain": row.chain,
        "seq": row.seq,
        "recorded_at": row.recorded_at,
        "body": row.body,
        "prev": bytes(row.prev).hex(),
        "hash": bytes(row.hash).hex(),
    }


def _heads(batch: BatchRow) -> Select[Any]:
    own = t.attestations.c
    return (
        select(own.message, own.signature)
        .where(own.batch_no == batch.batch_no, own.chain == batch_chain(batch.batch_id))
        .order_by(own.seq)
    )


def _head(row: Row[Any]) -> dict[str, Any]:
    return {"message": row.message, "signature": row.signature}


def _bytewise(column: Any) -> Any:
    """Sorts by bytes whatever the database's collation is."""
    return collate(column, "C")
