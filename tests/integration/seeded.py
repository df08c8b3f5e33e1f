"""Batches put straight into the store, for tests of what comes after intake and review."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from activities.canonical import canonical
from activities.contracts.shapes import batch_chain
from activities.policy.shape import policy_digest
from activities.store.database import Database
from activities.store.tables import attempts, audit_entries, batches, plans

DEPLOYMENT = "acme-prod"
TENANT = "acme"
REQUESTER = "shop@acme.example"
PLAN_DIGEST = "ab" * 32

POLICY = """
jurisdiction = "SG"
version = "test-1"
custody_modes = ["custodial"]
purposes = ["airdrop"]
data_region = "sg"
caps = { subjects_per_batch = 100000, wallets_per_subject = 10 }
kyc = { reference_required = true, level = "basic" }
health = { failed_share_max = 0.1 }
retention = { years = 5 }

[gates]
compliance = { roles = { compliance_officer = 1, wallet_officer = 1 } }
issuance = { roles = { wallet_officer = 1 } }
hold = { roles = { compliance_officer = 2 } }
resume = { roles = { wallet_officer = 1 } }
rollback = { roles = { wallet_officer = 1 } }

[approvals]
validity_hours_max = 72
wait_hours = 24
remind_hours = 4
escalate_hours = 12
extra_roles = ["compliance_officer"]

[screening]
lists = ["ofac-sdn"]
threshold = 0.8
list_age_days_max = 36500
list_shrink_share_max = 0.2

[rollout]
first_wave_percent_max = 100
soak_seconds_min = 0
waves_percent = [100]
soak_seconds = 0
"""

GATES = {
    "compliance": {"compliance_officer": 1, "wallet_officer": 1},
    "issuance": {"wallet_officer": 1},
    "hold": {"compliance_officer": 2},
    "wave": {"wallet_officer": 1},
    "resume": {"wallet_officer": 1},
    "rollback": {"wallet_officer": 1},
}

_names = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class SeededBatch:
    """A claimed batch: its id, number, and the fence it is worked under."""

    batch_id: str
    batch_no: int
    fence: int = 1
    chains: tuple[str, ...] = field(default=("ethereum", "bsc"))

    @property
    def chain(self) -> str:
        """The batch's own audit chain."""
        return batch_chain(self.batch_id)


def seeded_request(*, requested_by: str = REQUESTER) -> dict[str, Any]:
    """A request with a batch id of its own."""
    return {
        "batch_id": f"seeded-{next(_names)}",
        "tenant": TENANT,
        "requested_by": requested_by,
        "chains": ["ethereum", "bsc"],
    }


def claimed_batch(database: Database, request: dict[str, Any] | None = None) -> SeededBatch:
    """Claims a batch, for a request of its own unless one is given."""
    content = request or seeded_request()
    with database.transaction() as connection:
        batch_no = connection.execute(
            insert(batches)
            .values(
                batch_id=content["batch_id"],
                tenant=content["tenant"],
                requested_by=content["requested_by"],
                purpose="airdrop",
                custody="custodial",
                jurisdiction="SG",
                chains=content["chains"],
                request=content,
                request_digest=hashlib.sha256(canonical(content)).digest(),
                claimed_by_run="run-1",
            )
            .returning(batches.c.batch_no)
        ).scalar_one()
    return SeededBatch(batch_id=content["batch_id"], batch_no=batch_no)


def plan(
    database: Database,
    batch: SeededBatch,
    *,
    policy: str = POLICY,
    subject_count: int = 10,
    waves_percent: Sequence[int] = (100,),
    approve_from_wave: int = 0,
    gates: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> None:
    """Plans a batch under a policy; `gates` ask for others than `GATES`."""
    terms = {"wait_hours": 24, "remind_hours": 4, "escalate_hours": 12}
    decision = {
        "gates": {gate: {"roles": roles, **terms} for gate, roles in {**GATES, **gates}.items()},
        "waves_percent": list(waves_percent),
        "approve_from_wave": approve_from_wave,
    }
    with database.transaction() as connection:
        connection.execute(
            insert(plans).values(
                batch_no=batch.batch_no,
                manifest_root=bytes(32),
                subject_count=subject_count,
                policy_text=policy,
                policy_digest=bytes.fromhex(policy_digest(policy)),
                plan_digest=bytes.fromhex(PLAN_DIGEST),
                decision=decision,
            )
        )


def planned_batch(database: Database, *, subject_count: int = 10, **rollout: Any) -> SeededBatch:
    """Claims and plans a batch."""
    batch = claimed_batch(database)
    plan(database, batch, subject_count=subject_count, **rollout)
    return batch


def raise_fence(database: Database, batch: SeededBatch) -> None:
    """Shuts out every effect scheduled under the batch's fence."""
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE batches SET fence = fence + 1 WHERE batch_no = :no"), {"no": batch.batch_no}
        )


def told(database: Database, chain: str, kind: str) -> list[dict[str, Any]]:
    """The audit entries of a kind on a chain, in order."""
    with database.transaction() as connection:
        bodies = connection.execute(
            select(audit_entries.c.body).where(audit_entries.c.chain == chain).order_by(audit_entries.c.seq)
        ).scalars()
        entries = [json.loads(body) for body in bodies]
    return [entry for entry in entries if entry["kind"] == kind]


def attempt_count(connection: Connection, batch: SeededBatch, *, counted: bool) -> int:
    """How many attempts of the batch are on record as counted, or as refused."""
    return int(
        connection.execute(
            select(func.count()).where(attempts.c.batch_no == batch.batch_no, attempts.c.counted.is_(counted))
        ).scalar_one()
    )
