"""Intake and compliance review on the real store and key service, with an inbox of their own."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.clients.object_store import FolderStore
from activities.clients.transit import Transit
from activities.compliance.activities import ComplianceActivities
from activities.contracts.batches import ClaimBatch
from activities.contracts.shapes import BatchStep
from activities.intake.activities import IntakeActivities
from activities.intake.source import Inbox, Sources
from activities.personal_data import ROW_GROUP, SubjectVault, leaf, wrapped_key
from activities.register import BatchRegisterActivities
from activities.store.database import Database, hold_fence
from activities.trust.request_signing import request_text
from infra.devstack import Stack
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import new_id, run
from tests.signers import Signer

POLICIES = Path(__file__).parents[2] / "infra" / "policies"

HEADER = "subject_id,subject_kind,full_name,date_of_birth,country,kyc_reference"


def row(subject_id: str, *, kyc: str = "kyc-1", country: str = "DE", name: str = "Ana Pérez") -> str:
    """One row under `HEADER`."""
    return f"{subject_id},person,{name},1980-02-29,{country},{kyc}"


def people(count: int) -> list[str]:
    """Good rows with ids of their own."""
    return [row(f"s-{number}", kyc=f"kyc-{number}") for number in range(count)]


def file_of(rows: Iterable[str]) -> bytes:
    """A source file."""
    return "\n".join((HEADER, *rows, "")).encode()


@dataclass(frozen=True, kw_only=True)
class IntakeRoom:
    """A folder with inbox, object store, policies and trust file, and the servers."""

    folder: Path
    database: Database
    key_service: str
    token_file: Path

    @classmethod
    def made_in(cls, folder: Path, databases: Databases, stack: Stack, trust: str) -> "IntakeRoom":
        """Lays out the folder."""
        (folder / "inbox").mkdir()
        shutil.copytree(POLICIES, folder / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        (folder / "trust.toml").write_text(trust, encoding="utf-8")
        return cls(
            folder=folder,
            database=databases.provisioning,
            key_service=stack.openbao.address,
            token_file=stack.state_dir / "secrets" / "provisioning" / "vault_token",
        )

    @property
    def vault(self) -> SubjectVault:
        """The vault over the real key service."""
        return SubjectVault(transit=Transit(address=self.key_service, token_file=self.token_file))

    @property
    def objects(self) -> FolderStore:
        """The object store."""
        return FolderStore(self.folder / "objects")

    @property
    def inbox(self) -> Inbox:
        """The inbox."""
        return Inbox(self.folder / "inbox")

    def intake(self, sources: Sources | None = None) -> IntakeActivities:
        """Intake, with other sources than the inbox where they are given."""
        return IntakeActivities(
            database=self.database,
            vault=self.vault,
            object_store=self.objects,
            sources=sources or self.inbox,
            policies=self.folder / "policies",
            trust=self.folder / "trust.toml",
        )

    @property
    def compliance(self) -> ComplianceActivities:
        """Compliance review."""
        return ComplianceActivities(
            database=self.database,
            object_store=self.objects,
            sources=self.inbox,
            policies=self.folder / "policies",
            trust=self.folder / "trust.toml",
        )

    def put(self, content: bytes, name: str) -> None:
        """Writes a file into the inbox."""
        (self.folder / "inbox" / name).write_bytes(content)

    def request(self, content: bytes, *, signer: Signer | None = None, **changes: Any) -> dict[str, Any]:
        """A request for a file, which is put into the inbox under the batch's id."""
        batch_id = changes.pop("batch_id", new_id())
        self.put(content, f"{batch_id}.csv")
        request = {
            "batch_id": batch_id,
            "tenant": "acme",
            "requested_by": "ops@acme.example",
            "purpose": "user_import",
            "custody": "custodial",
            "jurisdiction": "SG",
            "chains": ["ethereum"],
            "source": {"uri": f"inbox://{batch_id}.csv", "sha256": hashlib.sha256(content).hexdigest()},
            **changes,
        }
        if signer is not None:
            request["signature"] = signer.sign(request_text(request), "walletworks-request")
        return request

    def claimed(self, rows: Iterable[str], **changes: Any) -> BatchStep:
        """Claims a batch over a file of these rows."""
        request = self.request(file_of(rows), **changes)
        register = BatchRegisterActivities(database=self.database)
        claimed = register.claim_batch(ClaimBatch(request=request, claimed_by_run="run-1"))
        return BatchStep(batch_id=claimed.batch_id, fence=claimed.fence)

    def stored(self, rows: Iterable[str], **changes: Any) -> BatchStep:
        """Claims a batch and stores its subjects."""
        step = self.claimed(rows, **changes)
        self.intake().store_subjects(step)
        return step

    def number(self, step: BatchStep) -> int:
        """The batch's number."""
        with self.database.transaction() as connection:
            return hold_fence(connection, batch_id=step.batch_id, fence=step.fence)

    def subjects(self, step: BatchStep) -> list[Any]:
        """The stored rows by ordinal."""
        return run(
            self.database,
            "SELECT s.* FROM subjects s JOIN batches b USING (batch_no) WHERE batch_id = :batch_id"
            " ORDER BY ordinal",
            batch_id=step.batch_id,
        )

    def opened(self, step: BatchStep) -> list[dict[str, Any]]:
        """The personal data of every stored row, opened, with its leaf checked."""
        with self.database.transaction() as connection:
            wrapped = wrapped_key(connection, self.number(step))
        assert wrapped is not None
        key, vault, found = wrapped.opened_by(self.vault), self.vault, []
        for subject in self.subjects(step):
            place = {"salt": subject.salt, "ordinal": subject.ordinal, "group": ROW_GROUP}
            found.append(vault.open(key, **place, sealed=subject.sealed))
            assert leaf(subject.salt, canonical_row(found[-1])) == subject.leaf
        return found

    def audit(self, step: BatchStep, kind: str) -> list[Any]:
        """The bodies of a kind on the batch's chain, in order."""
        return [
            entry.body
            for entry in run(
                self.database,
                "SELECT body::jsonb AS body FROM audit_entries WHERE chain = :chain"
                " AND body::jsonb ->> 'kind' = :kind ORDER BY seq",
                chain=f"batch/{step.batch_id}",
                kind=kind,
            )
        ]


def canonical_row(fields: dict[str, str]) -> bytes:
    """RFC 8785 by hand for what rows are: flat texts with ASCII names."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
