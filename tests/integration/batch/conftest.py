"""The office of this package: the session's servers with people, lists and one pair of workers."""

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.integration.batch.office import Json, Office
from tests.integration.breaking import Faults, breaking
from tests.integration.reconciling import differences


@pytest.fixture(scope="package")
async def office(stack: Stack) -> AsyncIterator[Office]:
    """Gives the office, open for the whole package."""
    stage = set_stage(stack)
    stack.start_workers()
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    try:
        yield Office(stack=stack, stage=stage, client=client, owner=owner)
    finally:
        owner.close()
        stack.stop_workers()


@pytest.fixture(scope="module")
def faults(office: Office) -> Iterator[Faults]:
    """Breaks the office's store, or holds it up, where a test says so."""
    with breaking(office.stack) as planned:
        yield planned


@pytest.fixture(scope="package", autouse=True)
async def fading(office: Office) -> tuple[Json, Json]:
    """Gives the request and result of a batch that Temporal is told to forget, its source gone as well.

    Begun before anything else, since the server takes up to a minute over it.
    """
    request = office.request(office.new_id("fading"))
    handle = await office.start(request)
    await office.pass_gate(request["batch_id"], "compliance")
    result = await handle.result()
    (office.inbox / request["source"]["uri"].removeprefix("inbox://")).unlink()
    deleted = await office.temporal("workflow", "delete", "--workflow-id", request["batch_id"], "--yes")
    assert deleted.returncode == 0, deleted.stderr
    return request, result


@pytest.fixture(scope="package", autouse=True)
async def reconciled(office: Office) -> AsyncIterator[None]:
    """At the end of the package the whole database reconciles with its log, both ways."""
    yield
    assert differences(office.owner) == []
