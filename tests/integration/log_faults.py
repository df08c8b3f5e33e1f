"""Faults of the audit log's own disk, with everything else of the database in good health.

Full is real: the log's tablespace lies on a small memory disk that is filled up, so that PostgreSQL meets
ENOSPC; where nothing may be mounted, the owner's trigger raises the same SQLSTATE. Read-only is always the
trigger's: the kernel refuses to remount a disk whose files a server holds open for writing.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from infra.devstack.account import unprivileged_account

DISK_FULL: Final = "53100"
READ_ONLY: Final = "25006"

_SIZE_SPARE: Final = 2 * 2**20
"""Bytes of the small disk beyond what the log has now."""

_FILLER: Final = "SELECT audit_append('disk/filler', '{\"kind\":\"disk.filled\"}')"

Fault = Callable[[], AbstractContextManager[None]]


@contextmanager
def refusing(owner_url: str, state: str, *, intents: bool = True) -> Iterator[None]:
    """Lets the owner's trigger refuse every entry with an SQLSTATE, or all that are no intents."""
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(
            sql.SQL(
                "CREATE FUNCTION refuse_entry() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN RAISE EXCEPTION 'the disk of the log' USING ERRCODE = {}; END$$"
            ).format(sql.Literal(state))
        )
        condition = sql.SQL("true" if intents else "NEW.body NOT LIKE '%.intent\"%'")
        owner.execute(
            sql.SQL(
                "CREATE TRIGGER refuse_entry BEFORE INSERT ON audit_entries FOR EACH ROW WHEN ({})"
                " EXECUTE FUNCTION refuse_entry()"
            ).format(condition)
        )
        try:
            yield
        finally:
            owner.execute("DROP FUNCTION refuse_entry CASCADE")


@contextmanager
def log_disk(admin_url: str, owner_url: str, *, ours: bool) -> Iterator[Fault]:
    """Gives the log a small disk of its own, and a way to have it full for a while.

    Args:
        admin_url: the superuser's way to the database.
        owner_url: the migration role's.
        ours: whether the server runs on this machine.
    """
    with ExitStack() as undo:
        size = _size(admin_url) + _SIZE_SPARE
        folder = undo.enter_context(_mounted(size)) if ours else None
        if folder is None:
            yield lambda: refusing(owner_url, DISK_FULL)
            return
        undo.enter_context(_moved(admin_url, folder))
        yield lambda: _filled(owner_url, folder)


def _size(admin_url: str) -> int:
    with psycopg.connect(admin_url) as admin:
        row = admin.execute("SELECT pg_total_relation_size('audit_entries')").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _mounted(size: int) -> Iterator[Path | None]:
    account = unprivileged_account()
    if account is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="walletworks-log-", dir="/var/tmp"))
    options = f"size={size},uid={account.uid},gid={account.gid},mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield folder if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            # Idle sessions may still hold the moved table's files open.
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _moved(admin_url: str, folder: Path) -> Iterator[None]:
    name = sql.Identifier(f"log_{os.getpid()}_{folder.name[-8:]}")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(name, sql.Literal(str(folder))))
        # The index stays: a leaf of it that is full for one chain has room for another.
        admin.execute(sql.SQL("ALTER TABLE audit_entries SET TABLESPACE {}").format(name))
        # No room may come back by itself while the disk is to be full.
        admin.execute("ALTER TABLE audit_entries SET (autovacuum_enabled = false)")
        try:
            yield
        finally:
            admin.execute("ALTER TABLE audit_entries SET TABLESPACE pg_default")
            admin.execute("ALTER TABLE audit_entries RESET (autovacuum_enabled)")
            admin.execute(sql.SQL("DROP TABLESPACE {}").format(name))


@contextmanager
def _filled(owner_url: str, folder: Path) -> Iterator[None]:
    """The disk without a free block, the log's last pages without room for the shortest entry."""
    filler = folder / "filler"
    with psycopg.connect(owner_url, autocommit=True) as owner:
        # The table's maps of its free room must be there before there is no room for them.
        owner.execute("VACUUM audit_entries")
        try:
            with filler.open("wb", buffering=0) as sink, suppress(OSError):
                while True:
                    sink.write(bytes(4096))
            _use_up(owner)
            yield
        finally:
            filler.unlink()


def _use_up(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    """Writes short entries until not one more finds room, in any page that a session knows of."""
    for _ in range(2):
        with suppress(psycopg.errors.DiskFull):
            # Tells every session of the room that others left in theirs.
            owner.execute("VACUUM audit_entries")
        with suppress(psycopg.errors.DiskFull):
            while True:
                owner.execute(_FILLER)
