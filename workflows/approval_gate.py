"""Gates: opened over a digest, waited for with reminders, closed once; the database alone counts."""

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

from activities.contracts.approvals import Approvals, CloseGate, GateStanding, JudgeGate, OpenGate, RemindGate
from activities.contracts.compliance import GateTerms
from workflows.batch_state import BatchState, Waiting
from workflows.steps import Steps


class ApprovalGates:
    """The gates of one batch; `publish` is called when what people see has changed."""

    def __init__(self, state: BatchState, steps: Steps, publish: Callable[[], None]) -> None:
        self._state = state
        self._steps = steps
        self._publish = publish

    async def open(
        self, gate: str, digest: str, terms: GateTerms, *, wait_hours: float = 0.0
    ) -> GateStanding:
        """Opens a gate for `wait_hours`, or as long as its terms say; a gate found open keeps its expiry."""
        expires_at = self._state.gate_until.get(gate) or stamp(
            workflow.now() + timedelta(hours=wait_hours or terms.wait_hours)
        )
        standing = await self._steps.provisioning(
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
        self._state.gate_until[gate] = expires_at
        self._state.gates[gate] = standing
        return standing

    async def await_decision(self, gate: str, digest: str, terms: GateTerms) -> str:
        """Gives approved, rejected or expired, once the gate is closed as such in the database."""
        standing = await self.open(gate, digest, terms)
        until = datetime.fromisoformat(self._state.gate_until[gate])
        reminders = _reminders(until, terms, now=workflow.now())
        self._state.waiting = Waiting(kind="approval", name=gate, until=self._state.gate_until[gate])
        self._publish()
        while not _decided(standing) and workflow.now() < until:
            await self._until_decided_or(gate, reminders[0][0])
            if workflow.now() >= reminders[0][0]:
                _, level = reminders.pop(0)
                await self._remind(standing, level)
            standing = await self._recount(gate, digest)
        outcome = _outcome(standing)
        await self._close(standing, outcome)
        self._state.waiting = Waiting()
        self._publish()
        return outcome

    async def _until_decided_or(self, gate: str, moment: datetime) -> None:
        try:
            await workflow.wait_condition(
                lambda: _decided(self._state.gates[gate]),
                timeout=max(moment - workflow.now(), timedelta(seconds=1)),
                timeout_summary=f"gate {gate}",
            )
        except TimeoutError:
            return

    async def _recount(self, gate: str, digest: str) -> GateStanding:
        """Expiry and revocation are judged at the time of counting, so a filled gate is counted again."""
        step = JudgeGate(batch_id=self._state.batch_id, gate=gate, digest=digest)
        self._state.gates[gate] = await self._steps.provisioning(Approvals.judge_gate, step)
        return self._state.gates[gate]

    async def _remind(self, standing: GateStanding, level: str) -> None:
        step = RemindGate(
            batch_id=self._state.batch_id, gate=standing.gate, digest=standing.digest, level=level
        )
        await self._steps.provisioning(Approvals.remind_gate, step)

    async def _close(self, standing: GateStanding, outcome: str) -> None:
        step = CloseGate(
            batch_id=self._state.batch_id,
            fence=self._state.fence,
            gate=standing.gate,
            digest=standing.digest,
            outcome=outcome,
        )
        self._state.gates[standing.gate] = await self._steps.provisioning(Approvals.close_gate, step)
        self._state.gate_until.pop(standing.gate, None)
        if outcome == "approved":
            self._state.gates_passed.append(f"{standing.gate}:{standing.digest}")


def stamp(moment: datetime) -> str:
    """Gives a moment as RFC 3339 in UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


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
