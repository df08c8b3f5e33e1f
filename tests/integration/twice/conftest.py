"""The office of this package: people and lists on the session's servers, and a witness; no workers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.staging import set_stage
from infra.devstack import Stack
from tests.integration.batch.office import Office
from tests.integration.twice.large import Large, lived
from tests.integration.twice.witness import Witness, witness_of


@pytest.fixture(scope="package")
async def office(stack: Stack) -> AsyncIterator[Office]:
    """Gives the office; whoever needs workers starts them."""
    stage = set_stage(stack)
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    yield Office(stack=stack, stage=stage, client=client, owner=owner)
    owner.close()


@pytest.fixture(scope="package")
def witness(stack: Stack) -> Iterator[Witness]:
    """Counts what changes in the store."""
    with witness_of(stack) as watching:
        yield watching


@pytest.fixture(scope="package")
async def large(office: Office, witness: Witness) -> Large:
    """The large batch, lived through once; its workers have ended."""
    assert witness.relations
    await asyncio.to_thread(office.stack.start_workers)
    try:
        return await lived(office)
    finally:
        await asyncio.to_thread(office.stack.stop_workers)
