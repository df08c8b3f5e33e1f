"""A product team's own program: `python -m tests.integration.twice.starter ADDRESS REQUEST`.

Starts the batch of a request file, or joins the run that goes already, and prints its result.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from tests.integration.batch.office import QUEUE, Json


async def main(address: str, request: Json) -> None:
    """Waits for the result."""
    client = await Client.connect(address)
    result = await client.execute_workflow(
        "ProvisionBatch",
        request,
        id=request["batch_id"],
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can crash the interpreter while it exits
