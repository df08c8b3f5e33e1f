"""What a sealed seed is for: tenant, keyring and purpose, bound into its ciphertext and its data key.

Shared by both derivation paths, so it is made of the standard library alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SealScope:
    """The one use of a sealed seed; it opens for no other."""

    tenant: str
    keyring_id: str
    purpose: str

    def associated_data(self) -> bytes:
        """Gives the bytes that the seed's encryption authenticates: canonical JSON in ASCII."""
        named = {"v": 1, "kind": "walletworks-seed", **asdict(self)}
        return json.dumps(named, sort_keys=True, separators=(",", ":")).encode("ascii")

    def context(self) -> bytes:
        """Gives the SHA-256 under which the key service derives the key that wraps the data key."""
        return hashlib.sha256(self.associated_data()).digest()
