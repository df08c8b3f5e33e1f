"""A full disk under the database: a real one where this machine lets us mount, else an error that says so.

The real one is a small file system of its own that holds the audit log and the slices; filling it makes
PostgreSQL fail where it grows a table.
"""

import asyncio
import errno
import os
import subprocess
from pathlib import Path
from typing import Final

from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.transactions import DISK_FULL, refusing
from tests.chaos.faults.world import World
from tests.waiting import let_time_pass

_SIZE: Final = "64m"
_TABLES: Final = "audit_entries", "slices"


def put_tables_on_small_disk(world: World) -> bool:
    """Mounts a small disk and moves two tables to it; gives False where mounting is not allowed."""
    place = world.stack.state_dir / "small-disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0755", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        place.rmdir()
        return False
    world.full_disk = place
    (place / "tables").mkdir()
    data = (world.stack.state_dir / "postgres" / "data").stat()
    os.chown(place / "tables", data.st_uid, data.st_gid)
    (place / "tables").chmod(0o700)
    with world.admin() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place / 'tables'}'")
        for table in _TABLES:
            connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")
    return True


def take_small_disk_away(world: World) -> None:
    """Unmounts it once the servers have ended."""
    if world.full_disk is not None:
        subprocess.run(["umount", "-l", str(world.full_disk)], capture_output=True, check=True)
        world.full_disk = None


async def fill(world: World, fault: Fault, victim: str) -> int:
    """No space is left while the fault lasts."""
    del victim
    if world.full_disk is None:
        return await refusing(world, fault, every=1, error=DISK_FULL)
    ballast = world.full_disk / "ballast"
    log = world.stack.postgres.process.log
    before = _failures(log)
    try:
        await asyncio.to_thread(_fill_up, ballast)
        await let_time_pass(fault.lasts_seconds)
    finally:
        ballast.unlink(missing_ok=True)
    return _failures(log) - before


def _fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _failures(log: Path) -> int:
    """How often the server said that there is no space left."""
    return log.read_bytes().count(b"No space left on device")
