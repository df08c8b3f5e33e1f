"""Custody's attestations: the exact messages, and whether a pinned key signed one."""

import base64
import binascii
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from activities.digests import slice_message
from activities.evidence.rows import SliceRow


def signed_slice(row: SliceRow, *, deployment: str, batch_id: str) -> bytes:
    """What custody signs for a slice of addresses."""
    return slice_message(
        deployment=deployment,
        batch_id=batch_id,
        tranche=row.tranche,
        slice_index=row.slice_index,
        first_position=row.first_position,
        length=row.length,
        row_count=row.row_count,
        root=row.root,
    )


def signed_by_one(keys: Iterable[bytes], message: bytes, signature: str) -> bool:
    """Whether one of the raw Ed25519 keys made the base64 signature over exactly this message."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    # Base64 can spell the same bytes in several ways; a record has one.
    if base64.b64encode(raw).decode("ascii") != signature:
        return False
    return any(_signed_by(key, message, raw) for key in keys)


def _signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
