"""Gates opened by hand: whoever reaches the queue opens none but those the plan has, as the plan has them."""

import pytest
from sqlalchemy import func, select

from activities.failures import PolicyViolationError
from activities.store.tables import gates
from tests.integration.gates.room import (
    HOLD_DIGEST,
    LEE,
    Desk,
    held_batch,
    on_hold,
    open_step,
    refusal,
)
from tests.integration.seeded import SeededBatch, claimed_batch, planned_batch, told


def _gate_count(desk: Desk, batch: SeededBatch) -> int:
    with desk.database.transaction() as connection:
        own = gates.c.batch_no == batch.batch_no
        return int(connection.execute(select(func.count()).where(own)).scalar_one())


OTHERWISE: dict[str, tuple[str, dict[str, int]]] = {
    "a role less": ("compliance", {"wallet_officer": 1}),
    "another role": ("wave/2", {"compliance_officer": 1}),
    "another count": ("resume/1", {"wallet_officer": 2}),
    "a gate the plan does not have": ("export", {"wallet_officer": 1}),
    "a hold, which is opened by no one": ("hold", {"compliance_officer": 2}),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_gate_opens_only_as_it_was_planned(desk: Desk, case: str) -> None:
    """A gate that asks for others than the plan does would let a wave through on fewer signatures."""
    gate, roles = OTHERWISE[case]
    batch = planned_batch(desk.database)
    with pytest.raises(PolicyViolationError, match="the plan has no such gate"):
        desk.activities.open_gate(open_step(batch, gate=gate, **roles))
    assert (_gate_count(desk, batch), told(desk.database, batch.chain, "gate.opened")) == (0, [])


def test_no_gate_opens_before_there_is_a_plan(desk: Desk) -> None:
    """Until there is a plan nothing can be decided on."""
    with pytest.raises(PolicyViolationError, match="the plan has no such gate"):
        desk.activities.open_gate(open_step(claimed_batch(desk.database)))


def test_no_hold_is_decided_before_there_is_a_plan(desk: Desk) -> None:
    """Verdicts without a plan name nobody who may settle them."""
    batch = held_batch(desk, HOLD_DIGEST, of=claimed_batch(desk.database))
    assert refusal(desk, on_hold(batch, LEE, "clear")) == "gate_not_open"
