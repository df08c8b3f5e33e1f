"""Sealing of seed entropy: AES-256-GCM under a data key that only the key service can unwrap.

A data key is asked for on every call and kept nowhere. What is opened lives in one buffer that is overwritten
when its block ends; copies inside libraries are beyond our reach, which is why the process is not dumpable.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from activities.clients.transit import Transit
from activities.custody.scope import SealScope
from activities.failures import IntegrityError
from activities.keys.entropy import ENTROPY_BYTES

NONCE_BYTES: Final = 12
"""Random, and used once: every seal has a data key of its own (NIST SP 800-38D, 8.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSeed:
    """The stored form of a seed: useless without the key service."""

    ciphertext: bytes
    """Encrypted entropy followed by the 16-byte tag."""
    nonce: bytes
    wrapped_key: str
    provider: str
    """Name of the key service that wrapped the data key."""


class KeyService(Protocol):
    """What sealing asks of a key service; another vendor is another implementation."""

    @property
    def provider(self) -> str:
        """The name stored beside what this service wrapped."""

    def new_data_key(self, context: bytes) -> tuple[bytes, str]:
        """Gives a new 256-bit data key, in clear and wrapped under a context."""

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Gives a data key back; IntegrityError when key, context or text differ."""

    def random(self, count: int) -> bytes:
        """Gives bytes of the service's own generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitKeyService:
    """A key service over one key of a transit engine."""

    transit: Transit
    key: str = "seed"
    provider: str = "transit"

    def new_data_key(self, context: bytes) -> tuple[bytes, str]:
        """Gives a new 256-bit data key, in clear and wrapped under a context."""
        return self.transit.new_data_key(self.key, context=context)

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Gives a data key back."""
        return self.transit.unwrap(self.key, wrapped, context=context)

    def random(self, count: int) -> bytes:
        """Gives bytes of the service's own generator."""
        return self.transit.random(count)


def seal(keys: KeyService, entropy: bytes | bytearray, scope: SealScope) -> SealedSeed:
    """Gives entropy in its stored form, to be opened by `opened` with the same scope."""
    if len(entropy) != ENTROPY_BYTES:
        raise IntegrityError("A seed's entropy has another size than was drawn")
    data_key, wrapped_key = keys.new_data_key(scope.context())
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(data_key).encrypt(nonce, entropy, scope.associated_data())
    return SealedSeed(ciphertext=ciphertext, nonce=nonce, wrapped_key=wrapped_key, provider=keys.provider)


@contextmanager
def opened(keys: KeyService, sealed: SealedSeed, scope: SealScope) -> Iterator[bytearray]:
    """Gives the entropy of a sealed seed in a buffer that is overwritten when the block ends.

    Raises:
        IntegrityError: the seed was sealed elsewhere, for another scope, or altered.
    """
    if sealed.provider != keys.provider:
        raise IntegrityError("A seed was sealed by another key service", scope.keyring_id)
    data_key = keys.unwrap(sealed.wrapped_key, scope.context())
    entropy = _decrypted(data_key, sealed, scope)
    try:
        yield entropy
    finally:
        entropy[:] = bytes(len(entropy))


def _decrypted(data_key: bytes, sealed: SealedSeed, scope: SealScope) -> bytearray:
    entropy = bytearray(ENTROPY_BYTES)
    whole = False
    with suppress(InvalidTag, ValueError):
        AESGCM(data_key).decrypt_into(sealed.nonce, sealed.ciphertext, scope.associated_data(), entropy)
        whole = True
    if not whole:
        raise IntegrityError("A sealed seed does not open", scope.keyring_id)
    return entropy
