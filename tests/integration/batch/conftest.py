"""The office of this package: the session's servers with people, lists and one pair of workers."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.integration.batch.office import Office


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
