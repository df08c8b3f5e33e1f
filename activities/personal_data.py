"""Personal data of subjects: sealed row by row, under a key that dies with the subject's salt.

Per batch a data key that transit key `pii` wraps; per subject HKDF-SHA256 of it under the subject's own
random salt; AES-256-GCM bound to batch, ordinal and field group. Never writes a value to a log or error.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from activities.canonical import canonical, canonical_strings
from activities.failures import IntegrityError
from activities.store.tables import batches, pii_keys

PII_KEY: Final = "pii"
"""The transit key that wraps the batches' data keys."""

SALT_SIZE: Final = 16
"""Bytes of a subject's random salt."""

ROW_GROUP: Final = "row"
"""Field group of the columns of a source row."""

VERDICT_GROUP: Final = "verdict"
"""Field group of what a screening found."""

_NONCE_SIZE: Final = 12
_EXPAND: Final = b"walletworks-pii-v1\x01"
"""HKDF info and the number of the only block that 32 bytes need (RFC 5869, section 2.3)."""


class DataKeys(Protocol):
    """The part of the key service that makes and unwraps data keys."""

    def new_data_key(self, key: str, *, context: bytes) -> tuple[bytes, str]:
        """Makes a data key; gives it plain and wrapped."""

    def unwrap(self, key: str, wrapped: str, *, context: bytes) -> bytes:
        """Gives the plain data key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDataKey:
    """A batch's data key, unwrapped for one call; it shows nothing of itself."""

    batch_id: str
    secret: bytes = field(repr=False)


class SubjectVault:
    """Seals and opens what is known of a person."""

    def __init__(self, *, transit: DataKeys) -> None:
        self._transit = transit

    def new_key(self, *, tenant: str, batch_id: str) -> tuple[BatchDataKey, str]:
        """Makes a batch's data key and its wrapped form.

        Raises: ServiceUnavailableError, AccessDeniedError.
        """
        secret, wrapped = self._transit.new_data_key(PII_KEY, context=_context(tenant, batch_id))
        return BatchDataKey(batch_id=batch_id, secret=secret), wrapped

    def unwrap(self, wrapped: str, *, tenant: str, batch_id: str) -> BatchDataKey:
        """Opens a stored data key.

        Raises: ServiceUnavailableError, AccessDeniedError, IntegrityError when it is another batch's.
        """
        secret = self._transit.unwrap(PII_KEY, wrapped, context=_context(tenant, batch_id))
        return BatchDataKey(batch_id=batch_id, secret=secret)

    def seal(
        self, key: BatchDataKey, *, salt: bytes, ordinal: int, group: str, fields: Mapping[str, Any]
    ) -> bytes:
        """Seals fields of one group of one subject: nonce (12 bytes), then ciphertext with tag."""
        return seal_bytes(key, salt=salt, ordinal=ordinal, group=group, plain=_plain(fields))

    def open(
        self, key: BatchDataKey, *, salt: bytes, ordinal: int, group: str, sealed: bytes
    ) -> dict[str, Any]:
        """Opens what `seal` made.

        Raises: IntegrityError when key, salt, batch, ordinal, group or a byte is another.
        """
        opened: dict[str, Any] = json.loads(
            open_bytes(key, salt=salt, ordinal=ordinal, group=group, sealed=sealed)
        )
        return opened


def seal_bytes(key: BatchDataKey, *, salt: bytes, ordinal: int, group: str, plain: bytes) -> bytes:
    """Seals canonical bytes that the caller already has."""
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + AESGCM(_subject_key(key, salt)).encrypt(nonce, plain, _bound(key, ordinal, group))


def open_bytes(key: BatchDataKey, *, salt: bytes, ordinal: int, group: str, sealed: bytes) -> bytes:
    """Gives the canonical bytes that were sealed.

    Raises: IntegrityError.
    """
    nonce, box = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    try:
        return AESGCM(_subject_key(key, salt)).decrypt(nonce, box, _bound(key, ordinal, group))
    except (InvalidTag, ValueError):
        raise IntegrityError("personal data of a subject does not open", key.batch_id, ordinal) from None


def leaf(salt: bytes, plain: bytes) -> bytes:
    """The manifest leaf of a canonical row: it tells nothing to who lacks the subject's salt."""
    return hmac.digest(salt, plain, hashlib.sha256)


def keep_wrapped_key(connection: Connection, *, batch_no: int, wrapped: str) -> None:
    """Stores a batch's wrapped data key. Retry: the first one stands."""
    connection.execute(
        insert(pii_keys).values(batch_no=batch_no, wrapped_key=wrapped).on_conflict_do_nothing()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A batch's stored data key with what its context is made of."""

    tenant: str
    batch_id: str
    wrapped: str

    def opened_by(self, vault: SubjectVault) -> BatchDataKey:
        """Unwraps it: a call to the key service, so outside of transactions."""
        return vault.unwrap(self.wrapped, tenant=self.tenant, batch_id=self.batch_id)


def wrapped_key(connection: Connection, batch_no: int) -> WrappedKey | None:
    """Gives a batch's stored data key, or None when its intake has not begun."""
    row = connection.execute(
        select(batches.c.tenant, batches.c.batch_id, pii_keys.c.wrapped_key)
        .join(pii_keys, pii_keys.c.batch_no == batches.c.batch_no)
        .where(batches.c.batch_no == batch_no)
    ).one_or_none()
    if row is None:
        return None
    return WrappedKey(tenant=row.tenant, batch_id=row.batch_id, wrapped=row.wrapped_key)


def _context(tenant: str, batch_id: str) -> bytes:
    return hashlib.sha256(f"{tenant}|{batch_id}|{PII_KEY}".encode()).digest()


def _subject_key(key: BatchDataKey, salt: bytes) -> bytes:
    """HKDF-SHA256 by hand: extract and one block of expand, a fifth of the library object's time."""
    if len(salt) != SALT_SIZE:
        raise IntegrityError("a subject's salt has the wrong size", key.batch_id)
    extracted = hmac.digest(salt, key.secret, hashlib.sha256)
    return hmac.digest(extracted, _EXPAND, hashlib.sha256)


def _bound(key: BatchDataKey, ordinal: int, group: str) -> bytes:
    return f"{key.batch_id}|{ordinal}|{group}".encode()


def _plain(fields: Mapping[str, Any]) -> bytes:
    if all(isinstance(value, str) for value in fields.values()):
        return canonical_strings(fields)
    return canonical(dict(fields))
