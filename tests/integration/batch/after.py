"""What must hold after every end of a batch, however it ended."""

import hashlib
import re
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from activities.evidence.restricted import load_identity
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.demo.cast import AUDITOR
from tests.integration.batch.office import Json, Office
from tests.waiting import eventually_async

STATUS_FIELDS: Final = """
    batch_id tenant requested_by purpose jurisdiction chains stage outcome cause reasons counts plan_digest
    evidence_digest waiting_for paused gates approvals messages_refused waves documents
"""
COUNTS: Final = "rows bad_rows subjects clear in_review not_eligible ready active frozen revoked"
RESULT_FIELDS: Final = "batch_id outcome cause reasons counts plan_digest evidence_digest"


async def require_end(office: Office, batch_id: str, outcome: str) -> Json:
    """Waits for the end and gives the last status, once everything that must hold holds."""
    status = await office.until_ended(batch_id)
    assert status["outcome"] == outcome, status
    assert status.keys() == set(STATUS_FIELDS.split())
    assert status["counts"].keys() == set(COUNTS.split())
    await require_nothing_open(office, batch_id, status)
    return status


async def require_nothing_open(office: Office, batch_id: str, status: Json) -> None:
    """What a last status must go with, whichever workflow gives it."""
    assert (status["waiting_for"], status["stage"]) == (None, "ended")
    require_record(office, batch_id, status)
    require_no_gate_open(office, batch_id)
    require_audit(office, batch_id)
    require_bundle(office, status)
    await require_no_child_open(office, batch_id)


def require_record(office: Office, batch_id: str, status: Json) -> None:
    """The store says what `status` says, and counts its wallets so."""
    (row,) = office.rows("SELECT outcome, result, ended_at FROM batches WHERE batch_id = :id", id=batch_id)
    assert (row.outcome, row.ended_at is None) == (status["outcome"], False)
    assert row.result.keys() == set(RESULT_FIELDS.split())
    assert {name: status[name] for name in RESULT_FIELDS.split()} == row.result
    states = office.states(batch_id)
    counted = {name: status["counts"][name] for name in ("ready", "active", "frozen", "revoked")}
    assert counted == {name: states.get(name, 0) for name in counted}


def require_no_gate_open(office: Office, batch_id: str) -> None:
    """Nobody can approve anything of a batch that has ended."""
    opened = office.rows(
        "SELECT gate FROM gates JOIN batches USING (batch_no) WHERE batch_id = :id AND gates.outcome IS NULL",
        id=batch_id,
    )
    assert opened == []


def require_audit(office: Office, batch_id: str) -> None:
    """Every chain of the batch is whole, and its outcome is the last word on its own chain."""
    entries = office.rows(
        "SELECT chain, seq, recorded_at, body, prev, hash FROM audit_entries"
        " WHERE chain = :chain OR chain LIKE :shards ORDER BY chain, seq",
        chain=f"batch/{batch_id}",
        shards=f"batch/{batch_id}/%",
    )
    chains = {chain: list(own) for chain, own in groupby(entries, lambda entry: entry.chain)}
    for own in chains.values():
        _require_chain(own)
    kinds = [re.search(r'"kind":"([a-z._]+)"', entry.body) for entry in chains[f"batch/{batch_id}"]]
    assert [kind[1] for kind in kinds if kind].count("batch.ended") == 1


def _require_chain(entries: list[Any]) -> None:
    last = bytes(32)
    for place, entry in enumerate(entries, 1):
        stated = f"{entry.recorded_at}\n{entry.body}".encode()
        assert (entry.seq, bytes(entry.prev)) == (place, last)
        last = hashlib.sha256(last + place.to_bytes(8, "big") + stated).digest()
        assert bytes(entry.hash) == last


def require_bundle(office: Office, status: Json) -> None:
    """The bundle verifies with the auditor's own trust file and key; a batch without a plan has none."""
    document = status["documents"].get("bundle")
    if status["plan_digest"] is None:
        assert document is None
        return
    bundle = Path(unquote(urlparse(document["uri"]).path))
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() == document["sha256"]
    trust = load_trust(office.stage.auditor_trust)
    identity = load_identity(office.stage.key(AUDITOR))
    report = verify_bundle(bundle, trust, restricted_identity=identity)
    assert report.ok, [check for check in report.checks if check.status != "ok"]


async def require_no_child_open(office: Office, batch_id: str) -> None:
    """Nothing of the batch is open in Temporal; its visibility may lag a moment behind."""
    query = f"WorkflowId STARTS_WITH '{batch_id}' AND ExecutionStatus = 'Running'"

    async def look() -> bool:
        return [found async for found in office.client.list_workflows(query)] == []

    await eventually_async(look, 10, what="no open workflow of the batch")
