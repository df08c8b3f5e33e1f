"""Batches that custody is asked to work for, written by the provisioning role, honest but for what is forged.

The scene: 2 is held and cleared before the evidence, 5 after it, 7 is held and refused, 8 is refused.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, select, text, update

from activities import merkle
from activities.canonical import digest, sha256_hex
from activities.contracts.batches import ClaimBatch
from activities.contracts.shapes import (
    SLICE_SIZE,
    BatchStep,
    SliceResult,
    SliceStep,
    TrancheStep,
    batch_chain,
    shard_chain,
)
from activities.custody.activities import CustodyActivities
from activities.digests import (
    VERDICT_ALGORITHMS,
    adjudication_root,
    evidence_document,
    plan_document,
    verdict_leaf,
)
from activities.failures import PolicyViolationError
from activities.policy.shape import policy_digest
from activities.register import BatchRegisterActivities
from activities.store import slices
from activities.store import tables as t
from activities.store.database import copy_rows
from activities.trust.request_signing import request_text
from activities.trust.signatures import REQUEST_NAMESPACE
from activities.trust.statements import build_statement
from tests.integration.custody.room import DEPLOYMENT, POLICIES, Room, Signs

POLICY: Final = (POLICIES / "SG.toml").read_text(encoding="utf-8")
LISTS: Final = {"ofac-sdn": "11" * 32, "un-consolidated": "22" * 32}
HELD_EARLY, HELD_LATE, HELD_REFUSED, REFUSED = 2, 5, 7, 8
COUNT: Final = 40


@dataclass(kw_only=True)
class AskedBatch:
    """One batch as custody finds it."""

    room: Room
    count: int = COUNT
    chains: Sequence[str] = ("ethereum", "bsc")
    signed: bool = True
    requester: Signs | None = None
    """Who signs the request, when that is not whom it names."""
    policy: str = POLICY
    batch_id: str = field(default_factory=lambda: f"batch-{uuid4().hex[:12]}")
    fence: int = 1
    evidence_digests: dict[int, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Claims, plans, screens and seals the batch, and lets the right people sign everything."""
        self.prepare_unsigned()
        self.sign_gates()

    def prepare_unsigned(self) -> None:
        """Everything but the approvals at the gates."""
        self.claim()
        self.plan()
        self.screen()
        self.settle(HELD_EARLY, "clear", by=[self.room.lee])
        self.settle(HELD_REFUSED, "refuse", by=[self.room.lee])
        self.seal_evidence(0)

    def sign_gates(self) -> None:
        """Both gates, signed by those whom the policy asks for."""
        self.approve("compliance", self.plan_digest, by=[self.room.lee, self.room.kim])
        self.approve("issuance", self.evidence_digests[0], by=[self.room.lee])

    def claim(self, **changes: Any) -> None:
        """Claims the id, with a request signed by its requester."""
        request: dict[str, Any] = {
            "batch_id": self.batch_id,
            "tenant": "acme",
            "requested_by": self.room.ops.name,
            "purpose": "airdrop",
            "custody": "custodial",
            "jurisdiction": "SG",
            "chains": list(self.chains),
            "source": {"uri": "inbox://subjects.csv", "sha256": "ab" * 32},
            **changes,
        }
        if self.signed:
            signer = self.requester or self.room.ops
            request["signature"] = signer.sign(request_text(request), REQUEST_NAMESPACE)
        self.request = request
        register = BatchRegisterActivities(database=self.room.databases.provisioning)
        register.claim_batch(ClaimBatch(request=request, claimed_by_run="run-1"))
        self.take_number()

    def take_number(self) -> None:
        """Looks the claimed row up."""
        with self.writing() as connection:
            number = select(t.batches.c.batch_no).where(t.batches.c.batch_id == self.batch_id)
            self.batch_no = int(connection.execute(number).scalar_one())

    def writing(self) -> Any:
        """A transaction of the provisioning role."""
        return self.room.databases.provisioning.transaction()

    def plan(self) -> None:
        """Stores the slices of the manifest and the plan over them."""
        roots = []
        with self.writing() as connection:
            for step in self.steps():
                ordinals = range(step.offset, step.offset + step.length)
                root = merkle.root(hashlib.sha256(str(ordinal).encode()).digest() for ordinal in ordinals)
                roots.append(root)
                self._record(connection, "intake", step, root)
            manifest_root = merkle.compose(roots, total=self.count)
            document = plan_document(
                self.request,
                manifest_root=manifest_root.hex(),
                subject_count=self.count,
                policy_digest=policy_digest(self.policy),
            )
            self.plan_digest = sha256_hex(document)
            connection.execute(
                insert(t.plans).values(
                    batch_no=self.batch_no,
                    manifest_root=manifest_root,
                    subject_count=self.count,
                    policy_text=self.policy,
                    policy_digest=bytes.fromhex(policy_digest(self.policy)),
                    plan_digest=bytes.fromhex(self.plan_digest),
                    decision={"outcome": "approved"},
                )
            )

    def screen(self, lists: Mapping[str, str] = LISTS, scores: Mapping[int, float] | None = None) -> None:
        """Pins the lists and writes every verdict; a score can be forged by ordinal."""
        with self.writing() as connection:
            for list_id, list_digest in lists.items():
                self.pin(connection, list_id, list_digest)
            for step in self.steps():
                self._screen(connection, step, scores or {})

    def pin(self, connection: Connection, list_id: str, list_digest: str) -> None:
        """Pins one list to the batch."""
        values = {"batch_no": self.batch_no, "list_id": list_id, "digest": bytes.fromhex(list_digest)}
        connection.execute(insert(t.batch_lists).values(**values))

    def _screen(self, connection: Connection, step: SliceStep, scores: Mapping[int, float]) -> None:
        rows, leaves = [], []
        for ordinal in range(step.offset, step.offset + step.length):
            verdict = "held" if ordinal in {HELD_EARLY, HELD_LATE, HELD_REFUSED} else "clear"
            verdict = "refused" if ordinal == REFUSED else verdict
            hold = self.hold_digest(ordinal) if verdict == "held" else ""
            score = scores.get(ordinal, 0.91 if hold else 0.0)
            leaf = verdict_leaf(
                ordinal=ordinal,
                verdict=verdict,
                score=score,
                hold_digest=hold,
                algorithm=VERDICT_ALGORITHMS[-1],
            )
            leaves.append(leaf)
            rows.append((self.batch_no, ordinal, verdict, score, leaf, bytes.fromhex(hold) or None))
        columns = ("batch_no", "ordinal", "verdict", "score", "leaf", "hold_digest")
        types = ("int8", "int4", "text", "float4", "bytea", "bytea")
        copy_rows(connection, table="verdicts", columns=columns, types=types, rows=rows)
        self._record(connection, "screen", step, merkle.root(leaves))

    def hold_digest(self, ordinal: int) -> str:
        """What people sign when they settle a hold."""
        return digest({"batch_id": self.batch_id, "ordinal": ordinal, "hits": []})

    def settle(self, ordinal: int, decision: str, *, by: Iterable[Signs]) -> None:
        """Records a decision on a hold with the statements of those who signed it."""
        for signer in by:
            self.attempt(signer, "hold", self.hold_digest(ordinal), decision=decision)
        with self.writing() as connection:
            connection.execute(
                insert(t.adjudications).values(
                    batch_no=self.batch_no,
                    ordinal=ordinal,
                    hold_digest=bytes.fromhex(self.hold_digest(ordinal)),
                    decision=decision,
                )
            )

    def seal_evidence(self, tranche: int, **counted_otherwise: int) -> None:
        """Seals what was screened and decided; counts can be forged by name."""
        own = t.adjudications.c
        with self.writing() as connection:
            connection.execute(
                update(t.adjudications)
                .where(own.batch_no == self.batch_no, own.tranche.is_(None))
                .values(tranche=tranche)
            )
            taken = connection.execute(
                select(t.adjudications)
                .where(own.batch_no == self.batch_no, own.tranche == tranche)
                .order_by(own.ordinal)
            ).all()
            cleared = sum(row.decision == "clear" for row in taken)
            counts = {"cleared": cleared, "refused": len(taken) - cleared}
            if tranche == 0:
                counts = {
                    "clear": self.count - 4,
                    "cleared": cleared,
                    "held": 3 - len(taken),
                    "refused": 1 + len(taken) - cleared,
                }
            decided = [(row.ordinal, bytes(row.hold_digest).hex(), row.decision) for row in taken]
            self._seal(connection, tranche, {**counts, **counted_otherwise}, adjudication_root(decided))

    def _seal(self, connection: Connection, tranche: int, counts: dict[str, int], settled_root: str) -> None:
        roots = slices.roots(connection, batch_no=self.batch_no, stage="screen")
        pinned = select(t.batch_lists).where(t.batch_lists.c.batch_no == self.batch_no)
        lists = {row.list_id: bytes(row.digest).hex() for row in connection.execute(pinned)}
        verdict_root = merkle.compose(roots, total=self.count)
        document = evidence_document(
            plan_digest=self.plan_digest,
            list_digests=lists,
            verdict_root=verdict_root.hex(),
            adjudication_root=settled_root,
            counts=counts,
        )
        self.evidence_digests[tranche] = sha256_hex(document)
        connection.execute(
            insert(t.evidence).values(
                batch_no=self.batch_no,
                tranche=tranche,
                list_digests=lists,
                verdict_root=verdict_root,
                counts=counts,
                evidence_digest=bytes.fromhex(self.evidence_digests[tranche]),
            )
        )

    def approve(self, gate: str, over: str, *, by: Iterable[Signs]) -> None:
        """Puts signed approvals on record."""
        for signer in by:
            self.attempt(signer, gate, over)

    def statement(self, name: str, gate: str, over: str, *, decision: str = "approve") -> str:
        """The text somebody signs."""
        now = datetime.now(tz=UTC)
        return build_statement(
            deployment=DEPLOYMENT,
            tenant="acme",
            batch_id=self.batch_id,
            gate=gate,
            digest=over,
            decision=decision,
            approver=name,
            reason="Looked at it.",
            issued_at=now - timedelta(minutes=1),
            expires_at=now + timedelta(hours=1),
            nonce=uuid4().hex,
        )

    def attempt(self, signer: Signs, gate: str, over: str, *, decision: str = "approve") -> None:
        """Puts one honestly signed statement on record as counted."""
        statement = self.statement(signer.name, gate, over, decision=decision)
        self.write_attempt(gate, over, statement=statement, signature=signer.sign(statement))

    def write_attempt(
        self, gate: str, over: str, *, statement: str, signature: str, counted: bool = True
    ) -> None:
        """Writes a row among the attempts, whatever is true of it."""
        with self.writing() as connection:
            connection.execute(
                insert(t.attempts).values(
                    attempt_key=str(uuid4()),
                    batch_no=self.batch_no,
                    message="approve",
                    gate=gate,
                    digest=bytes.fromhex(over),
                    statement=statement,
                    signature=signature,
                    counted=counted,
                    reason_code="counted",
                    reason="It counts.",
                    nonce=uuid4().hex,
                )
            )

    def steps(self) -> list[SliceStep]:
        """The slices of the main tranche."""
        return [
            self.slice_step(index=index, offset=start, length=min(SLICE_SIZE, self.count - start))
            for index, start in enumerate(range(0, self.count, SLICE_SIZE))
        ]

    def slice_step(self, *, index: int = 0, offset: int = 0, length: int = 0, tranche: int = 0) -> SliceStep:
        """A step over a run of positions; the whole batch unless told otherwise."""
        return SliceStep(
            batch_id=self.batch_id,
            fence=self.fence,
            tranche=tranche,
            slice_index=index,
            offset=offset,
            length=length or self.count,
            audit_chain=shard_chain(self.batch_id, "derive", 0),
        )

    def tranche_step(self, tranche: int = 0) -> TrancheStep:
        """A step over one tranche."""
        return TrancheStep(batch_id=self.batch_id, fence=self.fence, tranche=tranche)

    def batch_step(self) -> BatchStep:
        """A step over the batch."""
        return BatchStep(batch_id=self.batch_id, fence=self.fence)

    def raise_fence(self) -> None:
        """Shuts out every step scheduled before."""
        with self.writing() as connection:
            own = t.batches.c.batch_no == self.batch_no
            connection.execute(update(t.batches).where(own).values(fence=self.fence + 1))
        self.fence += 1

    def wallets(self) -> Sequence[Any]:
        """The wallets on record, by ordinal and chain."""
        order = (t.wallets.c.ordinal, t.wallets.c.chain)
        own = t.wallets.c.batch_no == self.batch_no
        with self.room.databases.owner.transaction() as connection:
            return connection.execute(select(t.wallets).where(own).order_by(*order)).all()

    def keyrings(self) -> Sequence[Any]:
        """The batch's keyrings on record."""
        own = t.keyrings.c.batch_no == self.batch_no
        with self.room.databases.owner.transaction() as connection:
            return connection.execute(select(t.keyrings).where(own)).all()

    def tamper(self, table: str, change: str, **values: Any) -> None:
        """Changes this batch's rows of a table as its owner, who can turn the store's rules off."""
        own = {**values, "batch_no": self.batch_no}
        forgery = f"UPDATE {table} SET {change} AND batch_no = :batch_no"  # noqa: S608 - a test's own text
        with self.room.databases.owner.transaction() as connection:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            changed = connection.execute(text(forgery), own)
            assert changed.rowcount > 0, "the forgery changed nothing"
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))

    def _record(self, connection: Connection, stage: str, step: SliceStep, root: bytes) -> None:
        result = SliceResult(row_count=step.length, root=root.hex())
        slices.record(connection, batch_no=self.batch_no, stage=stage, step=step, result=result)


def eligible(count: int) -> list[int]:
    """The ordinals of the main tranche that may have wallets."""
    return [ordinal for ordinal in range(count) if ordinal not in {HELD_LATE, HELD_REFUSED, REFUSED}]


def refuses_keyring(custody: CustodyActivities, batch: AskedBatch, missing: str) -> None:
    """Custody says which proof is missing, and neither a seed nor an intent to make one is on record."""
    with pytest.raises(PolicyViolationError, match=missing):
        custody.open_keyring(batch.tranche_step())
    assert batch.keyrings() == []
    own = t.audit_entries.c
    with batch.room.databases.owner.transaction() as connection:
        found = connection.execute(select(own.body).where(own.chain == batch_chain(batch.batch_id)))
        assert not [body for body in found.scalars() if "keyring" in body]


def refuses_wallets(custody: CustodyActivities, batch: AskedBatch, missing: str) -> None:
    """Custody says which proof is missing, and stores no wallet."""
    with pytest.raises(PolicyViolationError, match=missing):
        custody.derive_slice(batch.slice_step())
    assert batch.wallets() == []
