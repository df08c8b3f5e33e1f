"""What leaves a worker of an error that is not one of ours."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.failures import ConflictError
from infra.devstack import Stack
from workers.liveness import UNFORESEEN, LivenessInterceptor

PERSON = "Zorblatt Quillfeather"


@activity.defn
def repeat_what_was_given() -> None:
    """Fails as a library does that repeats what it was given, while it handles another such error."""
    try:
        dict[str, str]()[PERSON]
    except KeyError:
        raise ValueError(PERSON)  # noqa: B904 - the context too must not leave


@activity.defn
def say_a_fixed_sentence() -> None:
    """Fails as activities of ours do."""
    raise ConflictError("claimed with other content")


@pytest.fixture
async def queue(stack: Stack) -> AsyncIterator[str]:
    """A queue whose worker wraps activities as ours do."""
    name = f"failures-{uuid4().hex[:8]}"
    client = await Client.connect(stack.temporal.address)
    with ThreadPoolExecutor(2) as threads:
        async with Worker(
            client,
            task_queue=name,
            activities=[repeat_what_was_given, say_a_fixed_sentence],
            activity_executor=threads,
            interceptors=[LivenessInterceptor()],
        ):
            yield name


async def _failure(stack: Stack, queue: str, name: str) -> BaseException | None:
    client = await Client.connect(stack.temporal.address)
    with pytest.raises(ActivityFailureError) as caught:
        await client.execute_activity(
            name,
            id=f"{name}-{uuid4().hex[:8]}",
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    return caught.value.cause


async def test_a_foreign_error_leaves_with_its_type_and_place_alone(stack: Stack, queue: str) -> None:
    """Its text, and those of the errors behind it, stay in the process."""
    failed = await _failure(stack, queue, "repeat_what_was_given")
    assert isinstance(failed, ApplicationError)
    assert (failed.type, failed.message, failed.non_retryable) == ("ValueError", UNFORESEEN, False)
    assert failed.failure is not None
    assert "repeat_what_was_given" in failed.failure.stack_trace
    assert PERSON not in str(failed.failure)


async def test_an_error_of_ours_leaves_as_it_is(stack: Stack, queue: str) -> None:
    """Its sentence is fixed, and its type decides what becomes of it."""
    failed = await _failure(stack, queue, "say_a_fixed_sentence")
    assert isinstance(failed, ApplicationError)
    assert (failed.type, failed.message) == ("ConflictError", "claimed with other content")
    assert failed.non_retryable
