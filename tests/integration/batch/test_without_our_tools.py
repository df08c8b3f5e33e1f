"""Batches driven without our tools: by Temporal's command line alone, and by the forms of its Web UI."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import pytest

from infra.demo.cast import COMPLIANCE, WALLETS, Member
from tests.integration.batch.after import require_end
from tests.integration.batch.doors import JSON, Answer, CommandLine, Door, WebInterface
from tests.integration.batch.office import Json, Office, all_of, gate_of
from tests.integration.batch.test_left_early import ALL_GATES
from tests.waiting import eventually_async

CANARY: Final = "Kanari-Vogel-Geheim"
"""A text no answer and no record may repeat."""

GOOD: Final = {"statement": "s", "signature": "s"}
NOT_JSON_SAID: Final = "the value does not parse as one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """What is typed, and what its sender is told; where a door refuses it itself, in the door's words."""

    inputs: tuple[str, ...]
    told: str
    encoding: str = JSON
    command_line_told: str = ""


def one(value: Any, told: str) -> Bad:
    """One JSON value."""
    return Bad(inputs=(json.dumps(value),), told=told)


UNREADABLE: Final[dict[str, Bad]] = {
    "nothing": Bad(inputs=(), told="one JSON object is expected, 0 values came"),
    "two objects": Bad(inputs=("{}", "{}"), told="one JSON object is expected, 2 values came"),
    "text": Bad(inputs=(CANARY,), told=NOT_JSON_SAID, command_line_told="is not valid JSON"),
    "cut short": Bad(inputs=('{"statement": ',), told=NOT_JSON_SAID, command_line_told="is not valid JSON"),
    "another encoding": Bad(inputs=("{}",), told="the value is not JSON", encoding="binary/plain"),
    "an empty object": one({}, "signature: is required"),
    "an array": one([GOOD], NOT_JSON_SAID),
    "a string": one(CANARY, NOT_JSON_SAID),
    "null": one(None, NOT_JSON_SAID),
    "a number": one(7, NOT_JSON_SAID),
    "an unknown field": one(GOOD | {"note": CANARY}, "note: unknown field"),
    "a missing field": one({"statement": CANARY}, "signature: is required"),
    "a wrong type": one(GOOD | {"signature": 7}, "signature: must be a non-empty string"),
    "an empty text": one(GOOD | {"statement": " "}, "statement: must be a non-empty string"),
    "a huge text": one(GOOD | {"statement": "x" * 40_000}, "larger than 32768 bytes"),
    "a field twice": Bad(inputs=('{"statement": "s", "statement": "s"}',), told=NOT_JSON_SAID),
}


@pytest.fixture(scope="module")
def doors(office: Office) -> dict[str, Door]:
    """Both."""
    return {"command line": CommandLine(office=office), "Web UI": WebInterface(office=office)}


@pytest.fixture(scope="module")
async def waiting(office: Office) -> str:
    """A batch that waits at its first gate while it is told all kinds of things."""
    batch_id = office.new_id("waiting")
    await office.start(office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    return batch_id


def attempts(office: Office, batch_id: str) -> list[tuple[str, bool, str]]:
    """Message, whether it counted, and the reason's code, of all on record."""
    found = office.rows(
        "SELECT message, counted, reason_code FROM attempts JOIN batches USING (batch_no)"
        " WHERE batch_id = :id ORDER BY received_at, attempt_key",
        id=batch_id,
    )
    return [(row.message, row.counted, row.reason_code) for row in found]


async def until_on_record(office: Office, batch_id: str, count: int) -> list[tuple[str, bool, str]]:
    """All attempts, once there are so many, each with its entry in the audit log."""

    async def look() -> bool:
        return len(attempts(office, batch_id)) >= count

    await eventually_async(look, 30, what=f"{count} messages on record")
    logged = office.rows(
        'SELECT body FROM audit_entries WHERE chain = :chain AND body LIKE \'%"kind":"attempt.%\'',
        chain=f"batch/{batch_id}",
    )
    assert len(logged) == count
    assert CANARY not in f"{logged}"
    return attempts(office, batch_id)


@pytest.mark.parametrize("name", UNREADABLE)
async def test_unreadable_message_has_a_visible_outcome(
    office: Office, doors: dict[str, Door], waiting: str, name: str
) -> None:
    """As an update it is answered, as a signal it shows in `status`; either way it is on record."""
    bad, before = UNREADABLE[name], len(attempts(office, waiting))
    sent = 0
    for place, door in doors.items():
        updated, signalled = await all_of(
            door.send("update", waiting, "approve", *bad.inputs, encoding=bad.encoding),
            door.send("signal", waiting, "abort", *bad.inputs, encoding=bad.encoding),
        )
        assert CANARY not in updated.text
        if place == "command line" and bad.command_line_told:
            assert (updated.taken, signalled.taken) == (False, False)
            assert bad.command_line_told in updated.text
            continue
        sent += 2
        assert bad.told in updated.text, updated
        assert signalled.taken, signalled
    recorded = await until_on_record(office, waiting, before + sent)
    assert sorted(recorded[before:]) == sorted(
        [("abort", False, "malformed")] * (sent // 2) + [("approve", False, "malformed")] * (sent // 2)
    )

    def is_shown(status: Json) -> bool:
        last = status["messages_refused"][-sent:]
        return all(bad.told in each["reason"] and each["reason_code"] == "malformed" for each in last)

    seen = await office.until(waiting, is_shown, what="the refused messages in `status`")
    assert CANARY not in f"{seen}"


async def test_misspelt_message_has_a_visible_outcome(
    office: Office, doors: dict[str, Door], waiting: str
) -> None:
    """A misspelt update is answered with an error that names those there are; a signal shows in `status`."""
    before = len(attempts(office, waiting))
    for door in doors.values():
        updated = await door.send("update", waiting, "aprove", json.dumps(GOOD))
        assert "aprove" in updated.text
        assert "approve" in updated.text
        assert (await door.send("signal", waiting, "aprove", json.dumps(GOOD))).taken
    recorded = await until_on_record(office, waiting, before + len(doors))
    assert recorded[before:] == [("aprove", False, "unknown_message")] * len(doors)
    await office.until(
        waiting,
        lambda status: status["messages_refused"][-1]["message"] == "aprove",
        what="the misspelt message in `status`",
    )


async def test_query_takes_no_input_or_any(office: Office, doors: dict[str, Door], waiting: str) -> None:
    """`status` answers whatever is typed into the field; another query's error names it."""
    command_line = doors["command line"]
    assert isinstance(command_line, CommandLine)
    ask = ("workflow", "query", "--workflow-id", waiting, "--type")
    for more in ((), ("--input", "{}"), ("--input", "7", "--input", "null")):
        answer = await command_line.run(*ask, "status", *more)
        assert json.loads(answer.text)["queryResult"][0]["batch_id"] == waiting
    unknown = await command_line.run(*ask, "state")
    assert (unknown.taken, "status" in unknown.text) == (False, True)
    assert (await doors["Web UI"].status(waiting))["batch_id"] == waiting
    trace = await command_line.run("workflow", "stack", "--workflow-id", waiting)
    assert trace.taken, trace.text
    await office.abort(waiting)
    await require_end(office, waiting, "aborted")


async def said(office: Office, batch_id: str, gate: Json, member: Member, **changes: Any) -> str:
    """A message as a person makes it with a text editor and `ssh-keygen -Y sign`."""
    return json.dumps(await asyncio.to_thread(office.message, batch_id, gate, member, **changes))


@pytest.mark.parametrize("place", ["command line", "Web UI"])
async def test_untimely_and_repeated_decisions_have_a_visible_outcome(
    office: Office, doors: dict[str, Door], place: str
) -> None:
    """Early: before the gate. Late: after it, and after the end. Twice: the same statement. None counts."""
    door, batch_id = doors[place], office.new_id("untimely")
    early = await said(office, batch_id, {"gate": "wave/1", "digest": "ab" * 32}, WALLETS)
    unknown = await door.send("update", batch_id, "approve", early)
    assert "not found" in unknown.text
    assert (await door.start(batch_id, json.dumps(office.request(batch_id, **ALL_GATES)))).taken
    assert (await door.send("signal", batch_id, "approve", early)).taken
    gate = await office.at_gate(batch_id, "compliance")
    first, second = [await said(office, batch_id, gate, member) for member in (COMPLIANCE, WALLETS)]
    codes = [
        (await door.send("update", batch_id, "approve", text)).result()["reason_code"]
        for text in (early, first, first)
    ]
    assert (await door.send("signal", batch_id, "approve", first)).taken
    assert (await door.send("signal", batch_id, "approve", second)).taken
    await office.at_gate(batch_id, "issuance")
    assert codes == ["gate_not_open", "counted", "nonce_already_used"]
    assert (await door.send("update", batch_id, "approve", second)).result()["counted"] is False
    rollback = gate_of(await door.status(batch_id), "rollback")
    abort = await said(office, batch_id, rollback, COMPLIANCE)
    assert (await door.send("update", batch_id, "abort", abort)).result()["counted"]
    status = await require_end(office, batch_id, "aborted")
    assert [refused["reason_code"] for refused in status["messages_refused"]] == [
        *("gate_not_open", "gate_not_open", "nonce_already_used", "nonce_already_used", "gate_not_open")
    ]
    for kind in ("update", "signal"):
        late = await door.send(kind, batch_id, "abort", abort)
        assert (late.taken, "already completed" in late.text) == (False, True)


@pytest.mark.parametrize("place", ["command line", "Web UI"])
async def test_whole_batch_is_driven_from_outside(office: Office, doors: dict[str, Door], place: str) -> None:
    """Started, approved, paused, resumed, a hold adjudicated, to its end: by updates and signals in turn."""
    door, batch_id = doors[place], office.new_id("driven")
    rollout = {"waves_percent": [20, 100], "soak_seconds": 0, "approve_from_wave": 2}
    request = office.request(batch_id, held=1, rollout=rollout)
    assert (await door.start(batch_id, json.dumps(request))).taken
    gate = await office.at_gate(batch_id, "compliance")
    assert gate["digest"] == gate_of(await door.status(batch_id), "compliance")["digest"]
    paused = await door.send("update", batch_id, "pause", json.dumps({"reason": "a question"}))
    assert paused.result()["gate"] == "resume/1"
    counted = await door.send("update", batch_id, "approve", await said(office, batch_id, gate, COMPLIANCE))
    assert counted.result()["standing"]["still_needed"] == {"wallet_officer": 1}
    await door.send("signal", batch_id, "approve", await said(office, batch_id, gate, WALLETS))
    resume = await office.at_gate(batch_id, "resume/1")
    await door.send("signal", batch_id, "resume", await said(office, batch_id, resume, WALLETS))
    second = await office.at_gate(batch_id, "wave/2")
    (hold,) = office.holds(batch_id).values()
    settled = await said(office, batch_id, hold, COMPLIANCE, decision="clear")
    assert (await door.send("update", batch_id, "adjudicate", settled)).result()["counted"]
    await door.send("signal", batch_id, "approve", await said(office, batch_id, second, WALLETS))
    late = await office.at_gate(batch_id, "wave/3")
    await door.send("signal", batch_id, "approve", await said(office, batch_id, late, WALLETS))
    await require_end(office, batch_id, "completed")
    assert office.states(batch_id) == {"active": 5}
    assert (await door.status(batch_id))["messages_refused"] in ([], None)


async def test_batches_end_as_the_command_line_says(office: Office, doors: dict[str, Door]) -> None:
    """Found by search attributes; rejected, aborted by signal, cancelled; then shown and described."""
    door = doors["command line"]
    assert isinstance(door, CommandLine)
    rejected, aborted, cancelled = ids = [office.new_id(word) for word in ("cli1", "cli2", "cli3")]
    await all_of(*(door.start(each, json.dumps(office.request(each))) for each in ids))
    gates = await all_of(*(office.at_gate(each, "compliance") for each in ids))
    await all_of(*(_is_found(door, each) for each in ids))
    no = await said(office, rejected, gates[0], WALLETS, decision="reject")
    assert (await door.send("update", rejected, "reject", no)).result()["counted"]
    rollback = gate_of(await office.status(aborted), "rollback")
    assert (
        await door.send("signal", aborted, "abort", await said(office, aborted, rollback, COMPLIANCE))
    ).taken
    assert (await door.run("workflow", "cancel", "--workflow-id", cancelled)).taken
    await all_of(
        require_end(office, rejected, "rejected"),
        require_end(office, aborted, "aborted"),
        require_end(office, cancelled, "cancelled"),
    )
    described = await door.run("workflow", "describe", "--workflow-id", cancelled)
    assert "WORKFLOW_EXECUTION_STATUS_CANCELED" in described.text
    shown = await door.run("workflow", "show", "--workflow-id", rejected)
    assert "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED" in shown.text


async def _is_found(door: CommandLine, batch_id: str) -> None:
    query = f"BatchWaitingFor = 'approval' AND BatchStage = 'review' AND WorkflowId = '{batch_id}'"

    async def look() -> bool:
        listed: Answer = await door.run("workflow", "list", "--query", query)
        return batch_id in listed.text

    await eventually_async(look, 30, what=f"{batch_id} in the approvers' inbox")
