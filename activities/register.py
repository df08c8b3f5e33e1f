"""The life of a batch's row: claimed once for ever, fenced, ended once, chained to its tenant's audit log.

Nothing here decides; a batch that ended answers from the record and is never changed again.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from temporalio import activity

from activities.canonical import canonical
from activities.contracts.batches import (
    BatchRegister,
    ClaimBatch,
    ClaimedBatch,
    FinishBatch,
    FinishedBatch,
    RaisedFence,
    RaiseFence,
    RecalledBatch,
)
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import BatchStep, Undone, batch_chain, tenant_chain
from activities.failures import (
    ConflictError,
    InvalidRequestError,
    ServiceUnavailableError,
    StaleFenceError,
)
from activities.store import audit
from activities.store.database import Database
from activities.store.locks import lock, lock_gates
from activities.store.tables import audit_heads, batches, gates, keyring_accounts, wallets

_WHOLE = {"completed", "completed_with_exceptions"}
_EARLY = {"refused", "rejected", "expired", "aborted", "rolled_back", "failed", "cancelled"}

CUSTODYS_UNDOING = "custody's undoing"
ACTIVATIONS_UNDOING = "activation's undoing"
"""What an early end waits for, in `status`, while wallets or accounts are left that can be used."""


class BatchRegisterActivities(BatchRegister):
    """Keeps the register in the store."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @activity.defn
    def recall_batch(self, step: ClaimBatch) -> RecalledBatch:
        """Gives the recorded result of the same request, however long ago and whatever became of its source.

        Raises: InvalidRequestError, ConflictError naming the fields that differ, never their values.
        """
        request = parse_request(step.request)
        with self._database.transaction() as connection:
            row = connection.execute(
                select(batches).where(batches.c.batch_id == request.batch_id)
            ).one_or_none()
        if row is None:
            return RecalledBatch()
        _require_same_content(row, step, _digest(step))
        return RecalledBatch(recorded_result=row.result)

    @activity.defn
    def claim_batch(self, step: ClaimBatch) -> ClaimedBatch:
        """Claims the batch id for ever, or answers from the record.

        Raises: InvalidRequestError, ConflictError naming the fields that differ, never their values.
        """
        request = parse_request(step.request)
        request_digest = _digest(step)
        with self._database.transaction() as connection:
            if _claim(connection, step, request, request_digest):
                facts = {"request_digest": request_digest.hex(), "run": step.claimed_by_run}
                audit.append(connection, batch_chain(request.batch_id), kind="batch.claimed", facts=facts)
                return ClaimedBatch(batch_id=request.batch_id, fence=1)
            row = connection.execute(select(batches).where(batches.c.batch_id == request.batch_id)).one()
            _require_same_request(row, step, request_digest)
            left_for = _left_for(connection, request.batch_id)
        return ClaimedBatch(
            batch_id=row.batch_id, fence=row.fence, recorded_result=row.result, left_for=left_for
        )

    @activity.defn
    def raise_fence(self, step: RaiseFence) -> RaisedFence:
        """Raises the fence by one, after every effect in flight has committed or failed.

        Raises: StaleFenceError when a lower fence stands, InvalidRequestError for an unknown batch.
        """
        raised = step.fence + 1
        with self._database.transaction() as connection:
            row = _hold_alone(connection, step.batch_id)
            left_for = _left_for(connection, step.batch_id)
            if row.fence > step.fence or row.outcome is not None:
                return RaisedFence(fence=row.fence, recorded_result=row.result, left_for=left_for)
            _require_fence(row, step.fence)
            connection.execute(update(batches).where(batches.c.batch_no == row.batch_no).values(fence=raised))
            facts = {"fence": raised, "reason": step.reason}
            audit.append(connection, batch_chain(step.batch_id), kind="fence.raised", facts=facts)
        return RaisedFence(fence=raised, left_for=left_for or step.reason)

    @activity.defn
    def finish_batch(self, step: FinishBatch) -> FinishedBatch:
        """Records the end of the batch, chains its shards' heads to it and its head to the tenant's.

        A gate still open, opened by a step whose caller never heard of it, is closed with the batch.
        Whoever said that all is undone, an early end is believed by what stands in the store alone.

        Raises: StaleFenceError, InvalidRequestError, ServiceUnavailableError naming the undoing not done.
        """
        outcome = step.result.get("outcome")
        if not isinstance(outcome, str) or outcome not in _WHOLE | _EARLY:
            raise InvalidRequestError("the result names no outcome")
        with self._database.transaction() as connection:
            row = _hold_alone(connection, step.batch_id)
            if row.outcome is not None:
                is_same = canonical(row.result) == canonical(step.result)
                return FinishedBatch(recorded_result=None if is_same else row.result)
            _require_fence(row, step.fence)
            if outcome in _EARLY:
                _require_undone(connection, row.batch_no)
            _close_gates(connection, row)
            _chain_shards(connection, step.batch_id)
            _end(connection, row, outcome, step.result)
        return FinishedBatch()

    @activity.defn
    def close_shards(self, step: BatchStep) -> Undone:
        """Chains the heads of all shard chains that moved since they were last chained.

        Raises: StaleFenceError, InvalidRequestError for an unknown batch.
        """
        with self._database.transaction() as connection:
            _require_fence(_hold_alone(connection, step.batch_id), step.fence)
            return Undone(counts={"shards": _chain_shards(connection, step.batch_id)})


def _claim(connection: Connection, step: ClaimBatch, request: BatchRequest, digest: bytes) -> bool:
    """Whether the row is ours now; a concurrent claim of the same id is waited for."""
    claimed = connection.execute(
        insert(batches)
        .values(
            batch_id=request.batch_id,
            tenant=request.tenant,
            requested_by=request.requested_by,
            purpose=request.purpose,
            custody=request.custody,
            jurisdiction=request.jurisdiction,
            chains=request.chains,
            request=step.request,
            request_digest=digest,
            claimed_by_run=step.claimed_by_run,
        )
        .on_conflict_do_nothing(index_elements=["batch_id"])
        .returning(batches.c.batch_no)
    )
    return claimed.one_or_none() is not None


def _digest(step: ClaimBatch) -> bytes:
    return hashlib.sha256(canonical(step.request)).digest()


def _require_same_content(row: Row[Any], step: ClaimBatch, digest: bytes) -> None:
    if bytes(row.request_digest) != digest:
        names = ", ".join(sorted(_differing(row.request, step.request)))
        raise ConflictError(f"the batch id was claimed with other content; fields that differ: {names}")


def _require_same_request(row: Row[Any], step: ClaimBatch, digest: bytes) -> None:
    _require_same_content(row, step, digest)
    if row.outcome is None and row.claimed_by_run != step.claimed_by_run:
        raise ConflictError("the batch was claimed by another run that has not ended")


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields that differ; both sides passed the request's checks, so names are known."""
    names: list[str] = []
    for name in one.keys() | other.keys():
        left, right = one.get(name), other.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            names += _differing(left, right, f"{prefix}{name}.")
        elif name not in one or name not in other or canonical(left) != canonical(right):
            names.append(f"{prefix}{name}")
    return names


def _hold_alone(connection: Connection, batch_id: str) -> Row[Any]:
    """Gives the batch's row, locked, once every effect that holds its fence is over.

    The advisory lock is the one that `hold_fence` shares: later holders queue behind it.
    """
    lock(connection, f"fence/{batch_id}")
    row = connection.execute(
        select(batches).where(batches.c.batch_id == batch_id).with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        raise InvalidRequestError("there is no such batch")
    return row


def _require_fence(row: Row[Any], fence: int) -> None:
    if row.fence != fence:
        raise StaleFenceError("the batch's fence was raised since this step was scheduled")


def _require_undone(connection: Connection, batch_no: int) -> None:
    """Wallets are revoked or frozen, and accounts burned unless they hold frozen ones."""
    own = select(wallets.c.state).where(wallets.c.batch_no == batch_no).distinct()
    states = set(connection.execute(own).scalars())
    if "active" in states:
        raise ServiceUnavailableError(ACTIVATIONS_UNDOING)
    unburned = connection.execute(
        select(keyring_accounts.c.account).where(
            keyring_accounts.c.batch_no == batch_no, keyring_accounts.c.burned_at.is_(None)
        )
    ).first()
    if states & {"derived", "ready"} or (unburned is not None and "frozen" not in states):
        raise ServiceUnavailableError(CUSTODYS_UNDOING)


def _close_gates(connection: Connection, row: Row[Any]) -> None:
    """Behind the lock that decisions are counted under, so that none counts after the end."""
    lock_gates(connection, row.batch_id)
    closed = connection.execute(
        update(gates)
        .where(gates.c.batch_no == row.batch_no, gates.c.outcome.is_(None))
        .values(outcome="cancelled", closed_at=func.clock_timestamp())
        .returning(gates.c.gate, gates.c.digest)
    )
    for gate in closed.all():
        facts = {"gate": gate.gate, "digest": bytes(gate.digest).hex(), "outcome": "cancelled"}
        audit.append(connection, batch_chain(row.batch_id), kind="gate.closed", facts=facts)


def _left_for(connection: Connection, batch_id: str) -> str:
    """The cause for which the fence was raised first; empty while it never was."""
    found = connection.execute(
        text(
            "SELECT body::jsonb ->> 'reason' FROM audit_entries WHERE chain = :chain"
            " AND body::jsonb ->> 'kind' = 'fence.raised' ORDER BY seq LIMIT 1"
        ),
        {"chain": batch_chain(batch_id)},
    )
    return str(found.scalar_one_or_none() or "")


def _end(connection: Connection, row: Row[Any], outcome: str, result: Mapping[str, Any]) -> None:
    connection.execute(
        update(batches)
        .where(batches.c.batch_no == row.batch_no)
        .values(outcome=outcome, result=dict(result), ended_at=func.clock_timestamp())
    )
    chain = batch_chain(row.batch_id)
    result_digest = hashlib.sha256(canonical(result)).hexdigest()
    facts = {"outcome": outcome, "result_digest": result_digest}
    head = audit.append(connection, chain, kind="batch.ended", facts=facts)
    link = {"batch_id": row.batch_id, "chain": chain, "seq": head.seq, "head": head.hash.hex()}
    audit.append(connection, tenant_chain(row.tenant), kind="batch.ended", facts=link)


def _chain_shards(connection: Connection, batch_id: str) -> int:
    """Appends one entry per moved shard chain to the batch's, in the order of their names."""
    chain = batch_chain(batch_id)
    chained = _chained(connection, chain)
    rows = connection.execute(
        select(audit_heads)
        # Every name that begins with "<chain>/": "0" is the character after "/".
        .where(audit_heads.c.chain > f"{chain}/", audit_heads.c.chain < f"{chain}0")
        .order_by(audit_heads.c.chain)
    ).all()
    moved = [row for row in rows if row.seq > chained.get(row.chain, 0)]
    for row in moved:
        facts = {"chain": row.chain, "seq": row.seq, "head": bytes(row.head).hex()}
        audit.append(connection, chain, kind="shard.closed", facts=facts)
    return len(moved)


def _chained(connection: Connection, chain: str) -> dict[str, int]:
    """How far each shard chain is chained already."""
    rows = connection.execute(
        text(
            "SELECT body::jsonb ->> 'chain' AS shard, max((body::jsonb ->> 'seq')::bigint) AS seq"
            " FROM audit_entries WHERE chain = :chain AND body::jsonb ->> 'kind' = 'shard.closed' GROUP BY 1"
        ),
        {"chain": chain},
    )
    return {row.shard: row.seq for row in rows}
