"""One command's connection: settings, client, batches, documents; errors become one line and a code."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from getpass import getuser
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse
from uuid import uuid4

from opentelemetry import trace
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts.shapes import PROVISIONING_QUEUE, Document
from activities.failures import ServiceUnavailableError
from workers.cli.called import CALLED
from workers.cli.exits import CommandError, Exit
from workers.client import connect
from workers.logs import silence_logs
from workers.settings import ClientSettings, SettingsError, load_client_settings
from workers.telemetry import configure_telemetry
from workflows.limits import HEARTBEAT

Gives = TypeVar("Gives")

_ANSWER_SECONDS = 60
"""How long a signed message waits for its answer; a service that is away can take longer."""

_CONNECT_SECONDS = 5
"""How long a server that accepts connections and says nothing is listened to."""

_UNANSWERED = frozenset(
    {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION}
)

_SUSPENDED = (
    "the batch is suspended: the workers' release cannot go on with it; nothing is lost, and it goes on by"
    " itself under a release that can (`temporal workflow show --workflow-id {}` tells where it stands)"
)

_NO_WORKER = "no provisioning worker answers: start one with `python -m workers provisioning`"

_READ_TIMEOUT = timedelta(minutes=10)
_QUICK_TIMEOUT = timedelta(seconds=3)
_CLAIM_TIMEOUT = timedelta(seconds=20)

_NEWEST_EVENTS = 50
"""Among these stands how the last workflow task ended, unless many messages came after it."""


class Session:
    """What a command works with."""

    def __init__(self, settings: ClientSettings, client: Client) -> None:
        self.settings = settings
        self.client = client

    def batch(self, batch_id: str) -> WorkflowHandle[Any, dict[str, Any]]:
        """Gives the handle of a batch's workflow."""
        return self.client.get_workflow_handle(batch_id, result_type=dict)

    async def status(self, batch_id: str) -> dict[str, Any]:
        """Gives the answer of the query `status`.

        Raises: CommandError when the workers' build cannot go on with the batch.
        """
        batch = self.batch(batch_id)
        for patience in (_QUICK_TIMEOUT, _CLAIM_TIMEOUT):
            try:
                answer: dict[str, Any] = await batch.query(
                    "status", {}, result_type=dict, rpc_timeout=patience
                )
            except RPCError as error:
                if error.status not in _UNANSWERED or patience == _CLAIM_TIMEOUT:
                    raise
                if await self._is_suspended(batch_id):
                    raise CommandError(_SUSPENDED.format(batch_id), Exit.UNREACHABLE) from error
            else:
                break
        return answer

    async def _is_suspended(self, batch_id: str) -> bool:
        """Tells whether the workers failed to go on with a batch, and have not gone on since."""
        history = await self.client.workflow_service.get_workflow_execution_history_reverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace=self.client.namespace,
                execution=WorkflowExecution(workflow_id=batch_id),
                maximum_page_size=_NEWEST_EVENTS,
            ),
            timeout=_CLAIM_TIMEOUT,
        )
        failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        ends = {failed, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED}
        return next((e.event_type for e in history.history.events if e.event_type in ends), None) == failed

    async def send(self, batch_id: str, update: str, message: dict[str, Any]) -> dict[str, Any]:
        """Sends an update and gives its answer.

        Raises: CommandError when no answer comes in time; the message may still count.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer: dict[str, Any] = await self.batch(batch_id).execute_update(
                    update, message, result_type=dict
                )
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            said = f"no answer within {_ANSWER_SECONDS} s: `walletworks status {batch_id}` tells what waits"
            raise CommandError(said, Exit.UNREACHABLE) from error
        return answer

    async def ask(self, activity: Callable[..., Gives], question: Any) -> Gives:
        """Asks the provisioning worker one question, outside of any batch's history."""
        given: Gives = await self.client.execute_activity(
            activity,
            question,
            id=f"read-{uuid4()}",
            task_queue=PROVISIONING_QUEUE,
            start_to_close_timeout=_READ_TIMEOUT,
            schedule_to_start_timeout=_CLAIM_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RetryPolicy(maximum_attempts=3),
        )
        return given


def run(work: Callable[[Session], Awaitable[Gives]], *, settings_path: Path | None) -> Gives:
    """Connects, works, and turns whatever goes wrong into a CommandError."""
    try:
        settings = load_client_settings(settings_path)
    except SettingsError as error:
        raise CommandError(str(error), Exit.UNREACHABLE) from error
    return asyncio.run(_run(work, settings))


async def _run(work: Callable[[Session], Awaitable[Gives]], settings: ClientSettings) -> Gives:
    silence_logs()
    telemetry = configure_telemetry(settings.telemetry, service="cli")
    try:
        client = await _connect(settings)
        with trace.get_tracer("walletworks").start_as_current_span(CALLED.get()):
            return await work(Session(settings, client))
    except (WorkflowUpdateFailedError, ActivityFailureError, WorkflowQueryFailedError) as error:
        raise _from_failure(error) from error
    except RPCError as error:
        raise _from_rpc(error, settings) from error
    finally:
        telemetry.close()


async def _connect(settings: ClientSettings) -> Client:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await connect(settings, identity=f"walletworks-cli {getuser()}")
    except (RuntimeError, TimeoutError) as error:
        where = os.environ.get("TEMPORAL_ADDRESS") or settings.temporal.address
        raise CommandError(
            f"Temporal does not answer at {where}: start the stack with `make up`", Exit.UNREACHABLE
        ) from error


def _from_rpc(error: RPCError, settings: ClientSettings) -> CommandError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return CommandError(
            "no such batch is known to Temporal, or it has ended: `walletworks inbox` lists open ones"
        )
    if error.status in {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}:
        return CommandError(_NO_WORKER, Exit.UNREACHABLE)
    if error.status is RPCStatusCode.UNAVAILABLE:
        return CommandError(f"Temporal went away at {settings.temporal.address}", Exit.UNREACHABLE)
    return CommandError(f"Temporal refused: {error.message}")


def _from_failure(error: BaseException) -> CommandError:
    """The innermost of our own sentences, and the code of a service that is away where that is the reason."""
    said, code = "the step could not be done", Exit.REFUSED
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ActivityTimeoutError):
            return CommandError(_NO_WORKER, Exit.UNREACHABLE)
        if isinstance(cause, ApplicationError | FailureError):
            said = cause.message
            code = Exit.UNREACHABLE if _is_away(cause) else Exit.REFUSED
        cause = cause.__cause__
    return CommandError(said, code)


def _is_away(failure: FailureError) -> bool:
    return isinstance(failure, ApplicationError) and failure.type == ServiceUnavailableError.__name__


def fetch(document: Document | dict[str, Any]) -> bytes:
    """Gives the bytes of a document by its link, once they match its digest.

    Raises: CommandError when the link cannot be followed or the bytes differ.
    """
    uri, expected = (
        (document.uri, document.sha256)
        if isinstance(document, Document)
        else (str(document["uri"]), str(document["sha256"]))
    )
    place = urlparse(uri)
    if place.scheme != "file":
        raise CommandError(f"links of scheme {place.scheme} cannot be followed here", Exit.UNREACHABLE)
    try:
        content = Path(unquote(place.path)).read_bytes()
    except OSError as error:
        raise CommandError(f"the document at {uri} cannot be read", Exit.UNREACHABLE) from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise CommandError(f"the document at {uri} is not the one that was published")
    return content
