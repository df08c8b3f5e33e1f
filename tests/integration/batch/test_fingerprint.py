"""Today's workflows send the commands that the newest recorded generation holds."""

from typing import Final

from tests.integration.batch.office import Office, all_of
from tests.replay.fingerprint import committed, fingerprint, newest_generation
from tests.replay.record import (
    Scene,
    cancelled,
    histories,
    invalid,
    refused,
    rejected,
    rejected_after_derivation,
    rolled_back,
    terminated,
)
from tests.replay.remedy import difference

PLAYED: Final = (cancelled, invalid, refused, rejected, rejected_after_derivation, rolled_back, terminated)
"""The small scenes: between them every workflow, every stage, and every way to undo."""


async def changes(office: Office, scene: Scene, generation: str) -> list[str]:
    """Plays a scene; what each of its runs sent otherwise than recorded."""
    name = scene.__name__.replace("_", "-")
    batch_id = office.new_id(name)
    await scene(office, batch_id)
    told = []
    async for run, history in histories(office.client, batch_id):
        stem = run.replace(batch_id, name).replace("/", "-")
        told.append(difference(f"{generation}/{stem}", committed(generation, stem), fingerprint(history)))
    return [each for each in told if each]


async def test_scenes_send_the_recorded_commands(office: Office) -> None:
    """An edit that changes a command, an option of one included, is recorded before it is delivered."""
    generation = newest_generation()
    found = await all_of(*(changes(office, scene, generation) for scene in PLAYED))
    assert not any(found), "\n\n".join(each for told in found for each in told)
