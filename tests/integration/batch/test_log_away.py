"""The audit log's disk is full, or it hangs: batches wait visibly and go on by themselves.

A refused log is in `test_audit_outage.py` for each kind of effect; here whole batches meet it, between a
decision and its record, and in the middle of deriving addresses.
"""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from infra.demo.cast import COMPLIANCE
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office, all_of
from tests.integration.hold_up import hold_up
from tests.integration.log_faults import Fault, log_disk
from tests.waiting import eventually

LONGER_THAN_HEARTBEATS = 12
"""Seconds; a step whose worker says nothing for ten is given to another one."""


@pytest.fixture
def disk(office: Office) -> Iterator[Fault]:
    """A small disk under the log of the whole stack, filled on demand."""
    postgres, owner = office.stack.postgres, office.stack.database_url("owner")
    admin = make_url(postgres.admin_url()).set(database=make_url(owner).database)
    there = admin.render_as_string(hide_password=False)
    with log_disk(there, owner, ours=not postgres.elsewhere) as full:
        yield full


def _counted(office: Office, batch_id: str) -> int:
    found = office.rows(
        "SELECT 1 FROM attempts JOIN batches USING (batch_no) WHERE batch_id = :id AND counted", id=batch_id
    )
    return len(found)


async def test_full_log_is_waited_for_by_decisions_and_by_keys(office: Office, disk: Fault) -> None:
    """No decision counts, no gate opens, no address is kept; with room again everything goes on."""
    deciding, deriving = office.new_id("deciding"), office.new_id("deriving")
    await all_of(*(office.start(office.request(batch_id)) for batch_id in (deciding, deriving)))
    gate = await office.at_gate(deciding, "compliance")
    with hold_up(office.stack, "wallets") as waits:
        await office.pass_gate(deriving, "compliance")
        await asyncio.to_thread(eventually, waits, 30, what="a step at the wallets")
        full = disk()
        await asyncio.to_thread(full.__enter__)
    try:
        decision = asyncio.create_task(office.decide(deciding, gate, COMPLIANCE))
        await office.until_waiting_for(deriving, "database")
        assert office.states(deriving) == {}
        assert not decision.done()
        assert _counted(office, deciding) == 0
        assert gate == await office.at_gate(deciding, "compliance")
    finally:
        await asyncio.to_thread(full.__exit__, None, None, None)
    assert (await decision)["counted"]
    await office.pass_gate(deciding, "compliance")
    await all_of(*(require_end(office, batch_id, "completed") for batch_id in (deciding, deriving)))


async def test_log_that_hangs_longer_than_heartbeats_counts_a_decision_once(office: Office) -> None:
    """The answer waits for the record, and a second attempt at recording finds the first one's."""
    batch_id = office.new_id("hanging")
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    with hold_up(office.stack, "audit_entries") as waits:
        decision = asyncio.create_task(office.decide(batch_id, gate, COMPLIANCE))
        await asyncio.to_thread(eventually, waits, 30, what="an entry waiting for the log")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(decision), LONGER_THAN_HEARTBEATS)
        assert _counted(office, batch_id) == 0
    assert (await decision)["counted"]
    assert _counted(office, batch_id) == 1
    await office.pass_gate(batch_id, "compliance")
    await require_end(office, batch_id, "completed")
