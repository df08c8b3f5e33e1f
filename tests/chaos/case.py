"""One ended batch as its store shows it: what the invariants look at."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from activities.custody.second_path_run import KeyServiceAddress
from infra.demo.staging import Stage


@dataclass(frozen=True, kw_only=True)
class Case:
    """`connection` gives rows by name; the key service is reached as custody reaches it.

    `received` is what the receiver of announcements has: by event id, the digests of what came under it.
    """

    connection: "psycopg.Connection[Any]"
    batch_id: str
    batch_no: int
    subject_count: int
    key_service: KeyServiceAddress
    stage: Stage
    received: Mapping[str, set[str]]

    def rows(self, sql: LiteralString, **values: Any) -> list[Any]:
        """Rows of the store; `%(batch)s` is the batch's number, `%(chain)s` its own audit chain."""
        own = {"batch": self.batch_no, "chain": f"batch/{self.batch_id}"}
        return self.connection.execute(sql, own | values).fetchall()

    def audit(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The bodies of the batch's audit entries with their chains, in order."""
        found = self.rows(
            "SELECT chain, body FROM audit_entries"
            " WHERE chain = %(chain)s OR chain LIKE %(chain)s || '/%%' ORDER BY chain, seq"
        )
        return ((row.chain, json.loads(row.body)) for row in found)
