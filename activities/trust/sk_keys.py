"""Verifies what the sshsig package does not: ECDSA keys and FIDO security keys.

A security key must say that it was touched. Signatures made by browsers (webauthn) are not taken.
Source: RFC 5656 section 3.1; PROTOCOL.u2f of OpenSSH, "SSH U2F signatures".
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from activities.trust.reasons import Reason, SignatureRefusedError
from activities.trust.ssh_wire import Reader

SK_ED25519: Final = b"sk-ssh-ed25519@openssh.com"
SK_ECDSA: Final = b"sk-ecdsa-sha2-nistp256@openssh.com"

ECDSA_CURVES: Final[dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
"""Curve and hash by the curve's SSH name."""

_USER_PRESENT: Final = 0x01
_UNCOMPRESSED: Final = b"\x04"


def read_ecdsa_key(reader: Reader, curve_name: bytes) -> ec.EllipticCurvePublicKey:
    """The point after the key's type; only the uncompressed spelling of it."""
    curve, _ = ECDSA_CURVES[curve_name]
    named, point = reader.string(), reader.string()
    if named != curve_name or point[:1] != _UNCOMPRESSED:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    except ValueError:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE) from None


def read_ed25519_key(reader: Reader) -> ed25519.Ed25519PublicKey:
    """The 32 bytes after the key's type."""
    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
    except ValueError:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE) from None


def verify_ecdsa(public_key: bytes, signature: Reader, signed_data: bytes) -> None:
    """Verifies a plain ECDSA signature; the reader stands after the signature's algorithm."""
    reader = Reader(public_key)
    curve_name = reader.string().removeprefix(b"ecdsa-sha2-")
    key = read_ecdsa_key(reader, curve_name)
    der = _der(signature.string())
    signature.end()
    _check_ecdsa(key, der, signed_data, ECDSA_CURVES[curve_name][1])


def verify_sk_ecdsa(public_key: bytes, signature: Reader, signed_data: bytes) -> None:
    """Verifies a P-256 security key's signature; the reader stands after its algorithm."""
    reader = Reader(public_key)
    reader.string()
    key = read_ecdsa_key(reader, b"nistp256")
    der = _der(signature.string())
    message = _sk_message(reader.string(), signature, signed_data)
    _check_ecdsa(key, der, message, hashes.SHA256())


def verify_sk_ed25519(public_key: bytes, signature: Reader, signed_data: bytes) -> None:
    """Verifies an Ed25519 security key's signature; the reader stands after its algorithm."""
    reader = Reader(public_key)
    reader.string()
    key = read_ed25519_key(reader)
    raw = signature.string()
    message = _sk_message(reader.string(), signature, signed_data)
    try:
        key.verify(raw, message)
    except InvalidSignature:
        raise SignatureRefusedError(Reason.BAD_SIGNATURE) from None


def _sk_message(application: bytes, signature: Reader, signed_data: bytes) -> bytes:
    """What a security key signs: hash of the application, flags, counter, hash of the data."""
    flags, counter = signature.take(1), signature.take(4)
    signature.end()
    if not flags[0] & _USER_PRESENT:
        raise SignatureRefusedError(Reason.TOUCH_MISSING)
    return b"".join(
        (hashlib.sha256(application).digest(), flags, counter, hashlib.sha256(signed_data).digest())
    )


def _der(pair: bytes) -> bytes:
    reader = Reader(pair)
    r, s = reader.positive(), reader.positive()
    reader.end()
    return encode_dss_signature(r, s)


def _check_ecdsa(
    key: ec.EllipticCurvePublicKey, der: bytes, message: bytes, hashed_by: hashes.HashAlgorithm
) -> None:
    try:
        key.verify(der, message, ec.ECDSA(hashed_by))
    except InvalidSignature:
        raise SignatureRefusedError(Reason.BAD_SIGNATURE) from None
