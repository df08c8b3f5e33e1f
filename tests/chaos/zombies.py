"""Zombies in the long form: every activity at every moment, its worker stopped for a full minute.

The server takes the fence from transactions that fall silent, so that every batch is undone before its
workers come back.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office
from tests.integration.twice.odd_worker import MOMENTS
from tests.integration.twice.witness import witness_of
from tests.integration.twice.zombies import STAGE_OF, Graveyard, Zombie, left_behind, zombies_of

STOPPED_SECONDS: Final = 60.0


async def endure_zombies(office: Office, folder: Path) -> tuple[list[Zombie], list[str]]:
    """Gives what became of each zombie, and everything that was not as it must be.

    `folder` takes the logs of the workers started here; no other worker may run on the stack meanwhile.
    """
    zombies = zombies_of((activity, moment) for activity in STAGE_OF for moment in MOMENTS)
    with witness_of(office.stack) as witness:
        async with Graveyard(office, witness, folder) as graveyard:
            await graveyard.bury(zombies, stopped_seconds=STOPPED_SECONDS)
            for zombie in zombies:
                await require_end(office, zombie.batch_id, "cancelled")
    return zombies, [wrong for zombie in zombies for wrong in _wrong(office, zombie)]


def _wrong(office: Office, zombie: Zombie) -> Iterator[str]:
    if office.states(zombie.batch_id) != left_behind(zombie):
        yield f"{zombie}: left {office.states(zombie.batch_id)}"
    if zombie.committed != (zombie.moment == "after"):
        yield f"{zombie}: it must {'have been' if zombie.moment == 'after' else 'not be'} committed"
    if zombie.changed_late:
        yield f"{zombie}: {dict(zombie.changed_late)}"
    if zombie.undone_seconds >= STOPPED_SECONDS:
        yield f"{zombie}: it was undone only once its worker came back"
