"""A whole batch on record, small and fast: real activities where they decide, rows by the right role else.

The scene at twelve subjects or more: 2 is held and cleared before the evidence, 5 after it, 7 is held and
refused by people, 8 is refused by screening, 9 is withheld by a list change before the second wave.
"""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import insert, select, update

from activities.activation.activities import ActivationActivities
from activities.activation.announcements import Announcer
from activities.approvals.activities import ApprovalsActivities
from activities.approvals.attempts import message_for
from activities.clients.object_store import FolderStore
from activities.compliance.activities import ComplianceActivities
from activities.contracts.activation import WaveStep
from activities.contracts.approvals import CloseGate, OpenGate, RecordAttempt, RecordedAttempt
from activities.contracts.batches import ClaimBatch, FinishBatch, RaiseFence
from activities.contracts.compliance import PlannedBatch
from activities.contracts.shapes import SLICE_SIZE, BatchStep, Document, SliceStep, batch_chain, shard_chain
from activities.digests import head_message
from activities.evidence.activities import RecordActivities
from activities.intake.activities import IntakeActivities
from activities.intake.source import Inbox
from activities.personal_data import SubjectVault, wrapped_key
from activities.reading.activities import ReadingActivities
from activities.register import BatchRegisterActivities
from activities.store import audit
from activities.store import tables as t
from activities.store.database import Database
from activities.trust.request_signing import request_text
from activities.trust.signatures import REQUEST_NAMESPACE
from activities.trust.statements import build_statement, parse_statement
from tests.integration.builder_rows import Deriver, Screener, pin_lists, seal_evidence, withhold
from tests.integration.office import DEPLOYMENT, POLICIES, Histories, Office
from tests.integration.store_fixtures import Databases
from tests.signers import Signer

HELD_EARLY, HELD_LATE, HELD_REFUSED, REFUSED, WITHHELD = 2, 5, 7, 8, 9
SCENE_SIZE: Final = 12


@dataclass(kw_only=True)
class BatchOnRecord:
    """One batch on its way through the store, stage by stage."""

    databases: Databases
    office: Office
    count: int = SCENE_SIZE
    chains: Sequence[str] = ("ethereum", "bsc")
    scene: bool = True
    signed: bool = True
    waves_percent: Sequence[int] = (10, 100)
    prefix: str = "s-"
    batch_id: str = field(default_factory=lambda: f"batch-{uuid4().hex[:12]}")
    tenant: str = field(default_factory=lambda: f"acme-{uuid4().hex[:8]}")
    fence: int = 1
    evidence_digests: dict[int, str] = field(default_factory=dict)
    holds: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.objects = FolderStore(self.office.folder / "objects")
        self.vault = SubjectVault(transit=self.office.data_keys)
        self.inbox = self.office.folder / "inbox"
        self.inbox.mkdir(exist_ok=True)
        announcer = Announcer(database=self.provisioning, object_store=self.objects)
        told: dict[str, Any] = {
            "database": self.provisioning,
            "trust_path": self.office.trust_path,
            "deployment": DEPLOYMENT,
            "announcer": announcer,
        }
        self.register = BatchRegisterActivities(database=self.provisioning)
        self.approvals = ApprovalsActivities(**told)
        self.activation = ActivationActivities(**told)

    @property
    def provisioning(self) -> Database:
        """The store as the provisioning worker reaches it."""
        return self.databases.provisioning

    @property
    def step(self) -> BatchStep:
        """A step over the whole batch."""
        return BatchStep(batch_id=self.batch_id, fence=self.fence)

    def record(self, histories: Histories | None = None) -> RecordActivities:
        """The activities that write the bundle."""
        return RecordActivities(
            database=self.provisioning,
            object_store=self.objects,
            vault=self.vault,
            trust_path=self.office.trust_path,
            deployment=DEPLOYMENT,
            histories=histories or Histories(),
        )

    def reading(self) -> ReadingActivities:
        """The activities that answer readers."""
        return ReadingActivities(
            database=self.provisioning,
            object_store=self.objects,
            vault=self.vault,
            trust_path=self.office.trust_path,
        )

    async def bundle(self) -> tuple[Document, Path]:
        """Writes the bundle and gives where it lies."""
        document = await self.record().write_bundle(self.step)
        return document, Path(document.uri.removeprefix("file://"))

    def complete(self) -> None:
        """Takes the batch from its claim to its attested end."""
        self.begin()
        self.pass_gate("compliance", self.plan.plan_digest)
        self.screen()
        self.issue(0)
        first = -(-self.count * 10 // 100)
        self.activate(1, tranche=0, offset=0, length=first, percent=10)
        if self.scene:
            with self.provisioning.transaction() as connection:
                withhold(connection, self.screener, ordinal=WITHHELD, before_wave=2)
        self.activate(2, tranche=0, offset=first, length=self.count - first, percent=100)
        if self.scene:
            self.settle(HELD_LATE, "clear")
            self.issue(1)
            self.activate(3, tranche=1, offset=0, length=1, percent=100)
        self.finish("completed_with_exceptions" if self.scene else "completed")

    def begin(self) -> None:
        """Claims, takes in and plans the batch; a stranger tries to approve it."""
        self.claim()
        shared: dict[str, Any] = {
            "database": self.provisioning,
            "object_store": self.objects,
            "sources": Inbox(self.inbox),
            "policies": POLICIES,
            "trust": self.office.trust_path,
        }
        IntakeActivities(vault=self.vault, **shared).store_subjects(self.step)
        self.plan: PlannedBatch = ComplianceActivities(**shared).plan_batch(self.step)
        if self.plan.outcome != "refused":
            self.open_gate("rollback", self.plan.plan_digest)
            self.attempt(self.office.stranger, "compliance", self.plan.plan_digest)

    def claim(self) -> None:
        """Claims the id with a request over a CSV of people."""
        source = self._source()
        (self.inbox / f"{self.batch_id}.csv").write_bytes(source)
        digest = hashlib.sha256(source).hexdigest()
        request: dict[str, Any] = {
            "batch_id": self.batch_id,
            "tenant": self.tenant,
            "requested_by": self.office.requester.name,
            "purpose": "airdrop",
            "custody": "custodial",
            "jurisdiction": "SG",
            "chains": list(self.chains),
            "source": {"uri": f"inbox://{self.batch_id}.csv", "sha256": digest},
            "rollout": {"waves_percent": list(self.waves_percent), "soak_seconds": 0},
        }
        if self.signed:
            request["signature"] = self.office.requester.sign(request_text(request), REQUEST_NAMESPACE)
        self.register.claim_batch(ClaimBatch(request=request, claimed_by_run="run-1"))
        own = t.batches.c
        with self.provisioning.transaction() as connection:
            found = connection.execute(select(own.batch_no).where(own.batch_id == self.batch_id))
            self.batch_no = int(found.scalar_one())

    def open_gate(self, gate: str, over: str) -> None:
        """Opens a gate with the plan's terms."""
        until = datetime.now(tz=UTC) + timedelta(hours=1)
        opening = OpenGate(
            batch_id=self.batch_id,
            fence=self.fence,
            gate=gate,
            digest=over,
            terms=self.plan.gates[gate.partition("/")[0]],
            expires_at=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        self.approvals.open_gate(opening)

    def pass_gate(self, gate: str, over: str, *, outcome: str = "approved") -> None:
        """Opens a gate, lets both officers decide, and closes it."""
        self.open_gate(gate, over)
        decision = "reject" if outcome == "rejected" else "approve"
        # An unsigned request asks for one person more.
        third = () if self.signed else (self.office.third,)
        for signer in (self.office.compliance, self.office.wallets, *third):
            self.attempt(signer, gate, over, decision=decision)
        closing = CloseGate(batch_id=self.batch_id, fence=self.fence, gate=gate, digest=over, outcome=outcome)
        self.approvals.close_gate(closing)

    def attempt(self, signer: Signer, gate: str, over: str, *, decision: str = "approve") -> RecordedAttempt:
        """Sends one signed statement."""
        now = datetime.now(tz=UTC)
        statement = build_statement(
            deployment=DEPLOYMENT,
            tenant=self.tenant,
            batch_id=self.batch_id,
            gate=gate,
            digest=over,
            decision=decision,
            approver=signer.name,
            reason="Looked at it.",
            issued_at=now - timedelta(minutes=1),
            expires_at=now + timedelta(hours=1),
            nonce=uuid4().hex,
        )
        return self.approvals.record_attempt(
            RecordAttempt(
                batch_id=self.batch_id,
                attempt_key=str(uuid4()),
                message=message_for(parse_statement(statement)),
                statement=statement,
                signature=signer.sign(statement),
            )
        )

    def screen(self) -> None:
        """Pins the lists and writes the verdicts; then people settle two holds."""
        with self.provisioning.transaction() as connection:
            wrapped = wrapped_key(connection, self.batch_no)
            pin_lists(connection, batch_no=self.batch_no, batch_id=self.batch_id)
        assert wrapped is not None
        self.screener = Screener(
            batch_no=self.batch_no,
            batch_id=self.batch_id,
            vault=self.vault,
            key=wrapped.opened_by(self.vault),
            held=frozenset({HELD_EARLY, HELD_LATE, HELD_REFUSED} if self.scene else ()),
            refused=frozenset({REFUSED} if self.scene else ()),
        )
        for step in self._slices("screen", 0, 0, self.count):
            self.holds |= self.screener.screen(self.provisioning, step)
        if self.scene:
            self.settle(HELD_EARLY, "clear")
            self.settle(HELD_REFUSED, "refuse")

    def settle(self, ordinal: int, decision: str) -> None:
        """Lets an officer decide on a hold."""
        told = self.attempt(self.office.compliance, "hold", self.holds[ordinal], decision=decision)
        assert told.counted, told.reason_code

    def issue(self, tranche: int) -> None:
        """Seals the evidence of a tranche, passes its gate, and derives its addresses."""
        with self.provisioning.transaction() as connection:
            self.evidence_digests[tranche] = seal_evidence(
                connection,
                self.screener,
                plan_digest=self.plan.plan_digest,
                count=self.count,
                tranche=tranche,
            )
        self.pass_gate("issuance", self.evidence_digests[tranche])
        deriver = Deriver(
            batch_no=self.batch_no,
            deployment=DEPLOYMENT,
            batch_id=self.batch_id,
            plan_digest=self.plan.plan_digest,
            tenant=self.tenant,
            chains=self.chains,
            attest=self.office.attest,
        )
        with self.databases.custody.transaction() as connection:
            keyring_no = deriver.open_keyring(connection)
        entitled = [HELD_LATE] if tranche else self._entitled()
        for step in self._slices("derive", tranche, 0, len(entitled) if tranche else self.count):
            end = step.offset + step.length
            part = entitled[step.offset : end]
            if not tranche:
                part = [ordinal for ordinal in entitled if step.offset <= ordinal < end]
            deriver.derive(self.databases.custody, step, part, keyring_no)

    def activate(self, wave: int, *, tranche: int, offset: int, length: int, percent: int) -> None:
        """Takes one wave through its gate, activation and health check."""
        if wave > 1:
            self.pass_gate(f"wave/{wave}", self.evidence_digests[tranche])
        step = WaveStep(
            batch_id=self.batch_id,
            fence=self.fence,
            wave=wave,
            tranche=tranche,
            offset=offset,
            length=length,
            percent=percent,
        )
        self.activation.open_wave(step)
        for part in self._slices(f"wave-{wave}", tranche, offset, length, wave=wave):
            self.activation.activate_slice(part)
        self.activation.announce_wave(step)
        assert self.activation.check_wave(step).healthy

    def leave_after_a_wave(self) -> None:
        """Goes on from its beginning to a first wave of two subjects, and rolls back."""
        self.begin()
        self.pass_gate("compliance", self.plan.plan_digest)
        self.screen()
        self.issue(0)
        self.activate(1, tranche=0, offset=0, length=2, percent=10)
        self.roll_back()

    def roll_back(self) -> None:
        """Undoes the batch behind its fence, newest stage first, as the workflow does."""
        raising = RaiseFence(batch_id=self.batch_id, fence=self.fence, reason="aborted")
        self.fence = self.register.raise_fence(raising).fence
        self.activation.undo_activation(self.step)
        own = t.wallets.c
        with self.databases.custody.transaction() as connection:
            unused = connection.execute(
                update(t.wallets)
                .where(own.batch_no == self.batch_no, own.state.in_(["derived", "ready"]))
                .values(state="revoked")
            )
            facts = {"revoked": unused.rowcount, "burned_accounts": 0}
            audit.append(connection, batch_chain(self.batch_id), kind="undo.derivation", facts=facts)
        self.finish("rolled_back")

    def finish(self, outcome: str) -> None:
        """Ends the batch and attests its head."""
        result = {"batch_id": self.batch_id, "outcome": outcome}
        finish = FinishBatch(batch_id=self.batch_id, fence=self.fence, result=result)
        self.register.finish_batch(finish)
        self.attest_head()

    def attest_head(self) -> None:
        """Signs where the batch's audit chain stands."""
        chain = batch_chain(self.batch_id)
        with self.databases.custody.transaction() as connection:
            head = audit.head(connection, chain)
            at: dict[str, Any] = {"chain": chain, "seq": head.seq}
            message = head_message(deployment=DEPLOYMENT, batch_id=self.batch_id, head=head.hash.hex(), **at)
            signature = base64.b64encode(self.office.attest(message)).decode()
            signed = {"head": head.hash, "message": message.decode(), "signature": signature}
            connection.execute(insert(t.attestations).values(batch_no=self.batch_no, **at, **signed))

    def _entitled(self) -> list[int]:
        out = {HELD_LATE, HELD_REFUSED, REFUSED} if self.scene else set()
        return [ordinal for ordinal in range(self.count) if ordinal not in out]

    def _source(self) -> bytes:
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(
            ["subject_id", "subject_kind", "full_name", "date_of_birth", "country", "kyc_reference"]
        )
        for number in range(self.count):
            name = f"Person Number {number}"
            writer.writerow([f"{self.prefix}{number}", "person", name, "1990-01-31", "SG", f"kyc-{number}"])
        return sink.getvalue().encode()

    def _slices(
        self, stage: str, tranche: int, offset: int, length: int, *, wave: int = 0
    ) -> Iterator[SliceStep]:
        for index, start in enumerate(range(offset, offset + length, SLICE_SIZE)):
            yield SliceStep(
                batch_id=self.batch_id,
                fence=self.fence,
                tranche=tranche,
                slice_index=index,
                offset=start,
                length=min(SLICE_SIZE, offset + length - start),
                audit_chain=shard_chain(self.batch_id, f"{stage}-{tranche}", 0),
                wave=wave,
            )
