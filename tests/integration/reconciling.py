"""Order and reconciliation of a whole database with its audit log, both ways, for every batch there is.

Every row of the record has its entry and every entry its row; every outcome stands after its intent. Reads
only, shares no code with what wrote either, and gives what differs in sentences.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, text

from activities.store.database import Database

Json = dict[str, Any]
Key = tuple[Any, ...]

INTENDED: Final = {
    "slice.outcome": ("slice.intent", ("stage", "tranche", "slice_index")),
    "keyring.opened": ("keyring.intent", ()),
    "announcement.delivered": ("announcement.intent", ("event_id",)),
    "range.verified": ("slice.intent", ()),
    "gate.closed": ("gate.opened", ("gate", "digest")),
    "wave.closed": ("wave.opened", ("wave",)),
    "evidence.sealed": ("lists.pinned", ()),
    "batch.planned": ("batch.claimed", ()),
    "batch.ended": ("batch.claimed", ()),
}
"""What must stand before an entry of a kind, on its own chain, and the facts that the two share."""

_ON_ANOTHER_CHAIN: Final = {"range.verified"}
"""Verifying follows deriving, whose intents are on other shards' chains."""


@dataclass(kw_only=True)
class Log:
    """What the log tells of one batch, by kind, from all of its chains."""

    entries: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))

    def keys(self, kind: str, *names: str) -> Counter[Key]:
        """The facts of all entries of a kind."""
        return Counter(tuple(_plain(entry.get(name)) for name in names) for entry in self.entries[kind])

    def total(self, kind: str, name: str, **only: Any) -> int:
        """The sum of a fact over the entries of a kind."""
        told = (e for e in self.entries[kind] if all(e.get(n) == value for n, value in only.items()))
        return sum(int(entry.get(name) or 0) for entry in told)


@dataclass(kw_only=True)
class Books:
    """The rows of one batch and the log of it."""

    database: Database
    batch: Row[Any]
    log: Log

    def rows(self, sql: str) -> Sequence[Row[Any]]:
        """Rows of this batch; `:no` is its number."""
        with self.database.transaction() as connection:
            return connection.execute(text(sql), {"no": self.batch.batch_no}).all()

    def keys(self, sql: str) -> Counter[Key]:
        """Rows as what they are compared by."""
        return Counter(tuple(_plain(value) for value in row) for row in self.rows(sql))

    def number(self, sql: str) -> int:
        """One number."""
        return int(self.rows(sql)[0][0] or 0)


def differences(database: Database) -> list[str]:
    """What does not reconcile in the whole database, one sentence each."""
    with database.transaction() as connection:
        entries = connection.execute(
            text("SELECT chain, seq, body FROM audit_entries ORDER BY chain, seq")
        ).all()
        batches = connection.execute(text("SELECT * FROM batches ORDER BY batch_no")).all()
    told = [(row.chain, json.loads(row.body)) for row in entries]
    logs: dict[str, Log] = defaultdict(Log)
    for chain, body in told:
        room, _, rest = chain.partition("/")
        if room == "batch":
            logs[rest.partition("/")[0]].entries[body["kind"]].append(body)
    found = list(_unintended(told))
    found += [f"the log tells of batch {name}, which is not there" for name in _strangers(logs, batches)]
    ended = Counter(b["batch_id"] for c, b in told if c.startswith("tenant/") and b["kind"] == "batch.ended")
    for batch in batches:
        if ended[batch.batch_id] != int(batch.outcome is not None):
            found.append(f"{batch.batch_id}: its tenant's chain tells of {ended[batch.batch_id]} ends")
        books = Books(database=database, batch=batch, log=logs[batch.batch_id])
        found += [f"{batch.batch_id}: {sentence}" for sentence in _of_batch(books)]
    return found


def _strangers(logs: Iterable[str], batches: Iterable[Row[Any]]) -> set[str]:
    return set(logs) - {batch.batch_id for batch in batches}


def _unintended(told: Iterable[tuple[str, Json]]) -> Iterator[str]:
    stated: set[Key] = set()
    for chain, body in told:
        kind = body["kind"]
        if kind in INTENDED and kind not in _ON_ANOTHER_CHAIN and chain.startswith("batch/"):
            before, names = INTENDED[kind]
            if (chain, before, *(_plain(body.get(name)) for name in names)) not in stated:
                yield f"{chain}: {kind} has no {before} before it"
        for before, names in INTENDED.values():
            if before == kind:
                stated.add((chain, kind, *(_plain(body.get(name)) for name in names)))


def _of_batch(books: Books) -> Iterator[str]:
    log = books.log
    for what, rows, entries in (*_record(books), *_decisions(books), *_waves(books)):
        for key, count in (rows - entries).items():
            yield f"{what} {key} has {count} rows that no entry tells of"
        for key, count in (entries - rows).items():
            yield f"{what} {key} has {count} entries without a row"
    for what, stored, said in _numbers(books):
        if stored != said:
            yield f"{what}: {stored} in the rows, {said} in the log"
    if log.keys("batch.claimed") != Counter([()]):
        yield "it was not claimed once"


Pairs = Iterator[tuple[str, Counter[Key], Counter[Key]]]


def _record(books: Books) -> Pairs:
    log = books.log
    own = "FROM slices WHERE batch_no = :no AND stage"
    names = ("stage", "tranche", "slice_index", "row_count", "root")
    outcomes = Counter(
        tuple(_plain(entry.get(name, 0)) for name in names) for entry in log.entries["slice.outcome"]
    )
    yield "slice", books.keys(f"SELECT {', '.join(names)} {own} <> 'verify'"), outcomes
    again = ("tranche", "slice_index", "root")
    yield (
        "range",
        books.keys(f"SELECT {', '.join(again)} {own} = 'verify'"),
        log.keys("range.verified", *again),
    )
    plans = books.keys("SELECT plan_digest FROM plans WHERE batch_no = :no")
    yield "plan", plans, log.keys("batch.planned", "plan_digest")
    sealed = books.keys("SELECT tranche, evidence_digest FROM evidence WHERE batch_no = :no")
    yield "evidence", sealed, log.keys("evidence.sealed", "tranche", "evidence_digest")
    keyrings = books.keys("SELECT keyring_id FROM keyrings WHERE batch_no = :no")
    yield "keyring", keyrings, log.keys("keyring.opened", "keyring_id")
    ended = books.keys("SELECT outcome FROM batches WHERE batch_no = :no AND outcome IS NOT NULL")
    yield "end", ended, log.keys("batch.ended", "outcome")
    arrived = books.keys("SELECT event_id FROM outbox WHERE batch_no = :no AND delivered_at IS NOT NULL")
    yield "announcement", arrived, log.keys("announcement.delivered", "event_id")


def _decisions(books: Books) -> Pairs:
    log = books.log
    attempts = "SELECT attempt_key FROM attempts WHERE batch_no = :no AND counted ="
    yield "counted attempt", books.keys(f"{attempts} true"), log.keys("attempt.counted", "attempt_key")
    yield "refused attempt", books.keys(f"{attempts} false"), log.keys("attempt.refused", "attempt_key")
    gates = "FROM gates WHERE batch_no = :no"
    yield "gate", books.keys(f"SELECT gate, digest {gates}"), log.keys("gate.opened", "gate", "digest")
    closed = books.keys(f"SELECT gate, digest, outcome {gates} AND outcome IS NOT NULL")
    yield "gate's end", closed, log.keys("gate.closed", "gate", "digest", "outcome")
    settled = books.keys(
        "SELECT ordinal, hold_digest, decision FROM adjudications WHERE batch_no = :no"
        " AND decision <> 'cancelled'"
    )
    told = log.keys("hold.settled", "ordinal", "hold_digest", "decision")
    yield "hold", settled, Counter({key: n for key, n in told.items() if key[2] != "cancelled"})


def _waves(books: Books) -> Pairs:
    names = ("wave", "tranche", "first_position", "length", "percent")
    opened = books.keys(
        "SELECT wave, tranche, first_position, length, percent FROM waves WHERE batch_no = :no"
    )
    yield "wave", opened, books.log.keys("wave.opened", *names)
    closed = books.keys(
        "SELECT wave, outcome FROM waves WHERE batch_no = :no AND outcome IN ('passed', 'failed')"
    )
    told = books.log.keys("wave.closed", "wave", "outcome")
    undone = {
        key[0] for key in books.keys("SELECT wave FROM waves WHERE batch_no = :no AND outcome = 'undone'")
    }
    yield "wave's end", closed, Counter({key: n for key, n in told.items() if key[0] not in undone})


def _numbers(books: Books) -> Iterator[tuple[str, int, int]]:
    """Rows of subjects are too many to be told of one by one: their slices' entries count them."""
    log = books.log
    outcomes = Counter[str]()
    for entry in log.entries["slice.outcome"]:
        outcomes[entry["stage"].partition("/")[0]] += entry["row_count"]
    wallets = "SELECT count(*) FROM wallets WHERE batch_no = :no"
    yield "wallets", books.number(wallets), outcomes["derive"]
    active = books.number(f"{wallets} AND wave IS NOT NULL")
    yield "activated wallets", active, outcomes["wave"]
    frozen = books.number(f"{wallets} AND state = 'frozen'")
    yield "frozen wallets", frozen, log.total("undo.activation", "frozen")
    revoked = books.number(f"{wallets} AND state = 'revoked'")
    yield "revoked wallets", revoked, log.total("undo.derivation", "revoked")
    verdicts = books.number("SELECT count(*) FROM verdicts WHERE batch_no = :no")
    yield "verdicts", verdicts, outcomes["screen"]
    withheld = books.number("SELECT count(*) FROM withholdings WHERE batch_no = :no")
    yield "withheld subjects", withheld, log.total("list.changed", "withheld")


def _plain(value: Any) -> Any:
    """Digests and ids are compared as text."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value if value is None or isinstance(value, int) else str(value)
