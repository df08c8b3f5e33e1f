"""One batch on record for attacks on its bundle: both verifiers' verdicts, and a forger of its audit log."""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from activities.activation.announcements import Announcer, enqueue, event_id
from activities.canonical import canonical, canonical_text
from activities.digests import head_message
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.auditor import verify_bundle as second
from tests.integration.builders import BatchOnRecord
from tests.integration.office import DEPLOYMENT, an_office
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import Change, Members, failed, members

Row = dict[str, Any]
Edit = Callable[[list[Row]], object]

CALLED: Final = {
    "audit_chains": "audit",
    "audit_head": "head",
    "audit_slices": "slices",
    "kept_heads": "kept",
    "wallet_signatures": "attestations",
    "wallet_states": "states",
}
"""The first verifier's names of checks that the second one calls otherwise."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """One batch on record with its bundle, an older one, the office's trust, and another office's."""

    batch: BatchOnRecord
    older: Path
    bundle: Path
    trust: Path
    strange: Path
    folder: Path

    @property
    def chain(self) -> str:
        """The batch's own audit chain."""
        return f"batch/{self.batch.batch_id}"


async def make_room(databases: Databases, folder: Path) -> Room:
    """A batch with holds, refusals and a withheld subject; bundled, told of once more, bundled again."""
    batch = BatchOnRecord(databases=databases, office=an_office(folder))
    batch.complete()
    _, made = await batch.bundle()
    older = Path(shutil.copy(made, folder / "older.zip"))
    announce_late(batch)
    batch.attest_head()
    _, made = await batch.bundle()
    (folder / "strange").mkdir()
    return Room(
        batch=batch,
        older=older,
        bundle=Path(shutil.copy(made, folder / "good.zip")),
        trust=batch.office.trust_path,
        strange=an_office(folder / "strange").trust_path,
        folder=folder,
    )


def announce_late(batch: BatchOnRecord) -> None:
    """What was still in the outbox at the end is delivered after it, and the log goes on."""
    event = event_id(batch.batch_id, "late")
    with batch.provisioning.transaction() as connection:
        enqueue(connection, batch_no=batch.batch_no, event=event, topic="gate.waiting", facts={})
    announcer = Announcer(database=batch.provisioning, object_store=batch.objects)
    assert announcer.deliver(batch_id=batch.batch_id, event=event)


def agreed(bundle: Path, trust: Path | None, *, kept: Path | None = None) -> str:
    """The verdict of both verifiers, which must be one."""
    return agreed_checks(bundle, trust, kept=kept)[0]


def agreed_checks(bundle: Path, trust: Path | None, *, kept: Path | None = None) -> tuple[str, set[str]]:
    """The verdict and the failed checks that both name.

    After a first fault one of them may look further than the other, never elsewhere.
    """
    pinned = (load_trust(trust), second.read_trust(trust)) if trust else (None, None)
    first = verify_bundle(bundle, pinned[0], kept=kept)
    other = second.verify(bundle, pinned[1], kept=kept)
    ours, theirs = {CALLED.get(name, name) for name in failed(first)}, set(other.failed)
    assert first.verdict == other.verdict, (ours, theirs)
    assert (first.ok, first.batch_id) == (other.ok, other.batch_id)
    assert ours <= theirs or theirs <= ours, (ours, theirs)
    assert bool(ours & theirs) == (first.verdict == "FAILED")
    return first.verdict, ours & theirs


def log_of(parts: Members) -> list[Row]:
    """The entries of all chains."""
    return [json.loads(line) for line in parts["audit.jsonl"].splitlines()]


def forged_log(
    room: Room,
    edit: Edit,
    *,
    heads: Callable[[list[Row], Row], list[Row]],
    chain: str = "",
    rehash: bool = True,
) -> Change:
    """A chain of the log forged; all hashes and heads inside the log, and the table, agree with it again.

    Args:
        room: whose log it is.
        edit: what is done to the chain's entries.
        heads: from the signed heads and the last entry of the batch's chain, the heads to show.
        chain: the chain to forge; the batch's own unless another is named.
        rehash: whether the entries' hashes are made anew.
    """
    name = chain or room.chain

    def change(parts: Members) -> None:
        chains: dict[str, list[Row]] = {}
        for row in log_of(parts):
            chains.setdefault(row["chain"], []).append(row)
        edit(chains[name])
        if rehash:
            rehashed(chains[name])
            if name != room.chain:
                _chain_again(chains[room.chain], chains[name])
        parts["audit.jsonl"] = lines(row for one in sorted(chains) for row in chains[one])
        signed, last = json.loads(parts["heads.json"])["heads"], chains[room.chain][-1]
        parts["heads.json"] = canonical({"heads": heads(signed, last)})
        facts = json.loads(parts["bundle.json"])
        parts["bundle.json"] = canonical({**facts, "made_at": last["recorded_at"]})

    return change


def lines(rows: Any) -> bytes:
    """Rows as a member of lines."""
    return b"".join(canonical(row) + b"\n" for row in rows)


def rehashed(rows: list[Row]) -> None:
    """Numbers, links and hashes made anew, as who may rewrite everything can."""
    prev = "0" * 64
    for seq, row in enumerate(rows, start=1):
        content = bytes.fromhex(prev) + seq.to_bytes(8, "big")
        body = row["body"] if isinstance(row["body"], str) else canonical_text(row["body"])
        content += f"{row['recorded_at']}\n{body}".encode()
        row["seq"], row["prev"], prev = seq, prev, hashlib.sha256(content).hexdigest()
        row["hash"] = prev


def _chain_again(own: list[Row], shard: list[Row]) -> None:
    """The batch's chain tells of the forged shard's end as well."""
    for row in own:
        body = json.loads(row["body"])
        if body["kind"] == "shard.closed" and body["chain"] == shard[-1]["chain"]:
            body |= {"seq": shard[-1]["seq"], "head": shard[-1]["hash"]}
            row["body"] = canonical(body).decode()
    rehashed(own)


def head_of(room: Room, row: Row, *, by: Callable[[bytes], bytes]) -> Row:
    """An attestation of an entry, signed by whoever is given."""
    at = {"chain": room.chain, "seq": row["seq"], "head": row["hash"]}
    message = head_message(deployment=DEPLOYMENT, batch_id=room.batch.batch_id, **at)
    return {"message": message.decode(), "signature": base64.b64encode(by(message)).decode()}


def by_custody(room: Room, *, keep: int = 0) -> Callable[[list[Row], Row], list[Row]]:
    """The forger holds custody's key; the first so many of the old heads stay."""
    return lambda signed, last: [*signed[:keep], head_of(room, last, by=room.batch.office.attest)]


def told_more(at: int) -> Edit:
    """An entry that says one thing more, which no other part of the bundle speaks of."""

    def edit(rows: list[Row]) -> None:
        rows[at]["body"] = canonical({**json.loads(rows[at]["body"]), "forged": 1}).decode()

    return edit


def older_members(*names: str) -> Callable[[Room], Change]:
    """Members of the older bundle put into the newer one."""

    def of(room: Room) -> Change:
        old = members(room.older)
        return lambda parts: parts.update({name: old[name] for name in names})

    return of
