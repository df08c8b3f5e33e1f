"""Decisions that look odd and break no rule: both verifiers take them for what they are."""

import re
from pathlib import Path

import pytest

from activities.evidence import layout
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, failures, report_on, second_verdict
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, Edit

OTHER = "ab" * 32
OF_NEWER_LOGS = ("signature_sha256", "message", "received_at")


def _told_of(made: Dossier, row: Row) -> Row:
    kind = "attempt.counted" if row["counted"] else "attempt.refused"
    return made.told(kind, attempt_key=row["attempt_key"])


def _of_an_older_log(made: Dossier) -> None:
    for row in made.parts[layout.APPROVALS]:
        told = _told_of(made, row)
        for name in OF_NEWER_LOGS:
            del told[name]


def _unstorable_statement(made: Dossier) -> None:
    row = made.attempt("compliance", counted=False)
    made.state(row, reason="\ufffd")
    row["reason_code"] = "malformed_statement"
    _told_of(made, row).update(statement_sha256=OTHER, reason_code="malformed_statement")


def _unstorable_signature(made: Dossier) -> None:
    row = made.attempt("compliance", counted=False)
    row |= {"signature": "\ufffd", "reason_code": "malformed_signature"}
    _told_of(made, row).update(signature_sha256=OTHER, reason_code="malformed_signature")


def _without_statement(message: str, reason: str, *, counted: bool) -> Edit:
    def edit(made: Dossier) -> None:
        row = made.attempt("compliance", counted=False)
        entry = made.entries("attempt.refused", attempt_key=row["attempt_key"])[0]
        for name in ("statement_sha256", "signature_sha256"):
            del entry["body"][name]
        entry["body"] |= {"kind": "attempt.counted" if counted else "attempt.refused"}
        row |= {"statement": None, "signature": None, "counted": counted}
        for each in (row, entry["body"]):
            each |= {"message": message, "reason_code": reason}

    return edit


def _asking_nobody(made: Dossier) -> None:
    """Under a policy without gates for plan, evidence and waves."""
    policy = made.parts[layout.POLICY]
    for gate in ("compliance", "issuance", "wave"):
        policy = re.sub(rf"\[gates.{gate}\]\nroles = .*\n", "", policy)
    made.parts[layout.POLICY] = re.sub(r"approve_from_wave_max = .*\n", "", policy)
    made.told("policy.decided")["outcome"] = "approved"
    for row in list(made.parts[layout.GATES]):
        if row["gate"] != "rollback":
            made.drop(layout.GATES, gate=row["gate"], digest=row["digest"])
            for kind in ("gate.opened", "gate.closed"):
                made.untell(kind, gate=row["gate"], digest=row["digest"])
    for row in list(made.parts[layout.APPROVALS]):
        if made.said(row)["gate"] != "hold":
            made.forget_attempt(row)


def _with_a_cancelled_hold(made: Dossier) -> None:
    late = made.row(layout.ADJUDICATIONS, tranche=1)
    other_ends.aborted_when_screened(made)
    cancelled = {**late, "decision": "cancelled", "tranche": None}
    made.parts[layout.ADJUDICATIONS].insert(1, cancelled)
    made.tell("hold.settled", ordinal=5, hold_digest=late["hold_digest"], decision="cancelled")
    made.tell("undo.screening", cancelled=1)


def _no(place: Edit, *, kind: str, time: str, gate: str, ahead: bool = False) -> Edit:
    """A no by somebody who may, refused when its gate was not open: put by the first entry of a kind."""

    def edit(made: Dossier) -> None:
        place(made)
        row = made.decide(made.attempt("compliance"), by=made.office.third, decision="reject", gate=gate)
        entry = made.entries("attempt.counted", attempt_key=row["attempt_key"])[0]
        entry["body"] |= {"kind": "attempt.refused", "message": "reject", "received_at": time}
        row |= {"counted": False, "message": "reject", "received_at": time}
        for each in (row, entry["body"]):
            each["reason_code"] = "gate_not_open"
        log = made.parts[layout.AUDIT]
        log.remove(entry)
        at = log.index(made.entries(kind)[0])
        log.insert(at + (not ahead), {**entry, "recorded_at": time})
        made.parts[layout.APPROVALS].sort(key=lambda each: str(each["received_at"]))

    return edit


def _came(place: int, time: str) -> Edit:
    """An attempt that came at another time than its entry's."""

    def edit(made: Dossier) -> None:
        row = made.parts[layout.APPROVALS][place]
        _told_of(made, row)["received_at"] = row["received_at"] = time

    return edit


def _in_the_last_moment(made: Dossier) -> None:
    row = made.parts[layout.APPROVALS][2]
    entry = made.entries("attempt.counted", attempt_key=row["attempt_key"])[0]
    entry["recorded_at"] = made.entries("gate.closed")[0]["recorded_at"]
    row["received_at"] = entry["body"]["received_at"] = entry["recorded_at"]


def _nothing(_: Dossier) -> None:
    pass


def _expires_soon(made: Dossier) -> None:
    made.row(layout.GATES, gate="compliance")["expires_at"] = "2026-11-21T04:00:11.220000Z"
    made.told("gate.opened", gate="compliance")["expires_at"] = "2026-11-21T04:00:11.220000Z"


TAKEN: dict[str, Edit] = {
    "of an older log": _of_an_older_log,
    "unstorable statement": _unstorable_statement,
    "unstorable signature": _unstorable_signature,
    "pause without a statement": _without_statement("pause", "counted", counted=True),
    "message without a statement": _without_statement("approve", "malformed_statement", counted=False),
    "five minutes before its entry": _came(0, "2026-11-21T03:55:11.205477Z"),
    "a millisecond after its entry": _came(-1, "2026-11-21T04:00:11.555058Z"),
    "in the last moment": _in_the_last_moment,
    "asking nobody": _asking_nobody,
    "with a cancelled hold": _with_a_cancelled_hold,
    "no after the end": _no(
        _nothing, kind="gate.closed", time="2026-11-21T04:00:11.250000Z", gate="compliance"
    ),
    "no before the beginning": _no(
        _nothing, kind="gate.opened", time="2026-11-21T04:00:11.200000Z", gate="compliance"
    ),
    "no at a gate that never opened": _no(
        _nothing, kind="gate.closed", time="2026-11-21T04:00:11.250000Z", gate="resume/1"
    ),
    "no after the expiry": _no(
        _expires_soon,
        kind="gate.closed",
        time="2026-11-21T04:00:11.240000Z",
        gate="compliance",
        ahead=True,
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_decision_that_breaks_no_rule_is_taken(whole: Dossier, tmp_path: Path, name: str) -> None:
    """What came late, early or damaged and was refused takes nothing away from what counted."""
    forgery = Forgery(check="", sentence="", edit=TAKEN[name])
    report = report_on(whole, tmp_path, forgery)
    assert report.ok, failures(report)
    assert second_verdict(whole, tmp_path, forgery) == "VERIFIED"


def test_decisions_are_counted_in_words(whole: Dossier, tmp_path: Path) -> None:
    """The report says how many decisions count, gates passed and holds were settled."""
    report = report_on(whole, tmp_path, Forgery(check="", sentence="", edit=_nothing))
    told = {check.name: check.sentence for check in report.checks}
    assert (told["approvals"], told["gates"], told["holds"]) == (
        "9 decisions count again, 5 refused attempts are on record",
        "5 gates passed, 5 of them needed for what was done",
        "3 holds settled by signed decisions",
    )


def test_a_gate_is_not_early_for_what_never_began(whole: Dossier, tmp_path: Path) -> None:
    """Where the log does not tell of a beginning, other checks say so, and the gates stand as they are."""
    forgery = Forgery(check="lists", sentence="", edit=lambda made: made.untell("lists.pinned"))
    told = failures(report_on(whole, tmp_path, forgery))
    assert "lists" in told
    assert "gates" not in told
