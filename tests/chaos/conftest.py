"""The ordeal that this package's tests look back on, endured once."""

import sys
from collections.abc import AsyncIterator

import pytest

from infra.devstack import Stack
from tests.chaos.ordeal import SEED_VARIABLE, Ordeal, chosen_seed, ordeal_on
from tests.conftest import new_state_dir


@pytest.fixture(scope="package")
async def ordeal(pytestconfig: pytest.Config) -> AsyncIterator[Ordeal]:
    """Gives the ended batch on its stack, which still runs."""
    seed = chosen_seed()
    stack = Stack(new_state_dir())
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with stack:
        async with ordeal_on(stack, seed) as survived:
            lines = [f"{SEED_VARIABLE}={seed}: {survived.seconds:.1f} s", *map(str, survived.recoveries)]
            with capture.global_and_fixture_disabled():
                sys.stdout.write("\n" + "\n".join(lines) + "\n")
            yield survived
    stack.wipe()
