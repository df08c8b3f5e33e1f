"""SSH signatures over exact texts: who signed, if the signature holds; no word on what they may.

Ed25519 and RSA are verified by the sshsig package, ECDSA and FIDO keys by `sk_keys`. Certificates and
post-quantum hybrids are not taken.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

import sshsig

from activities.trust import sk_keys
from activities.trust.reasons import SENTENCES, Reason, SignatureRefusedError
from activities.trust.ssh_wire import Reader, read_envelope

APPROVAL_NAMESPACE: Final = "walletworks-approval"
"""Namespace of approval statements: a signature made for anything else is refused."""

REQUEST_NAMESPACE: Final = "walletworks-request"
"""Namespace of the requester's own signature over the canonical request."""

RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
"""Bits; longer keys only cost time to verify."""

_RSA_ALGORITHMS: Final = frozenset({b"rsa-sha2-256", b"rsa-sha2-512"})
_ECDSA_TYPES: Final = frozenset(b"ecdsa-sha2-" + curve for curve in sk_keys.ECDSA_CURVES)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSignature:
    """A signature that holds: the signing key's SSH blob and fingerprint."""

    public_key: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureProblem:
    """Why a signature is refused."""

    reason: Reason
    sentence: str


def verify_signature(text: str, signature: str, *, namespace: str) -> VerifiedSignature | SignatureProblem:
    """Verifies an armoured SSH signature over the exact text in UTF-8."""
    try:
        envelope = read_envelope(signature)
        if envelope.namespace != namespace.encode("ascii"):
            raise SignatureRefusedError(Reason.WRONG_NAMESPACE)  # noqa: TRY301 - one door for all refusals
        require_usable_key(envelope.public_key)
        signed_data = envelope.signed_data(_utf8(text))
        _verify(envelope.public_key, envelope.signature, signed_data)
    except SignatureRefusedError as refused:
        return SignatureProblem(reason=refused.reason, sentence=SENTENCES[refused.reason])
    return VerifiedSignature(public_key=envelope.public_key, fingerprint=key_fingerprint(envelope.public_key))


def key_fingerprint(public_key: bytes) -> str:
    """The fingerprint as `ssh-keygen -l` prints it, of a key's SSH blob."""
    hashed = base64.b64encode(hashlib.sha256(public_key).digest()).decode("ascii")
    return f"SHA256:{hashed.rstrip('=')}"


def require_usable_key(public_key: bytes) -> bytes:
    """The type of a key whose blob is well formed, of an accepted kind, and spelt in the one way.

    Raises:
        SignatureRefusedError: malformed, or a kind or size that is not accepted.
    """
    reader = Reader(public_key)
    key_type = reader.string()
    if key_type == b"ssh-ed25519":
        sk_keys.read_ed25519_key(reader)
    elif key_type == b"ssh-rsa":
        _require_usable_rsa(exponent=reader.positive(), modulus=reader.positive())
    elif key_type in _ECDSA_TYPES:
        sk_keys.read_ecdsa_key(reader, key_type.removeprefix(b"ecdsa-sha2-"))
    elif key_type == sk_keys.SK_ED25519:
        sk_keys.read_ed25519_key(reader)
        reader.string()
    elif key_type == sk_keys.SK_ECDSA:
        sk_keys.read_ecdsa_key(reader, b"nistp256")
        reader.string()
    else:
        raise SignatureRefusedError(Reason.UNSUPPORTED_KEY)
    reader.end()
    return key_type


def _require_usable_rsa(*, exponent: int, modulus: int) -> None:
    # OpenSSL takes no larger exponent at these sizes, and an even one is no RSA key.
    fits = RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX and modulus % 2 == 1
    if not fits or not (3 <= exponent < 2**32 and exponent % 2 == 1):  # noqa: PLR2004 - smallest RSA exponent
        raise SignatureRefusedError(Reason.UNSUPPORTED_KEY)


def _verify(public_key: bytes, signature: bytes, signed_data: bytes) -> None:
    key_type = Reader(public_key).string()
    reader = Reader(signature)
    algorithm = reader.string()
    expected = _RSA_ALGORITHMS if key_type == b"ssh-rsa" else {key_type}
    if algorithm not in expected:
        raise SignatureRefusedError(Reason.UNSUPPORTED_KEY)
    if key_type == sk_keys.SK_ED25519:
        sk_keys.verify_sk_ed25519(public_key, reader, signed_data)
    elif key_type == sk_keys.SK_ECDSA:
        sk_keys.verify_sk_ecdsa(public_key, reader, signed_data)
    elif key_type in _ECDSA_TYPES:
        sk_keys.verify_ecdsa(public_key, reader, signed_data)
    else:
        reader.string()
        reader.end()
        _verify_by_sshsig(public_key, signature, signed_data)


def _verify_by_sshsig(public_key: bytes, signature: bytes, signed_data: bytes) -> None:
    key = sshsig.PublicKey.from_ssh_encoding(public_key)
    try:
        key.verify(signature, signed_data)
    except Exception:  # noqa: BLE001 - the library names no error type for a signature that does not fit
        raise SignatureRefusedError(Reason.BAD_SIGNATURE) from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise SignatureRefusedError(Reason.BAD_SIGNATURE) from None
