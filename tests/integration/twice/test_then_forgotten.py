"""A batch that Temporal has forgotten is answered from the record, for ever.

Looked at long after its deletion, over which the server takes up to a minute.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from infra.demo.cast import REQUESTER
from tests.integration.batch.office import Office
from tests.integration.twice.large import Large, by_command_line, by_temporal, is_known
from tests.integration.twice.witness import Witness
from tests.waiting import eventually_async

FORGOTTEN_WITHIN: Final = 90.0


@pytest.fixture(scope="module", autouse=True)
async def workers(office: Office, large: Large) -> AsyncIterator[None]:
    """The session's workers, once the large batch has ended under workers of its own."""
    del large
    await asyncio.to_thread(office.stack.start_workers)
    yield
    await asyncio.to_thread(office.stack.stop_workers)


async def test_forgotten_batch_is_answered_from_the_record_for_ever(
    office: Office, witness: Witness, large: Large
) -> None:
    """The same request gives the recorded answer, other content a conflict that names fields, not values."""

    async def is_forgotten() -> bool:
        return not await is_known(office, large.batch_id)

    await eventually_async(is_forgotten, FORGOTTEN_WITHIN, what="it is forgotten")
    before = witness.changes(large.batch_id)
    other = office.signed(large.request | {"purpose": "campaign", "chains": ["polygon"]})
    place = large.place.with_name("other.json")
    place.write_text(json.dumps(other))
    refused = await office.walletworks(REQUESTER, "submit", str(place))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.strip().endswith("fields that differ: chains, purpose, signature")
    assert not any(value in refused.stderr for value in ("campaign", "airdrop", "polygon", "ethereum"))
    assert await by_command_line(office, large.place) == large.seen[0]
    assert await by_temporal(office, large.place) == large.seen[0]
    assert witness.changes(large.batch_id) == before


async def test_submit_ends_with_the_code_of_what_happened(
    office: Office, large: Large, tmp_path: Path
) -> None:
    """0 for a batch that goes or has gone, 1 for a refused request, 2 for a file that is none."""
    unreadable, invalid = tmp_path / "unreadable.json", tmp_path / "invalid.json"
    unreadable.write_text("{")
    invalid.write_text(json.dumps(large.request | {"tenant": ""}))
    ends = await asyncio.gather(
        office.walletworks(REQUESTER, "submit", str(large.place)),
        office.walletworks(REQUESTER, "submit", str(invalid)),
        office.walletworks(REQUESTER, "submit", str(unreadable)),
    )
    assert [end.returncode for end in ends] == [0, 1, 2]
