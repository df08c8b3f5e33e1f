"""What the grants let each process do in the migrated database."""

import pytest

from activities.failures import AccessDeniedError
from activities.store.permissions import allowed_privileges, excess_privileges, held_privileges
from infra.migrations import PROCESS_ROLES
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import a_batch, run, some_wallets

PROVISIONING, CUSTODY, CONSOLE = PROCESS_ROLES


@pytest.mark.parametrize("role", PROCESS_ROLES)
def test_role_can_do_exactly_what_its_stages_need(databases: Databases, role: str) -> None:
    """The grants of the migration and the list in code say the same, in both directions."""
    with getattr(databases, role.removeprefix("walletworks_")).transaction() as connection:
        held = held_privileges(connection, role)
        assert excess_privileges(connection, role) == []
    assert held == allowed_privileges(role)


def test_worker_under_another_role_is_told_what_is_too_much(databases: Databases) -> None:
    """A worker given another role's credentials sees the rights that it must not have."""
    with databases.provisioning.transaction() as connection:
        excess = excess_privileges(connection, CUSTODY)
    assert "SELECT subjects.sealed" in excess
    assert "UPDATE wallets.wave" in excess
    assert "SELECT keyrings.ciphertext" not in excess


def test_temporary_tables_of_its_own_are_no_excess(databases: Databases) -> None:
    """Workers bring rows in by temporary tables; one that starts meanwhile must not stumble over them."""
    with databases.provisioning.transaction() as busy, databases.provisioning.transaction() as starting:
        busy.exec_driver_sql("CREATE TEMPORARY TABLE brought_in (ordinal int) ON COMMIT DROP")
        assert excess_privileges(busy, PROVISIONING) == []
        assert excess_privileges(starting, PROVISIONING) == []


def test_owner_is_told_that_it_can_do_too_much(databases: Databases) -> None:
    """A worker that was given the migrating role's credentials must not start."""
    with databases.owner.transaction() as connection:
        excess = excess_privileges(connection, PROVISIONING)
    assert {"DELETE wallets", "TRIGGER wallets", "CREATE database"} <= set(excess)


def test_superuser_is_told_that_it_is_one(databases: Databases) -> None:
    """Attributes and memberships count, not only grants."""
    with databases.admin.transaction() as connection:
        excess = excess_privileges(connection, PROVISIONING)
    assert {"ROLE SUPERUSER", "ROLE BYPASSRLS", f"MEMBER {CUSTODY}"} <= set(excess)


DENIED = [
    (PROVISIONING, "SELECT ciphertext FROM keyrings"),
    (PROVISIONING, "SELECT nonce FROM keyrings"),
    (PROVISIONING, "SELECT wrapped_key FROM keyrings"),
    (PROVISIONING, "SELECT * FROM keyrings"),
    (PROVISIONING, "INSERT INTO wallets DEFAULT VALUES"),
    (PROVISIONING, "INSERT INTO attestations DEFAULT VALUES"),
    (PROVISIONING, "INSERT INTO keyrings DEFAULT VALUES"),
    (PROVISIONING, "INSERT INTO slices (signature) VALUES ('s')"),
    (PROVISIONING, "INSERT INTO batches (fence) VALUES (7)"),
    (PROVISIONING, "INSERT INTO audit_entries DEFAULT VALUES"),
    (PROVISIONING, "UPDATE audit_heads SET seq = 0"),
    (PROVISIONING, "UPDATE wallets SET address = ''"),
    (PROVISIONING, "UPDATE attempts SET counted = true"),
    (PROVISIONING, "UPDATE verdicts SET verdict = 'clear'"),
    (PROVISIONING, "UPDATE plans SET subject_count = 0"),
    (PROVISIONING, "UPDATE subjects SET subject_id = ''"),
    (PROVISIONING, "DELETE FROM wallets"),
    (PROVISIONING, "DELETE FROM batches"),
    (PROVISIONING, "TRUNCATE subjects"),
    (PROVISIONING, "CREATE TABLE more (a int)"),
    (PROVISIONING, "CREATE SCHEMA more"),
    (PROVISIONING, "ALTER TABLE wallets DISABLE TRIGGER ALL"),
    (PROVISIONING, "SET session_replication_role = replica"),
    (PROVISIONING, "SET ROLE walletworks_custody"),
    (CUSTODY, "SELECT subject_id FROM subjects"),
    (CUSTODY, "SELECT * FROM pii_keys"),
    (CUSTODY, "SELECT * FROM outbox"),
    (CUSTODY, "SELECT sealed_detail FROM verdicts"),
    (CUSTODY, "SELECT sealed_detail FROM withholdings"),
    (CUSTODY, "INSERT INTO attempts DEFAULT VALUES"),
    (CUSTODY, "INSERT INTO verdicts DEFAULT VALUES"),
    (CUSTODY, "INSERT INTO wallets (state) VALUES ('ready')"),
    (CUSTODY, "UPDATE wallets SET wave = 1"),
    (CUSTODY, "UPDATE batches SET fence = 2"),
    (CUSTODY, "UPDATE keyrings SET ciphertext = ''"),
    (CONSOLE, "SELECT sealed FROM subjects"),
    (CONSOLE, "SELECT salt FROM subjects"),
    (CONSOLE, "SELECT sealed_detail FROM verdicts"),
    (CONSOLE, "SELECT ciphertext FROM keyrings"),
    (CONSOLE, "SELECT hold_fence('b', 1)"),
    (CONSOLE, "SELECT audit_append('c', '{}')"),
    (CONSOLE, "UPDATE wallets SET state = 'active'"),
]


@pytest.mark.parametrize(("role", "statement"), DENIED)
def test_role_is_denied_what_is_not_its_stage(databases: Databases, role: str, statement: str) -> None:
    """The database itself refuses, whatever a process was talked into."""
    database = getattr(databases, role.removeprefix("walletworks_"))
    with pytest.raises(AccessDeniedError):
        run(database, statement)


def test_provisioning_reads_the_public_part_of_a_keyring(databases: Databases) -> None:
    """Column grants leave what the record needs."""
    _, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    found = run(
        databases.provisioning, "SELECT keyring_id, scope FROM keyrings WHERE batch_no = :no", no=batch_no
    )
    assert [row.scope for row in found] == ["batch"]
