"""A worker whose activity and workflow fail with a person in their texts: `... failing_worker ADDRESS`.

Set up as our workers are, so that what it logs is what they would log.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from workers.liveness import LivenessInterceptor
from workers.logs import configure_logs
from workers.settings import TelemetrySettings
from workers.telemetry import configure_telemetry

PERSON = "Zorblatt Quillfeather"
QUEUE = "failing"
SECONDS = timedelta(seconds=2)


@activity.defn
def fail() -> None:
    """Fails as a library does that repeats what it was given."""
    raise ValueError(PERSON)


@workflow.defn
class FailingStep:
    """Its activity fails."""

    @workflow.run
    async def run(self) -> None:
        """Ends failed."""
        once = RetryPolicy(maximum_attempts=1)
        await workflow.execute_activity(fail, start_to_close_timeout=SECONDS, retry_policy=once)


@workflow.defn
class FailingTask:
    """A bug in a workflow: its task fails and is tried again."""

    @workflow.run
    async def run(self) -> None:
        """Never ends by itself."""
        raise ValueError(PERSON)


async def main(address: str) -> None:
    """Runs both workflows to their ends."""
    configure_logs()
    configure_telemetry(TelemetrySettings(), service="failing")
    client = await Client.connect(address)
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[FailingStep, FailingTask],
        activities=[fail],
        activity_executor=ThreadPoolExecutor(1),
        interceptors=[LivenessInterceptor()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        for name in ("FailingStep", "FailingTask"):
            with suppress(WorkflowFailureError):
                await client.execute_workflow(
                    name, id=f"{name}-{uuid4()}", task_queue=QUEUE, run_timeout=SECONDS
                )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)
