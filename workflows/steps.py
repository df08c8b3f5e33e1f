"""Runs activities so that an outage is a visible wait, never a failed run."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as EngineTimeoutError

from activities.contracts.shapes import CUSTODY_QUEUE, PROVISIONING_QUEUE
from workflows.limits import (
    HEARTBEAT,
    QUICK_RETRIES,
    SERVICE_WAIT_FIRST,
    SERVICE_WAIT_LONGEST,
    STEP_TIMEOUT,
    UNCLAIMED_TIMEOUT,
    UNFORESEEN_TRIES_MAX,
)

Given = TypeVar("Given")
Gives = TypeVar("Gives")

_WAITED_FOR = {"ServiceUnavailableError", "RateLimitedError"}


class Steps:
    """One workflow's way to its activities.

    `on_waiting(key, service)` is told when a step starts to wait for a service, and with an empty
    service when a step that waited goes on.
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
        key, pause, unforeseen = self._key(), SERVICE_WAIT_FIRST, 0
        while True:
            try:
                given: Gives = await workflow.execute_activity_method(
                    method,
                    step,
                    task_queue=queue,
                    start_to_close_timeout=within,
                    schedule_to_start_timeout=UNCLAIMED_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT,
                    retry_policy=QUICK_RETRIES,
                )
            except ActivityError as error:
                service = waited_for(error, queue)
                unforeseen += not service
                if not service and (not is_retryable(error) or unforeseen >= UNFORESEEN_TRIES_MAX):
                    raise
            else:
                if pause > SERVICE_WAIT_FIRST:
                    await self._on_waiting(key, "")
                return given
            await self._on_waiting(key, service or "another try")
            await workflow.sleep(pause, summary=f"waits for {service or 'another try'}")
            pause = min(pause * 2, SERVICE_WAIT_LONGEST)

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
    return not (isinstance(error.cause, ApplicationError) and error.cause.non_retryable)
