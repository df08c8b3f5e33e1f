"""Batches that an operator resets: each brought to a moment, rewound, and asked to end as if nothing was."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import text

from infra.demo.cast import WALLETS
from tests.integration.batch.office import Json, gate_of, waits_at
from tests.integration.batch.resetting import (
    FIRST,
    FORGOTTEN,
    LAST,
    MARK,
    REAPPLIED,
    Resettable,
    one_approval_of_two,
    reset,
)
from tests.integration.batch.test_left_early import ALL_GATES
from tests.integration.breaking import Faults, Place
from tests.waiting import eventually_async


@dataclass(kw_only=True)
class Rewound(Resettable):
    """One batch that is rewound, on a store that can be made to wait."""

    faults: Faults
    recorded: Json = field(default_factory=dict)

    async def resume_and_pass(self, gate: str) -> None:
        """The batch has not forgotten that it is paused; whichever it waits at first, both are needed."""
        seen = await self.office.until(
            self.batch_id, lambda s: s["paused"] and has_gate(s, "resume/1"), what="a pause"
        )
        resume = gate_of(seen, "resume/1")
        if waits_at(seen, gate):
            await self.office.pass_gate(self.batch_id, gate)
            await self.until_open("resume/1")
        answer = await self.office.decide(self.batch_id, resume, WALLETS, by="resume")
        assert answer["counted"], answer
        if not waits_at(seen, gate):
            await self.office.pass_gate(self.batch_id, gate)

    @asynccontextmanager
    async def held(self, table: str, **matches: Any) -> AsyncIterator[None]:
        """Within it a write of the batch is held up, once it has come so far; let go at the end."""
        hold = self.faults.hold(self.batch_id, Place(table=table, matches=matches))
        try:
            yield
            await hold.taken()
            await self.reset()
        finally:
            hold.let_go()

    async def ended(self, outcome: str) -> None:
        """Notes what the record says of an ended batch; reset, it must answer the same and do nothing."""
        status = await self.office.until_ended(self.batch_id)
        assert status["outcome"] == outcome, status
        await self.office.handle(self.batch_id).result()
        self.recorded = self.trace()

    def trace(self) -> Json:
        """All that can change of a batch in the store."""
        (row,) = self.office.rows(
            "SELECT outcome, result, fence, ended_at FROM batches WHERE batch_id = :id", id=self.batch_id
        )
        counted = "SELECT count(*) AS n FROM audit_entries WHERE chain = :chain OR chain LIKE :shards"
        chain = f"batch/{self.batch_id}"
        (entries,) = self.office.rows(counted, chain=chain, shards=f"{chain}/%")
        return {
            "row": tuple(row),
            "entries": entries.n,
            "states": self.office.states(self.batch_id),
            "accounts": self.office.accounts(self.batch_id),
        }


def waits_for_people(status: Json) -> bool:
    """Whether holds are all that the batch waits for."""
    return bool((status["waiting_for"] or {}).get("kind") == "hold")


def has_gate(status: Json, name: str) -> bool:
    """Whether a gate of that name is shown."""
    return any(gate["gate"] == name for gate in status["gates"])


Scene = Callable[[Rewound], Awaitable[None]]


async def gate_that_was_passed(batch: Rewound) -> None:
    """Nobody is asked twice."""
    await batch.start(**ALL_GATES)
    await batch.mark()
    await batch.office.pass_gate(batch.batch_id, "compliance")
    await batch.until_open("issuance")
    await batch.reset()
    await batch.office.pass_gates(batch.batch_id, "issuance", "wave/1", "wave/2")


async def paused(batch: Rewound) -> None:
    """It stands still until somebody resumes it."""
    await batch.start()
    await batch.mark()
    assert (await batch.office.send(batch.batch_id, "pause", {"reason": "look"}))["counted"]
    await batch.reset()
    await batch.resume_and_pass("compliance")


async def paused_before_the_plan(batch: Rewound) -> None:
    """The same where there is no gate to resume at yet."""
    async with batch.held("slices", stage="intake"):
        await batch.office.start(batch.office.request(batch.batch_id))
        assert (await batch.office.send(batch.batch_id, "pause", {"reason": "look"}))["counted"]
    await batch.resume_and_pass("compliance")


async def resumed(batch: Rewound) -> None:
    """It goes on without being resumed again."""
    await batch.start(**ALL_GATES)
    assert (await batch.office.send(batch.batch_id, "pause", {"reason": "look"}))["counted"]
    await batch.office.pass_gate(batch.batch_id, "compliance")
    resume = await batch.until_open("resume/1")
    await batch.mark()
    assert (await batch.office.decide(batch.batch_id, resume, WALLETS, by="resume"))["counted"]
    await batch.until_open("issuance")
    await batch.reset()
    await batch.office.pass_gates(batch.batch_id, "issuance", "wave/1", "wave/2")


async def hold_that_was_settled(batch: Rewound) -> None:
    """Nobody has to decide on it again."""
    await batch.start(held=1, rollout=ALL_GATES["rollout"] | {"approve_from_wave": 3})
    await batch.office.pass_gate(batch.batch_id, "compliance")
    await batch.office.until(
        batch.batch_id, lambda s: (s["waiting_for"] or {}).get("kind") == "hold", what="hold"
    )
    await batch.mark()
    (hold,) = batch.office.holds(batch.batch_id).values()
    assert (await batch.office.adjudicate(batch.batch_id, hold, "clear"))["counted"]
    await batch.until_open("wave/3")
    await batch.reset()
    await batch.office.pass_gate(batch.batch_id, "wave/3")


async def middle_of_a_wave(batch: Rewound) -> None:
    """What is in flight commits once, by whichever run."""
    async with batch.held("slices", stage="wave/1"):
        await batch.start()
        await batch.office.pass_gate(batch.batch_id, "compliance")


async def abort_that_counts(batch: Rewound) -> None:
    """The batch is left, whatever its run remembers."""
    async with batch.held("audit_entries", kind="fence.raised"):
        await batch.start()
        await batch.mark()
        await batch.office.abort(batch.batch_id)


async def middle_of_undoing_a_rejected_one(batch: Rewound) -> None:
    """It stays rejected, and is undone to its end."""
    async with batch.held("audit_entries", kind="undo.intake"):
        await batch.start()
        await batch.mark()
        gate = await batch.until_open("compliance")
        decided = batch.office.decide(batch.batch_id, gate, WALLETS, by="reject", decision="reject")
        assert (await decided)["counted"]


async def middle_of_undoing_a_cancelled_one(batch: Rewound) -> None:
    """It stays cancelled, though its new run was never cancelled."""
    async with batch.held("audit_entries", kind="undo.intake"):
        await batch.start()
        await batch.mark()
        await batch.office.handle(batch.batch_id).cancel()


async def rejected_and_ended(batch: Rewound) -> None:
    """The record answers."""
    await batch.start()
    await batch.mark()
    gate = await batch.until_open("compliance")
    await batch.office.decide(batch.batch_id, gate, WALLETS, by="reject", decision="reject")
    await batch.ended("rejected")
    await batch.reset()


async def completed_and_ended(batch: Rewound) -> None:
    """The record answers."""
    await batch.start()
    await batch.mark()
    await batch.office.pass_gate(batch.batch_id, "compliance")
    await batch.ended("completed")
    await batch.reset()


async def terminated_and_swept(batch: Rewound) -> None:
    """The record answers for the run that was terminated, too."""
    await batch.start()
    await batch.mark()
    office, undoing = batch.office, f"undo/{batch.batch_id}"
    await office.temporal("workflow", "terminate", "--workflow-id", batch.batch_id, "--reason", "a try")
    given = json.dumps({"batch_id": batch.batch_id})
    started = await office.temporal(
        *("workflow", "start", "--type", "UndoBatch", "--task-queue", "provisioning"),
        *("--workflow-id", undoing, "--input", given),
    )
    assert started.returncode == 0, started.stderr
    await office.handle(undoing).result()
    batch.recorded = batch.trace()
    await batch.reset()


async def reset_twice(batch: Rewound) -> None:
    """A second time forgets no more than the first."""
    await one_approval_of_two(batch)
    await batch.office.until_ended(batch.batch_id)
    batch.recorded = batch.trace()
    await batch.reset()


async def shard_at_work(batch: Rewound) -> None:
    """A child that is reset is no other child to its batch."""
    office, shard = batch.office, f"{batch.batch_id}/screen/0000"
    hold = batch.faults.hold(batch.batch_id, Place(table="slices", matches={"stage": "screen"}))
    try:
        await batch.start()
        await office.pass_gate(batch.batch_id, "compliance")
        await hold.taken()
        await reset(office, shard, "--type", "FirstWorkflowTask")
    finally:
        hold.let_go()


async def shards_of_the_run_before(batch: Rewound) -> None:
    """A reset leaves them at work; the new run waits for what it would begin again."""
    hold = batch.faults.hold(batch.batch_id, Place(table="slices", matches={"stage": "screen"}))
    try:
        await batch.start()
        await batch.mark()
        await batch.office.pass_gate(batch.batch_id, "compliance")
        await hold.taken()
        await batch.reset()
        await eventually_async(lambda: _shard_refused(batch), 60, what="a shard whose id is taken")
    finally:
        hold.let_go()


async def _shard_refused(batch: Rewound) -> bool:
    history = await batch.office.handle(batch.batch_id).fetch_history()
    return any(
        event.HasField("start_child_workflow_execution_failed_event_attributes") for event in history.events
    )


_SPOIL: Final = """
    UPDATE plans SET decision = decision || '{"odd": 1}'
    WHERE batch_no = (SELECT batch_no FROM batches WHERE batch_id = :id)
"""
_MEND: Final = """
    UPDATE plans SET decision = decision - 'odd'
    WHERE batch_no = (SELECT batch_no FROM batches WHERE batch_id = :id)
"""


async def record_that_cannot_be_read(batch: Rewound) -> None:
    """What it forgot it takes up before it undoes; a plan that is spoilt meanwhile delays that, and shows."""
    await batch.start()
    await batch.reset()
    await batch.until_open("compliance")
    _change_for_good(batch, _SPOIL)
    await batch.office.abort(batch.batch_id)
    seen = await batch.office.until(batch.batch_id, lambda s: waits_at(s, "take_over"), what="its failing")
    assert seen["waiting_for"]["kind"] == "compensation"
    _change_for_good(batch, _MEND)


def _change_for_good(batch: Rewound, statement: str) -> None:
    """Changes what the store lets nobody change, its owner included."""
    with batch.office.owner.transaction() as connection:
        connection.execute(text("ALTER TABLE plans DISABLE TRIGGER USER"))
        connection.execute(text(statement), {"id": batch.batch_id})
        connection.execute(text("ALTER TABLE plans ENABLE TRIGGER USER"))


Rewinds = tuple[tuple[str, str], ...]

THROUGH: Final[Rewinds] = ((FIRST, FORGOTTEN), (LAST, REAPPLIED), (MARK, FORGOTTEN))
"""All of a run, the end of it, and from the middle; what is reapplied and what is not."""

SCENES: Final[tuple[tuple[Scene, str, Rewinds], ...]] = (
    (record_that_cannot_be_read, "aborted", ((LAST, REAPPLIED),)),
    (one_approval_of_two, "completed", THROUGH),
    (gate_that_was_passed, "completed", ((MARK, FORGOTTEN),)),
    (paused, "completed", ((FIRST, REAPPLIED), (MARK, FORGOTTEN))),
    (paused_before_the_plan, "completed", ((FIRST, FORGOTTEN),)),
    (resumed, "completed", ((MARK, FORGOTTEN),)),
    (hold_that_was_settled, "completed", ((MARK, FORGOTTEN),)),
    (middle_of_a_wave, "completed", ((FIRST, REAPPLIED), (LAST, FORGOTTEN))),
    (abort_that_counts, "aborted", ((FIRST, FORGOTTEN), (MARK, REAPPLIED))),
    (middle_of_undoing_a_rejected_one, "rejected", ((FIRST, FORGOTTEN), (MARK, FORGOTTEN))),
    (middle_of_undoing_a_cancelled_one, "cancelled", ((MARK, FORGOTTEN),)),
    (rejected_and_ended, "rejected", THROUGH),
    (completed_and_ended, "completed", ((FIRST, REAPPLIED), (MARK, REAPPLIED))),
    (terminated_and_swept, "aborted", ((FIRST, FORGOTTEN), (MARK, FORGOTTEN))),
    (reset_twice, "completed", ((LAST, FORGOTTEN),)),
    (shard_at_work, "completed", ((FIRST, REAPPLIED),)),
    (shards_of_the_run_before, "completed", ((MARK, FORGOTTEN),)),
)
