"""The schema goes forward and back while workers are at work, and workers say which one they met."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from activities.clients.transit import Transit
from activities.failures import AccessDeniedError
from activities.store.database import Database
from activities.store.revision import REVISION
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.migrations import (
    LOCK_SECONDS,
    OWNER,
    MigrationRefusedError,
    current,
    downgrade,
    latest,
    revisions,
    upgrade,
)
from infra.migrations.__main__ import main
from tests.integration.batch.office import Office
from tests.integration.store_fixtures import Cluster, Databases, new_database
from tests.integration.worker_program import WorkerProgram, settings_with
from tests.patience import Patience
from tests.replay.record import histories
from tests.waiting import eventually
from workers.preflight import require_exact_rights
from workers.roster import role_named

BEFORE: Final = revisions()[1]
"""The revision before the newest."""

SUBJECTS: Final = 2000
ROUNDS_MIN: Final = 3


@pytest.fixture(scope="module")
async def office(stack: Stack) -> AsyncIterator[Office]:
    """The people and clients around a batch; workers are started by whoever needs them."""
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    try:
        yield Office(stack=stack, stage=set_stage(stack), client=client, owner=owner)
    finally:
        owner.close()
        stack.stop_workers()
        upgrade(stack.database_url("owner"))


async def back_and_forth(url: str, batch: asyncio.Task[object]) -> int:
    """Takes the schema back and forward again for as long as a batch runs; gives how often."""
    rounds = 0
    while not batch.done():
        await asyncio.to_thread(downgrade, url, BEFORE)
        await asyncio.to_thread(upgrade, url)
        rounds += 1
    return rounds


async def test_running_batch_does_not_notice_migrations(office: Office) -> None:
    """Back and forth all the while: no step fails, nothing is lost, nothing is done twice."""
    await asyncio.to_thread(office.stack.start_workers)
    batch_id, url = office.new_id("migrated"), office.stack.database_url("owner")
    await office.start(office.request(batch_id, subjects=SUBJECTS))
    batch = asyncio.create_task(Patience(office, batch_id).carry_through())
    rounds = await back_and_forth(url, batch)
    assert (await batch)["outcome"] == "completed"
    assert rounds >= ROUNDS_MIN
    assert current(url) == latest()
    assert office.states(batch_id) == {"active": SUBJECTS}
    events: Counter[str] = Counter()
    async for _, history in histories(office.client, batch_id):
        events.update(event["eventType"] for event in history["events"])
    assert [kind for kind in events if "FAILED" in kind or "TIMED_OUT" in kind] == []


@contextmanager
def read_in_progress(url: str) -> Iterator[None]:
    """A transaction that has looked at the gates and is not done yet, as a long slice may be."""
    with psycopg.connect(url) as reading:
        reading.execute("SELECT count(*) FROM gates")
        yield
        reading.rollback()


def test_migration_does_not_block_those_who_come_after_it(databases: Databases) -> None:
    """While a long step keeps a table, a migration waits in short turns, so that others go on meanwhile."""
    url = databases.url(OWNER)
    waits = "SELECT count(*) FROM pg_locks WHERE relation = 'gates'::regclass AND NOT granted"
    with ThreadPoolExecutor() as pool, psycopg.connect(url, autocommit=True) as other:
        with read_in_progress(url):
            migrating = pool.submit(downgrade, url, BEFORE)
            eventually(lambda: other.execute(waits).fetchone() != (0,), 10, what="a migration that waits")
            other.execute(f"SET lock_timeout = '{3 * LOCK_SECONDS:.0f}s'")
            began = time.monotonic()
            other.execute("SELECT count(*) FROM gates")
            assert time.monotonic() - began < 3 * LOCK_SECONDS
            assert not migrating.done()
        migrating.result(timeout=20)
        assert current(url) == BEFORE
        upgrade(url)


def test_migration_that_finds_no_moment_changes_nothing(databases: Databases) -> None:
    """A table that stays in use is told, and the schema stands as before."""
    url = databases.url(OWNER)
    with read_in_progress(url), pytest.raises(MigrationRefusedError, match="tables stay in use"):
        downgrade(url, BEFORE, patience_seconds=0)
    assert current(url) == latest()


def test_worker_waits_for_a_schema_that_is_behind(office: Office, tmp_path: Path) -> None:
    """Workers that were started before the migration say what they wait for, and go on by themselves."""
    url = office.stack.database_url("owner")
    downgrade(url, BEFORE)
    worker = WorkerProgram("custody", settings_with(office.stack, tmp_path, {}))
    try:
        said = f"database schema {REVISION} (it stands at {BEFORE}: migrate it first)"
        eventually(lambda: said in [line.get("service") for line in worker.lines], 30, what=said)
        assert worker.answers("starting") == 200
        upgrade(url)
        worker.until("polling")
    finally:
        upgrade(url)
        worker.end()


def custody_transit(stack: Stack) -> Transit:
    """The key service as custody reaches it."""
    return Transit(address=stack.openbao.address, token_file=stack.state_dir / "secrets/custody/vault_token")


@pytest.fixture
def newer(databases: Databases) -> Iterator[Databases]:
    """A database that a newer release has migrated on."""
    with psycopg.connect(databases.url(OWNER), autocommit=True) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '9999'")
        yield databases
        owner.execute("UPDATE alembic_version SET version_num = %s", [latest()])


async def test_worker_starts_on_a_newer_schema_and_says_so(newer: Databases, stack: Stack) -> None:
    """The schema goes forward first: a worker of the release before starts on it, and it shows in its log."""
    transit = Transit(
        address=stack.openbao.address, token_file=stack.state_dir / "secrets/custody/vault_token"
    )
    with capture_logs() as logs:
        assert await require_exact_rights(role_named("custody"), database=newer.custody, transit=transit)
    assert [(line["schema"], line["known"]) for line in logs] == [("9999", REVISION)]


async def test_rights_that_a_newer_schema_gave_are_told_with_it(newer: Databases, stack: Stack) -> None:
    """A worker that refuses more rights than it knows says that they may be a newer release's."""
    transit = Transit(
        address=stack.openbao.address, token_file=stack.state_dir / "secrets/custody/vault_token"
    )
    with psycopg.connect(newer.url(OWNER), autocommit=True) as owner:
        owner.execute("CREATE TABLE of_tomorrow (n int)")
        owner.execute("GRANT SELECT ON of_tomorrow TO walletworks_custody")
        try:
            with pytest.raises(AccessDeniedError) as refused:
                await require_exact_rights(role_named("custody"), database=newer.custody, transit=transit)
        finally:
            owner.execute("DROP TABLE of_tomorrow")
    assert "SELECT of_tomorrow.n" in refused.value.message
    assert f"the schema stands at 9999, this build knows {REVISION}" in refused.value.message


def test_newer_schema_is_left_alone(newer: Databases) -> None:
    """An older release changes nothing of what a newer one made."""
    url = newer.url(OWNER)
    upgrade(url)
    with pytest.raises(MigrationRefusedError, match="newer than this release"):
        downgrade(url, BEFORE)
    assert current(url) == "9999"


@pytest.fixture
def url_file(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A file with the owner's URL of an empty database."""
    with new_database(cluster) as name:
        path = tmp_path / "database_url"
        path.write_text(cluster.url(OWNER, name))
        yield path


def test_operators_migrate_from_the_command_line(url_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says where the schema stands; none removes everything."""
    at = ["--url-file", str(url_file)]
    newest = latest()
    steps = [
        (["current"], f"schema not made yet; this release's newest: {newest}"),
        (["upgrade", BEFORE], f"schema {BEFORE}; this release's newest: {newest} (was: nothing)"),
        (["upgrade"], f"schema {newest}; this release's newest: {newest} (was: {BEFORE})"),
        (["upgrade"], f"schema {newest}; this release's newest: {newest}"),
        (["downgrade", BEFORE], f"schema {BEFORE}; this release's newest: {newest} (was: {newest})"),
    ]
    for command, said in steps:
        assert main([*command, *at]) == 0
        assert capsys.readouterr().out == f"{said}\n"
    for wrong in (["downgrade"], ["downgrade", "base"], ["upgrade", "9999"]):
        assert main([*wrong, *at]) == 2
    assert current(url_file.read_text()) == BEFORE


def test_unusable_database_is_told_by_exit_code(
    url_file: Path, tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong use is 2, no database 3, and somebody who may not migrate 1."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert main(["current"]) == 2
    assert main(["current", "--url-file", str(tmp_path / "nowhere")]) == 2
    url_file.write_text("postgresql://nobody@127.0.0.1:1/nothing")
    assert main(["current", "--url-file", str(url_file)]) == 3
    monkeypatch.setenv("DATABASE_URL", databases.url("walletworks_custody"))
    assert main(["current"]) == 0
    assert main(["downgrade", BEFORE]) == 1
