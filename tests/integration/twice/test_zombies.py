"""Zombies: a slice that comes back after its batch was undone changes nothing."""

from pathlib import Path
from typing import Final

from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office
from tests.integration.twice.witness import Witness
from tests.integration.twice.zombies import Graveyard, left_behind, zombies_of

STOPPED: Final = (
    ("screen_slice", "before"),
    ("activate_slice", "within"),
    ("activate_slice", "after"),
    ("derive_slice", "before"),
    ("derive_slice", "within"),
    ("verify_range", "after"),
)
"""Each moment on each queue; every activity at every moment, and for a minute, in the long form."""


async def test_slices_that_come_back_after_the_undoing_change_nothing(
    office: Office, witness: Witness, tmp_path: Path
) -> None:
    """Whatever moment its worker was stopped at, the batch is undone without it, and stays as it was left.

    One that was stopped within its transaction commits before the fence can be raised, and is undone.
    """
    zombies = zombies_of(STOPPED)
    async with Graveyard(office, witness, tmp_path) as graveyard:
        await graveyard.bury(zombies)
        for zombie in zombies:
            await require_end(office, zombie.batch_id, "cancelled")
    for zombie in zombies:
        assert office.states(zombie.batch_id) == left_behind(zombie), str(zombie)
        assert zombie.committed == (zombie.moment == "after") or zombie.moment == "within", str(zombie)
        assert not zombie.changed_late, str(zombie)
