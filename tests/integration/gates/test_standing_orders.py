"""What a batch recalls of its pauses, its abort and its holds, from the record alone."""

import uuid
from dataclasses import replace

import pytest

from activities.contracts.approvals import RecordRefusal, StandingOrders
from activities.contracts.shapes import BatchStep
from activities.failures import StaleFenceError
from tests.integration.gates.room import (
    HOLD_DIGEST,
    KIM,
    LEE,
    Desk,
    attempt,
    close_step,
    held_batch,
    on_hold,
    open_step,
)
from tests.integration.seeded import PLAN_DIGEST, SeededBatch, planned_batch, raise_fence


def _recalled(desk: Desk, batch: SeededBatch) -> StandingOrders:
    return desk.activities.recall_orders(BatchStep(batch_id=batch.batch_id, fence=batch.fence))


def _do(desk: Desk, batch: SeededBatch, order: str) -> None:
    word, _, gate = order.partition(" ")
    if word == "open":
        desk.activities.open_gate(open_step(batch, gate=gate, wallet_officer=1))
    elif word == "end":
        desk.activities.close_gate(replace(close_step(batch, "expired"), gate=gate))
    elif word == "approve":
        desk.activities.open_gate(open_step(batch))
        assert desk.activities.record_attempt(attempt(batch, LEE)).counted
    else:
        key = str(uuid.uuid4())
        counted = word == "pause"
        desk.activities.record_refusal(
            RecordRefusal(
                batch_id=batch.batch_id,
                attempt_key=key,
                message="pause",
                reason_code="x",
                reason="",
                counted=counted,
            )
        )


PAUSES: dict[str, tuple[tuple[str, ...], tuple[int, bool]]] = {
    "nothing": ((), (0, False)),
    "a pause before there was a gate for it": (("pause",), (1, True)),
    "a pause that was refused": (("refused pause",), (0, False)),
    "a decision at another gate": (("approve",), (0, False)),
    "a pause whose gate is open": (("pause", "open resume/1"), (1, True)),
    "a pause whose gate has ended": (("approve", "pause", "open resume/1", "end resume/1"), (1, False)),
    "a second pause": (("pause", "open resume/1", "end resume/1", "pause", "open resume/2"), (2, True)),
}


@pytest.mark.parametrize("case", PAUSES)
def test_pauses_are_recalled_by_their_gates(desk: Desk, case: str) -> None:
    """A batch is paused while a resume gate of its own is open, or its first pause has no gate yet."""
    orders, expected = PAUSES[case]
    other, batch = planned_batch(desk.database), planned_batch(desk.database)
    for order in ("pause", "open resume/1", "open rollback"):
        _do(desk, other, order)
    for order in orders:
        _do(desk, batch, order)
    recalled = _recalled(desk, batch)
    assert (recalled.pauses, recalled.paused) == expected
    assert recalled.rollback is None


def test_pause_of_another_batch_without_a_gate_pauses_nobody_else(desk: Desk) -> None:
    """A pause is one batch's own."""
    other, batch = planned_batch(desk.database), planned_batch(desk.database)
    _do(desk, other, "pause")
    assert not _recalled(desk, batch).paused
    assert _recalled(desk, other).paused


def test_abort_is_recalled_by_its_own_gate(desk: Desk) -> None:
    """How the abort stands is counted at the roll-back gate of this batch, over its own digest."""
    other, batch = planned_batch(desk.database), planned_batch(desk.database)
    for order in ("approve", "open rollback"):
        _do(desk, other, order)
        _do(desk, batch, order)
    before = _recalled(desk, batch).rollback
    assert before is not None
    assert (before.gate, before.digest, before.approved_by) == ("rollback", PLAN_DIGEST, [])
    desk.activities.record_attempt(attempt(batch, KIM, message="abort", gate="rollback"))
    after, others = _recalled(desk, batch).rollback, _recalled(desk, other).rollback
    assert after is not None
    assert others is not None
    assert (after.satisfied, others.satisfied) == (True, False)


def test_holds_that_nobody_settled_are_recalled(desk: Desk) -> None:
    """Open holds are counted for this batch alone, and a settled one is open no more."""
    other, batch = held_batch(desk, "66" * 32), held_batch(desk, HOLD_DIGEST, "88" * 32)
    assert (_recalled(desk, other).open_holds, _recalled(desk, batch).open_holds) == (1, 2)
    desk.activities.record_attempt(on_hold(batch, LEE, "refuse"))
    assert (_recalled(desk, other).open_holds, _recalled(desk, batch).open_holds) == (1, 1)


def test_nothing_is_recalled_under_an_old_fence(desk: Desk) -> None:
    """A run that was shut out learns nothing."""
    batch = planned_batch(desk.database)
    raise_fence(desk.database, batch)
    with pytest.raises(StaleFenceError):
        _recalled(desk, batch)
