"""Receives what people send to a batch: every message is committed with its reason before it is answered."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from activities.contracts.approvals import (
    Approvals,
    GateStanding,
    RecordAttempt,
    RecordedAttempt,
    RecordRefusal,
)
from activities.failures import InvalidRequestError
from workflows.approval_gate import stamp, take_standing
from workflows.batch_state import BatchState, Refusal
from workflows.endings import as_failure
from workflows.limits import APPROVALS_SHOWN, MESSAGE_BYTES_MAX, REFUSALS_SHOWN, SERVICES_SHOWN_MAX
from workflows.messages import one_object, parse_pause, parse_signed_message
from workflows.pausing import RESUME
from workflows.steps import Steps, is_stale

_ENDING = "the batch is ending and takes no more messages"
_NOT_RECORDED = "the message could not be put on the record, so it does not count"


class MessageDesk:
    """The messages of one batch; `on_pause` is awaited after a pause has counted."""

    def __init__(
        self,
        state: BatchState,
        steps: Steps,
        publish: Callable[[], None],
        on_pause: Callable[[], Awaitable[None]],
    ) -> None:
        self._state = state
        self._steps = steps
        self._publish = publish
        self._on_pause = on_pause

    async def receive(self, message: str, inputs: Sequence[RawValue]) -> dict[str, Any]:
        """Gives the answer to one message.

        Raises: InvalidRequestError when the message cannot be read; that too is on the record.
        """
        await workflow.wait_condition(lambda: self._state.claimed or self._state.ending)
        if self._state.ending:
            self._show_refusal(message, "ending", _ENDING)
            raise InvalidRequestError(_ENDING)
        try:
            return await (self._pause(inputs) if message == "pause" else self._judge(message, inputs))
        except InvalidRequestError as error:
            await self._refuse(message, "malformed", error.message)
            raise
        except ActivityError as error:
            self._state.overtaken = self._state.overtaken or is_stale(error)
            self._show_refusal(message, "not_recorded", _NOT_RECORDED)
            raise as_failure(error) from error

    async def receive_unanswered(self, message: str, inputs: Sequence[RawValue]) -> None:
        """Takes a message whose sender hears nothing; what comes of it shows in `status`.

        No error leaves: out of a signal's handler it would end the run, without its compensations.
        """
        with contextlib.suppress(FailureError):
            await self.receive(message, inputs)

    async def refuse_unknown(self, name: str) -> None:
        """Refuses a message of a name nobody knows."""
        await workflow.wait_condition(lambda: self._state.claimed or self._state.ending)
        if self._state.ending:
            self._show_refusal(name, "ending", _ENDING)
            return
        with contextlib.suppress(FailureError):
            await self._refuse(name, "unknown_message", "no message of this name is known")

    async def note_shard(
        self, inputs: Sequence[RawValue], note: Callable[[str, str], Awaitable[None]]
    ) -> None:
        """Notes which service a shard waits for; what no shard of ours sent is dropped, for it only shows."""
        with contextlib.suppress(InvalidRequestError):
            fields = one_object(inputs, bytes_max=MESSAGE_BYTES_MAX)
            shard, service = str(fields.get("shard", ""))[:200], str(fields.get("service", ""))[:100]
            is_full = len(self._state.services) >= SERVICES_SHOWN_MAX
            if shard.startswith(f"{self._state.batch_id}/") and not (service and is_full):
                await note(shard, service)

    async def _refuse(self, message: str, reason_code: str, reason: str) -> None:
        """Commits a message that cannot be judged, and shows it among the refused."""
        await self._record(message, reason_code, reason, counted=False)
        self._show_refusal(message, reason_code, reason)

    async def _judge(self, message: str, inputs: Sequence[RawValue]) -> dict[str, Any]:
        signed = parse_signed_message(inputs)
        attempt = await self._steps.provisioning(
            Approvals.record_attempt,
            RecordAttempt(
                batch_id=self._state.batch_id,
                attempt_key=str(workflow.uuid4()),
                message=message,
                statement=signed.statement,
                signature=signed.signature,
            ),
        )
        self._take(message, attempt)
        return asdict(attempt)

    def _take(self, message: str, attempt: RecordedAttempt) -> None:
        if not attempt.counted:
            self._freshen(attempt.standing)
            self._show_refusal(message, attempt.reason_code, attempt.reason)
            return
        if attempt.gate == "hold":
            self._take_open_holds(attempt.open_holds)
        elif attempt.standing is not None:
            take_standing(self._state, attempt.standing)
        approval = {
            "gate": attempt.gate,
            "approver": attempt.approver,
            "decision": attempt.decision,
            "at": stamp(workflow.now()),
        }
        self._state.approvals = [*self._state.approvals, approval][-APPROVALS_SHOWN:]
        self._publish()

    def _freshen(self, standing: GateStanding | None) -> None:
        """A refused decision may bring news of a gate: a run that was reset has forgotten some."""
        known = self._state.gates.get(standing.gate) if standing else None
        if standing is not None and known is not None and known.digest == standing.digest:
            take_standing(self._state, standing)

    def _take_open_holds(self, told: int) -> None:
        """Once all are screened, open holds only become fewer, in whatever order the answers come."""
        known = self._state.open_holds if self._state.evidence else told
        self._state.open_holds = self._state.open_holds_told = min(told, known)

    async def _pause(self, inputs: Sequence[RawValue]) -> dict[str, Any]:
        reason = parse_pause(inputs)
        if self._state.paused:
            return await self._pause_refused("already_paused", "the batch is paused already")
        if self._state.plan is not None and RESUME not in self._state.plan.gates:
            return await self._pause_refused("no_resume_gate", "its policy names nobody who resumes a batch")
        self._state.paused = True
        self._state.pauses += 1
        await self._record("pause", "paused", reason, counted=True)
        await self._on_pause()
        self._publish()
        return {"counted": True, "reason_code": "paused", "gate": f"resume/{self._state.pauses}"}

    async def _pause_refused(self, reason_code: str, reason: str) -> dict[str, Any]:
        await self._refuse("pause", reason_code, reason)
        return {"counted": False, "reason_code": reason_code, "reason": reason}

    async def _record(self, message: str, reason_code: str, reason: str, *, counted: bool) -> None:
        await self._steps.provisioning(
            Approvals.record_refusal,
            RecordRefusal(
                batch_id=self._state.batch_id,
                attempt_key=str(workflow.uuid4()),
                message=message[:64],
                reason_code=reason_code,
                reason=reason[:500],
                counted=counted,
            ),
        )

    def _show_refusal(self, message: str, reason_code: str, reason: str) -> None:
        refusal = Refusal(
            message=message[:64], reason_code=reason_code, reason=reason[:300], at=stamp(workflow.now())
        )
        self._state.refusals = [*self._state.refusals, refusal][-REFUSALS_SHOWN:]
        self._publish()
