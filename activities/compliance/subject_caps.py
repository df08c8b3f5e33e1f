"""How many wallets subjects have already, across a tenant's batches: what the policy's cap asks about.

Counts only; which subject has how many leaves nobody's hands.
"""

from typing import Any, Final

from sqlalchemy import Connection, text

_MOST: Final = """
WITH mine AS ({mine}), others AS (
    SELECT b.batch_no, b.outcome IS NULL AS running, cardinality(b.chains) AS chains
    FROM batches b JOIN plans p ON p.batch_no = b.batch_no
    WHERE b.tenant = :tenant AND b.batch_id <> :batch_id
        AND NOT (b.outcome IS NULL AND p.decision ->> 'outcome' = 'refused')
), theirs AS (
    SELECT s.subject_id, s.ordinal, others.*
    FROM others JOIN subjects s ON s.batch_no = others.batch_no JOIN mine ON mine.subject_id = s.subject_id
), held AS (
    SELECT subject_id, chains AS wallets FROM theirs WHERE running
    UNION ALL
    SELECT theirs.subject_id, 1 FROM theirs JOIN wallets w ON w.batch_no = theirs.batch_no
        AND w.ordinal = theirs.ordinal AND w.state <> 'revoked' WHERE NOT running
)
SELECT coalesce(max(wallets), 0) FROM (SELECT sum(wallets) AS wallets FROM held GROUP BY subject_id) each
"""

_OF_BATCH: Final = text(
    _MOST.format(
        mine="SELECT s.subject_id FROM subjects s JOIN batches b USING (batch_no)"
        " WHERE b.batch_id = :batch_id"
    )
)
_OF_LIST: Final = text(_MOST.format(mine="SELECT unnest(CAST(:subject_ids AS text[])) AS subject_id"))


def most_wallets_of_batch(connection: Connection, *, tenant: str, batch_id: str) -> int:
    """Gives the most wallets any stored subject of a batch has in the tenant's other batches.

    One that still runs counts with all it may make, one that has ended with what was not revoked.
    """
    return _most(connection, _OF_BATCH, tenant=tenant, batch_id=batch_id)


def most_wallets_of(connection: Connection, subject_ids: list[str], *, tenant: str, batch_id: str) -> int:
    """Gives the same for subjects that are not stored yet."""
    return _most(connection, _OF_LIST, tenant=tenant, batch_id=batch_id, subject_ids=subject_ids)


def _most(connection: Connection, statement: Any, **values: Any) -> int:
    return int(connection.execute(statement, values).scalar_one())
