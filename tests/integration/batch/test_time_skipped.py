"""Waits of hours and days on the real server, whose clock for one workflow runs ahead on command."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from tests.integration.batch.after import require_end
from tests.integration.batch.office import QUEUE, Handle, Json, Office, waits_at
from tests.waiting import eventually

EXPIRY = timedelta(days=7)
Forward = Callable[[str, timedelta], Awaitable[bool]]


@pytest.fixture(scope="module")
def skipper(office: Office) -> TimeSkipper:
    """Starts batches whose clock stands under our command, and moves it."""
    return TimeSkipper(office.client, config=TimeSkippingConfig(enabled=False))


@pytest.fixture
def forward(office: Office, skipper: TimeSkipper) -> Forward:
    """Moves a batch's clock; False when the batch ended before the time was reached."""

    async def move(batch_id: str, by: timedelta) -> bool:
        return await skipper.fast_forward(office.handle(batch_id), by)

    return move


async def start(skipper: TimeSkipper, request: Json) -> Handle:
    """Starts a batch with a clock of its own."""
    return await skipper.client.start_workflow(
        "ProvisionBatch", request, id=request["batch_id"], task_queue=QUEUE, result_type=dict
    )


def announced(office: Office, batch_id: str) -> list[tuple[str, str]]:
    """What was announced of gates that wait: gate and level, in order."""
    found = office.rows(
        "SELECT body->>'gate' AS gate, body->>'level' AS level FROM outbox JOIN batches USING (batch_no)"
        " WHERE batch_id = :id AND topic = 'gate.waiting' ORDER BY created_at",
        id=batch_id,
    )
    return [(row.gate, row.level) for row in found]


async def test_gate_nobody_signs_expires_after_seven_days_and_not_before(
    office: Office, skipper: TimeSkipper, forward: Forward
) -> None:
    """An hour before its expiry a gate still waits; after it the batch has ended `expired`."""
    batch_id = office.new_id("unsigned")
    handle = await start(skipper, office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    assert await forward(batch_id, EXPIRY - timedelta(hours=1))
    assert waits_at(await office.status(batch_id), "compliance")
    assert not await forward(batch_id, timedelta(hours=2))
    status = await require_end(office, batch_id, "expired")
    assert (status["cause"], status["reasons"]) == ("expired", ["gate compliance: expired"])
    assert office.states(batch_id) == {}
    assert (await handle.result())["outcome"] == "expired"
    (gate,) = office.rows(
        "SELECT gates.outcome FROM gates JOIN batches USING (batch_no)"
        " WHERE batch_id = :id AND gate = 'compliance'",
        id=batch_id,
    )
    assert gate.outcome == "expired"


async def test_gate_that_waits_is_announced_once_after_a_day_and_once_after_three(
    office: Office, skipper: TimeSkipper, forward: Forward
) -> None:
    """Approvers are reminded at 24 hours and escalated to at 72, neither earlier nor twice."""
    batch_id = office.new_id("reminded")
    await start(skipper, office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    heard = []
    for hours in (23, 2, 46, 2):
        assert await forward(batch_id, timedelta(hours=hours))
        heard.append(announced(office, batch_id))
    reminder, escalation = ("compliance", "reminder"), ("compliance", "escalation")
    assert heard == [[], [reminder], [reminder], [reminder, escalation]]
    await office.pass_gate(batch_id, "compliance")
    await require_end(office, batch_id, "completed")
    assert announced(office, batch_id) == [reminder, escalation]


async def test_wave_soaks_for_hours_before_the_next_one_opens(
    office: Office, skipper: TimeSkipper, forward: Forward
) -> None:
    """The next wave opens only when the soak is over, and says until when it waits."""
    batch_id = office.new_id("soaked")
    rollout = {"waves_percent": [20, 100], "soak_seconds": 6 * 3600}
    await start(skipper, office.request(batch_id, rollout=rollout))
    await office.pass_gate(batch_id, "compliance")
    soaking = await office.until(batch_id, lambda s: waits_at(s, "wave/1"), what="the first soak")
    assert soaking["waiting_for"]["kind"] == "soak"
    before = await skipper.get_current_time(office.handle(batch_id))
    left = datetime.fromisoformat(soaking["waiting_for"]["until"]) - before
    assert timedelta(hours=5, minutes=59) < left <= timedelta(hours=6)
    assert await forward(batch_id, timedelta(hours=5, minutes=55))
    assert office.states(batch_id) == {"active": 1, "ready": 4}
    assert await forward(batch_id, timedelta(minutes=6))
    eventually(lambda: office.states(batch_id) == {"active": 5}, 20, what="the second wave")
    assert not await forward(batch_id, timedelta(hours=6))
    await require_end(office, batch_id, "completed")
