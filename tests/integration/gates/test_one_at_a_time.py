"""What is decided about a batch is decided one at a time: each step waits for the one before it."""

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from activities.contracts.approvals import RecordRefusal
from activities.failures import IntegrityError
from activities.store.locks import lock_gates
from activities.store.tables import adjudications
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
    refusal,
    with_open_gate,
)
from tests.integration.one_at_a_time import behind
from tests.integration.seeded import SeededBatch, planned_batch, told


def _refusal(batch: SeededBatch) -> RecordRefusal:
    key = str(uuid.uuid4())
    return RecordRefusal(
        batch_id=batch.batch_id, attempt_key=key, message="x", reason_code="malformed", reason="x"
    )


STEPS: dict[str, Callable[[Desk, SeededBatch], object]] = {
    "opening": lambda desk, batch: desk.activities.open_gate(open_step(batch)),
    "counting": lambda desk, batch: desk.activities.record_attempt(attempt(batch, KIM)),
    "refusing": lambda desk, batch: desk.activities.record_refusal(_refusal(batch)),
    "closing": lambda desk, batch: desk.activities.close_gate(close_step(batch, "expired")),
}


@pytest.mark.parametrize("step", STEPS)
def test_step_at_a_gate_waits_for_the_one_before(desk: Desk, step: str) -> None:
    """Whoever counts, opens or closes sees what the one before committed; other batches wait for nobody."""
    batch, other = with_open_gate(desk), planned_batch(desk.database)

    def both() -> object:
        desk.activities.open_gate(open_step(other))
        assert desk.activities.record_attempt(attempt(other, LEE)).counted
        return STEPS[step](desk, batch)

    assert behind(desk.database, lambda connection: lock_gates(connection, batch.batch_id), both)


def test_hold_that_was_settled_past_the_lock_is_no_replay(desk: Desk) -> None:
    """Only a used nonce is told to be one; whatever else the store refuses is an error."""
    batch = held_batch(desk, HOLD_DIGEST)
    settled = {"ordinal": 0, "hold_digest": bytes.fromhex(HOLD_DIGEST), "decision": "clear"}
    settling = insert(adjudications).values(batch_no=batch.batch_no, **settled)
    step = on_hold(batch, LEE, "refuse")
    with pytest.raises(IntegrityError):
        behind(
            desk.database,
            lambda connection: connection.execute(settling),
            lambda: desk.activities.record_attempt(step),
        )
    assert told(desk.database, batch.chain, "attempt.refused") == []
    assert refusal(desk, step) == "gate_not_open"
