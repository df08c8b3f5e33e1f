"""Rows that screening and custody would write, for batches made by tests: verdicts, evidence, addresses."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from activities import merkle
from activities.canonical import digest, sha256_hex
from activities.contracts.shapes import SliceResult, SliceStep, batch_chain
from activities.digests import (
    VERDICT_ALGORITHMS,
    adjudication_root,
    evidence_document,
    slice_message,
    verdict_leaf,
    wallet_leaf,
    withholding_root,
)
from activities.keys.derivation import derive_wallets
from activities.keys.possession import PossessionContext
from activities.personal_data import VERDICT_GROUP, BatchDataKey, SubjectVault
from activities.screening.pinning import stated_editions
from activities.store import audit, slices
from activities.store import tables as t
from activities.store.database import Database

LISTS: Final = {"ofac-sdn": "11" * 32, "un-consolidated": "22" * 32}
NEWER_LIST: Final = "33" * 32
ALGORITHM: Final = VERDICT_ALGORITHMS[-1]
SCORE: Final = "0.9100"

SEED: Final = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
"""The published BIP-39 test vector of eleven times `abandon` and `about`, without passphrase."""


@dataclass(frozen=True, kw_only=True)
class SliceRecords:
    """Where the outcome of one slice is committed with its effect."""

    connection: Connection
    batch_no: int
    stage: str
    step: SliceStep

    @property
    def facts(self) -> dict[str, Any]:
        """What the audit log says of the slice before and after."""
        step = self.step
        return {"stage": self.stage, "tranche": step.tranche, "slice_index": step.slice_index}

    def result(self, *, row_count: int, root: bytes, counts: dict[str, int], **extra: Any) -> None:
        """Records the slice and its outcome."""
        result = SliceResult(row_count=row_count, root=root.hex(), counts=counts)
        slices.record(
            self.connection,
            batch_no=self.batch_no,
            stage=self.stage,
            step=self.step,
            result=result,
            **extra,
        )
        facts = {**self.facts, **asdict(result)}
        audit.append(self.connection, self.step.audit_chain, kind="slice.outcome", facts=facts)


@contextmanager
def slice_records(database: Database, batch_no: int, stage: str, step: SliceStep) -> Iterator[SliceRecords]:
    """States the intent, then opens the transaction of the effect."""
    with database.transaction() as connection:
        records = SliceRecords(connection=connection, batch_no=batch_no, stage=stage, step=step)
        audit.append(connection, step.audit_chain, kind="slice.intent", facts=records.facts)
    with database.transaction() as connection:
        yield replace(records, connection=connection)


def pin_lists(connection: Connection, *, batch_no: int, batch_id: str) -> None:
    """Pins the policy's lists; a newer edition of one is known as well."""
    editions = [*LISTS.items(), ("ofac-sdn", NEWER_LIST)]
    for name, edition in editions:
        connection.execute(
            insert_or(t.list_versions)
            .values(
                list_id=name,
                digest=bytes.fromhex(edition),
                source="sdn.csv",
                published_on="2026-01-05",
                entry_count=10,
                archive_uri="file:///lists",
            )
            .on_conflict_do_nothing()
        )
    pinned = [
        {"batch_no": batch_no, "list_id": name, "digest": bytes.fromhex(edition)}
        for name, edition in LISTS.items()
    ]
    connection.execute(insert(t.batch_lists), pinned)
    facts = {"lists": LISTS, "editions": stated_editions(connection, LISTS)}
    audit.append(connection, batch_chain(batch_id), kind="lists.pinned", facts=facts)


def detail_of(ordinal: int, *, score: str = SCORE) -> dict[str, Any]:
    """What explains a verdict that is not clear."""
    hit = {"list_id": "ofac-sdn", "entry_id": str(1000 + ordinal), "score": score}
    return {
        "reason": "hits",
        "algorithm": ALGORITHM,
        "list_digests": LISTS,
        "hits": [{**hit, "listed_name": f"LISTED PERSON {ordinal}"}],
    }


def hold_of(batch_id: str, ordinal: int, *, score: str = SCORE) -> str:
    """The digest of the hold which that explains."""
    hit = {
        "list_id": "ofac-sdn",
        "list_digest": LISTS["ofac-sdn"],
        "entry_id": str(1000 + ordinal),
        "score": score,
    }
    return digest({"batch_id": batch_id, "ordinal": ordinal, "hits": [hit]})


@dataclass(frozen=True, kw_only=True)
class Screener:
    """Gives verdicts as the scene has them: who is held and who is refused is known beforehand."""

    batch_no: int
    batch_id: str
    vault: SubjectVault
    key: BatchDataKey
    held: frozenset[int]
    refused: frozenset[int]

    def screen(self, database: Database, step: SliceStep) -> dict[int, str]:
        """Writes a slice of verdicts and gives the hold digests by ordinal."""
        holds: dict[int, str] = {}
        leaves, counts = [], {"clear": 0, "held": 0, "refused": 0}
        with slice_records(database, self.batch_no, "screen", step) as records:
            for ordinal in range(step.offset, step.offset + step.length):
                verdict = self._verdict(ordinal)
                hold = hold_of(self.batch_id, ordinal) if verdict == "held" else ""
                if hold:
                    holds[ordinal] = hold
                leaves.append(self._write(records.connection, ordinal, verdict, hold))
                counts[verdict] += 1
            records.result(row_count=step.length, root=merkle.root(leaves), counts=counts)
        return holds

    def sealed(self, connection: Connection, ordinal: int, detail: Mapping[str, Any]) -> bytes:
        """Seals what was compared for one subject."""
        own = t.subjects.c
        found = select(own.salt).where(own.batch_no == self.batch_no, own.ordinal == ordinal)
        salt = bytes(connection.execute(found).scalar_one())
        return self.vault.seal(self.key, salt=salt, ordinal=ordinal, group=VERDICT_GROUP, fields=detail)

    def _verdict(self, ordinal: int) -> str:
        if ordinal in self.held:
            return "held"
        return "refused" if ordinal in self.refused else "clear"

    def _write(self, connection: Connection, ordinal: int, verdict: str, hold: str) -> bytes:
        score = 0.0 if verdict == "clear" else 0.91
        leaf = verdict_leaf(
            ordinal=ordinal, verdict=verdict, score=score, hold_digest=hold, algorithm=ALGORITHM
        )
        explained = None if verdict == "clear" else self.sealed(connection, ordinal, detail_of(ordinal))
        connection.execute(
            insert(t.verdicts).values(
                batch_no=self.batch_no,
                ordinal=ordinal,
                verdict=verdict,
                score=score,
                leaf=leaf,
                hold_digest=bytes.fromhex(hold) if hold else None,
                sealed_detail=explained,
            )
        )
        return leaf


def withhold(connection: Connection, screener: Screener, *, ordinal: int, before_wave: int) -> None:
    """A list change hits a subject before its wave."""
    connection.execute(
        insert(t.withholdings).values(
            batch_no=screener.batch_no,
            ordinal=ordinal,
            list_id="ofac-sdn",
            list_digest=bytes.fromhex(NEWER_LIST),
            before_wave=before_wave,
            sealed_detail=screener.sealed(connection, ordinal, detail_of(ordinal)),
        )
    )
    newer = {"list_id": "ofac-sdn", "digest": bytes.fromhex(NEWER_LIST), "applied_in_wave": before_wave}
    connection.execute(insert(t.batch_lists).values(batch_no=screener.batch_no, **newer))
    lists = {"ofac-sdn": NEWER_LIST}
    facts = {
        "wave": before_wave,
        "lists": lists,
        "editions": stated_editions(connection, lists),
        "withheld": 1,
        "withheld_root": withholding_root([(ordinal, "ofac-sdn", NEWER_LIST)]),
    }
    audit.append(connection, batch_chain(screener.batch_id), kind="list.changed", facts=facts)


def seal_evidence(
    connection: Connection, screener: Screener, *, plan_digest: str, count: int, tranche: int
) -> str:
    """Writes the evidence of a tranche with what people decided so far, and gives its digest."""
    batch_no, own = screener.batch_no, t.adjudications.c
    connection.execute(
        update(t.adjudications).where(own.batch_no == batch_no, own.tranche.is_(None)).values(tranche=tranche)
    )
    taken = connection.execute(
        select(own.ordinal, own.hold_digest, own.decision)
        .where(own.batch_no == batch_no, own.tranche == tranche)
        .order_by(own.ordinal)
    ).all()
    cleared = sum(row.decision == "clear" for row in taken)
    counts = {"cleared": cleared, "refused": len(taken) - cleared}
    if tranche == 0:
        held, refused = len(screener.held), len(screener.refused)
        counts = {
            "clear": count - held - refused,
            "held": held - len(taken),
            "refused": refused + len(taken) - cleared,
            "cleared": cleared,
        }
    verdict_root = merkle.compose(slices.roots(connection, batch_no=batch_no, stage="screen"), total=count)
    document = evidence_document(
        plan_digest=plan_digest,
        list_digests=LISTS,
        verdict_root=verdict_root.hex(),
        adjudication_root=adjudication_root(
            (row.ordinal, bytes(row.hold_digest).hex(), row.decision) for row in taken
        ),
        counts=counts,
    )
    sealed = sha256_hex(document)
    connection.execute(
        insert(t.evidence).values(
            batch_no=batch_no,
            tranche=tranche,
            list_digests=LISTS,
            verdict_root=verdict_root,
            counts=counts,
            evidence_digest=bytes.fromhex(sealed),
        )
    )
    facts = {"tranche": tranche, "evidence_digest": sealed}
    audit.append(connection, batch_chain(screener.batch_id), kind="evidence.sealed", facts=facts)
    return sealed


@dataclass(frozen=True, kw_only=True)
class Deriver:
    """Derives and signs addresses as custody does, from a published seed."""

    batch_no: int
    deployment: str
    batch_id: str
    plan_digest: str
    tenant: str
    chains: Sequence[str]
    attest: Callable[[bytes], bytes]

    def open_keyring(self, connection: Connection) -> int:
        """Gives the batch's keyring, with sealed bytes that nothing opens."""
        own = t.keyrings.c
        found = connection.execute(select(own.keyring_no).where(own.batch_no == self.batch_no))
        known = found.scalar_one_or_none()
        if known is not None:
            return int(known)
        chain, keyring_id = batch_chain(self.batch_id), str(uuid4())
        audit.append(connection, chain, kind="keyring.intent", facts={"plan_digest": self.plan_digest})
        values = {"tenant": self.tenant, "ciphertext": b"c", "nonce": b"n", "wrapped_key": "w"}
        made = connection.execute(
            insert(t.keyrings)
            .values(
                keyring_id=keyring_id, scope="batch", provider="transit", batch_no=self.batch_no, **values
            )
            .returning(own.keyring_no)
        )
        keyring_no = int(made.scalar_one())
        taken = {"keyring_no": keyring_no, "coin_type": 60, "account": 0, "batch_no": self.batch_no}
        connection.execute(insert(t.keyring_accounts).values(**taken))
        facts = {"keyring_id": keyring_id, "provider": "transit"}
        audit.append(connection, chain, kind="keyring.opened", facts=facts)
        return keyring_no

    def derive(self, database: Database, step: SliceStep, ordinals: Sequence[int], keyring_no: int) -> None:
        """Writes one slice of addresses with custody's signature, then verifies it."""
        context = PossessionContext(
            deployment=self.deployment, batch_id=self.batch_id, plan_digest=self.plan_digest
        )
        proven = derive_wallets(SEED, account=0, indexes=ordinals, chain_ids=self.chains, context=context)
        proven.sort(key=lambda wallet: (wallet.index, wallet.chain_id))
        root = merkle.root(
            wallet_leaf(ordinal=w.index, chain=w.chain_id, path=str(w.path), address=w.address)
            for w in proven
        )
        rows = [
            {
                "batch_no": self.batch_no,
                "ordinal": wallet.index,
                "chain": wallet.chain_id,
                "keyring_no": keyring_no,
                "account": 0,
                "address_index": wallet.index,
                "address": wallet.address,
                "possession": wallet.possession,
                "tranche": step.tranche,
            }
            for wallet in proven
        ]
        with slice_records(database, self.batch_no, "derive", step) as records:
            if rows:
                records.connection.execute(insert(t.wallets), rows)
            signature = self._signed(step, row_count=len(rows), root=root)
            records.result(row_count=len(rows), root=root, counts={}, signature=signature)
        self._verify(database, step, row_count=len(rows), root=root)

    def _signed(self, step: SliceStep, *, row_count: int, root: bytes) -> str:
        message = slice_message(
            deployment=self.deployment,
            batch_id=self.batch_id,
            tranche=step.tranche,
            slice_index=step.slice_index,
            first_position=step.offset,
            length=step.length,
            row_count=row_count,
            root=root.hex(),
        )
        return base64.b64encode(self.attest(message)).decode()

    def _verify(self, database: Database, step: SliceStep, *, row_count: int, root: bytes) -> None:
        own, counts = t.wallets.c, {"checked": row_count, "sampled": row_count}
        with database.transaction() as connection:
            connection.execute(
                update(t.wallets)
                .where(own.batch_no == self.batch_no, own.state == "derived")
                .values(state="ready")
            )
            result = SliceResult(row_count=row_count, root=root.hex(), counts=counts)
            slices.record(connection, batch_no=self.batch_no, stage="verify", step=step, result=result)
            facts = {
                "slice_index": step.slice_index,
                "tranche": step.tranche,
                "first_position": step.offset,
                "length": step.length,
                "row_count": row_count,
                "root": root.hex(),
                **counts,
            }
            audit.append(connection, step.audit_chain, kind="range.verified", facts=facts)
