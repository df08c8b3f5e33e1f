"""A deployment for custody's tests: its people, its trust files, and custody on the real servers."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from activities.clients.transit import Transit
from activities.custody.activities import CustodyActivities
from activities.custody.attesting import Attester
from activities.custody.sealing import TransitKeyService
from activities.custody.second_path_run import KeyServiceAddress
from infra.devstack import Stack
from infra.devstack.state import REPOSITORY
from tests.integration.store_fixtures import Databases
from tests.signers import Signer

DEPLOYMENT: Final = "acme-prod"
POLICIES: Final = REPOSITORY / "infra" / "policies"


class Signs(Protocol):
    """Somebody who signs texts with a key."""

    @property
    def name(self) -> str:
        """The name in statements."""

    def line(self) -> str:
        """Their line in an allowed-signers file."""

    def sign(self, text: str, namespace: str = "walletworks-approval") -> str:
        """An armoured SSH signature over a text."""


@dataclass(frozen=True, kw_only=True)
class KeygenSigner:
    """A person whose key OpenSSH's own tool made and signs with."""

    name: str
    folder: Path

    def __post_init__(self) -> None:
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self._key)]
        subprocess.run(make, check=True, capture_output=True)

    @property
    def _key(self) -> Path:
        return self.folder / self.name

    def line(self) -> str:
        """The person's line in an allowed-signers file."""
        return f"{self.name} {Path(f'{self._key}.pub').read_text().strip()}"

    def sign(self, text: str, namespace: str = "walletworks-approval") -> str:
        """A signature made by `ssh-keygen -Y sign` over the exact text."""
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self._key)]
        made = subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        return made.stdout.decode()


@dataclass(kw_only=True)
class Room:
    """One deployment: its people, custody's own trust file, and custody on the real servers."""

    databases: Databases
    folder: Path
    key_service: KeyServiceAddress
    ops: Signs = field(default_factory=lambda: Signer(name="ops@acme.example"))
    lee: Signs = field(default_factory=lambda: Signer(name="lee@acme.example"))
    kim: Signs = field(default_factory=lambda: Signer(name="kim@acme.example"))
    ana: Signs = field(default_factory=lambda: Signer(name="ana@acme.example"))
    mallory: Signs = field(default_factory=lambda: Signer(name="mallory@acme.example"))
    """Trusted by the provisioning worker's trust file alone."""

    @property
    def transit(self) -> Transit:
        """The key service as custody's token sees it."""
        return Transit(address=self.key_service.address, token_file=self.key_service.token_file)

    def trust_text(
        self, *, more: Mapping[Signs, Sequence[str]] | None = None, floor: int = 0, revoked: str = ""
    ) -> str:
        """Custody's trust file: the requester holds every role, so that only being the requester excludes."""
        roles = {
            self.ops: ["compliance_officer", "wallet_officer"],
            self.lee: ["compliance_officer"],
            self.kim: ["wallet_officer"],
            self.ana: ["compliance_officer", "wallet_officer"],
            **(more or {}),
        }
        lines = "\n".join(signer.line() for signer in roles)
        persons = "".join(
            f'[persons."{signer.name}"]\nroles = {list(own)}\ntenants = ["acme"]\n'
            + ('revoked_at = "2020-01-01T00:00:00Z"\n' if signer.name == revoked else "")
            for signer, own in roles.items()
        )
        head = f'deployment = "{DEPLOYMENT}"\nallowed_signers = """\n{lines}\n"""\n'
        return f"{head}[floors]\napprovals_min = {floor}\n{persons}"

    def custody(self, *, trust: str = "", policies: Path = POLICIES) -> CustodyActivities:
        """Custody's activities under a trust file of its own."""
        path = self.folder / f"trust-{uuid4().hex}.toml"
        path.write_text(trust or self.trust_text())
        return CustodyActivities(
            database=self.databases.custody,
            keys=TransitKeyService(transit=self.transit),
            key_service=self.key_service,
            attester=Attester(transit=self.transit, deployment=DEPLOYMENT),
            trust=path,
            policies=policies,
        )


def a_room(databases: Databases, stack: Stack, folder: Path, **people: Signs) -> Room:
    """A deployment on the session's servers."""
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    address = KeyServiceAddress(address=stack.openbao.address, token_file=token)
    return Room(databases=databases, folder=folder, key_service=address, **people)
