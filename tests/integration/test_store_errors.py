"""How the store's errors leave: our types, fixed sentences, and nothing of the statement or its values."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, text

from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    ServiceUnavailableError,
    WalletworksError,
)
from activities.store.database import Database, copy_rows
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import a_batch, new_id, on, run

CANARY = "canary-value-7c1f"


def failure_of(database: Database, work: Callable[[Connection], Any]) -> WalletworksError:
    """Gives the error that a transaction leaves with, after the checks that every one must pass."""
    with pytest.raises(WalletworksError) as caught, database.transaction() as connection:
        work(connection)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    for said in (str(error), repr(error), repr(error.details), "".join(traceback.format_exception(error))):
        assert CANARY not in said
    assert "SELECT" not in str(error)
    return error


def end_backend(databases: Databases, connection: Connection) -> None:
    """Ends the server's side of a connection, as a restart or a failover does."""
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    run(databases.admin, "SELECT pg_terminate_backend(:pid)", pid=pid)


def test_connection_lost_in_a_transaction_is_retryable(databases: Databases) -> None:
    """What the transaction did is gone, the error says only that the database was away."""
    batch_id = new_id()

    def work(connection: Connection) -> None:
        connection.execute(text("SELECT audit_append(:chain, :body)"), {"chain": batch_id, "body": CANARY})
        end_backend(databases, connection)
        connection.execute(text("SELECT :value"), {"value": CANARY})

    error = failure_of(databases.provisioning, work)
    assert isinstance(error, ServiceUnavailableError)
    assert not error.non_retryable
    assert run(databases.owner, "SELECT 1 FROM audit_heads WHERE chain = :chain", chain=batch_id) == []


def test_connection_lost_at_commit_is_retryable(databases: Databases) -> None:
    """Nobody knows whether a commit happened whose answer was lost: the step runs again."""
    error = failure_of(databases.provisioning, lambda connection: end_backend(databases, connection))
    assert isinstance(error, ServiceUnavailableError)


def test_connection_lost_in_a_copy_is_retryable(databases: Databases) -> None:
    """Bulk copy goes past SQLAlchemy; its errors are ours all the same."""

    def work(connection: Connection) -> None:
        end_backend(databases, connection)
        copy_rows(
            connection,
            table="pii_keys",
            columns=["batch_no", "wrapped_key"],
            types=["int8", "text"],
            rows=[(1, CANARY)],
        )

    assert isinstance(failure_of(databases.provisioning, work), ServiceUnavailableError)


def test_pooled_connections_that_died_are_replaced(databases: Databases) -> None:
    """After a restart of the server the next transaction simply works."""
    database = Database(databases.url("walletworks_provisioning"), pool_size=1)
    pid = run(database, "SELECT pg_backend_pid() AS pid")[0].pid
    run(databases.admin, "SELECT pg_terminate_backend(:pid)", pid=pid)
    assert run(database, "SELECT pg_backend_pid() AS pid")[0].pid != pid
    database.close()


def test_server_that_is_away_is_retryable(databases: Databases) -> None:
    """A refused connection is a service that could not be reached."""
    nowhere = make_url(databases.url("walletworks_custody")).set(port=1)
    database = Database(nowhere.render_as_string(hide_password=False))
    error = failure_of(database, lambda connection: connection.execute(text("SELECT 1")))
    assert isinstance(error, ServiceUnavailableError)
    assert str(error).endswith("database could not be reached")


def test_wrong_password_is_access_denied(databases: Databases) -> None:
    """Credentials that the server refuses do not get better by trying again."""
    url = make_url(databases.url("walletworks_custody")).set(password=CANARY)
    database = Database(url.render_as_string(hide_password=False))
    error = failure_of(database, lambda connection: connection.execute(text("SELECT 1")))
    assert isinstance(error, AccessDeniedError)
    assert error.non_retryable


def test_exhausted_pool_is_retryable(databases: Databases) -> None:
    """Waiting for a connection has a limit, and its end is no bug."""
    database = Database(databases.url("walletworks_custody"), pool_size=1, pool_wait_seconds=0.05)
    with database.transaction():
        error = failure_of(database, lambda connection: connection.execute(text("SELECT 1")))
    assert isinstance(error, ServiceUnavailableError)
    database.close()


STATEMENTS = [
    ("SELECT CAST(:value AS integer)", "22P02"),
    ("INSERT INTO list_versions (list_id) VALUES (:value)", "23502"),
    ("SELECT no_such_column, :value FROM wallets", "42703"),
]


@pytest.mark.parametrize(("statement", "state"), STATEMENTS)
def test_refused_statement_is_integrity_with_its_state_only(
    databases: Databases, statement: str, state: str
) -> None:
    """The server's message and detail repeat values; only the five characters of the state leave."""
    error = failure_of(databases.provisioning, lambda c: c.execute(text(statement), {"value": CANARY}))
    assert isinstance(error, IntegrityError)
    assert error.details == (state,)


def test_value_the_driver_cannot_send_is_integrity(databases: Databases) -> None:
    """A wrong call never reaches the server and is not worth a retry."""
    error = failure_of(
        databases.provisioning, lambda c: c.execute(text("SELECT :value"), {"value": f"{CANARY}\x00"})
    )
    assert isinstance(error, IntegrityError)


@pytest.mark.parametrize("state", ["40001", "40P01", "53300", "57P01", "58030", "25006", "55P03", "08006"])
def test_states_that_pass_are_retryable(databases: Databases, state: str) -> None:
    """Deadlocks, failovers and full disks come and go."""
    raising = text(f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING ERRCODE = '{state}'; END $$")
    error = failure_of(databases.provisioning, lambda c: c.execute(raising))
    assert isinstance(error, ServiceUnavailableError)


def test_our_own_error_passes_unchanged_and_rolls_back(databases: Databases) -> None:
    """An activity's own refusal leaves the transaction as it was raised."""
    _, batch_no = a_batch(databases)
    refusal = IntegrityError("the roots differ")

    def work() -> None:
        with databases.provisioning.transaction() as connection:
            on(connection, "UPDATE batches SET fence = 2 WHERE batch_no = :no", no=batch_no)
            raise refusal

    with pytest.raises(IntegrityError) as caught:
        work()
    assert caught.value is refusal
    assert run(databases.owner, "SELECT fence FROM batches WHERE batch_no = :no", no=batch_no)[0].fence == 1


def test_session_waits_have_limits(databases: Databases) -> None:
    """A stopped process cannot hold a fence for ever, nor wait for one."""
    limits = run(
        databases.custody,
        "SELECT current_setting('lock_timeout') AS lock,"
        " current_setting('idle_in_transaction_session_timeout') AS idle,"
        " current_setting('statement_timeout') AS statement",
    )[0]
    assert tuple(limits) == ("1min", "5min", "15min")
