"""The ordeal that this package's tests look back on, endured once."""

from collections.abc import AsyncIterator

import pytest

from infra.devstack import Stack
from tests.chaos.ordeal import SEED_VARIABLE, Ordeal, chosen_seed, ordeal_on
from tests.conftest import new_state_dir


@pytest.fixture(scope="package")
async def ordeal() -> AsyncIterator[Ordeal]:
    """Gives the ended batch on its stack, which still runs."""
    seed = chosen_seed()
    stack = Stack(new_state_dir())
    try:
        with stack:
            async with ordeal_on(stack, seed) as survived:
                yield survived
    except BaseException as error:
        error.add_note(f"to have it again: {SEED_VARIABLE}={seed}")
        raise
    finally:
        stack.wipe()
