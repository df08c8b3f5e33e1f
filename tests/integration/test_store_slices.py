"""Committed slices and bulk copy: what is written is found again, and nothing is written twice."""

from uuid import uuid4

import pytest

from activities.contracts.shapes import SliceResult, SliceStep
from activities.failures import IntegrityError
from activities.store import slices
from activities.store.database import Database, copy_rows
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import a_batch, run

RESULT = SliceResult(row_count=7, root="ab" * 32, counts={"clear": 6, "held": 1})


def a_step(batch_id: str, index: int = 0, tranche: int = 0) -> SliceStep:
    """A slice of a batch under its first fence."""
    return SliceStep(
        batch_id=batch_id,
        fence=1,
        tranche=tranche,
        slice_index=index,
        offset=index * 1024,
        length=1024,
        audit_chain=f"batch/{batch_id}/screen/0000",
    )


def record(database: Database, batch_no: int, step: SliceStep, stage: str, root: str = RESULT.root) -> None:
    """Records a slice in a transaction of its own, signed where custody does it."""
    result = SliceResult(row_count=RESULT.row_count, root=root, counts=RESULT.counts)
    signature = {"signature": "c2lnbmVk"} if stage == "derive" else {}
    with database.transaction() as connection:
        slices.record(connection, batch_no=batch_no, stage=stage, step=step, result=result, **signature)


def test_recorded_slice_is_found_as_it_was(databases: Databases) -> None:
    """A call that runs again returns what the first one did, of its own stage and tranche only."""
    batch_id, batch_no = a_batch(databases)
    record(databases.provisioning, batch_no, a_step(batch_id), "screen")
    with databases.custody.transaction() as connection:
        found = [
            slices.recorded(connection, batch_no=batch_no, stage=stage, step=step)
            for stage, step in (
                ("screen", a_step(batch_id)),
                ("screen", a_step(batch_id, index=1)),
                ("screen", a_step(batch_id, tranche=1)),
                ("derive", a_step(batch_id)),
            )
        ]
    assert found == [RESULT, None, None, None]


def test_slice_is_recorded_once(databases: Databases) -> None:
    """Two attempts that overlap cannot both commit."""
    batch_id, batch_no = a_batch(databases)
    record(databases.custody, batch_no, a_step(batch_id), "derive")
    with pytest.raises(IntegrityError) as caught:
        record(databases.custody, batch_no, a_step(batch_id), "derive")
    assert caught.value.details == ("23505",)


def test_roots_come_in_the_order_of_slices(databases: Databases) -> None:
    """Slices commit in any order; their roots compose in one."""
    batch_id, batch_no = a_batch(databases)
    for index in (2, 0, 1):
        record(databases.provisioning, batch_no, a_step(batch_id, index), "screen", root=f"{index:02x}" * 32)
    record(databases.provisioning, batch_no, a_step(batch_id, tranche=1), "screen")
    with databases.provisioning.transaction() as connection:
        found = slices.roots(connection, batch_no=batch_no, stage="screen")
    assert found == [bytes([index]) * 32 for index in range(3)]


def test_copied_rows_are_stored_as_given(databases: Databases) -> None:
    """Bytes, text beyond ASCII, nulls and defaults survive the binary copy."""
    _, batch_no = a_batch(databases)
    rows = [
        (batch_no, 0, "sübject ✓", bytes(range(256)), b"", b"leaf"),
        (batch_no, 1, uuid4().hex, None, b"s", b"l"),
    ]
    with databases.provisioning.transaction() as connection:
        copy_rows(
            connection,
            table="subjects",
            columns=["batch_no", "ordinal", "subject_id", "salt", "sealed", "leaf"],
            types=["int8", "int4", "text", "bytea", "bytea", "bytea"],
            rows=rows,
        )
    stored = run(
        databases.provisioning,
        "SELECT batch_no, ordinal, subject_id, salt, sealed, leaf FROM subjects"
        " WHERE batch_no = :no ORDER BY ordinal",
        no=batch_no,
    )
    assert [tuple(row) for row in stored] == rows


def test_copy_that_breaks_off_stores_nothing(databases: Databases) -> None:
    """A stream of rows that fails half way leaves no half."""
    _, batch_no = a_batch(databases)

    def copy() -> None:
        with databases.provisioning.transaction() as connection:
            copy_rows(
                connection,
                table="verdicts",
                columns=["batch_no", "ordinal", "verdict", "leaf"],
                types=["int8", "int4", "text", "bytea"],
                rows=((batch_no, i, "clear" if i < 500 else "unknown", b"leaf") for i in range(501)),
            )

    with pytest.raises(IntegrityError):
        copy()
    assert run(databases.owner, "SELECT 1 FROM verdicts WHERE batch_no = :no", no=batch_no) == []
