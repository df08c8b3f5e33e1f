"""The reconciliation of a database with its log finds what was added, changed or left out on either side."""

from pathlib import Path

import pytest

from activities.contracts.shapes import batch_chain
from tests.integration.builders import BatchOnRecord
from tests.integration.office import an_office
from tests.integration.reconciling import differences
from tests.integration.store_fixtures import Databases


@pytest.fixture(scope="module")
def batch(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> BatchOnRecord:
    """A batch with holds, refusals and a withheld subject."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path_factory.mktemp("books")))
    made.complete()
    return made


def found(batch: BatchOnRecord) -> set[str]:
    """What differs."""
    return {one.removeprefix(f"{batch.batch_id}: ") for one in differences(batch.databases.owner)}


def test_a_whole_batch_reconciles(batch: BatchOnRecord) -> None:
    """Row by row and entry by entry."""
    assert found(batch) == set()


def test_a_batch_that_was_undone_reconciles(databases: Databases, tmp_path: Path) -> None:
    """What was frozen and revoked is told of."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path), scene=False)
    made.leave_after_a_wave()
    assert found(made) == set()


TAMPERED = {
    "an approval that nobody logged": """
        INSERT INTO attempts (attempt_key, batch_no, message, counted, reason_code, reason)
        VALUES (gen_random_uuid(), {no}, 'approve', true, 'counted', 'x')""",
    "an approval that is gone": """
        DELETE FROM attempts WHERE attempt_key IN
        (SELECT attempt_key FROM attempts WHERE batch_no = {no} AND counted LIMIT 1)""",
    "a wallet that is gone": "DELETE FROM wallets WHERE batch_no = {no} AND ordinal = 0",
    "a verdict that is gone": "DELETE FROM verdicts WHERE batch_no = {no} AND ordinal = 0",
    "a gate that was opened by hand": """
        INSERT INTO gates (batch_no, gate, digest, terms, expires_at)
        VALUES ({no}, 'wave/9', 'd', '{{}}', clock_timestamp())""",
    "a gate that ended otherwise": """
        UPDATE gates SET outcome = 'rejected' WHERE batch_no = {no} AND gate = 'compliance'""",
    "a wave of another length": "UPDATE waves SET length = 99 WHERE batch_no = {no} AND wave = 1",
    "a slice of another root": """
        UPDATE slices SET root = 'r' WHERE batch_no = {no} AND stage = 'derive' AND tranche = 0""",
    "a wallet frozen by hand": """
        UPDATE wallets SET state = 'frozen' WHERE batch_no = {no} AND state = 'active' AND ordinal = 0""",
    "a log without an intent": "DELETE FROM audit_entries WHERE chain = '{chain}/derive-0/0000' AND seq = 1",
}
FOUND = {
    "an approval that nobody logged": "counted attempt",
    "an approval that is gone": "counted attempt",
    "a wallet that is gone": "wallets",
    "a verdict that is gone": "verdicts",
    "a gate that was opened by hand": "gate ",
    "a gate that ended otherwise": "gate's end",
    "a wave of another length": "wave ",
    "a slice of another root": "slice",
    "a wallet frozen by hand": "frozen wallets",
    "a log without an intent": "batch/",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found(databases: Databases, tmp_path: Path, what: str) -> None:
    """By the database's own superuser, past every rule."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path))
    made.complete()
    change = TAMPERED[what].format(no=made.batch_no, chain=batch_chain(made.batch_id))
    with databases.admin.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        assert connection.exec_driver_sql(change).rowcount >= 1
    assert any(one.startswith(FOUND[what]) for one in found(made)), found(made)
