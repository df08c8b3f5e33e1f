"""With the audit log's disk full or read-only nothing is made, approved or sent; then it goes on by itself.

Every kind of effect is tried against a log that refuses while all other tables could be written, see
`log_faults`. The whole batch that waits for its log is in `batch/test_log_away.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import select

from activities.clients.transit import Transit
from activities.contracts.approvals import CloseGate, RecordRefusal
from activities.contracts.batches import ClaimBatch, FinishBatch
from activities.contracts.shapes import BatchStep
from activities.failures import ServiceUnavailableError
from activities.store import tables as t
from activities.store.database import Database
from infra.devstack import Stack
from tests.integration.builders import BatchOnRecord
from tests.integration.custody.batches import AskedBatch
from tests.integration.custody.room import a_room
from tests.integration.log_faults import READ_ONLY, Fault, log_disk, refusing
from tests.integration.office import an_office
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import new_id, run
from tests.integration.wave_room import Room, slice_of
from tests.requests import a_request

AUDIT: Final = {"audit_entries", "audit_heads"}

TABLES: Final = [table for table in t.metadata.sorted_tables if table.name not in AUDIT]
"""Everything that is not the log."""

SENT_AFTER_INTENT: Final = {"an announcement"}
"""What leaves the house is on record by its intent; its arrival cannot be part of a transaction."""

Effect = Callable[[], Any]


@dataclass(kw_only=True)
class Receiver:
    """Stands where webhooks are sent to and keeps what comes; it is outside, and always there."""

    sent: list[str] = field(default_factory=list)

    def post(self, *, event: str, content: str) -> None:
        """Takes one announcement."""
        self.sent.append(f"{event} {content}")


@dataclass(kw_only=True)
class World:
    """Everything an effect could change, and the effects themselves, each on something of its own."""

    databases: Databases
    stack: Stack
    folder: Path
    receiver: Receiver = field(default_factory=Receiver)

    def effects(self) -> dict[str, Effect]:
        """One call for each kind of effect, prepared up to right before it."""
        return {**self._approvals(), **self._custody(), **self._activation(), **self._register()}

    def seen(self) -> dict[str, Any]:
        """What is in every table but the log's, in the folders, and at the receiver."""
        with self.databases.owner.transaction() as connection:
            rows = {
                table.name: Counter(repr(row) for row in connection.execute(select(table)))
                for table in TABLES
            }
        files = sorted(str(path) for path in self.folder.rglob("*") if "announcements" in path.parts)
        return {**rows, "files": files, "sent": list(self.receiver.sent)}

    def _approvals(self) -> dict[str, Effect]:
        batch, ready = (self._planned() for _ in range(2))
        over = batch.plan.plan_digest
        batch.open_gate("compliance", over)
        ready.open_gate("compliance", ready.plan.plan_digest)
        for signer in (ready.office.compliance, ready.office.wallets):
            assert ready.attempt(signer, "compliance", ready.plan.plan_digest).counted
        closing = CloseGate(
            batch_id=ready.batch_id,
            fence=1,
            gate="compliance",
            digest=ready.plan.plan_digest,
            outcome="approved",
        )
        refusal = RecordRefusal(
            batch_id=batch.batch_id,
            attempt_key=str(uuid4()),
            message="approve",
            counted=False,
            reason_code="not_json",
            reason="It is no JSON.",
        )
        return {
            "an approval": lambda: batch.attempt(batch.office.compliance, "compliance", over),
            "a refused message": lambda: batch.approvals.record_refusal(refusal),
            "a gate that passes": lambda: ready.approvals.close_gate(closing),
            "a gate that opens": lambda: ready.open_gate("issuance", over),
        }

    def _planned(self) -> BatchOnRecord:
        folder = self.folder / uuid4().hex
        folder.mkdir()
        batch = BatchOnRecord(databases=self.databases, office=an_office(folder), scene=False)
        batch.begin()
        return batch

    def _custody(self) -> dict[str, Effect]:
        room = a_room(self.databases, self.stack, self.folder)
        custody = room.custody()
        unopened, underived, unverified = (AskedBatch(room=room) for _ in range(3))
        for batch in (unopened, underived, unverified):
            batch.prepare()
        for batch in (underived, unverified):
            custody.open_keyring(batch.tranche_step())
        custody.derive_slice(unverified.slice_step())
        return {
            "a seed": lambda: custody.open_keyring(unopened.tranche_step()),
            "addresses": lambda: custody.derive_slice(underived.slice_step()),
            "a second derivation": lambda: custody.verify_range(unverified.slice_step()),
        }

    def _activation(self) -> dict[str, Effect]:
        token = self.stack.state_dir / "secrets" / "custody" / "vault_token"
        attest = Transit(address=self.stack.openbao.address, token_file=token)
        receiver: Any = self.receiver
        room = Room(databases=self.databases, attest=attest, folder=self.folder, receiver=receiver)
        do = room.activities
        unopened, opened, active, leaving = (room.ready_batch() for _ in range(4))
        wave, told, left = (room.opened(batch) for batch in (opened, active, leaving))
        for step in (told, left):
            do.activate_slice(slice_of(step))
        undoing = BatchStep(batch_id=leaving.batch_id, fence=1)
        return {
            "a wave that opens": lambda: room.opened(unopened),
            "active wallets": lambda: do.activate_slice(slice_of(wave)),
            "an announcement": lambda: do.announce_wave(told),
            "a wave that closes": lambda: do.check_wave(told),
            "frozen wallets": lambda: do.undo_activation(undoing),
        }

    def _register(self) -> dict[str, Effect]:
        batch = self._planned()
        claim = ClaimBatch(request=a_request(new_id()), claimed_by_run="run-1")
        finish = FinishBatch(
            batch_id=batch.batch_id, fence=1, result={"batch_id": batch.batch_id, "outcome": "aborted"}
        )
        return {
            "a claimed id": lambda: batch.register.claim_batch(claim),
            "an end": lambda: batch.register.finish_batch(finish),
        }


@pytest.fixture(scope="module")
def disk(databases: Databases, stack: Stack) -> Iterator[Fault]:
    """A small disk under the log, filled on demand."""
    admin = databases.cluster.admin_url_of(databases.name)
    with log_disk(admin, databases.url("walletworks_owner"), ours=not stack.postgres.elsewhere) as full:
        yield full


@contextmanager
def _away(fault: str, disk: Fault, databases: Databases) -> Iterator[None]:
    """The log away, or away from right after an effect's intent on."""
    owner = databases.url("walletworks_owner")
    with disk() if fault == "full" else refusing(owner, READ_ONLY, intents=fault == "read-only"):
        yield


@pytest.mark.parametrize("fault", ["full", "read-only", "read-only after the intents"])
def test_nothing_happens_that_the_log_cannot_tell_of(
    databases: Databases, stack: Stack, disk: Fault, tmp_path: Path, fault: str
) -> None:
    """Every effect waits for the database and leaves the world as it was; afterwards each one works."""
    world = World(databases=databases, stack=stack, folder=tmp_path)
    effects = world.effects()
    before = world.seen()
    with _away(fault, disk, databases):
        for name, effect in effects.items():
            if name in SENT_AFTER_INTENT and "intents" in fault:
                continue
            with pytest.raises(ServiceUnavailableError, match="database"):
                effect()
            assert world.seen() == before, name
    for effect in effects.values():
        effect()
    assert len(world.receiver.sent) == 2
    changed = {name for name, now in world.seen().items() if now != before[name]}
    assert changed >= {"attempts", "gates", "keyrings", "wallets", "waves", "batches", "slices", "sent"}


def test_an_announcement_is_intended_before_it_is_sent_and_once(
    databases: Databases, stack: Stack, tmp_path: Path
) -> None:
    """A receiver that is away is told again and again, and the log of it once."""
    world = World(databases=databases, stack=stack, folder=tmp_path)
    world._activation()["an announcement"]()
    kinds = _kinds(databases.owner)
    intended = [at for at, kind in enumerate(kinds) if kind == "announcement.intent"]
    assert intended[-1] < len(kinds) - 1 - kinds[::-1].index("announcement.delivered")


def _kinds(owner: Database) -> list[str]:
    rows = run(owner, "SELECT body::jsonb ->> 'kind' AS kind FROM audit_entries ORDER BY recorded_at, seq")
    return [row.kind for row in rows]
