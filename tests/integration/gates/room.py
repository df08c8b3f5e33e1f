"""Gates at which people with keys made on the spot decide, on the real store."""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from activities.activation.announcements import Announcer
from activities.approvals.activities import ApprovalsActivities
from activities.clients.object_store import FolderStore
from activities.contracts.approvals import (
    CloseGate,
    OpenGate,
    RecordAttempt,
    RecordedAttempt,
)
from activities.contracts.compliance import GateTerms
from activities.store.database import Database
from activities.store.tables import adjudications, attempts, verdicts
from tests.integration.seeded import (
    DEPLOYMENT,
    PLAN_DIGEST,
    SeededBatch,
    planned_batch,
    told,
)
from tests.signers import Signer

LEE = Signer(name="lee@acme.example")
KIM = Signer(name="kim@acme.example")
ANA = Signer(name="ana@acme.example")
SHOP = Signer(name="shop@acme.example")
STRANGER = Signer(name="lee@acme.example")

ROLES = {
    LEE: ["compliance_officer"],
    KIM: ["wallet_officer"],
    ANA: ["compliance_officer", "wallet_officer"],
    SHOP: ["compliance_officer", "wallet_officer"],
}
HOLD_DIGEST = "77" * 32


def trust_text(**extra: str) -> str:
    """The trust file; `extra` adds lines to a person's table by the first part of the name."""
    lines = "\n".join(signer.line() for signer in ROLES)
    tables = "\n".join(
        f'[persons."{signer.name}"]\nroles = {json.dumps(roles)}\ntenants = ["acme"]\n'
        + extra.get(signer.name.partition("@")[0], "")
        for signer, roles in ROLES.items()
    )
    return f'deployment = "{DEPLOYMENT}"\nallowed_signers = """\n{lines}\n"""\n\n{tables}\n'


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The activities with the files they read."""

    activities: ApprovalsActivities
    database: Database
    trust: Path
    objects: Path


def desk_in(folder: Path, database: Database) -> Desk:
    """Approvals over a database, with a trust file and an object store in the folder."""
    trust = folder / "trust.toml"
    trust.write_text(trust_text())
    announcer = Announcer(database=database, object_store=FolderStore(folder / "objects"))
    activities = ApprovalsActivities(
        database=database, trust_path=trust, deployment=DEPLOYMENT, announcer=announcer
    )
    return Desk(
        activities=activities,
        database=database,
        trust=trust,
        objects=folder / "objects",
    )


def instant(hours: float) -> str:
    """A time so many hours from now."""
    return (datetime.now(tz=UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def open_step(batch: SeededBatch, *, gate: str = "compliance", hours: float = 24, **roles: int) -> OpenGate:
    """A gate over the plan, asking for both officers unless told otherwise."""
    asked = roles or {"compliance_officer": 1, "wallet_officer": 1}
    terms = GateTerms(roles=asked, wait_hours=24, remind_hours=4, escalate_hours=12)
    return OpenGate(
        batch_id=batch.batch_id,
        fence=batch.fence,
        gate=gate,
        digest=PLAN_DIGEST,
        terms=terms,
        expires_at=instant(hours),
    )


def statement(batch: SeededBatch, signer: Signer, **changes: Any) -> str:
    """A statement that counts at the compliance gate, unless something is changed."""
    fields = {
        "v": 1,
        "deployment": DEPLOYMENT,
        "tenant": "acme",
        "batch_id": batch.batch_id,
        "gate": "compliance",
        "digest": PLAN_DIGEST,
        "decision": "approve",
        "approver": signer.name,
        "reason": "Looked at it.",
        "issued_at": instant(-1),
        "expires_at": instant(24),
        "nonce": uuid.uuid4().hex,
    }
    return json.dumps({**fields, **changes})


def attempt(batch: SeededBatch, signer: Signer, *, message: str = "approve", **changes: Any) -> RecordAttempt:
    """A signed message of a key of its own."""
    text = statement(batch, signer, **changes)
    return RecordAttempt(
        batch_id=batch.batch_id,
        attempt_key=str(uuid.uuid4()),
        message=message,
        statement=text,
        signature=signer.sign(text),
    )


def with_open_gate(desk: Desk) -> SeededBatch:
    """A planned batch at its compliance gate."""
    batch = planned_batch(desk.database)
    desk.activities.open_gate(open_step(batch))
    return batch


def held_batch(desk: Desk, *digests: str, of: SeededBatch | None = None) -> SeededBatch:
    """A batch, planned unless one is given, with one hold per digest."""
    batch = of or planned_batch(desk.database)
    with desk.database.transaction() as connection:
        connection.execute(
            insert(verdicts),
            [
                {
                    "batch_no": batch.batch_no,
                    "ordinal": ordinal,
                    "verdict": "held",
                    "score": 0.9,
                    "leaf": bytes(32),
                    "hold_digest": bytes.fromhex(digest),
                }
                for ordinal, digest in enumerate(digests)
            ],
        )
    return batch


def on_hold(batch: SeededBatch, signer: Signer, decision: str, digest: str = HOLD_DIGEST) -> RecordAttempt:
    """A decision on a hold."""
    return attempt(batch, signer, message="adjudicate", gate="hold", digest=digest, decision=decision)


def settled(desk: Desk, batch: SeededBatch) -> list[str]:
    """The decisions on record by ordinal."""
    with desk.database.transaction() as connection:
        rows = connection.execute(
            select(adjudications.c.decision)
            .where(adjudications.c.batch_no == batch.batch_no)
            .order_by(adjudications.c.ordinal)
        )
        return list(rows.scalars())


def close_step(batch: SeededBatch, outcome: str) -> CloseGate:
    """Closes the compliance gate."""
    return CloseGate(
        batch_id=batch.batch_id,
        fence=batch.fence,
        gate="compliance",
        digest=PLAN_DIGEST,
        outcome=outcome,
    )


def refusal(desk: Desk, step: RecordAttempt) -> str:
    """The code an attempt was refused with, once answer, row and audit entry agree on it."""
    answer = desk.activities.record_attempt(step)
    assert not answer.counted
    with desk.database.transaction() as connection:
        row = connection.execute(
            select(attempts.c.counted, attempts.c.reason_code).where(
                attempts.c.attempt_key == step.attempt_key
            )
        ).one()
    entry = told(desk.database, f"batch/{step.batch_id}", "attempt.refused")[-1]
    assert (row.counted, row.reason_code) == (False, answer.reason_code)
    assert (entry["attempt_key"], entry["reason_code"]) == (step.attempt_key, answer.reason_code)
    return answer.reason_code


def at_once(calls: list[Callable[[], RecordedAttempt]]) -> list[RecordedAttempt]:
    """Makes every call in a thread of its own, all released together."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], RecordedAttempt]) -> RecordedAttempt:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
