"""Gates: opened over a digest, waited for with reminders, closed once; the database alone counts."""

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.contracts.approvals import Approvals, CloseGate, GateStanding, JudgeGate, OpenGate, RemindGate
from activities.contracts.compliance import GateTerms
from workflows.batch_state import BatchState, Waiting
from workflows.limits import STEP_PAUSE
from workflows.renewal import Renewal
from workflows.steps import Steps

_PAUSES_BEFORE_A_RECOUNT = "pauses-before-a-recount"
"""Patch: two workers whose trust files differ for a while disagree on a gate; their histories stay short."""


class ApprovalGates:
    """The gates of one batch; `publish` is called when what people see has changed."""

    def __init__(
        self, state: BatchState, steps: Steps, publish: Callable[[], None], renewal: Renewal
    ) -> None:
        self._state = state
        self._steps = steps
        self._publish = publish
        self._renewal = renewal

    async def open(
        self, gate: str, digest: str, terms: GateTerms, *, wait_hours: float = 0.0
    ) -> GateStanding:
        """Opens a gate for `wait_hours`, or as long as its terms say; a gate found open keeps its expiry.

        The record's expiry holds: a run that was reset has forgotten when it opened the gate.
        """
        expires_at = self._state.gate_until.get(gate) or stamp(
            workflow.now() + timedelta(hours=wait_hours or terms.wait_hours)
        )
        opened = await self._steps.provisioning(
            Approvals.open_gate,
            OpenGate(
                batch_id=self._state.batch_id,
                fence=self._state.fence,
                gate=gate,
                digest=digest,
                terms=terms,
                expires_at=expires_at,
            ),
        )
        self._state.gate_until[gate] = opened.expires_at or expires_at
        self._state.gates[gate] = standing = opened.standing()
        return standing

    async def await_decision(self, gate: str, digest: str, terms: GateTerms) -> str:
        """Gives approved, rejected or expired, once the gate is closed as such in the database."""
        await self.open(gate, digest, terms)
        until = datetime.fromisoformat(self._state.gate_until[gate])
        reminders = _reminders(until, terms, now=workflow.now())
        self._show(Waiting(kind="approval", name=gate, until=self._state.gate_until[gate]))
        outcome = ""
        while not outcome:
            while not _decided(self._state.gates[gate]) and workflow.now() < until:
                await self._until_decided_or(gate, reminders[0][0])
                if workflow.now() >= reminders[0][0]:
                    _, level = reminders.pop(0)
                    await self._remind(gate, digest, level)
                await self._recount(gate, digest)
            outcome = await self._close(gate, digest)
        self._show(Waiting())
        return outcome

    async def recount_open(self) -> None:
        """Counts every gate again that this run takes for open: decisions may be on record that it forgot."""
        for gate in sorted(self._state.gate_until):
            await self._recount(gate, self._state.gates[gate].digest)

    async def close_open(self) -> None:
        """Leaves no gate open behind a batch; an approved abort stands unless it was revoked since."""
        for gate in sorted(self._state.gate_until):
            standing = self._state.gates[gate]
            if not (standing.satisfied and await self._set_outcome(gate, standing.digest, "approved")):
                await self._set_outcome(gate, standing.digest, "cancelled")

    def _show(self, waiting: Waiting) -> None:
        self._state.waiting = waiting
        self._publish()

    async def _until_decided_or(self, gate: str, moment: datetime) -> None:
        """Waits for news; a run whose history has become long meanwhile goes on as a new one."""
        try:
            await workflow.wait_condition(
                lambda: _decided(self._state.gates[gate]) or self._renewal.is_due(),
                timeout=max(moment - workflow.now(), timedelta(seconds=1)),
                timeout_summary=f"gate {gate}",
            )
        except TimeoutError:
            return
        await self._renewal.renew_if_due()

    async def _recount(self, gate: str, digest: str) -> None:
        """Expiry and revocation are judged at the time of counting, so a filled gate is counted again.

        A count that a decision has overtaken on its way here is old, and made again.
        """
        step = JudgeGate(batch_id=self._state.batch_id, gate=gate, digest=digest)
        while True:
            known = self._state.gates[gate]
            standing = await self._steps.provisioning(Approvals.judge_gate, step)
            if self._state.gates[gate] is known:
                self._state.gates[gate] = standing
                return

    async def _remind(self, gate: str, digest: str, level: str) -> None:
        step = RemindGate(batch_id=self._state.batch_id, gate=gate, digest=digest, level=level)
        await self._steps.provisioning(Approvals.remind_gate, step)

    async def _close(self, gate: str, digest: str) -> str:
        """Gives how the gate ended; nothing when an approval was revoked in the last moment."""
        outcome = _outcome(self._state.gates[gate])
        if not await self._set_outcome(gate, digest, outcome):
            if workflow.patched(_PAUSES_BEFORE_A_RECOUNT):
                await workflow.sleep(STEP_PAUSE, summary=f"gate {gate} is counted again")
                await self._renewal.renew_if_due()
            await self._recount(gate, digest)
            return ""
        if outcome == "approved":
            self._state.gates_passed.append(f"{gate}:{digest}")
        return outcome

    async def _set_outcome(self, gate: str, digest: str, outcome: str) -> bool:
        """Closes a gate in the database; false when it does not stand approved there any more."""
        step = CloseGate(
            batch_id=self._state.batch_id,
            fence=self._state.fence,
            gate=gate,
            digest=digest,
            outcome=outcome,
        )
        try:
            self._state.gates[gate] = await self._steps.provisioning(Approvals.close_gate, step)
        except ActivityError as error:
            if _is_policy_violation(error):
                return False
            raise
        self._state.gate_until.pop(gate, None)
        return True


def take_standing(state: BatchState, standing: GateStanding) -> None:
    """Notes what a counted decision's answer says of its gate.

    Answers may come in another order than the decisions were counted in: the fuller one is the newer.
    """
    known = state.gates.get(standing.gate)
    if known is None or known.digest != standing.digest or _weight(standing) >= _weight(known):
        state.gates[standing.gate] = standing


def stamp(moment: datetime) -> str:
    """Gives a moment as RFC 3339 in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _weight(standing: GateStanding) -> tuple[bool, int]:
    return bool(standing.rejected_by), len(standing.approved_by)


def _is_policy_violation(error: ActivityError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type == "PolicyViolationError"


def _decided(standing: GateStanding) -> bool:
    return standing.satisfied or bool(standing.rejected_by)


def _outcome(standing: GateStanding) -> str:
    if standing.rejected_by:
        return "rejected"
    return "approved" if standing.satisfied else "expired"


def _reminders(until: datetime, terms: GateTerms, *, now: datetime) -> list[tuple[datetime, str]]:
    """The moments to remind and to escalate, still ahead, and at last the expiry itself."""
    opened = until - timedelta(hours=terms.wait_hours)
    planned = [
        (opened + timedelta(hours=terms.remind_hours), "reminder"),
        (opened + timedelta(hours=terms.escalate_hours), "escalation"),
    ]
    ahead = sorted((moment, level) for moment, level in planned if now < moment < until)
    return [*ahead, (until, "expiry")]
