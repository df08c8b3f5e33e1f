"""`temporal workflow reset` of a batch: to the start of its run, its end, or a moment in between."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from infra.demo.cast import COMPLIANCE, WALLETS
from tests.integration.batch.office import Json, Office, gate_of, waits_at
from tests.waiting import eventually_async

FIRST: Final = "the first workflow task"
LAST: Final = "the last workflow task"
MARK: Final = "the task before what came last"
REAPPLIED, FORGOTTEN = "messages reapplied", "messages forgotten"


@dataclass(kw_only=True)
class Resettable:
    """One batch, and how it is reset."""

    office: Office
    batch_id: str
    to: str
    messages: str
    _mark: int = field(default=0)

    async def start(self, **changes: Any) -> None:
        """Starts the batch; it waits at its first gate."""
        await self.office.start(self.office.request(self.batch_id, **changes))
        await self.office.at_gate(self.batch_id, "compliance")

    async def mark(self) -> None:
        """Remembers this moment: what comes from now on can be forgotten."""
        history = await self.office.handle(self.batch_id).fetch_history()
        completed = [
            each for each in history.events if each.HasField("workflow_task_completed_event_attributes")
        ]
        self._mark = completed[-1].event_id

    async def reset(self) -> None:
        """Resets the batch by Temporal's own command line."""
        target = {
            FIRST: ("--type", "FirstWorkflowTask"),
            LAST: ("--type", "LastWorkflowTask"),
            MARK: ("--event-id", str(self._mark)),
        }[self.to]
        forgets = ("--reapply-exclude", "All") if self.messages == FORGOTTEN else ()
        await reset(self.office, self.batch_id, *target, *forgets)

    async def until_open(self, gate: str) -> Json:
        """The gate the batch waits at, by the newest run."""
        return await self.office.at_gate(self.batch_id, gate)


async def reset(office: Office, workflow_id: str, *options: str) -> None:
    """Resets a workflow as an operator does."""
    command = ("workflow", "reset", "--workflow-id", workflow_id, "--reason", "a try")
    done = await office.temporal(*command, *options)
    assert done.returncode == 0, done.stderr


async def one_approval_of_two(batch: Resettable) -> None:
    """The one counts on, and needs not be given again; the gate waits no longer than it did."""
    await batch.start()
    await batch.mark()
    gate = await batch.until_open("compliance")
    until, opened = gate["until"], int(time.time())
    assert (await batch.office.decide(batch.batch_id, gate, COMPLIANCE))["counted"]
    # Expiries are told to the second: within the same one, a gate that waits longer would not show.
    await eventually_async(_is_later_than(opened), 5, what="another second")
    await batch.reset()
    stands = await batch.office.until(
        batch.batch_id,
        lambda s: waits_at(s, "compliance") and bool(gate_of(s, "compliance")["approved_by"]),
        what="one approval on record",
    )
    gate = gate_of(stands, "compliance")
    assert (gate["still_needed"], gate["until"]) == ({"wallet_officer": 1}, until)
    assert (await batch.office.decide(batch.batch_id, gate, WALLETS))["counted"]


def _is_later_than(second: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return int(time.time()) > second

    return look
