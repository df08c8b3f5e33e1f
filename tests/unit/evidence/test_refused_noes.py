"""A no that the record calls refused: both verifiers stand by it where it came in time, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from activities.evidence import layout
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, require_refused
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, Edit, forged
from tests.integration.verdict_room import agreed_checks
from tests.signers import Signer

STRANGER = Signer(name="lee@acme.example")


@dataclass(frozen=True, kw_only=True)
class No:
    """A decision against: at which gate, told of beside which entry of the log, and what it says else."""

    gate: str
    beside: str
    ahead: bool = False
    decision: str = "reject"
    by: Callable[[Dossier], Signer] = lambda made: made.office.compliance
    says: dict[str, Any] = field(default_factory=dict)

    def __call__(self, made: Dossier) -> None:
        """Puts it among the attempts and into the log, as refused."""
        like = made.attempt(self.gate)
        beside = self._beside(made, like)
        row = made.decide(like, by=self.by(made), decision=self.decision)
        made.state(row, by=self.by(made), **self.says)
        log = made.parts[layout.AUDIT]
        entry = next(each for each in log if each["body"].get("attempt_key") == row["attempt_key"])
        log.remove(entry)
        log.insert(log.index(beside) + (not self.ahead), entry)
        entry["recorded_at"] = row["received_at"] = beside["recorded_at"]
        entry["body"] |= {"kind": "attempt.refused", "reason_code": "expired"}
        row |= {"counted": False, "reason_code": "expired"}
        if "received_at" in entry["body"]:
            entry["body"]["received_at"] = beside["recorded_at"]
        made.parts[layout.APPROVALS].sort(key=lambda each: str(each["received_at"]))

    def _beside(self, made: Dossier, like: Row) -> Row:
        if self.beside == "attempt.counted":
            return made.entries(self.beside, attempt_key=like["attempt_key"])[0]
        if self.beside == "hold.settled":
            return made.entries(self.beside, hold_digest=made.said(like)["digest"])[0]
        return made.entries(self.beside, gate=self.gate)[0]


def wallets(made: Dossier) -> Signer:
    """Whom the waves ask."""
    return made.office.wallets


def filed_elsewhere(made: Dossier) -> None:
    """The log tells of it under no gate."""
    No(gate="wave/2", beside="attempt.counted", by=wallets)(made)
    made.told("attempt.refused", reason_code="expired").update(gate="", digest="")


def with_a_used_nonce(made: Dossier) -> None:
    """Its nonce counted before, at the same gate."""
    used = made.said(made.attempt("compliance"))["nonce"]
    No(gate="compliance", beside="attempt.counted", says={"nonce": used})(made)


def expiring(made: Dossier, at: str) -> None:
    """The second wave's gate expires at a moment."""
    made.row(layout.GATES, gate="wave/2")["expires_at"] = at
    made.told("gate.opened", gate="wave/2")["expires_at"] = at


def before_the_expiry(made: Dossier) -> None:
    """A microsecond before its gate expires."""
    No(gate="wave/2", beside="attempt.counted", by=wallets)(made)
    came = made.row(layout.APPROVALS, counted=False, reason_code="expired")["received_at"]
    expiring(made, f"{came[:-7]}{int(came[-7:-1]) + 1:06}Z")


def at_the_expiry(made: Dossier) -> None:
    """The gate was not closed yet, and took no more decisions."""
    No(gate="wave/2", beside="attempt.counted", by=wallets)(made)
    expiring(made, made.row(layout.APPROVALS, counted=False, reason_code="expired")["received_at"])


def told_twice(made: Dossier) -> None:
    """The log tells of it again when the gate was closed."""
    No(gate="wave/2", beside="attempt.counted", by=wallets)(made)
    told = made.told("attempt.refused", reason_code="expired")
    made.tell("attempt.refused", **{name: value for name, value in told.items() if name != "kind"})


def gate_opened_twice(made: Dossier) -> None:
    """The log, and the member, tell of the opening again after it."""
    No(gate="wave/2", beside="attempt.counted", by=wallets)(made)
    gates = made.parts[layout.GATES]
    opened = made.row(layout.GATES, gate="wave/2")
    gates.insert(gates.index(opened) + 1, dict(opened))
    log, end = made.parts[layout.AUDIT], made.entries("gate.closed", gate="wave/2")[0]
    log.insert(log.index(end), {**end, "body": dict(made.told("gate.opened", gate="wave/2"))})


def _over(edit: Edit) -> Forgery:
    return Forgery(check="gates", sentence="a gate passed over a decision against it that stands", edit=edit)


STANDS = {
    "at the first gate": _over(No(gate="compliance", beside="attempt.counted")),
    "as soon as it is open": _over(No(gate="compliance", beside="gate.opened")),
    "at the last moment": _over(No(gate="compliance", beside="gate.closed", ahead=True)),
    "over the evidence": _over(No(gate="issuance", beside="attempt.counted")),
    "at a wave": _over(No(gate="wave/2", beside="attempt.counted", by=wallets)),
    "at a hold": Forgery(
        check="holds",
        sentence="a hold was settled without the decisions it needs",
        edit=No(gate="hold", beside="hold.settled", ahead=True, decision="refuse"),
    ),
    "filed elsewhere": _over(filed_elsewhere),
    "with a used nonce": _over(with_a_used_nonce),
    "before the expiry": _over(before_the_expiry),
    "told twice": Forgery(
        check="approvals", sentence="the audit log tells of an attempt twice", edit=told_twice
    ),
    "at a gate told twice": _over(gate_opened_twice),
}


@pytest.mark.parametrize("how", STANDS)
def test_a_no_in_time_stands(whole: Dossier, tmp_path: Path, how: str) -> None:
    """Nothing goes on over it, whatever the record calls it; both verifiers say so."""
    require_refused(whole, tmp_path, STANDS[how])


NONE: dict[str, Callable[[Dossier], None]] = {
    "before its gate opened": No(gate="wave/2", beside="gate.opened", ahead=True, by=wallets),
    "after its gate was closed": No(gate="wave/2", beside="gate.closed", by=wallets),
    "after its hold was settled": No(gate="hold", beside="hold.settled", decision="refuse"),
    "at a gate that was never opened": No(
        gate="wave/2", beside="attempt.counted", by=wallets, says={"gate": "wave/9"}
    ),
    "at the expiry": at_the_expiry,
    "of a stranger": No(gate="compliance", beside="attempt.counted", by=lambda _: STRANGER),
    "of the requester": No(gate="compliance", beside="attempt.counted", by=lambda m: m.office.requester),
    "of somebody without the role": No(gate="wave/2", beside="attempt.counted"),
    "expired when it came": No(
        gate="compliance",
        beside="attempt.counted",
        says={"issued_at": "2026-11-20T00:00:00Z", "expires_at": "2026-11-20T01:00:00Z"},
    ),
    "a yes": No(gate="compliance", beside="attempt.counted", decision="approve"),
}


@pytest.mark.parametrize("how", NONE)
def test_a_no_that_was_rightly_refused_is_none(whole: Dossier, tmp_path: Path, how: str) -> None:
    """An honest record of noes that came too early, too late, or of somebody who may not, verifies."""
    path = forged(whole, tmp_path / "honest.zip", NONE[how])
    assert agreed_checks(path, whole.office.trust_path) == ("VERIFIED", set())


def test_a_gate_may_end_by_a_no_that_the_record_calls_refused(whole: Dossier, tmp_path: Path) -> None:
    """It stands for what was done by it as it stands against everything else; both verifiers say so."""

    def edit(made: Dossier) -> None:
        other_ends.rejected(made)
        row = next(each for each in made.rows(layout.APPROVALS) if made.said(each)["decision"] == "reject")
        entry = made.told("attempt.counted", attempt_key=row["attempt_key"])
        entry |= {"kind": "attempt.refused", "reason_code": "expired"}
        row |= {"counted": False, "reason_code": "expired"}

    path = forged(whole, tmp_path / "refused.zip", edit)
    assert agreed_checks(path, whole.office.trust_path) == ("VERIFIED", set())
