"""Rows that store tests start from, written as the roles that would write them."""

import threading
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from activities.contracts.batches import ClaimBatch
from activities.register import BatchRegisterActivities
from activities.store.database import Database, hold_fence
from tests.integration.store_fixtures import Databases
from tests.requests import a_request

DIGEST = bytes(range(32))


def new_id(prefix: str = "batch") -> str:
    """Gives a batch id or tenant that no other test uses."""
    return f"{prefix}-{uuid4().hex[:12]}"


def a_batch(databases: Databases, **changes: Any) -> tuple[str, int]:
    """Claims a batch and gives its id and number."""
    batch_id = new_id()
    register = BatchRegisterActivities(database=databases.provisioning)
    register.claim_batch(ClaimBatch(request=a_request(batch_id, **changes), claimed_by_run="run-1"))
    with databases.provisioning.transaction() as connection:
        return batch_id, hold_fence(connection, batch_id=batch_id, fence=1)


def on(connection: Connection, statement: str, **values: Any) -> list[Any]:
    """Runs one statement in the connection's transaction and gives its rows, if it has any."""
    result = connection.execute(text(statement), values)
    return list(result.all()) if result.returns_rows else []


def run(database: Database, statement: str, **values: Any) -> list[Any]:
    """Runs one statement in a transaction of its own and gives its rows, if it has any."""
    return run_all(database, statement, **values)


def run_all(database: Database, *statements: str, **values: Any) -> list[Any]:
    """Runs statements in one transaction and gives the rows of the last."""
    with database.transaction() as connection:
        return [on(connection, statement, **values) for statement in statements][-1]


def some_wallets(databases: Databases, batch_no: int, count: int = 2) -> None:
    """Writes a keyring and derived wallets as custody does."""
    opened = run(
        databases.custody,
        "INSERT INTO keyrings (keyring_id, scope, tenant, batch_no, ciphertext, nonce, wrapped_key, provider)"
        " VALUES (:id, 'batch', 'acme', :batch_no, 'c', 'n', 'w', 'transit') RETURNING keyring_no",
        id=str(uuid4()),
        batch_no=batch_no,
    )
    run(
        databases.custody,
        "INSERT INTO keyring_accounts (keyring_no, coin_type, account, batch_no)"
        " VALUES (:keyring_no, 60, 0, :batch_no)",
        keyring_no=opened[0].keyring_no,
        batch_no=batch_no,
    )
    run(
        databases.custody,
        "INSERT INTO wallets"
        " (batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche)"
        " SELECT :batch_no, i, 'ethereum', :keyring_no, 0, i, 'address ' || i, 'p', 0"
        " FROM generate_series(0, :count - 1) AS i",
        keyring_no=opened[0].keyring_no,
        batch_no=batch_no,
        count=count,
    )


def await_lock_wait(databases: Databases, *, role: str = "walletworks_provisioning") -> None:
    """Returns once a connection of the role waits for a lock."""
    pause = threading.Event()
    for _ in range(1000):
        waiting = run(
            databases.owner,
            "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE NOT l.granted AND a.usename = :role AND a.datname = current_database()",
            role=role,
        )
        if waiting:
            return
        pause.wait(0.01)
    raise AssertionError("nobody waits for a lock")
