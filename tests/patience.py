"""Carries a batch to its end as patient people would: whoever does not get through tries again."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import ServiceUnavailableError
from infra.demo.cast import COMPLIANCE
from tests.integration.batch.office import SIGNERS, Json, Office, gate_of
from tests.waiting import eventually_async

ANSWERS_WITHIN: Final = 5.0
"""Seconds a person waits before trying again."""

ENDS_WITHIN: Final = 600.0
"""Seconds after which even patient people give up."""

_AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.NOT_FOUND,  # an update that a dying server had taken and nobody had written down
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    }
)


class Patience:
    """The people of one office, for as long as a batch needs them.

    `refuse` names the ordinals of held subjects that are not cleared.
    """

    def __init__(self, office: Office, batch_id: str, *, refuse: frozenset[int] = frozenset()) -> None:
        self._office = office
        self._batch_id = batch_id
        self._refuse = refuse

    async def status(self) -> Json | None:
        """What the batch says of itself; nothing while nobody can answer."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self._office.status(self._batch_id)
        except (TimeoutError, WorkflowQueryFailedError):
            return None
        except RPCError as error:
            return self._nothing_if_away(error)

    async def carry_through(self, *, within: float = ENDS_WITHIN) -> Json:
        """Signs whatever is asked for until the batch has ended; gives its last status."""
        return await eventually_async(self._ended, within, what="the batch's end") or {}

    async def _ended(self) -> Json | None:
        """The last status of an ended batch; one that has not ended gets what it waits for."""
        status = await self.status()
        if status is None or status["stage"] == "ended":
            return status
        await self._act(status)
        return None

    async def _act(self, status: Mapping[str, Any]) -> None:
        """Does what the batch waits for, if people can do it."""
        waiting = status["waiting_for"] or {}
        if waiting.get("kind") == "approval":
            gate = gate_of(status, waiting["name"])
            message = "resume" if gate["gate"].startswith("resume/") else "approve"
            for role in sorted(gate["still_needed"]):
                await self._decide(gate, SIGNERS[role], by=message)
        if waiting.get("kind") == "hold":
            await self._settle_holds()

    async def _settle_holds(self) -> None:
        try:
            holds = self._open_holds()
        except ServiceUnavailableError:
            return
        for ordinal, digest in holds:
            decision = "refuse" if ordinal in self._refuse else "clear"
            gate = {"gate": "hold", "digest": digest}
            await self._decide(gate, COMPLIANCE, by="adjudicate", decision=decision)

    def _open_holds(self) -> list[tuple[int, str]]:
        found = self._office.rows(
            "SELECT v.ordinal, encode(v.hold_digest, 'hex') AS digest"
            " FROM verdicts v JOIN batches USING (batch_no)"
            " LEFT JOIN adjudications a USING (batch_no, ordinal)"
            " WHERE batch_id = :id AND v.verdict = 'held' AND a.ordinal IS NULL ORDER BY v.ordinal",
            id=self._batch_id,
        )
        return [(row.ordinal, row.digest) for row in found]

    async def _decide(self, gate: Mapping[str, Any], member: Any, **said: Any) -> None:
        """Sends one decision; whether it counted shows in the next status."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._office.decide(self._batch_id, gate, member, **said)
        except (TimeoutError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return
        except RPCError as error:
            self._nothing_if_away(error)

    @staticmethod
    def _nothing_if_away(error: RPCError) -> None:
        if error.status not in _AWAY:
            raise error
