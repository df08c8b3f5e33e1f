"""Decisions that must not count: each is refused with its reason, recorded, and leaves the gate as it was."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.demo.cast import COMPLIANCE, REQUESTER, WALLETS, Member, key_of
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office, ssh_sign, stamp

Forge = Callable[[Office, str, Json], Json]

STRANGER = Member(name=COMPLIANCE.name, roles=COMPLIANCE.roles)
"""Somebody who uses an officer's name, with a key nobody knows."""


def _strangers_key(office: Office) -> Path:
    return key_of(STRANGER, office.stage.folder / "strangers")


def _unsigned(office: Office, batch_id: str, gate: Json) -> Json:
    return {"statement": office.statement(batch_id, gate, COMPLIANCE), "signature": "none"}


def _over_another_text(office: Office, batch_id: str, gate: Json) -> Json:
    message = office.message(batch_id, gate, COMPLIANCE)
    return message | {"statement": message["statement"].replace("Looked at it.", "Looked at it!")}


def _for_another_purpose(office: Office, batch_id: str, gate: Json) -> Json:
    said = office.statement(batch_id, gate, COMPLIANCE)
    return {"statement": said, "signature": office.sign(said, COMPLIANCE, namespace="file")}


def _with_a_foreign_key(office: Office, batch_id: str, gate: Json) -> Json:
    said = office.statement(batch_id, gate, COMPLIANCE)
    signature = ssh_sign(said, _strangers_key(office), namespace="walletworks-approval")
    return {"statement": said, "signature": signature}


def _in_anothers_name(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(batch_id, gate, COMPLIANCE, approver=WALLETS.name)


def _by_the_requester(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(batch_id, gate, REQUESTER)


def _expired(office: Office, batch_id: str, gate: Json) -> Json:
    now = datetime.now(UTC)
    then = {"issued_at": stamp(now - timedelta(hours=2)), "expires_at": stamp(now - timedelta(seconds=1))}
    return office.message(batch_id, gate, COMPLIANCE, **then)


def _valid_too_long(office: Office, batch_id: str, gate: Json) -> Json:
    far = stamp(datetime.now(UTC) + timedelta(days=30))
    return office.message(batch_id, gate, COMPLIANCE, expires_at=far)


def _over_another_digest(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(batch_id, gate, COMPLIANCE, digest="ab" * 32)


def _of_another_batch(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(f"{batch_id}x", gate, COMPLIANCE)


def _of_another_deployment(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(batch_id, gate, COMPLIANCE, deployment="another")


def _with_a_field_too_many(office: Office, batch_id: str, gate: Json) -> Json:
    return office.message(batch_id, gate, COMPLIANCE, note="extra")


FORGED: list[tuple[Forge, str]] = [
    (_unsigned, "malformed_signature"),
    (_over_another_text, "bad_signature"),
    (_for_another_purpose, "wrong_namespace"),
    (_with_a_foreign_key, "unknown_key"),
    (_in_anothers_name, "approver_is_not_signer"),
    (_by_the_requester, "requester_may_not_approve"),
    (_expired, "expired"),
    (_valid_too_long, "validity_too_long"),
    (_over_another_digest, "wrong_digest"),
    (_of_another_batch, "wrong_batch"),
    (_of_another_deployment, "wrong_deployment"),
    (_with_a_field_too_many, "malformed_statement"),
]


async def test_no_forged_decision_counts(office: Office) -> None:
    """Unsigned, altered, foreign, expired, misdirected: each has its own reason, and the gate stays open."""
    batch_id = office.new_id("forged")
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    for forge, reason in FORGED:
        answer = await office.send(batch_id, "approve", forge(office, batch_id, gate))
        assert (answer["counted"], answer["reason_code"]) == (False, reason)
    status = await office.status(batch_id)
    assert [refused["reason_code"] for refused in status["messages_refused"]] == [r for _, r in FORGED]
    assert status["gates"] == [held | {"approved_by": [], "rejected_by": None} for held in status["gates"]]
    recorded = office.rows(
        "SELECT counted, reason_code FROM attempts JOIN batches USING (batch_no)"
        " WHERE batch_id = :id ORDER BY received_at",
        id=batch_id,
    )
    assert [(row.counted, row.reason_code) for row in recorded] == [(False, reason) for _, reason in FORGED]
    await office.abort(batch_id)
    await require_end(office, batch_id, "aborted")


async def test_decision_counts_once_and_for_one_seat(office: Office) -> None:
    """A replayed one is refused here and at another batch, and one person fills one seat only."""
    first, second = office.new_id("replay"), office.new_id("replay")
    for batch_id in (first, second):
        await office.start(office.request(batch_id))
    gate, other_gate = [await office.at_gate(batch_id, "compliance") for batch_id in (first, second)]
    nonce = secrets.token_hex(16)
    message = office.message(first, gate, COMPLIANCE, nonce=nonce)
    assert (await office.send(first, "approve", message))["counted"]
    replayed = await office.send(first, "approve", message)
    assert (replayed["counted"], replayed["reason_code"]) == (False, "nonce_already_used")
    elsewhere = await office.send(second, "approve", message)
    assert (elsewhere["counted"], elsewhere["reason_code"]) == (False, "wrong_batch")
    same_nonce = await office.decide(second, other_gate, COMPLIANCE, nonce=nonce)
    assert (same_nonce["counted"], same_nonce["reason_code"]) == (False, "nonce_already_used")
    again = await office.decide(first, gate, COMPLIANCE)
    assert again["standing"]["still_needed"] == {"wallet_officer": 1}
    assert office.states(first) == {}
    for batch_id in (first, second):
        await office.abort(batch_id)
        await require_end(office, batch_id, "aborted")


async def test_unsigned_request_needs_one_person_more_than_there_are(office: Office) -> None:
    """Without the requester's signature the two officers do not suffice."""
    batch_id = office.new_id("unsigned")
    request = office.request(batch_id)
    del request["signature"]
    await office.start(request)
    gate = await office.at_gate(batch_id, "compliance")
    assert sum(gate["still_needed"].values()) == 3
    for member in (COMPLIANCE, WALLETS):
        standing = (await office.decide(batch_id, gate, member))["standing"]
    assert (standing["satisfied"], sum(standing["still_needed"].values())) == (False, 1)
    await office.decide(batch_id, gate, WALLETS, by="reject", decision="reject")
    await require_end(office, batch_id, "rejected")
