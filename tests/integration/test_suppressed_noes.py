"""A valid no that the store has as refused: both verifiers stand by it, and by no other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from activities.activation.announcements import Announcer
from activities.approvals import gates
from activities.approvals.activities import ApprovalsActivities
from activities.approvals.attempts import Ruling, rule_on, write_attempt
from activities.approvals.gates import HOLD, batch_case, moment
from activities.contracts.approvals import RecordAttempt, RecordedAttempt
from activities.store.locks import lock_gates
from activities.trust.judging import Attempt
from activities.trust.reasons import SENTENCES, Reason
from tests.integration.builders import HELD_EARLY, BatchOnRecord
from tests.integration.office import DEPLOYMENT, an_office
from tests.integration.store_fixtures import Databases
from tests.integration.verdict_room import agreed, agreed_checks
from tests.signers import Signer

WAVE: Final = "wave/2"
RESUME: Final = "resume/1"


class Denying(ApprovalsActivities):
    """A deployment that writes down every message as refused, whatever it says."""

    def record_attempt(self, step: RecordAttempt) -> RecordedAttempt:
        """Calls it expired, and logs it so."""
        trust, code = self._trust(), Reason.EXPIRED
        with self._database.transaction() as connection:
            case = batch_case(connection, step.batch_id)
            lock_gates(connection, step.batch_id)
            now = moment(connection)
            judged = rule_on(connection, case, step, trust=trust, now=now).judgement
            ruling = Ruling(counted=False, code=code.value, sentence=SENTENCES[code], judgement=judged)
            answer = RecordedAttempt(counted=False, reason_code=code.value, reason=SENTENCES[code])
            write_attempt(connection, case, step, ruling=ruling, answer=answer, now=now)
        return answer


@dataclass(kw_only=True)
class DecidedBatch(BatchOnRecord):
    """A batch that somebody is against."""

    def no(self, gate: str, over: str, *, of: Signer | None = None) -> RecordedAttempt:
        """A decision against, of somebody whom the gate asks unless of another."""
        is_wallets = gate.partition("/")[0] in ("wave", "resume")
        asked = self.office.wallets if is_wallets else self.office.compliance
        return self.attempt(of or asked, gate, over, decision="refuse" if gate == HOLD else "reject")


@dataclass(kw_only=True)
class SuppressingBatch(DecidedBatch):
    """A batch whose deployment refuses a no at one gate while the gate is open."""

    at: str = ""

    def open_gate(self, gate: str, over: str) -> None:
        """Opens it as ever; then comes the no."""
        super().open_gate(gate, over)
        if gate == self.at:
            self.deny(gate, over)

    def screen(self) -> None:
        """Screens as ever, after a pause where that is in question."""
        if self.at == RESUME:
            self.pass_gate(RESUME, self.plan.plan_digest)
        super().screen()

    def settle(self, ordinal: int, decision: str) -> None:
        """Settles a hold as ever; at the hold in question somebody says no before."""
        if (self.at, ordinal) == (HOLD, HELD_EARLY):
            self.deny(HOLD, self.holds[ordinal])
        super().settle(ordinal, decision)

    def deny(self, gate: str, over: str) -> None:
        """A no of somebody who may, refused."""
        honest, self.approvals = self.approvals, self.denying()
        told = self.no(gate, over)
        self.approvals = honest
        assert (told.counted, told.reason_code) == (False, "expired")

    def denying(self) -> Denying:
        """The same office under another hand."""
        return Denying(
            database=self.provisioning,
            trust_path=self.office.trust_path,
            deployment=DEPLOYMENT,
            announcer=Announcer(database=self.provisioning, object_store=self.objects),
        )


@dataclass(kw_only=True)
class HonestBatch(DecidedBatch):
    """A batch whose deployment refuses each no that came too early, too late, or of somebody who may not."""

    refused: list[str] = field(default_factory=list)

    def open_gate(self, gate: str, over: str) -> None:
        """People with a no wait at the door of the second wave, and some enter who may not."""
        if gate != WAVE:
            super().open_gate(gate, over)
            return
        self.note(self.no(gate, over))
        super().open_gate(gate, over)
        for of in (self.office.compliance, self.office.requester, self.office.stranger):
            self.note(self.no(gate, over, of=of))

    def pass_gate(self, gate: str, over: str, *, outcome: str = "approved") -> None:
        """Everybody who could still say no does so when it has passed."""
        super().pass_gate(gate, over, outcome=outcome)
        if gate in ("compliance", "issuance", WAVE):
            self.note(self.no(gate, over))

    def settle(self, ordinal: int, decision: str) -> None:
        """A hold is settled once."""
        super().settle(ordinal, decision)
        self.note(self.no(HOLD, self.holds[ordinal]))

    def note(self, told: RecordedAttempt) -> None:
        """Remembers why."""
        assert not told.counted
        self.refused.append(told.reason_code)


def _only_counted(said: Callable[..., list[Attempt]], *asked: Any) -> list[Attempt]:
    """What a deployment counts that altered its own code."""
    return [attempt for attempt in said(*asked) if not attempt.refused]


@pytest.mark.parametrize("at", [RESUME, HOLD])
async def test_a_suppressed_no_is_found(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Approvals fill the gate and the log agrees with itself: the signed no stands all the same."""
    monkeypatch.setattr(gates, "_said", partial(_only_counted, gates._said))
    made = SuppressingBatch(databases=databases, office=an_office(tmp_path), scene=at == HOLD, at=at)
    made.complete()
    _, path = await made.bundle()
    assert agreed_checks(path, made.office.trust_path) == ("FAILED", {"holds" if at == HOLD else "gates"})


async def test_a_no_that_was_refused_with_reason_is_none(databases: Databases, tmp_path: Path) -> None:
    """Before its gate opens, after its end, of somebody who may not: an honest record of them verifies."""
    made = HonestBatch(databases=databases, office=an_office(tmp_path))
    made.complete()
    may_not = Counter({"role_missing": 1, "requester_may_not_approve": 1, "unknown_key": 1})
    assert Counter(made.refused) - may_not == {"gate_not_open": len(made.refused) - 3}
    _, path = await made.bundle()
    assert agreed(path, made.office.trust_path) == "VERIFIED"
