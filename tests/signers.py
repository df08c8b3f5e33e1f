"""Keys made on the spot for tests, and their SSH signatures made without our own code's help."""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def wire(content: bytes) -> bytes:
    """An SSH string: length in four bytes, then content."""
    return len(content).to_bytes(4, "big") + content


def armour(raw: bytes) -> str:
    """The text form of a signature file."""
    encoded = base64.b64encode(raw).decode("ascii")
    lines = [encoded[at : at + 70] for at in range(0, len(encoded), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def signed_data(text: str, namespace: str, hash_name: str = "sha512") -> bytes:
    """What a key signs for a text."""
    hashed = hashlib.new(hash_name, text.encode("utf-8")).digest()
    parts = (namespace.encode(), b"", hash_name.encode(), hashed)
    return b"SSHSIG" + b"".join(wire(part) for part in parts)


def envelope(public_key: bytes, signature: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """The bytes of a signature file."""
    parts = (public_key, namespace.encode(), b"", hash_name.encode(), signature)
    return b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(wire(part) for part in parts)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One person's Ed25519 key."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def public_key(self) -> bytes:
        """The SSH blob of the public key."""
        return wire(b"ssh-ed25519") + wire(self.raw)

    @property
    def openssh(self) -> str:
        """The public key as one line holds it."""
        return f"ssh-ed25519 {base64.b64encode(self.public_key).decode('ascii')}"

    def line(self, options: str = "") -> str:
        """The person's line in an allowed-signers file."""
        return " ".join(part for part in (self.name, options, self.openssh) if part)

    def sign(self, text: str, namespace: str = "walletworks-approval") -> str:
        """An armoured SSH signature over the text."""
        raw = self.key.sign(signed_data(text, namespace))
        return armour(envelope(self.public_key, wire(b"ssh-ed25519") + wire(raw), namespace))
