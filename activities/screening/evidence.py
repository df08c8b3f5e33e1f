"""Evidence: what screening found and people decided, under one digest per tranche, sealed once.

The caller holds the batch's gates, so that no decision falls between two tranches.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text, update

from activities import merkle
from activities.canonical import sha256_hex
from activities.clients.object_store import ObjectStore
from activities.contracts.screening import SealedEvidence
from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE, SLICE_SIZE, TrancheStep, batch_chain
from activities.digests import adjudication_root, evidence_document
from activities.failures import IntegrityError
from activities.screening.pinning import pinned_lists
from activities.screening.slices import SCREEN_STAGE
from activities.store import audit, slices
from activities.store.tables import adjudications, evidence, plans
from activities.store.tables import slices as slice_rows

_CANCEL = text(
    """
    INSERT INTO adjudications (batch_no, ordinal, hold_digest, decision)
    SELECT v.batch_no, v.ordinal, v.hold_digest, 'cancelled' FROM verdicts v
    WHERE v.batch_no = :batch_no AND v.verdict = 'held'
      AND NOT EXISTS (SELECT FROM adjudications a WHERE a.batch_no = v.batch_no AND a.ordinal = v.ordinal)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceText:
    """The evidence of one tranche with its exact document."""

    digest: str
    verdict_root: str
    counts: Mapping[str, int]
    document: bytes


def sealed_evidence(connection: Connection, step: TrancheStep, batch_no: int) -> EvidenceText:
    """Seals a tranche's evidence, or gives it as it was sealed.

    Raises: IntegrityError while verdicts are missing, or for a late tranche without a main one.
    """
    stored = _stored(connection, batch_no, step.tranche)
    if stored is not None:
        made = _made(connection, batch_no, step.tranche, dict(stored.counts), bytes(stored.verdict_root))
        if made.digest != bytes(stored.evidence_digest).hex():
            raise IntegrityError("sealed evidence cannot be made again", step.batch_id, step.tranche)
        return made
    root = _verdict_root(connection, batch_no, step)
    decided = _take_in(connection, batch_no, step.tranche)
    counts = _counts(connection, batch_no, step.tranche, decided)
    made = _made(connection, batch_no, step.tranche, counts, root)
    _insert(connection, step, batch_no, made)
    return made


def put_document(objects: ObjectStore, step: TrancheStep, sealed: EvidenceText) -> SealedEvidence:
    """Writes the document out. Retry: the same bytes under the same key."""
    name = f"evidence-{step.tranche}.json"
    document = objects.put(f"batches/{step.batch_id}/{name}", sealed.document)
    return SealedEvidence(
        evidence_digest=sealed.digest,
        verdict_root=sealed.verdict_root,
        counts=dict(sealed.counts),
        documents={"evidence": document},
    )


def cancel_open_holds(connection: Connection, batch_no: int) -> int:
    """Settles every open hold as cancelled; gives how many there were."""
    return connection.execute(_CANCEL, {"batch_no": batch_no}).rowcount


def _stored(connection: Connection, batch_no: int, tranche: int) -> Row[Any] | None:
    return connection.execute(
        select(evidence).where(evidence.c.batch_no == batch_no, evidence.c.tranche == tranche)
    ).one_or_none()


def _verdict_root(connection: Connection, batch_no: int, step: TrancheStep) -> bytes:
    """The root over all verdicts; the late tranche rests on the main one's."""
    if step.tranche == LATE_TRANCHE:
        main = _stored(connection, batch_no, MAIN_TRANCHE)
        if main is None:
            raise IntegrityError("the late tranche has no main evidence to rest on", step.batch_id)
        return bytes(main.verdict_root)
    total = connection.execute(select(plans.c.subject_count).where(plans.c.batch_no == batch_no)).scalar_one()
    roots = slices.roots(connection, batch_no=batch_no, stage=SCREEN_STAGE)
    return merkle.compose(roots, total=total, leaves_per_full_slice=SLICE_SIZE)


def _take_in(connection: Connection, batch_no: int, tranche: int) -> Counter[str]:
    """Assigns to the tranche every decision that no evidence holds yet; counts them by decision."""
    taken = connection.execute(
        update(adjudications)
        .where(
            adjudications.c.batch_no == batch_no,
            adjudications.c.tranche.is_(None),
            adjudications.c.decision.in_(("clear", "refuse")),
        )
        .values(tranche=tranche)
        .returning(adjudications.c.decision)
    )
    return Counter(taken.scalars())


def _counts(connection: Connection, batch_no: int, tranche: int, decided: Counter[str]) -> dict[str, int]:
    """Subjects by how they stand: in the main tranche they add up to all, in the late to those settled."""
    if tranche == LATE_TRANCHE:
        return {"cleared": decided["clear"], "refused": decided["refuse"]}
    rows = connection.execute(
        select(slice_rows.c.counts).where(
            slice_rows.c.batch_no == batch_no, slice_rows.c.stage == SCREEN_STAGE
        )
    )
    found: Counter[str] = Counter()
    for counts in rows.scalars():
        found.update(counts)
    return {
        "clear": found["clear"],
        "cleared": decided["clear"],
        "held": found["held"] - decided.total(),
        "refused": found["refused"] + decided["refuse"],
    }


def _made(
    connection: Connection, batch_no: int, tranche: int, counts: dict[str, int], root: bytes
) -> EvidenceText:
    plan_digest = connection.execute(
        select(plans.c.plan_digest).where(plans.c.batch_no == batch_no)
    ).scalar_one()
    document = evidence_document(
        plan_digest=bytes(plan_digest).hex(),
        list_digests=pinned_lists(connection, batch_no),
        verdict_root=root.hex(),
        adjudication_root=_adjudication_root(connection, batch_no, tranche),
        counts=counts,
    )
    return EvidenceText(
        digest=sha256_hex(document), verdict_root=root.hex(), counts=counts, document=document
    )


def _adjudication_root(connection: Connection, batch_no: int, tranche: int) -> str:
    rows = connection.execute(
        select(adjudications.c.ordinal, adjudications.c.hold_digest, adjudications.c.decision)
        .where(adjudications.c.batch_no == batch_no, adjudications.c.tranche == tranche)
        .order_by(adjudications.c.ordinal)
    )
    return adjudication_root((row.ordinal, bytes(row.hold_digest).hex(), row.decision) for row in rows)


def _insert(connection: Connection, step: TrancheStep, batch_no: int, made: EvidenceText) -> None:
    connection.execute(
        insert(evidence).values(
            batch_no=batch_no,
            tranche=step.tranche,
            list_digests=pinned_lists(connection, batch_no),
            verdict_root=bytes.fromhex(made.verdict_root),
            counts=made.counts,
            evidence_digest=bytes.fromhex(made.digest),
        )
    )
    facts = {
        "tranche": step.tranche,
        "evidence_digest": made.digest,
        "verdict_root": made.verdict_root,
        "counts": made.counts,
    }
    audit.append(connection, batch_chain(step.batch_id), kind="evidence.sealed", facts=facts)
