"""Plays one row of the table of endings: to its stage, out of it its way, and gives what it left."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from tests.integration.batch import endings_table as table
from tests.integration.batch.endings_table import Case
from tests.integration.batch.office import ENDS_WITHIN, QUEUE, SIGNERS, Json, Office, gate_of
from tests.integration.batch.scenes import HOUR, SCENES, Scene
from tests.integration.breaking import FOR_GOOD, Faults, Hold
from tests.waiting import eventually_async

EXPIRY: Final = timedelta(days=8)
"""Longer than any gate waits."""

SWEEPER: Final = "walletworks-sweeper"
LATE_GATE: Final = "wave/3"
_SETTLES: Final = frozenset({table.REJECT, table.EXPIRY, table.FAILURE, table.HEALTH})
_CUTS: Final = frozenset({table.ABORT, table.CANCEL, table.TERMINATE})
_UNHELD: Final = frozenset({table.POLICY, table.FAILURE, table.HEALTH})


_OPEN_GATE: Final = (
    "SELECT 1 FROM gates JOIN batches USING (batch_no)"
    " WHERE batch_id = :id AND gate = :what AND gates.outcome IS NULL"
)
_COMES_BEFORE: Final = {
    "soak": "SELECT 1 FROM waves JOIN batches USING (batch_no) WHERE batch_id = :id AND wave = 1",
    "hold": "SELECT 1 FROM waves JOIN batches USING (batch_no) WHERE batch_id = :id AND wave = 2",
}
"""What the store holds by the time a batch waits for something: asked first, it costs no worker time."""


@dataclass(kw_only=True)
class Play:
    """One batch on its way out."""

    office: Office
    faults: Faults
    case: Case
    batch_id: str
    _hold: Hold | None = field(default=None, init=False)

    @property
    def scene(self) -> Scene:
        """How the case's stage is reached."""
        return SCENES[self.case.stage]

    @property
    def ended_by(self) -> str:
        """The workflow that reports the end: a terminated one's is the sweeper's."""
        return f"undo/{self.batch_id}" if self.case.way == table.TERMINATE else self.batch_id

    async def to_the_end(self) -> None:
        """Brings the batch to its stage and out of it; returns when its workflow has closed."""
        await self._prepare()
        await self._start()
        async with self._held() as hold:
            await self._arrive(hold)
            await self._leave(hold)
        try:
            await self.office.handle(self.ended_by).result()
        except WorkflowFailureError:  # how a batch closed is looked up afterwards; an undoing must not fail
            if self.case.way == table.TERMINATE:
                raise

    async def _prepare(self) -> None:
        if self.case.way == table.FAILURE:
            # What must not fail is tried for ever: in the record the store gives way after two refusals.
            times = 2 if self.case.stage == table.RECORD else FOR_GOOD
            self.faults.refuse(self.batch_id, self.scene.breaks, times=times)
        if self.case.way == table.HEALTH:
            assert self.scene.activates is not None
            self.faults.leave_out(self.batch_id, self.scene.activates)
        cut = self.scene.cut_at if self.case.way in _CUTS else None
        place = cut or self.scene.works
        if place is not None and self.case.way not in _UNHELD:
            self._hold = self.faults.hold(self.batch_id, place)

    async def _start(self) -> None:
        changes = {"purpose": "institutional"} if self.case.way == table.POLICY else {}
        request = self.office.request(self.batch_id, **self.scene.asks | changes)
        if self.case.way == table.EXPIRY or self.case.stage == table.SOAK_1:
            starter = self._skipper().client
        else:
            starter = self.office.client
        await starter.start_workflow("ProvisionBatch", request, id=self.batch_id, task_queue=QUEUE)

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[Hold | None]:
        try:
            yield self._hold
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._hold is not None:
            self._hold.let_go()
            self._hold = None

    async def _arrive(self, hold: Hold | None) -> None:
        for gate in self.scene.signs:
            await self._until_stored(gate)
            await self.office.pass_gate(self.batch_id, gate)
        if hold is not None:
            await hold.taken()
        elif self.case.stage == table.LATE:
            await self._arrive_late()
        elif self.scene.waits_at and not self._ends_by_itself():
            await self._until_waiting(self.scene.waits_at)

    def _ends_by_itself(self) -> bool:
        return self.case.way in _UNHELD and self.case.stage != table.SOAK_1

    async def _arrive_late(self) -> None:
        await self._until_waiting("hold")
        if self.case.way not in _SETTLES:
            return
        hold = self.office.holds(self.batch_id)[0]
        assert (await self.office.adjudicate(self.batch_id, hold, "clear"))["counted"]
        if self.case.way == table.HEALTH:
            await self.office.pass_gate(self.batch_id, LATE_GATE)
        elif self.case.way != table.FAILURE:
            await self._until_waiting(LATE_GATE)

    async def _leave(self, hold: Hold | None) -> None:
        match self.case.way:
            case table.CANCEL:
                await self.office.handle(self.batch_id).cancel()
                await self._work_in_flight_is_left(hold)
            case table.ABORT | table.ROLL_BACK:
                await self._abort()
                await self._work_in_flight_is_left(hold)
            case table.TERMINATE:
                await self.office.handle(self.batch_id).terminate("cut off by a test")
                await self._until_swept()
                if hold is not None:
                    await hold.fence_is_being_raised()
            case table.REJECT:
                await self._reject()
            case table.EXPIRY:
                await self._expire()
        if self.case.stage == table.SOAK_1 and self.case.way in {table.REJECT, table.FAILURE, table.HEALTH}:
            self._let_go()
            await self._forward(timedelta(seconds=2 * HOUR))

    async def _until_swept(self) -> None:
        """Sweeps, again where a sweep was under way that had looked already."""

        async def look() -> bool:
            await self.office.client.get_schedule_handle(SWEEPER).trigger()
            with contextlib.suppress(AssertionError):
                await eventually_async(self._is_being_undone, 5)
            return await self._is_being_undone()

        await eventually_async(look, 2 * ENDS_WITHIN, what=f"{self.batch_id}: the sweeper")

    async def _is_being_undone(self) -> bool:
        try:
            await self.office.handle(self.ended_by).describe()
        except RPCError:
            return False
        return True

    async def _abort(self) -> None:
        if self.case.stage != table.RECORD:
            await self.office.abort(self.batch_id)
            return
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.office.abort(self.batch_id)
        assert "takes no more messages" in str(refused.value.cause)

    async def _work_in_flight_is_left(self, hold: Hold | None) -> None:
        """The fence is raised behind the write in flight, which is let go only now."""
        if hold is not None and self.case.stage != table.RECORD:
            await hold.fence_is_being_raised()

    async def _gate_to_leave_by(self) -> Json:
        """The gate the batch waits at; where it waits at none, the resume gate of a pause."""
        if self.case.stage == table.LATE:
            return await self._gate(LATE_GATE)
        if self.scene.waits_at not in {"", "soak"}:
            return await self._gate(self.scene.waits_at)
        answer = await self.office.send(self.batch_id, "pause", {"reason": "to be looked at"})
        assert answer["counted"], answer
        return await self._gate("resume/1")

    async def _gate(self, name: str) -> Json:
        return gate_of(await self.office.status(self.batch_id), name)

    async def _reject(self) -> None:
        gate = await self._gate_to_leave_by()
        member = SIGNERS[min(gate["still_needed"]).partition("|")[0]]
        answer = await self.office.decide(self.batch_id, gate, member, by="reject", decision="reject")
        assert answer["counted"], answer

    async def _expire(self) -> None:
        gate = await self._gate_to_leave_by()
        self._let_go()
        if self.case.stage != table.SOAK_1:
            await self._until_waiting(gate["gate"])
        await self._forward(EXPIRY)

    def _skipper(self) -> TimeSkipper:
        return TimeSkipper(self.office.client, config=TimeSkippingConfig(enabled=False))

    async def _forward(self, by: timedelta) -> None:
        ended = not await self._skipper().fast_forward(self.office.handle(self.batch_id), by)
        assert ended, "the batch goes on"

    async def _until_waiting(self, what: str) -> None:
        def waits(status: Json) -> bool:
            waiting = status["waiting_for"] or {}
            return what in {waiting.get("kind"), waiting.get("name")}

        await self._until_stored(what)
        await self.office.until(self.batch_id, waits, what=f"waiting for {what}")

    async def _until_stored(self, what: str) -> None:
        async def look() -> bool:
            sql = _COMES_BEFORE.get(what, _OPEN_GATE)
            return bool(self.office.rows(sql, id=self.batch_id, what=what))

        await eventually_async(look, 2 * ENDS_WITHIN, what=f"{self.batch_id}: {what}")
