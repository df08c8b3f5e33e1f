"""The audit log: what is appended can be recomputed by anyone, one chain after the other."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.failures import IntegrityError
from activities.store import audit
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import new_id, run, run_all


def entries_of(databases: Databases, chain: str) -> list[Any]:
    """Gives a chain's entries in order."""
    return run(
        databases.custody, "SELECT * FROM audit_entries WHERE chain = :chain ORDER BY seq", chain=chain
    )


def recomputed(prev: bytes, entry: Any) -> bytes:
    """The published rule, written down a second time."""
    covered = prev + entry.seq.to_bytes(8, "big") + entry.recorded_at.encode() + b"\n" + entry.body.encode()
    return hashlib.sha256(covered).digest()


def test_every_entry_covers_the_one_before(databases: Databases) -> None:
    """Hashes and links are as documented, and the head is the last of them."""
    chain = new_id()
    for number in range(5):
        with databases.provisioning.transaction() as connection:
            last = audit.append(
                connection, chain, kind="slice.outcome", facts={"n": number, "word": "café ✓"}
            )
    prev = bytes(32)
    for seq, entry in enumerate(entries_of(databases, chain), start=1):
        assert (entry.seq, bytes(entry.prev)) == (seq, prev)
        assert bytes(entry.hash) == recomputed(prev, entry)
        assert json.loads(entry.body) == {"kind": "slice.outcome", "n": seq - 1, "word": "café ✓"}
        prev = bytes(entry.hash)
    with databases.console.transaction() as connection:
        assert audit.head(connection, chain) == last
    assert (last.seq, last.hash) == (5, prev)


def test_chain_nobody_wrote_to_starts_at_zero(databases: Databases) -> None:
    """A verifier knows where every chain begins."""
    with databases.provisioning.transaction() as connection:
        assert audit.head(connection, new_id()) == audit.AuditHead(seq=0, hash=bytes(32))


def test_entry_of_a_transaction_that_failed_is_not_there(databases: Databases) -> None:
    """An outcome is recorded with its effect or not at all, and leaves no gap."""
    chain = new_id()
    append, fail = "SELECT audit_append(:chain, '{}')", "SELECT 1 / 0"
    with pytest.raises(IntegrityError):
        run_all(databases.provisioning, append, fail, chain=chain)
    with databases.provisioning.transaction() as connection:
        assert audit.append(connection, chain, kind="slice.outcome", facts={}).seq == 1
    assert len(entries_of(databases, chain)) == 1


def test_concurrent_writers_of_one_chain_make_one_line(databases: Databases) -> None:
    """Both roles append at once: no fork, no gap, no number twice."""
    chain = new_id()
    together = threading.Barrier(6)

    def write(number: int) -> None:
        database = databases.provisioning if number % 2 else databases.custody
        together.wait()
        for _ in range(10):
            with database.transaction() as connection:
                audit.append(connection, chain, kind="test", facts={"writer": number})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    prev = bytes(32)
    entries = entries_of(databases, chain)
    for entry in entries:
        assert bytes(entry.prev) == prev
        prev = bytes(entry.hash)
    assert [entry.seq for entry in entries] == list(range(1, 61))
    moments = [entry.recorded_at for entry in entries]
    assert moments == sorted(moments)


def test_entry_is_never_older_than_the_one_before(databases: Databases) -> None:
    """A clock that was set back shows as standing still, not as an order that cannot be."""
    chain, later = new_id(), (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    run(databases.owner, "INSERT INTO audit_heads VALUES (:chain, 1, :head)", chain=chain, head=bytes(32))
    run(
        databases.owner,
        "INSERT INTO audit_entries VALUES (:chain, 1, :later, '{}', :head, :head)",
        chain=chain,
        later=later,
        head=bytes(32),
    )
    with databases.provisioning.transaction() as connection:
        audit.append(connection, chain, kind="test", facts={})
    assert [entry.recorded_at for entry in entries_of(databases, chain)] == [later, later]


def test_chains_of_a_batch_are_one_range_of_the_index(databases: Databases) -> None:
    """Names sort by bytes, so that a batch's shards are found without reading other batches."""
    rows = run(
        databases.owner,
        "SELECT DISTINCT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
        " WHERE attname = 'chain' AND attrelid IN ('audit_heads'::regclass, 'audit_entries'::regclass)",
    )
    assert [row.collname for row in rows] == ["C"]
