"""Entropy of a new seed: the operating system's and the key service's, mixed; nothing else ever.

A sample that looks broken (short, constant, periodic, repeated) stops the making of a key. The checks find
dead sources, not bad ones: that is why two sources are mixed and either alone is enough.
"""

import hmac
from collections.abc import Callable
from itertools import pairwise

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from activities.keys.errors import KeyMaterialError

ENTROPY_BYTES = 32
"""Size of a BIP-39 entropy of 24 words, and of each source's sample."""

EntropySource = Callable[[int], bytes]
"""Gives so many random bytes."""

_DISTINCT_BYTES_MIN = 8
"""A fair 32-byte sample has fewer distinct values less often than once in 2^120."""
_HKDF_SALT = b"walletworks-entropy-v1"


def draw_entropy(*, os_source: EntropySource, service_source: EntropySource, info: bytes) -> bytes:
    """Gives the 32 bytes of a new BIP-39 entropy.

    Args:
        os_source: the operating system's generator.
        service_source: the key service's generator.
        info: what the entropy is for; another use of the same samples would give other bytes.

    Raises: KeyMaterialError when either source looks broken.
    """
    os_bytes = _healthy_sample(os_source)
    service_bytes = _healthy_sample(service_source)
    if hmac.compare_digest(os_bytes, service_bytes):
        raise KeyMaterialError("two random sources gave the same bytes")
    return mix_entropy(os_bytes=os_bytes, service_bytes=service_bytes, info=info)


def mix_entropy(*, os_bytes: bytes, service_bytes: bytes, info: bytes) -> bytes:
    """Gives 32 bytes that stay unpredictable while either of two 32-byte samples is.

    Source: RFC 5869 (HKDF with SHA-256).
    """
    require_healthy(os_bytes)
    require_healthy(service_bytes)
    if not info:
        raise KeyMaterialError("entropy is mixed for no named purpose")
    hkdf = HKDF(algorithm=SHA256(), length=ENTROPY_BYTES, salt=_HKDF_SALT, info=info)
    return hkdf.derive(os_bytes + service_bytes)


def require_healthy(sample: bytes) -> None:
    """Refuses a sample that a dead or stubbed source gives: short, few values, a run or a period."""
    if len(sample) != ENTROPY_BYTES:
        raise KeyMaterialError("a random source gave another number of bytes than asked for")
    half = ENTROPY_BYTES // 2
    steps = {(after - before) % 256 for before, after in pairwise(sample)}
    if len(set(sample)) < _DISTINCT_BYTES_MIN or len(steps) == 1 or sample[:half] == sample[half:]:
        raise KeyMaterialError("a random source gave bytes that are not random")


def _healthy_sample(source: EntropySource) -> bytes:
    """Gives a sample of a source that does not repeat itself: the first of two draws is only compared."""
    probe, sample = source(ENTROPY_BYTES), source(ENTROPY_BYTES)
    require_healthy(probe)
    require_healthy(sample)
    if hmac.compare_digest(probe, sample):
        raise KeyMaterialError("a random source repeated itself")
    return sample
