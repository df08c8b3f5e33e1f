"""Messages to a batch: signals as good as updates, nothing unreadable dropped in silence or wedging."""

import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from infra.demo.cast import COMPLIANCE, WALLETS
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office, gate_of

CANARY = "Kanari Vogel-Geheim"
"""A text no answer and no record may repeat."""

NOT_JSON = RawValue(Payload(metadata={"encoding": b"binary/plain"}, data=CANARY.encode()))
BROKEN_JSON = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'{"statement": '))

MALFORMED: list[tuple[list[Any], str]] = [
    ([], "one JSON object is expected, 0 values came"),
    ([{}, {}], "one JSON object is expected, 2 values came"),
    ([NOT_JSON], "one JSON object is expected, the value is not JSON"),
    ([BROKEN_JSON], "one JSON object is expected, the value does not parse as one"),
    ([[CANARY]], "one JSON object is expected, the value does not parse as one"),
    ([{"statement": CANARY}], "the message is not valid: signature: is required"),
    ([{"statement": "", "signature": 7}], "signature: must be a non-empty string"),
    ([{"statement": "s", "signature": "s", "note": CANARY}], "note: unknown field"),
    ([{"statement": "x" * 40_000, "signature": "s"}], "larger than 32768 bytes"),
]


async def test_signals_take_a_batch_all_the_way(office: Office) -> None:
    """Where nobody can send updates, signals of the same names do the same."""
    batch_id = office.new_id("signals")
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    for member in (COMPLIANCE, WALLETS):
        message = office.message(batch_id, gate, member)
        await office.handle(batch_id).signal("approve", message)
    await office.handle(batch_id).signal("pause", {"reason": "by signal"})
    resume = await office.at_gate(batch_id, "resume/1")
    path = office.stage.folder / f"{batch_id}.json"
    path.write_text(json.dumps(office.message(batch_id, resume, WALLETS)))
    sent = await office.temporal(
        *("workflow", "signal", "--workflow-id", batch_id, "--name", "resume", "--input-file", str(path))
    )
    assert sent.returncode == 0, sent.stderr
    status = await require_end(office, batch_id, "completed")
    assert status["messages_refused"] == []
    assert [said["gate"] for said in status["approvals"]] == ["compliance", "compliance", "resume/1"]


async def test_unreadable_messages_are_answered_recorded_and_leave_the_batch_as_it_was(
    office: Office,
) -> None:
    """Each malformed update is refused with its reason, each malformed or misspelt signal shows in status."""
    batch_id = office.new_id("malformed")
    await office.start(office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    for inputs, reason in MALFORMED:
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await office.handle(batch_id).execute_update("approve", args=inputs)
        cause = caught.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.type, reason in cause.message) == ("InvalidRequestError", True)
    for inputs, _ in MALFORMED:
        await office.handle(batch_id).signal("abort", args=inputs)
    await office.handle(batch_id).signal("aprove", {"statement": CANARY})
    expected = 2 * len(MALFORMED) + 1
    status = await office.until(
        batch_id, lambda s: len(s["messages_refused"]) == expected, what="all messages refused"
    )
    assert {(r["message"], r["reason_code"]) for r in status["messages_refused"]} == {
        ("approve", "malformed"),
        ("abort", "malformed"),
        ("aprove", "unknown_message"),
    }
    recorded = office.rows(
        "SELECT counted, reason FROM attempts JOIN batches USING (batch_no) WHERE batch_id = :id", id=batch_id
    )
    assert [row.counted for row in recorded] == [False] * expected
    assert CANARY not in f"{status}{recorded}"
    await office.pass_gate(batch_id, "compliance")
    await require_end(office, batch_id, "completed")


async def test_early_and_late_messages_are_refused_visibly(office: Office) -> None:
    """A decision counts only while its gate is open, and an ended batch takes no message at all."""
    batch_id = office.new_id("untimely")
    too_early = office.message(batch_id, {"gate": "compliance", "digest": "ab" * 32}, COMPLIANCE)
    await office.start(office.request(batch_id), signal="approve", signal_input=too_early)
    gate = await office.at_gate(batch_id, "compliance")
    await office.handle(batch_id).signal("pause", {"reason": "wait for the late ones"})
    await office.pass_gate(batch_id, "compliance")
    resume = await office.at_gate(batch_id, "resume/1")
    late = await office.decide(batch_id, gate, COMPLIANCE)
    assert (late["counted"], late["reason_code"]) == (False, "gate_not_open")
    misplaced = await office.decide(batch_id, resume, WALLETS, by="approve")
    assert (misplaced["counted"], misplaced["reason_code"]) == (False, "wrong_message")
    status = await office.status(batch_id)
    assert [r["reason_code"] for r in status["messages_refused"]] == [
        *("gate_not_open", "gate_not_open", "wrong_message"),
    ]
    await office.decide(batch_id, resume, WALLETS, by="resume")
    ended = await require_end(office, batch_id, "completed")
    with pytest.raises((RPCError, WorkflowUpdateFailedError)):
        await office.abort(batch_id)
    assert await _refused_by_command_line(office, batch_id, gate_of(ended, "compliance"))


async def _refused_by_command_line(office: Office, batch_id: str, gate: Json) -> bool:
    done = await office.walletworks(COMPLIANCE, "approve", batch_id, "--gate", gate["gate"], "--yes")
    assert "Traceback" not in done.stderr
    return done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
