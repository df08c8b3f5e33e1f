"""Attempts, gates and holds forged by somebody with every key: each fails the one check it is against."""

from dataclasses import replace
from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, failures, report_on
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, Edit, forged

OTHER = "ab" * 32
LONG_AGO = "2026-11-21T03:00:00.000000Z"
LATER = "2026-11-21T04:00:12.000000Z"

NOT_AS_TOLD = "an attempt ended otherwise than the audit log says"
AT_ANOTHER_TIME = "an attempt came at another time than it was logged"
OTHER_ATTEMPTS = "the attempts differ from those in the audit log"
LACKS_A_PART = "an attempt lacks its statement or signature, or has one it did not come with"
OTHER_STATEMENT = "an attempt's statement differs from the one in the audit log"
OTHER_SIGNATURE = "an attempt's signature differs from the one in the audit log"
UNKNOWN_GATE = "the policy does not know a gate that was opened or decided on"
OTHER_END = "a gate's end differs from the audit log"
UNDECIDED = "a gate passed without the decisions it needs"
MISSING_GATE = "the audit log tells of a gate that is missing, or of an end twice"
NOT_PASSED = "something went on without a gate that the policy asks for"
TOO_EARLY = "something went on before the gate it needed had passed"
UNSETTLED = "a hold was settled without the decisions it needs"


def told_of(made: Dossier, row: Row) -> Row:
    """What the log says of an attempt."""
    kind = "attempt.counted" if row["counted"] else "attempt.refused"
    return made.told(kind, attempt_key=row["attempt_key"])


def _refused(made: Dossier) -> Row:
    return made.rows(layout.APPROVALS, counted=False)[0]


def _swapped(made: Dossier) -> None:
    attempts = made.parts[layout.APPROVALS]
    attempts[0], attempts[1] = attempts[1], attempts[0]


def _told_twice(made: Dossier) -> None:
    made.tell(**made.told("attempt.counted"))


def _twice(made: Dossier) -> None:
    made.parts[layout.APPROVALS].append(dict(made.parts[layout.APPROVALS][-1]))


def _untold(made: Dossier) -> None:
    made.untell("attempt.refused", attempt_key=_refused(made)["attempt_key"])


def _another_reason(made: Dossier) -> None:
    _refused(made)["reason_code"] = "expired"


def _at(time: str, place: int) -> Edit:
    def edit(made: Dossier) -> None:
        row = made.parts[layout.APPROVALS][place]
        told_of(made, row)["received_at"] = row["received_at"] = time

    return edit


def _unsigned(made: Dossier) -> None:
    row = _refused(made)
    del told_of(made, row)["signature_sha256"]
    row["signature"] = None


def _unstated(made: Dossier) -> None:
    del told_of(made, _refused(made))["statement_sha256"]


def _mistold(name: str, *, counted: bool = False, text: str = "") -> Edit:
    """The log has another digest of what came; the text may hold a replacement character."""

    def edit(made: Dossier) -> None:
        row = made.attempt("compliance", counted=counted)
        if text:
            made.state(row, reason=text)
        told_of(made, row)[name] = OTHER

    return edit


def _malformed(part: str) -> Edit:
    """Refused as malformed, and with nothing in it that a store could not keep."""

    def edit(made: Dossier) -> None:
        row = made.attempt("compliance", counted=False)
        (told,) = made.entries("attempt.refused", attempt_key=row["attempt_key"])
        row["reason_code"] = told["body"]["reason_code"] = f"malformed_{part}"
        told["body"][f"{part}_sha256"] = OTHER

    return edit


def _unreadable_signature(made: Dossier) -> None:
    row = made.attempt("compliance")
    row["signature"] = "\ufffd"
    told_of(made, row)["signature_sha256"] = OTHER


def _another_message(made: Dossier) -> None:
    _refused(made)["message"] = "reject"


def _expired(made: Dossier) -> None:
    made.state(made.attempt("issuance"), issued_at="2026-11-20T03:00:00Z", expires_at="2026-11-20T04:00:00Z")


def _expired_pause(made: Dossier) -> None:
    _expired(made)
    row = made.attempt("issuance")
    row["message"] = told_of(made, row)["message"] = "pause"


def _nonce_used(made: Dossier) -> None:
    like = made.attempt("compliance")
    nonce = made.said(like)["nonce"]
    made.state(made.decide(like, by=made.office.third), nonce=nonce)


def _counted_without_statement(made: Dossier) -> None:
    row = made.attempt("issuance")
    said = told_of(made, row)
    del said["statement_sha256"], said["signature_sha256"]
    row |= {"statement": None, "signature": None}


def _counted_prose(made: Dossier) -> None:
    row = made.attempt("issuance")
    made.restate(row, "I approve.", by=made.office.compliance)


def _of_unknown_gate(made: Dossier) -> None:
    made.row(layout.GATES, gate="rollback")["gate"] = made.told("gate.opened")["gate"] = "party"


def _over_another(made: Dossier) -> None:
    made.row(layout.GATES, gate="rollback")["digest"] = made.told("gate.opened")["digest"] = OTHER


def _longer_open(made: Dossier) -> None:
    made.row(layout.GATES, gate="rollback")["expires_at"] = "2099-01-01T00:00:00.000000Z"


def _of_fewer(made: Dossier) -> None:
    made.row(layout.GATES, gate="compliance")["terms"]["roles"] = {"compliance_officer": 1}


def _end(gate: str, outcome: str) -> Edit:
    """A gate's end in both places."""

    def edit(made: Dossier) -> None:
        made.row(layout.GATES, gate=gate)["outcome"] = outcome
        made.told("gate.closed", gate=gate)["outcome"] = outcome

    return edit


def _outcome(gate: str, outcome: str) -> Edit:
    return lambda made: made.row(layout.GATES, gate=gate).update(outcome=outcome)


def _never_closed(made: Dossier) -> None:
    made.untell("gate.closed", gate="wave/3")


def _closed_unknown(made: Dossier) -> None:
    made.tell("gate.closed", gate="resume/1", digest=made.evidence_digest(), outcome="approved")


def _closed_twice(made: Dossier) -> None:
    made.tell(before="gate.closed", **{**made.told("gate.closed"), "outcome": "expired"})


def _one_missing(made: Dossier) -> None:
    made.forget_attempt(made.rows(layout.APPROVALS, counted=True)[1])


def _one_late(made: Dossier) -> None:
    """The second decision comes in the moment between the gate's end and the lists."""
    row, time = made.rows(layout.APPROVALS, counted=True)[1], "2026-11-21T04:00:11.250000Z"
    told_of(made, row)["received_at"] = row["received_at"] = time
    entry = made.entries("attempt.counted", attempt_key=row["attempt_key"])[0]
    log = made.parts[layout.AUDIT]
    log.remove(entry)
    log.insert(log.index(made.entries("gate.closed")[0]) + 1, {**entry, "recorded_at": time})


def _one_against(made: Dossier) -> None:
    row = made.decide(made.attempt("compliance"), by=made.office.third, decision="reject")
    row["message"] = told_of(made, row)["message"] = "reject"


def _rejected_by_nobody(made: Dossier) -> None:
    other_ends.rejected(made)
    made.state(made.attempt("compliance"), decision="approve")


def _screened_without_passing(made: Dossier) -> None:
    other_ends.aborted_when_screened(made)
    _end("compliance", "expired")(made)


def _derived_unscreened_without_passing(made: Dossier) -> None:
    made.drop(layout.SLICES, stage="screen")
    _end("compliance", "expired")(made)


def _passed_after(gate: str, kind: str, **where: object) -> Edit:
    """A gate ends right after what it was needed for had begun."""

    def edit(made: Dossier) -> None:
        log, end = made.parts[layout.AUDIT], made.entries("gate.closed", gate=gate)[0]
        begun = made.entries(kind, **where)[0]
        log.remove(end)
        log.insert(log.index(begun) + 1, {**end, "recorded_at": begun["recorded_at"]})

    return edit


def _settled_otherwise(made: Dossier) -> None:
    made.told("hold.settled")["decision"] = "refuse"


def _others_cancelled(made: Dossier) -> None:
    made.tell("undo.screening", cancelled=1)


def _hold(decision: str, said: str) -> Edit:
    return lambda made: made.state(made.attempt("hold", decision=decision), decision=said)


def _suppressed_no_at_a_hold(made: Dossier) -> None:
    like = made.attempt("hold")
    row = made.decide(like, by=made.office.third, decision="refuse")
    entry = made.entries("attempt.counted", attempt_key=row["attempt_key"])[0]
    entry["body"] |= {"kind": "attempt.refused", "reason_code": "expired"}
    row |= {"counted": False, "reason_code": "expired"}
    log, settled = made.parts[layout.AUDIT], made.entries("hold.settled")[0]
    log.remove(entry)
    log.insert(log.index(settled), {**entry, "recorded_at": settled["recorded_at"]})


def _f(check: str, sentence: str, edit: Edit) -> Forgery:
    return Forgery(check=check, sentence=sentence, edit=edit)


FORGERIES = {
    "swapped": _f("approvals", "approvals.jsonl is not in its order", _swapped),
    "told twice": _f("approvals", "the audit log tells of an attempt twice", _told_twice),
    "twice": _f("approvals", OTHER_ATTEMPTS, _twice),
    "untold": _f("approvals", OTHER_ATTEMPTS, _untold),
    "another reason": _f("approvals", NOT_AS_TOLD, _another_reason),
    "long before": _f("approvals", AT_ANOTHER_TIME, _at(LONG_AGO, 0)),
    "after its entry": _f("approvals", AT_ANOTHER_TIME, _at(LATER, -1)),
    "unsigned": _f("approvals", LACKS_A_PART, _unsigned),
    "unstated": _f("approvals", LACKS_A_PART, _unstated),
    "another statement": _f("approvals", OTHER_STATEMENT, _mistold("statement_sha256")),
    "another signature": _f("approvals", OTHER_SIGNATURE, _mistold("signature_sha256")),
    "another malformed statement": _f("approvals", OTHER_STATEMENT, _malformed("statement")),
    "another malformed signature": _f("approvals", OTHER_SIGNATURE, _malformed("signature")),
    "another counted statement": _f(
        "approvals", OTHER_STATEMENT, _mistold("statement_sha256", counted=True, text="\ufffd")
    ),
    "another counted signature": _f("approvals", OTHER_SIGNATURE, _unreadable_signature),
    "another message": _f(
        "approvals",
        "an attempt came in another message or at another time than was logged",
        _another_message,
    ),
    "expired": _f("approvals", "a counted decision does not count: expired", _expired),
    "expired pause": _f("approvals", "a counted decision does not count: expired", _expired_pause),
    "nonce used": _f("approvals", "a counted decision does not count: nonce_already_used", _nonce_used),
    "no statement": _f("approvals", UNKNOWN_GATE, _counted_without_statement),
    "prose": _f("approvals", UNKNOWN_GATE, _counted_prose),
    "unknown gate": _f("gates", UNKNOWN_GATE, _of_unknown_gate),
    "another digest": _f(
        "gates", "a gate is over a digest that is neither the plan's nor the evidence's", _over_another
    ),
    "longer open": _f("gates", "the gates differ from those in the audit log", _longer_open),
    "fewer asked": _f("gates", "a gate asked for others than the policy", _of_fewer),
    "end untold": _f("gates", OTHER_END, _never_closed),
    "end not shown": _f("gates", OTHER_END, _outcome("wave/3", "")),
    "another end": _f("gates", OTHER_END, _outcome("wave/3", "expired")),
    "unknown end": _f("gates", MISSING_GATE, _closed_unknown),
    "two ends": _f("gates", MISSING_GATE, _closed_twice),
    "one decision missing": _f("gates", UNDECIDED, _one_missing),
    "one decision late": _f("gates", UNDECIDED, _one_late),
    "one decision against": _f("gates", "a gate passed over a decision against it that stands", _one_against),
    "rejected by nobody": _f("gates", "a gate was rejected by nobody who may", _rejected_by_nobody),
    "screened without passing": _f("gates", NOT_PASSED, _screened_without_passing),
    "derived without passing": _f("gates", NOT_PASSED, _derived_unscreened_without_passing),
    "issued without passing": _f("gates", NOT_PASSED, _end("issuance", "expired")),
    "activated without passing": _f("gates", NOT_PASSED, _end("wave/2", "expired")),
    "screened early": _f("gates", TOO_EARLY, _passed_after("compliance", "lists.pinned")),
    "issued early": _f("gates", TOO_EARLY, _passed_after("issuance", "keyring.opened")),
    "activated early": _f("gates", TOO_EARLY, _passed_after("wave/2", "wave.opened", wave=2)),
    "settled otherwise": _f(
        "holds", "the settled holds differ from those in the audit log", _settled_otherwise
    ),
    "others cancelled": _f("holds", "the audit log tells of other cancelled holds", _others_cancelled),
    "cleared by nobody": _f("holds", UNSETTLED, _hold("clear", "refuse")),
    "refused by nobody": _f("holds", UNSETTLED, _hold("refuse", "clear")),
    "no suppressed": _f("holds", UNSETTLED, _suppressed_no_at_a_hold),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_decision_fails_the_check_it_is_against(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about attempts, gates and holds stands by itself: the sentence says which was broken."""
    forgery = FORGERIES[name]
    assert failures(report_on(whole, tmp_path, forgery)).get(forgery.check) == forgery.sentence


def test_decisions_are_not_judged_without_trust_plan_or_holds(whole: Dossier, tmp_path: Path) -> None:
    """Each of the three checks says what it lacks; one about holds looks whether there are any first."""
    unpinned = verify_bundle(forged(whole, tmp_path / "whole.zip", lambda _: None), None)
    door = forged(whole, tmp_path / "door.zip", other_ends.ended_at_the_door)
    unplanned = verify_bundle(door, whole.office.trust)
    none = "no hold was settled by people"
    for report, sentence, of_holds in (
        (unpinned, "the approvers' keys are not pinned", "the approvers' keys are not pinned"),
        (unplanned, "the batch ended before it was planned", none),
    ):
        told = {check.name: (check.status, check.sentence) for check in report.checks}
        assert told["approvals"] == told["gates"] == (Status.SKIPPED, sentence)
        assert told["holds"] == (Status.SKIPPED, of_holds)


def test_the_trust_files_own_deployment_is_the_statements(whole: Dossier, tmp_path: Path) -> None:
    """Statements for this deployment count for nothing under another one's trust."""
    path = forged(whole, tmp_path / "whole.zip", lambda _: None)
    told = failures(verify_bundle(path, replace(whole.office.trust, deployment="another")))
    assert told["approvals"] == "a counted decision does not count: wrong_deployment"
