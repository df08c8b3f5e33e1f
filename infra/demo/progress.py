"""How far a batch is: the query `status`, asked of Temporal by whoever plays, unseen by the audience."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio.client import Client
from temporalio.service import RPCError

from infra.devstack.stack import Stack

Status: TypeAlias = dict[str, Any]

POLL_SECONDS = 0.1
POLL_SECONDS_MAX = 1.0
"""Between two looks, a tenth of the time waited so far: a long wait costs the engine little."""

WAIT_SECONDS = 600
"""A million subjects take minutes between two waits for people; the demo's thousand take seconds."""

_ANSWER_WITHIN = timedelta(seconds=20)


def await_status(
    stack: Stack, batch: str, reached: Callable[[Status], bool], *, seconds: float = WAIT_SECONDS
) -> Status | None:
    """Gives the first status that is as wanted; None when none comes within `seconds`."""
    return asyncio.run(_await_status(stack, batch, reached, seconds))


async def _await_status(
    stack: Stack, batch: str, reached: Callable[[Status], bool], seconds: float
) -> Status | None:
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    handle = client.get_workflow_handle(batch)
    began = time.monotonic()
    while True:
        status = await _status(handle)
        if status is not None and reached(status):
            return status
        waited = time.monotonic() - began
        if waited > seconds:
            return None
        await asyncio.sleep(min(POLL_SECONDS_MAX, max(POLL_SECONDS, waited / 10)))


async def _status(handle: Any) -> Status | None:
    """None while no worker answers; the next look may find one."""
    try:
        status: Status = await handle.query("status", {}, result_type=dict, rpc_timeout=_ANSWER_WITHIN)
    except RPCError:
        return None
    return status
