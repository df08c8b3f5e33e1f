"""What these tests share: a deployment with custody in it, and a batch that stands at its door."""

from collections.abc import Iterator

import pytest

from activities.custody.activities import CustodyActivities
from infra.devstack import Stack
from tests.integration.custody.batches import AskedBatch
from tests.integration.custody.room import Room, a_room
from tests.integration.store_fixtures import Databases


@pytest.fixture(scope="module")
def room(databases: Databases, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A deployment on the real servers."""
    return a_room(databases, stack, tmp_path_factory.mktemp("custody"))


@pytest.fixture(scope="module")
def custody(room: Room) -> CustodyActivities:
    """Custody as it is deployed."""
    return room.custody()


@pytest.fixture
def batch(room: Room) -> AskedBatch:
    """A batch that lacks nothing but the approvals at its gates."""
    asked = AskedBatch(room=room)
    asked.prepare_unsigned()
    return asked


@pytest.fixture
def opened_batch(batch: AskedBatch, custody: CustodyActivities) -> AskedBatch:
    """A batch with every approval and its keyring."""
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    return batch


@pytest.fixture
def sealed_key_service(stack: Stack) -> Iterator[None]:
    """The key service sealed for the length of a test."""
    stack.openbao.seal()
    yield
    stack.openbao.unseal()
