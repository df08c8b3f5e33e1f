"""Counts every change of the store from outside our code: PostgreSQL's own triggers, made by the owner.

What is rolled back is not counted, and no process of ours can reach or change the count.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from infra.devstack import Stack

BESIDE: Final = frozenset({"audit_heads", "list_versions", "alembic_version"})
"""Not of one batch: heads move with the entries that are counted, editions are accepted once for all."""

_NOTE: Final = """
CREATE FUNCTION witness.note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO witness.changes (relation, operation, batch, what, changed)
    SELECT TG_TABLE_NAME, TG_OP, batch, what, count(*) FROM (
        SELECT CASE TG_TABLE_NAME
            WHEN 'audit_entries' THEN
                coalesce((r ->> 'body')::jsonb ->> 'batch_id', split_part(r ->> 'chain', '/', 2))
            WHEN 'batches' THEN r ->> 'batch_id'
            ELSE (SELECT b.batch_id FROM public.batches b WHERE b.batch_no = (r ->> 'batch_no')::bigint)
            END AS batch,
            CASE TG_TABLE_NAME
            WHEN 'audit_entries' THEN (r ->> 'body')::jsonb ->> 'kind'
            WHEN 'wallets' THEN r ->> 'state'
            WHEN 'slices' THEN r ->> 'stage'
            WHEN 'outbox' THEN r ->> 'topic'
            WHEN 'gates' THEN concat_ws(' ', r ->> 'gate', r ->> 'outcome')
            WHEN 'waves' THEN concat_ws(' ', r ->> 'wave', r ->> 'outcome')
            WHEN 'batches' THEN concat_ws(' ', 'fence', r ->> 'fence', r ->> 'outcome')
            ELSE '' END AS what
        FROM (SELECT to_jsonb(changed) AS r FROM changed) AS every_row
    ) AS told GROUP BY batch, what;
    RETURN NULL;
END $$
"""


class Change(NamedTuple):
    """What happened to rows of one table."""

    relation: str
    operation: str
    what: str


class Witness:
    """The count, read by the owner."""

    def __init__(self, connection: "psycopg.Connection[Any]", relations: frozenset[str]) -> None:
        self._connection = connection
        self.relations = relations

    def changes(self, batch_id: str) -> Counter[Change]:
        """How many rows of a batch changed in which way, ever."""
        rows = self._connection.execute(
            "SELECT relation, operation, what, sum(changed) FROM witness.changes WHERE batch = %s"
            " GROUP BY relation, operation, what",
            [batch_id],
        )
        return Counter({Change(relation, op, what): int(n) for relation, op, what, n in rows})

    def effects(self, batch_id: str) -> Counter[Change]:
        """The same without what may be on record again for every try: intents, and readings."""
        changes = self.changes(batch_id)
        tries = [c for c in changes if c.what.endswith(".intent") or c.what == "record.read"]
        for change in tries:
            del changes[change]
        return changes


@contextmanager
def witness_of(stack: Stack) -> Iterator[Witness]:
    """Watches every table of the store that has rows of batches, until it is left."""
    with psycopg.connect(stack.database_url("owner"), autocommit=True) as connection:
        _forget(connection)
        connection.execute("CREATE SCHEMA witness")
        connection.execute(
            "CREATE TABLE witness.changes"
            " (relation text, operation text, batch text, what text, changed bigint)"
        )
        connection.execute(_NOTE)
        connection.execute("REVOKE EXECUTE ON FUNCTION witness.note() FROM PUBLIC")
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        relations = frozenset(name for (name,) in found) - BESIDE
        for relation in relations:
            _watch(connection, relation)
        try:
            yield Witness(connection, relations)
        finally:
            _forget(connection)


def _watch(connection: "psycopg.Connection[Any]", relation: str) -> None:
    for event, side in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        connection.execute(
            sql.SQL(
                "CREATE TRIGGER {} AFTER {} ON {} REFERENCING {} TABLE AS changed"
                " FOR EACH STATEMENT EXECUTE FUNCTION witness.note()"
            ).format(
                sql.Identifier(f"witness_{event.lower()}"),
                sql.SQL(event),
                sql.Identifier(relation),
                sql.SQL(side),
            )
        )


def _forget(connection: "psycopg.Connection[Any]") -> None:
    connection.execute("SET client_min_messages = warning")
    connection.execute("DROP SCHEMA IF EXISTS witness CASCADE")
