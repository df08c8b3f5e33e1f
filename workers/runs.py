"""What Temporal says of workflows: whether the newest run under an id is open, closed, or not known."""

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import ServiceUnavailableError
from activities.sweeping import RunState


class TemporalRuns:
    """The workflows of the client's namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def state(self, workflow_id: str) -> RunState:
        """Tells whether the newest run is open.

        Raises: ServiceUnavailableError.
        """
        try:
            described = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            status = error.status
        else:
            return "open" if described.status is WorkflowExecutionStatus.RUNNING else "closed"
        if status is RPCStatusCode.NOT_FOUND:
            return "unknown"
        raise ServiceUnavailableError("Temporal")
