"""Runs activities so that an outage is a visible wait, never a failed run.

A step first has the engine's quick retries. When a service stays away, the wait is shown, and the step is
left to retries that the engine does by itself: an outage of days costs a few events an hour.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.exceptions import TimeoutError as EngineTimeoutError

from activities.contracts.shapes import CUSTODY_QUEUE, PROVISIONING_QUEUE
from workflows.limits import (
    CUSTODY_RETRIES,
    HEARTBEAT,
    PATIENT_RETRIES,
    QUICK_RETRIES,
    STEP_PAUSE,
    STEP_TIMEOUT,
    UNCLAIMED_TIMEOUT,
    UNFORESEEN_TRIES_MAX,
)
from workflows.stopping import require_going_on

Given = TypeVar("Given")
Gives = TypeVar("Gives")

_WAITED_FOR = {"ServiceUnavailableError", "RateLimitedError"}
_TRIED_OUT = "SealingIncompleteError"
_ANOTHER_TRY = "another try"
_STALE = "StaleFenceError"


class Steps:
    """One workflow's way to its activities.

    `on_waiting(key, service)` is told when a step starts to wait for a service, and with an empty
    service when a step that waited is over.
    """

    def __init__(self, on_waiting: Callable[[str, str], Awaitable[None]]) -> None:
        self._on_waiting = on_waiting
        self._next_key = 0

    async def provisioning(
        self, method: Callable[[Any, Given], Gives], step: Given, *, within: timedelta = STEP_TIMEOUT
    ) -> Gives:
        """Gives what the activity gives on the provisioning queue, however long its services are away."""
        return await self._run(method, step, queue=PROVISIONING_QUEUE, within=within)

    async def custody(
        self, method: Callable[[Any, Given], Gives], step: Given, *, within: timedelta = STEP_TIMEOUT
    ) -> Gives:
        """The same on the custody queue."""
        return await self._run(method, step, queue=CUSTODY_QUEUE, within=within)

    async def _run(
        self, method: Callable[[Any, Given], Gives], step: Given, *, queue: str, within: timedelta
    ) -> Gives:
        key, shown, unforeseen = self._key(), "", 0
        while True:
            retries, unclaimed = _patience(queue, waits=shown not in ("", _ANOTHER_TRY))
            try:
                given = await _once(
                    method, step, queue=queue, within=within, retries=retries, unclaimed=unclaimed
                )
            except ActivityError as error:
                if isinstance(error.cause, CancelledError):
                    raise asyncio.CancelledError from error
                service = waited_for(error, queue)
                unforeseen += not service
                gives_up = not service and (not is_retryable(error) or unforeseen >= UNFORESEEN_TRIES_MAX)
                shown = await self._show(key, shown, "" if gives_up else service or _ANOTHER_TRY)
                if gives_up:
                    raise
            else:
                await self._show(key, shown, "")
                return given
            await workflow.sleep(STEP_PAUSE, summary=f"waits for {shown}")

    async def _show(self, key: str, shown: str, service: str) -> str:
        """Tells only what has changed, for a shard tells by a message; gives what is shown now."""
        if service != shown:
            await self._on_waiting(key, service)
        return service

    def _key(self) -> str:
        self._next_key += 1
        return str(self._next_key)


def waited_for(error: ActivityError, queue: str) -> str:
    """Names the service whose return the step waits for; empty when waiting cannot help."""
    cause = error.cause
    if isinstance(cause, EngineTimeoutError):
        return f"{queue} worker"
    if isinstance(cause, ApplicationError) and cause.type in _WAITED_FOR:
        return str(cause.details[0]) if cause.details else "a service"
    return ""


def is_retryable(error: ActivityError) -> bool:
    """Tells whether the step itself left room for another try."""
    cause = error.cause
    return not (isinstance(cause, ApplicationError) and (cause.non_retryable or cause.type == _TRIED_OUT))


def is_stale(error: ActivityError) -> bool:
    """Tells whether the step came under a fence that is not the batch's any more, or after its end."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == _STALE


def _patience(queue: str, *, waits: bool) -> tuple[RetryPolicy, timedelta | None]:
    """How often the engine tries by itself, and how long a step may lie unclaimed until that is shown."""
    if waits:
        return PATIENT_RETRIES, None
    return (CUSTODY_RETRIES if queue == CUSTODY_QUEUE else QUICK_RETRIES), UNCLAIMED_TIMEOUT


async def _once(
    method: Callable[[Any, Given], Gives],
    step: Given,
    *,
    queue: str,
    within: timedelta,
    retries: RetryPolicy,
    unclaimed: timedelta | None,
) -> Gives:
    require_going_on()
    given: Gives = await workflow.execute_activity_method(
        method,
        step,
        task_queue=queue,
        start_to_close_timeout=within,
        schedule_to_start_timeout=unclaimed,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=retries,
    )
    return given
