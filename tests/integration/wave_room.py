"""Batches with ready wallets whose addresses the real key service signed, and activation over them."""

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from activities import merkle
from activities.activation.activities import ActivationActivities
from activities.activation.announcements import Announcer, announcement_key, event_id
from activities.activation.webhooks import WebhookReceiver
from activities.clients.object_store import FolderStore
from activities.clients.transit import Transit
from activities.contracts.activation import WaveStep
from activities.contracts.shapes import SliceStep, shard_chain
from activities.digests import slice_message, wallet_leaf
from tests.integration.seeded import DEPLOYMENT, SeededBatch, planned_batch
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run, some_wallets
from tests.signers import Signer

COUNT = 10


@dataclass(kw_only=True)
class Room:
    """Wallets made ready as custody does, and the activities over them."""

    databases: Databases
    attest: Transit
    folder: Path
    receiver: WebhookReceiver | None = None
    activities: ActivationActivities = field(init=False)

    def __post_init__(self) -> None:
        keys = [base64.b64encode(key).decode() for key in self.attest.public_keys("attest").values()]
        self.trust(keys)
        database = self.databases.provisioning
        announcer = Announcer(
            database=database, object_store=FolderStore(self.folder / "objects"), receiver=self.receiver
        )
        self.activities = ActivationActivities(
            database=database,
            trust_path=self.folder / "trust.toml",
            deployment=DEPLOYMENT,
            announcer=announcer,
        )

    def trust(self, attest_keys: list[str]) -> None:
        """Writes the trust file."""
        lee = Signer(name="lee@acme.example")
        (self.folder / "trust.toml").write_text(
            f'deployment = "{DEPLOYMENT}"\nallowed_signers = """\n{lee.line()}\n"""\n'
            f"[attest]\npublic_keys = {json.dumps(attest_keys)}\n"
            f'[persons."{lee.name}"]\nroles = []\ntenants = ["acme"]\n'
        )

    def ready_batch(self, count: int = COUNT, **rollout: Any) -> SeededBatch:
        """A batch with ready wallets whose addresses custody signed in slices of four."""
        batch = planned_batch(self.databases.provisioning, subject_count=count, **rollout)
        some_wallets(self.databases, batch.batch_no, count=count)
        run(
            self.databases.custody,
            "UPDATE wallets SET state = 'ready' WHERE batch_no = :no",
            no=batch.batch_no,
        )
        for index, first in enumerate(range(0, count, 4)):
            self.sign(batch, index, list(range(first, min(first + 4, count))))
        return batch

    def late_wallets(self, batch: SeededBatch, ordinals: list[int], *, in_slices: int = 1) -> None:
        """Ready wallets of the late tranche with custody's signature."""
        run(
            self.databases.custody,
            "INSERT INTO wallets"
            " (batch_no, ordinal, chain, keyring_no, account, address_index, address, possession, tranche)"
            " SELECT :no, i, 'ethereum', keyring_no, 0, i, 'address ' || i, 'p', 1 FROM keyrings,"
            " unnest(CAST(:ordinals AS int[])) i WHERE batch_no = :no",
            no=batch.batch_no,
            ordinals=ordinals,
        )
        run(
            self.databases.custody,
            "UPDATE wallets SET state = 'ready' WHERE batch_no = :no AND ordinal = ANY (:ordinals)",
            no=batch.batch_no,
            ordinals=ordinals,
        )
        size = len(ordinals) // max(1, in_slices)
        for index in range(in_slices):
            own = ordinals[index * size : (index + 1) * size]
            self.sign(batch, index, own, tranche=1, first=index * size)

    def sign(
        self,
        batch: SeededBatch,
        index: int,
        ordinals: list[int],
        *,
        tranche: int = 0,
        first: int | None = None,
    ) -> None:
        """Records a slice of addresses as custody does, signed by the real key service."""
        leaves = [
            wallet_leaf(ordinal=i, chain="ethereum", path=f"m/44'/60'/0'/0/{i}", address=f"address {i}")
            for i in ordinals
        ]
        root = merkle.root(leaves)
        place = {
            "tranche": tranche,
            "slice_index": index,
            "first_position": ordinals[0] if first is None else first,
            "length": len(ordinals),
        }
        message = slice_message(
            deployment=DEPLOYMENT,
            batch_id=batch.batch_id,
            row_count=len(ordinals),
            root=root.hex(),
            **place,
        )
        run(
            self.databases.custody,
            "INSERT INTO slices (batch_no, stage, tranche, slice_index, first_position, length, row_count,"
            " root, signature) VALUES (:no, 'derive', :tranche, :slice_index, :first_position, :length,"
            " :length, :root, :signature)",
            no=batch.batch_no,
            root=root,
            signature=base64.b64encode(self.attest.sign("attest", message)).decode(),
            **place,
        )

    def states(self, batch: SeededBatch) -> str:
        """The first letter of each wallet's state, by ordinal."""
        rows = run(
            self.databases.provisioning,
            "SELECT left(state, 1) AS letter FROM wallets WHERE batch_no = :no ORDER BY ordinal",
            no=batch.batch_no,
        )
        return "".join(row.letter for row in rows)

    def withhold(self, batch: SeededBatch, ordinal: int) -> None:
        """Withholds a subject before the first wave."""
        run(
            self.databases.provisioning,
            "INSERT INTO withholdings (batch_no, ordinal, list_id, list_digest, before_wave, sealed_detail)"
            " VALUES (:no, :ordinal, 'ofac-sdn', 'd', 1, 's')",
            no=batch.batch_no,
            ordinal=ordinal,
        )

    def opened(self, batch: SeededBatch, **changes: Any) -> WaveStep:
        """Opens the first wave over the whole batch, unless something is changed."""
        step = replace(wave_of(batch), **changes)
        self.activities.open_wave(step)
        return step

    def passed(self, batch: SeededBatch, *, wave: int, length: int) -> None:
        """Records a wave of the main tranche that has passed."""
        run(
            self.databases.provisioning,
            "INSERT INTO waves (batch_no, wave, tranche, first_position, length, percent, outcome, closed_at)"
            " VALUES (:no, :wave, 0, 0, :length, 100, 'passed', clock_timestamp())",
            no=batch.batch_no,
            wave=wave,
            length=length,
        )

    def seal(self, batch: SeededBatch, *, tranche: int, cleared: int = 0) -> bytes:
        """Records a tranche's evidence; gives its digest."""
        digest = f"evidence {tranche} of {batch.batch_id}".encode()
        run(
            self.databases.provisioning,
            "INSERT INTO evidence (batch_no, tranche, list_digests, verdict_root, counts, evidence_digest)"
            " VALUES (:no, :tranche, '{}', 'r', CAST(:counts AS jsonb), :digest)",
            no=batch.batch_no,
            tranche=tranche,
            counts=json.dumps({"cleared": cleared}),
            digest=digest,
        )
        return digest

    def gate(self, batch: SeededBatch, name: str, digest: bytes, outcome: str | None) -> None:
        """Records a gate, open or closed so."""
        run(
            self.databases.provisioning,
            "INSERT INTO gates (batch_no, gate, digest, terms, expires_at, outcome, closed_at)"
            " SELECT :no, :gate, :digest, '{}', clock_timestamp(), told.outcome,"
            " CASE WHEN told.outcome IS NOT NULL THEN clock_timestamp() END"
            " FROM (SELECT CAST(:outcome AS text) AS outcome) told",
            no=batch.batch_no,
            gate=name,
            digest=digest,
            outcome=outcome,
        )

    def announcement(self, batch: SeededBatch, event: str) -> dict[str, Any]:
        """An announcement as the object store has it."""
        key = announcement_key(batch.batch_id, event_id(batch.batch_id, event))
        content: dict[str, Any] = json.loads(FolderStore(self.folder / "objects").get(key))
        return content


def wave_of(batch: SeededBatch) -> WaveStep:
    """The first wave, over the whole batch."""
    return WaveStep(
        batch_id=batch.batch_id,
        fence=batch.fence,
        wave=1,
        tranche=0,
        offset=0,
        length=COUNT,
        percent=100,
    )


def slice_of(wave: WaveStep, *, index: int = 0, offset: int = 0, length: int = COUNT) -> SliceStep:
    """A slice of a wave."""
    return SliceStep(
        batch_id=wave.batch_id,
        fence=wave.fence,
        tranche=wave.tranche,
        slice_index=index,
        offset=offset,
        length=length,
        audit_chain=shard_chain(wave.batch_id, f"wave-{wave.wave}", 0),
        wave=wave.wave,
    )
