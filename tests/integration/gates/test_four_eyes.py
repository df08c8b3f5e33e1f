"""Four eyes at the desk: each way round them, the code it is refused with, and that the log tells of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from activities.contracts.approvals import GateStanding, JudgeGate, RecordAttempt
from activities.failures import PolicyViolationError
from activities.trust.request_signing import request_text
from tests.integration.gates.room import (
    ANA,
    KIM,
    LEE,
    SHOP,
    Desk,
    at_once,
    attempt,
    close_step,
    instant,
    open_step,
    refusal,
    trust_text,
    with_open_gate,
)
from tests.integration.seeded import (
    PLAN_DIGEST,
    SeededBatch,
    claimed_batch,
    plan,
    planned_batch,
    seeded_request,
    told,
)
from tests.signers import Signer

LEE_SECOND = Signer(name=LEE.name)
OLD_NAME = 'also_known_as = ["lee.old@acme.example"]\n'
OTHER_DIGEST = "cd" * 32


def _trust(*, options: str = "", first_key: bool = True, **extra: str) -> str:
    """The trust file in which Lee holds two keys; `options` stand on both."""
    keys = [signer.line(options) for signer in (LEE, LEE_SECOND)[not first_key :]]
    return trust_text(**{"lee": OLD_NAME} | extra).replace(LEE.line(), "\n".join(keys))


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Approvals under that trust."""
    desk.trust.write_text(_trust())
    return desk


def _stands(desk: Desk, batch: SeededBatch) -> GateStanding:
    step = JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST)
    return desk.activities.judge_gate(step)


def _asked_by(desk: Desk, name: str, *, signed_by: Signer | None = None) -> SeededBatch:
    request = seeded_request(requested_by=name)
    if signed_by is not None:
        request["signature"] = signed_by.sign(request_text(request), "walletworks-request")
    batch = claimed_batch(desk.database, request)
    plan(desk.database, batch)
    desk.activities.open_gate(open_step(batch))
    return batch


def _of_two_officers(desk: Desk) -> SeededBatch:
    batch = planned_batch(desk.database, gates={"compliance": {"compliance_officer": 2}})
    desk.activities.open_gate(open_step(batch, compliance_officer=2))
    return batch


MAY_NOT, HIDDEN = "requester_may_not_approve", "requester_unrecognisable"

REQUESTERS = {
    "the same name": (LEE.name, MAY_NOT),
    "another case": ("LEE@Acme.Example", MAY_NOT),
    "letters that fold to others": ("\u017fhop@acme.example", MAY_NOT),
    "compatibility letters": ("\uff4c\uff45\uff45@acme.example", MAY_NOT),
    "plus address": ("lee+batches@acme.example", MAY_NOT),
    "trailing dot": ("lee@acme.example.", MAY_NOT),
    "blanks": ("\tlee@acme.example ", MAY_NOT),
    "a digit for a letter": ("1ee@acme.example", MAY_NOT),
    "a former name": ("Lee.Old@acme.example", MAY_NOT),
    "homoglyph": ("l\u0435e@acme.example", HIDDEN),
    "zero width": ("l\u200bee@acme.example", HIDDEN),
    "right to left": ("\u202elee@acme.example", HIDDEN),
    "combining mark": ("le\u0301e@acme.example", HIDDEN),
}


@pytest.mark.parametrize("case", REQUESTERS)
def test_requester_approves_under_no_name_and_by_no_key(desk: Desk, case: str) -> None:
    """Who asked decides nothing, however the request spells the name and whichever key signs."""
    name, code = REQUESTERS[case]
    batch = _asked_by(desk, name)
    for signer in (SHOP,) if name.endswith("hop@acme.example") else (LEE, LEE_SECOND):
        for decision in ("approve", "reject"):
            assert refusal(desk, attempt(batch, signer, message=decision, decision=decision)) == code
    assert (_stands(desk, batch).approved_by, _stands(desk, batch).rejected_by) == ([], "")


@pytest.mark.parametrize("signer", [LEE, LEE_SECOND], ids=["the same key", "the other key"])
def test_requester_who_signed_for_nobody_is_still_the_requester(desk: Desk, signer: Signer) -> None:
    """The key under the request shuts out its holder with all keys, whatever name the request gives."""
    batch = _asked_by(desk, "nobody@acme.example", signed_by=LEE)
    assert refusal(desk, attempt(batch, signer)) == MAY_NOT


APPROVERS = {
    "an approver's name": (KIM.name, "approver_is_not_signer"),
    "homoglyph": ("l\u0435e@acme.example", "approver_is_not_signer"),
    "zero width": ("l\u200bee@acme.example", "approver_is_not_signer"),
    "look-alike": ("1ee@acme.example", "approver_is_not_signer"),
    "a former name": ("lee.old@acme.example", "approver_is_not_signer"),
    "nobody": (" ", "approver_is_not_signer"),
    "line feed": ("lee@acme.example\nkim@acme.example", "malformed_statement"),
}


@pytest.mark.parametrize("case", APPROVERS)
def test_signer_approves_in_no_other_name(desk: Desk, case: str) -> None:
    """A statement is its signer's own or nobody's."""
    name, code = APPROVERS[case]
    assert refusal(desk, attempt(with_open_gate(desk), LEE, approver=name)) == code


@pytest.mark.parametrize("name", ["LEE@ACME.EXAMPLE", "lee+two@acme.example", "\uff4cee@acme.example"])
def test_person_with_two_keys_and_spellings_fills_one_seat(desk: Desk, name: str) -> None:
    """A second key, another spelling and another role of one person are one person."""
    batch = _of_two_officers(desk)
    assert desk.activities.record_attempt(attempt(batch, LEE)).counted
    second = desk.activities.record_attempt(attempt(batch, LEE_SECOND, approver=name))
    assert second.standing is not None
    assert (second.standing.satisfied, second.standing.approved_by) == (False, [LEE.name])
    assert [entry["approver"] for entry in told(desk.database, batch.chain, "attempt.counted")] == [
        LEE.name
    ] * 2
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Where a statement that counted, or would, is sent once more; and what becomes of it."""

    code: str
    changes: dict[str, Any]
    counted_before: bool = False
    opens: tuple[str, ...] = ()


REPLAYS = {
    "the same gate": Replay(code="nonce_already_used", changes={}, counted_before=True),
    "another gate that is open": Replay(
        code="nonce_already_used", changes={"gate": "wave/2"}, counted_before=True, opens=("wave/1", "wave/2")
    ),
    "another gate's statement": Replay(code="gate_not_open", changes={"gate": "issuance"}),
    "the wave before": Replay(code="gate_not_open", changes={"gate": "wave/1"}, opens=("wave/2",)),
    "another batch": Replay(code="wrong_batch", changes={"batch_id": "spring-airdrop"}),
    "another tenant": Replay(code="wrong_tenant", changes={"tenant": "globex"}),
    "another deployment": Replay(code="wrong_deployment", changes={"deployment": "acme-test"}),
    "before the last edit": Replay(code="wrong_digest", changes={"digest": OTHER_DIGEST}),
}


@pytest.mark.parametrize("case", REPLAYS)
def test_statement_counts_nowhere_but_where_it_belongs(desk: Desk, case: str) -> None:
    """A statement binds gate, wave, digest, batch, tenant and deployment, and counts there once."""
    replay = REPLAYS[case]
    batch = with_open_gate(desk)
    for gate in replay.opens:
        desk.activities.open_gate(open_step(batch, gate=gate, wallet_officer=1))
    step = attempt(batch, ANA, **replay.changes)
    if replay.counted_before:
        assert desk.activities.record_attempt(step).counted
    assert refusal(desk, replace(step, attempt_key=str(uuid.uuid4()))) == replay.code


def test_statement_of_one_batch_is_nothing_to_another(desk: Desk) -> None:
    """The very text that counted at one batch is refused at the next, and so is its nonce."""
    first, second = with_open_gate(desk), with_open_gate(desk)
    step = attempt(first, LEE)
    assert desk.activities.record_attempt(step).counted
    moved = replace(step, batch_id=second.batch_id, attempt_key=str(uuid.uuid4()))
    assert refusal(desk, moved) == "wrong_batch"


TIMES: dict[str, tuple[dict[str, float], str]] = {
    "issued a day ahead": ({"issued_at": 24, "expires_at": 48}, "issued_in_future"),
    "issued just ahead": ({"issued_at": 0.1}, "issued_in_future"),
    "expired a day ago": ({"issued_at": -48, "expires_at": -24}, "expired"),
    "expired just now": ({"expires_at": -0.01}, "expired"),
    "from a clock a day behind, for an hour": ({"issued_at": -24, "expires_at": -23}, "expired"),
    "valid for longer than the policy": ({"expires_at": 72}, "validity_too_long"),
}
"""Hours from the moment that the statement is written."""


def _issued(batch: SeededBatch, hours: dict[str, float]) -> RecordAttempt:
    return attempt(batch, LEE, **{field: instant(away) for field, away in hours.items()})


@pytest.mark.parametrize("case", TIMES)
def test_statement_out_of_its_time_is_refused(desk: Desk, case: str) -> None:
    """A clock that is a day off either way makes no approval count at the wrong time."""
    hours, code = TIMES[case]
    assert refusal(desk, _issued(with_open_gate(desk), hours)) == code


@pytest.mark.parametrize("issued", [0.05, -24], ids=["minutes ahead", "a day behind"])
def test_statement_within_the_skew_counts(desk: Desk, issued: float) -> None:
    """Minutes ahead, or a day behind and still valid, is no reason to refuse."""
    assert desk.activities.record_attempt(_issued(with_open_gate(desk), {"issued_at": issued})).counted


REVOCATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "the person": ({"lee": 'revoked_at = "2020-01-01T00:00:00Z"\n'}, "person_revoked"),
    "the key, dated back": ({"options": 'valid-before="20200101Z"'}, "key_not_valid_now"),
    "the key, taken out": ({"first_key": False}, "unknown_key"),
    "the key's purpose": ({"options": 'namespaces="git"'}, "key_not_for_this"),
}


@pytest.mark.parametrize("case", REVOCATIONS)
def test_revocation_before_counting_refuses(desk: Desk, case: str) -> None:
    """Whoever is revoked when a decision comes does not count."""
    changed, code = REVOCATIONS[case]
    batch = with_open_gate(desk)
    desk.trust.write_text(_trust(**changed))
    assert refusal(desk, attempt(batch, LEE)) == code


@pytest.mark.parametrize("case", REVOCATIONS)
def test_revocation_before_closing_empties_the_seat(desk: Desk, case: str) -> None:
    """A gate that was full does not close approved once one of its approvers or their key is revoked."""
    batch = with_open_gate(desk)
    desk.activities.record_attempt(attempt(batch, LEE))
    last = desk.activities.record_attempt(attempt(batch, KIM)).standing
    assert last is not None
    assert last.satisfied
    desk.trust.write_text(_trust(**REVOCATIONS[case][0]))
    assert _stands(desk, batch).approved_by == [KIM.name]
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))
    assert told(desk.database, batch.chain, "gate.closed") == []
    desk.activities.close_gate(close_step(batch, "expired"))
    assert told(desk.database, batch.chain, "gate.closed")[0]["outcome"] == "expired"


def _calls(desk: Desk, steps: list[RecordAttempt]) -> list[Callable[[], Any]]:
    return [partial(desk.activities.record_attempt, step) for step in steps]


def test_approvals_over_the_edge_fill_the_gate_once(desk: Desk) -> None:
    """Of n+1 approvals at once all count, one of them fills the gate, and nobody's seat is taken twice."""
    batch = with_open_gate(desk)
    answers = at_once(_calls(desk, [attempt(batch, signer) for signer in (LEE, KIM, ANA)]))
    stands = [answer.standing for answer in answers if answer.standing is not None]
    assert [answer.counted for answer in answers] == [True] * 3
    assert sorted(len(stand.approved_by) for stand in stands) == [1, 2, 3]
    assert len(told(desk.database, batch.chain, "attempt.counted")) == 3


def test_one_person_at_once_with_both_keys_fills_one_seat(desk: Desk) -> None:
    """Two keys racing are one person in whatever order they come."""
    batch = _of_two_officers(desk)
    answers = at_once(_calls(desk, [attempt(batch, signer) for signer in (LEE, LEE_SECOND) * 2]))
    assert {answer.standing.satisfied for answer in answers if answer.standing} == {False}
    assert _stands(desk, batch).still_needed == {"compliance_officer": 1}


def test_rejection_racing_the_last_approval_is_never_lost(desk: Desk) -> None:
    """Before the gate is closed a reject wins, whichever of the two came first."""
    batch = with_open_gate(desk)
    desk.activities.record_attempt(attempt(batch, LEE))
    against = attempt(batch, ANA, message="reject", decision="reject")
    at_once(_calls(desk, [attempt(batch, KIM), against]))
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))
    assert _stands(desk, batch).rejected_by == ANA.name
