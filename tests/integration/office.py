"""One deployment for tests of the record: persons with keys, a trust file, data keys, histories."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from activities.evidence.histories import HistoryEvent
from activities.personal_data import DataKeys
from activities.trust.trust_file import Trust, load_trust
from tests.signers import Signer

DEPLOYMENT: Final = "acme-prod"
POLICIES: Final = Path(__file__).resolve().parents[2] / "infra" / "policies"

Attest = Callable[[bytes], bytes]


class KeysInMemory:
    """Data keys wrapped in memory; keeps the promise of the key service that contexts must agree."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(256))

    def new_data_key(self, key: str, context: bytes) -> tuple[bytes, str]:
        """Makes a data key."""
        secret, nonce = os.urandom(32), os.urandom(12)
        box = nonce + self._key.encrypt(nonce, secret, key.encode() + context)
        return secret, base64.b64encode(box).decode()

    def unwrap(self, key: str, wrapped: str, context: bytes) -> bytes:
        """Opens one."""
        box = base64.b64decode(wrapped)
        return self._key.decrypt(box[:12], box[12:], key.encode() + context)


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Histories as a server would list them: the batch's own run and one shard's."""

    count: int = 5

    async def events(self, batch_id: str) -> AsyncIterator[HistoryEvent]:
        """Every event of two workflows."""
        for workflow_id in (f"{batch_id}/derive/0000", batch_id):
            run_id = str(uuid4())
            for event_id in range(1, self.count + 1):
                yield HistoryEvent(
                    workflow_id=workflow_id,
                    run_id=run_id,
                    event_id=event_id,
                    event_type="WorkflowExecutionStarted" if event_id == 1 else "TimerStarted",
                    payload_digests=(hashlib.sha256(workflow_id.encode()).hexdigest(),),
                )


@dataclass(kw_only=True)
class Office:
    """The persons, keys and folders of one deployment."""

    folder: Path
    attest: Attest
    attest_key: bytes
    data_keys: DataKeys
    requester: Signer = field(default_factory=lambda: Signer(name="ops@acme.example"))
    compliance: Signer = field(default_factory=lambda: Signer(name="lee@acme.example"))
    wallets: Signer = field(default_factory=lambda: Signer(name="kim@acme.example"))
    third: Signer = field(default_factory=lambda: Signer(name="ana@acme.example"))
    auditor: Signer = field(default_factory=lambda: Signer(name="audit@firm.example"))
    stranger: Signer = field(default_factory=lambda: Signer(name="lee@acme.example"))

    @property
    def trust_path(self) -> Path:
        """The trust file."""
        return self.folder / "trust.toml"

    @property
    def trust(self) -> Trust:
        """The trust in it."""
        return load_trust(self.trust_path)

    def write_trust(self) -> None:
        """Writes the trust file."""
        roles = {
            self.requester: "requester",
            self.compliance: "compliance_officer",
            self.wallets: "wallet_officer",
            self.third: "compliance_officer",
            self.auditor: "auditor",
        }
        lines = "\n".join(signer.line() for signer in roles)
        head = f'deployment = "{DEPLOYMENT}"\nallowed_signers = """\n{lines}\n"""\n'
        key = base64.b64encode(self.attest_key).decode()
        persons = "".join(
            f'[persons."{signer.name}"]\nroles = ["{role}"]\ntenants = ["*"]\n'
            for signer, role in roles.items()
        )
        self.trust_path.write_text(f'{head}[attest]\npublic_keys = ["{key}"]\n{persons}')


def an_office(folder: Path, *, data_keys: DataKeys | None = None) -> Office:
    """A deployment with keys made on the spot."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    office = Office(folder=folder, attest=key.sign, attest_key=raw, data_keys=data_keys or KeysInMemory())
    office.write_trust()
    return office


def private_key(signer: Signer) -> bytes:
    """The signer's private key as an OpenSSH file holds it."""
    return signer.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
