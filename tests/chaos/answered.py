"""An answer is a promise: who keeps it is killed the moment it is given, over and over, and it is kept."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from temporalio.client import WorkflowUpdateStage
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import ServiceUnavailableError
from infra.demo.cast import AUDITOR, COMPLIANCE
from infra.devstack import Stack
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office
from tests.waiting import eventually_async

KEEPERS: Final = ("postgres", "temporal")
BACK_WITHIN: Final = 60.0
TOLD_EVERY: Final = 50

Answer = TypeVar("Answer")


async def keep_answers(office: Office, rounds: int, told: Callable[[str], None]) -> list[str]:
    """Gives each answer that was given and not kept; messages and starts are answered by turns."""
    batch_id = office.new_id("answered")
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    lost: list[str] = []
    for number in range(1, rounds + 1):
        lost += await (_message(office, batch_id, gate) if number % 2 else _start(office))
        if number % TOLD_EVERY == 0:
            told(f"{number:,} answers, {len(lost)} lost")
    answer = await office.decide(batch_id, gate, COMPLIANCE, by="reject", decision="reject")
    assert answer["counted"], answer
    await require_end(office, batch_id, "rejected")
    return lost


async def _message(office: Office, batch_id: str, gate: Json) -> list[str]:
    """A decision that does not count is put on record before it is answered, as every other is."""
    message = await asyncio.to_thread(office.message, batch_id, gate, AUDITOR)
    batch, name = office.handle(batch_id), f"answered-{secrets.token_hex(8)}"
    update = await _once_back(
        lambda: batch.start_update(
            "approve", message, id=name, result_type=dict, wait_for_stage=WorkflowUpdateStage.COMPLETED
        )
    )
    answer = await update.result()
    await asyncio.to_thread(_killed_and_back, office.stack)
    again = office.client.get_workflow_handle(batch_id, run_id=update.workflow_run_id)
    remembered = await _once_back(lambda: again.get_update_handle(name, result_type=dict).result())
    recorded = await _once_back(lambda: _recorded(office, message["statement"]))
    wrong = {
        "answered otherwise": remembered != answer,
        f"{recorded} times on record": recorded != [(answer["counted"], answer["reason_code"])],
    }
    return [f"{name}: {what}" for what, is_so in wrong.items() if is_so]


async def _recorded(office: Office, statement: str) -> list[tuple[bool, str]]:
    sql = "SELECT counted, reason_code FROM attempts WHERE statement = :statement"
    return [tuple(row) for row in office.rows(sql, statement=statement)]


async def _start(office: Office) -> list[str]:
    """A start that was answered is known, though its request is refused at once."""
    batch_id = office.new_id("begun")
    handle = await _once_back(lambda: office.start({"batch_id": batch_id}))
    await asyncio.to_thread(_killed_and_back, office.stack)
    try:
        await _once_back(handle.describe)
    except RPCError as error:
        return [f"{batch_id}: {error.status.name}"]
    return []


def _killed_and_back(stack: Stack) -> None:
    for name in KEEPERS:
        stack.kill(name)
    for name in KEEPERS:
        stack.start_server(name)


async def _once_back(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Asks until there is an answer; that something is not known is one."""

    async def asked() -> tuple[Answer] | None:
        try:
            return (await ask(),)
        except ServiceUnavailableError:
            return None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise
            return None

    found = await eventually_async(asked, BACK_WITHIN, what="an answer")
    assert found is not None
    return found[0]
