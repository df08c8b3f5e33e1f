"""Persons and their keys as a trust file names them."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from activities.trust.names import name_key

EVERY_TENANT: Final = "*"
"""In a person's tenants: may act for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKey:
    """A public key (SSH blob) with the limits its allowed-signers line sets.

    `namespaces` are patterns with `*` and `?`; empty means every namespace.
    """

    key_type: str
    public_key: bytes
    fingerprint: str
    namespaces: tuple[str, ...] = ()
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def serves(self, namespace: str) -> bool:
        """Whether the key may sign for this purpose."""
        return not self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)

    def valid_at(self, now: datetime) -> bool:
        """Whether the key may be used at this time."""
        begun = self.valid_after is None or self.valid_after <= now
        return begun and (self.valid_before is None or now < self.valid_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One human being: name, other names, roles, tenants, keys, and since when revoked."""

    name: str
    roles: frozenset[str]
    tenants: frozenset[str]
    keys: tuple[SignerKey, ...]
    also_known_as: frozenset[str] = frozenset()
    revoked_at: datetime | None = None

    @property
    def name_keys(self) -> frozenset[str]:
        """The compared forms of all the person's names."""
        forms = (name_key(name) for name in (self.name, *self.also_known_as))
        return frozenset(form for form in forms if form is not None)

    def serves_tenant(self, tenant: str) -> bool:
        """Whether the person may act for the tenant."""
        return EVERY_TENANT in self.tenants or tenant in self.tenants

    def revoked_by(self, moment: datetime) -> bool:
        """Whether the person stood revoked at a moment."""
        return self.revoked_at is not None and self.revoked_at <= moment
