"""How gates end: approved once they stand so, each by itself, under the deployment's own trust file."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from activities.contracts.approvals import JudgeGate
from activities.failures import ServiceUnavailableError
from activities.store.tables import gates
from tests.integration.gates.room import (
    KIM,
    LEE,
    Desk,
    attempt,
    close_step,
    open_step,
    trust_text,
    with_open_gate,
)
from tests.integration.seeded import DEPLOYMENT, PLAN_DIGEST, SeededBatch, planned_batch, told

OTHER_DIGEST = "cd" * 32


def _outcomes(desk: Desk, batch: SeededBatch) -> dict[tuple[str, str], str | None]:
    with desk.database.transaction() as connection:
        rows = connection.execute(select(gates).where(gates.c.batch_no == batch.batch_no)).all()
    return {(row.gate, bytes(row.digest).hex()): row.outcome for row in rows}


def test_gate_that_stands_approved_closes_so_and_alone(desk: Desk) -> None:
    """The end of a gate is no other's: not another name's, digest's or batch's."""
    other, batch = with_open_gate(desk), with_open_gate(desk)
    desk.activities.open_gate(open_step(batch, gate="rollback", wallet_officer=1))
    desk.activities.open_gate(replace(open_step(batch), digest=OTHER_DIGEST))
    for signer in (LEE, KIM):
        desk.activities.record_attempt(attempt(batch, signer))
    assert desk.activities.close_gate(close_step(batch, "approved")).satisfied
    assert _outcomes(desk, batch) == {
        ("compliance", PLAN_DIGEST): "approved",
        ("compliance", OTHER_DIGEST): None,
        ("rollback", PLAN_DIGEST): None,
    }
    assert _outcomes(desk, other) == {("compliance", PLAN_DIGEST): None}
    assert [entry["outcome"] for entry in told(desk.database, batch.chain, "gate.closed")] == ["approved"]


STEPS: dict[str, Callable[[Desk, SeededBatch], object]] = {
    "opening": lambda desk, batch: desk.activities.open_gate(open_step(batch)),
    "counting": lambda desk, batch: desk.activities.record_attempt(attempt(batch, LEE)),
    "judging": lambda desk, batch: desk.activities.judge_gate(
        JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST)
    ),
    "closing": lambda desk, batch: desk.activities.close_gate(close_step(batch, "expired")),
}


@pytest.mark.parametrize("step", STEPS)
def test_trust_file_of_another_deployment_is_waited_out(desk: Desk, step: str) -> None:
    """A file that was mounted by mistake decides nothing, for nobody and against nobody."""
    batch = planned_batch(desk.database) if step == "opening" else with_open_gate(desk)
    before = _outcomes(desk, batch)
    desk.trust.write_text(trust_text().replace(f'"{DEPLOYMENT}"', '"acme-test"'))
    with pytest.raises(ServiceUnavailableError, match="trust file"):
        STEPS[step](desk, batch)
    assert _outcomes(desk, batch) == before
    assert told(desk.database, batch.chain, "attempt.refused") == []
