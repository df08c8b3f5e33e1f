"""How runs failed, as a client that waits for them is told."""

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.integration.batch.office import Handle


async def failed_with(handle: Handle) -> BaseException:
    """The cause of a run's failure."""
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    return caught.value.cause


async def failure_of(handle: Handle) -> ApplicationError:
    """The failure of a run that carries our own type and sentence itself, without digging."""
    cause = await failed_with(handle)
    assert isinstance(cause, ApplicationError), repr(cause)
    return cause


async def innermost_failure(handle: Handle) -> ApplicationError:
    """The same where an activity's failure may lie around it."""
    cause: BaseException | None = await failed_with(handle)
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    assert cause is not None
    return cause
