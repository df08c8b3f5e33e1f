"""The drill of `BatchTerminated`: one batch is terminated, one is deleted while it runs; both are undone."""

import asyncio

from infra.demo.cast import REQUESTER
from tests.integration.batch.after import require_no_gate_open
from tests.integration.batch.office import Office, all_of
from tests.runbooks.markdown import runbooks
from tests.runbooks.test_worker_died import office, run
from tests.waiting import eventually_async

__all__ = ["office"]

RUNBOOK = runbooks()["BatchTerminated"]


async def test_batches_are_undone_after_the_runbook(office: Office) -> None:
    """The commands find both; the terminated one needs none of them, the forgotten one is undone by hand."""
    terminated, forgotten = ids = [office.new_id(word) for word in ("cutoff", "deleted")]
    await all_of(*(office.start(office.request(each)) for each in ids))
    await all_of(*(office.at_gate(each, "compliance") for each in ids))
    await office.temporal("workflow", "terminate", "--workflow-id", terminated, "--reason", "a drill")
    deleted = await office.temporal("workflow", "delete", "--workflow-id", forgotten, "--yes")
    assert deleted.returncode == 0, deleted.stderr
    told = await asyncio.to_thread(_diagnosed, office, terminated)
    assert "terminated" in told
    await eventually_async(lambda: _is_unknown(office, forgotten), 90, what="it is forgotten")
    for batch_id in ids:
        for section in ("Mitigation", "Verify"):
            for block in RUNBOOK.blocks(section):
                await asyncio.to_thread(run, office, batch_id, block)
        (row,) = office.rows("SELECT outcome, result FROM batches WHERE batch_id = :id", id=batch_id)
        assert (row.outcome, row.result["cause"]) == ("aborted", "terminated")
        require_no_gate_open(office, batch_id)


def _diagnosed(office: Office, batch_id: str) -> str:
    blocks = RUNBOOK.blocks("Diagnosis")
    return "".join(run(office, batch_id, block, expected=(0, 1)) for block in blocks)


async def _is_unknown(office: Office, batch_id: str) -> bool:
    """Whether the command line says so, and what to do."""
    done = await office.temporal("workflow", "describe", "--workflow-id", batch_id)
    if done.returncode == 0:
        return False
    said = await office.walletworks(REQUESTER, "status", batch_id)
    assert (said.returncode, "BatchTerminated.md" in said.stderr) == (1, True), said
    return True
