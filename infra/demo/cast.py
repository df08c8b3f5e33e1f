"""The people of the demo: each with an SSH key made on the spot, and the trust files that name them."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TENANT = "acme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person: the name statements carry, and the roles that let them sign."""

    name: str
    roles: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The name of the person's key file."""
        return self.name.partition("@")[0]


REQUESTER = Member(name="ops@acme.example", roles=("requester",))
COMPLIANCE = Member(name="lee@acme.example", roles=("compliance_officer",))
WALLETS = Member(name="kim@acme.example", roles=("wallet_officer",))
AUDITOR = Member(name="ana@audit.example", roles=("auditor",))
CAST = (REQUESTER, COMPLIANCE, WALLETS, AUDITOR)


def key_of(member: Member, keys: Path) -> Path:
    """Gives the member's private key, made by ssh-keygen the first time; only the owner can read it."""
    key = keys / member.file_name
    if not key.exists():
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", member.name, "-f", str(key)], check=True
        )
    return key


def trust_text(
    cast: Iterable[Member], *, keys: Path, deployment: str, attest_keys: Iterable[str], floor: int = 1
) -> str:
    """Gives a trust file in TOML that names the members with their keys and roles."""
    members = tuple(cast)
    lines = [f"{m.name} {key_of(m, keys).with_suffix('.pub').read_text().strip()}" for m in members]
    parts = [
        f"deployment = {json.dumps(deployment)}",
        f"allowed_signers = '''\n{chr(10).join(lines)}\n'''",
        f"\n[attest]\npublic_keys = {json.dumps(list(attest_keys))}",
        f"\n[floors]\napprovals_min = {floor}",
    ]
    parts += [
        f"\n[persons.{json.dumps(m.name)}]\nroles = {json.dumps(m.roles)}\ntenants = {json.dumps([TENANT])}"
        for m in members
    ]
    return "\n".join(parts) + "\n"
