"""A key service in memory, for tests without servers; it keeps the same contract as the real one."""

import hashlib
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from activities.failures import IntegrityError


@dataclass(slots=True, kw_only=True)
class LocalKeyService:
    """Wraps data keys under one key of its own, derived by context as a transit engine does."""

    provider: str = "local"
    _root: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def new_data_key(self, context: bytes) -> tuple[bytes, str]:
        """Gives a new 256-bit data key, in clear and wrapped."""
        data_key, nonce = os.urandom(32), os.urandom(12)
        return data_key, (nonce + self._cipher(context).encrypt(nonce, data_key, None)).hex()

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Gives a data key back."""
        try:
            raw = bytes.fromhex(wrapped)
            return self._cipher(context).decrypt(raw[:12], raw[12:], None)
        except (ValueError, InvalidTag):
            raise IntegrityError("A wrapped key does not open") from None

    def random(self, count: int) -> bytes:
        """Gives bytes of this service's own generator."""
        return os.urandom(count)

    def _cipher(self, context: bytes) -> AESGCM:
        return AESGCM(hashlib.sha256(self._root + context).digest())
