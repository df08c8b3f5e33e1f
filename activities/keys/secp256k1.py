"""The one adapter to libsecp256k1, through the raw binding coincurve ships, with buffers used over again.

A child's private scalar lives only in the C memory of one key slot and is overwritten when the slot is wiped.
A slot belongs to one thread; the binding lets other threads run during each call.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

from coincurve import PrivateKey, PublicKey
from coincurve.context import GLOBAL_CONTEXT

from activities.keys.errors import KeyMaterialError

try:
    from coincurve import _libsecp256k1 as binding
except ImportError:  # pragma: no cover - a coincurve that hides its binding; its public API is enough
    binding = None

ffi: Any = getattr(binding, "ffi", None)
lib: Any = getattr(binding, "lib", None)

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of the curve's group (SEC 2, section 2.4.1)."""
SCALAR_BYTES = 32
SIGNATURE_BYTES = 65
"""r, s and the recovery id."""

_UNCOMPRESSED = 2  # the library's flag for 65-byte points
_RECOVERY_IDS = (b"\x00", b"\x01", b"\x02", b"\x03")
_ZEROS = bytes(SCALAR_BYTES)


class KeySlot(ABC):
    """One parent key and, after `load`, one child of it; both gone when the `with` block ends."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.wipe()

    @abstractmethod
    def load(self, tweak: bytes) -> bool:
        """Puts parent + tweak into the slot; False when that is no valid key (BIP-32: skip it)."""

    @abstractmethod
    def point(self) -> bytes:
        """Gives the loaded key's public point: 64 bytes, x then y."""

    @abstractmethod
    def sign(self, digest: bytes) -> bytes:
        """Gives the RFC 6979 signature of a 32-byte digest: r, s, recovery id; s is low."""

    @abstractmethod
    def wipe(self) -> None:
        """Overwrites both keys."""


class RawKeySlot(KeySlot):
    """A key slot over the raw binding: no object and no Python number is made of a private scalar."""

    __slots__ = (
        "_context",
        "_output",
        "_output_size",
        "_output_view",
        "_parent_view",
        "_point",
        "_recovery_id",
        "_secret",
        "_secret_view",
        "_signature",
    )

    def __init__(self, parent: bytes | bytearray) -> None:
        self._context = GLOBAL_CONTEXT.ctx
        self._parent_view = ffi.buffer(ffi.new("unsigned char[32]"))
        self._parent_view[:] = parent
        self._secret = ffi.new("unsigned char[32]")
        self._secret_view = ffi.buffer(self._secret)
        self._point = ffi.new("secp256k1_pubkey *")
        self._output = ffi.new("unsigned char[65]")
        self._output_size = ffi.new("size_t *", 65)
        self._output_view = ffi.buffer(self._output)
        self._signature = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        self._recovery_id = ffi.new("int *")

    def load(self, tweak: bytes) -> bool:
        """Puts parent + tweak into the slot, in constant time."""
        self._secret_view[:] = self._parent_view[:]
        return bool(lib.secp256k1_ec_seckey_tweak_add(self._context, self._secret, tweak))

    def point(self) -> bytes:
        """Gives the loaded key's public point, computed in constant time."""
        if not lib.secp256k1_ec_pubkey_create(self._context, self._point, self._secret):
            raise KeyMaterialError("a key slot holds no valid key")
        lib.secp256k1_ec_pubkey_serialize(
            self._context, self._output, self._output_size, self._point, _UNCOMPRESSED
        )
        point: bytes = self._output_view[1:65]
        return point

    def sign(self, digest: bytes) -> bytes:
        """Gives the RFC 6979 signature of a 32-byte digest."""
        if len(digest) != SCALAR_BYTES or not lib.secp256k1_ecdsa_sign_recoverable(
            self._context, self._signature, digest, self._secret, ffi.NULL, ffi.NULL
        ):
            raise KeyMaterialError("a digest is not 32 bytes or a key slot holds no valid key")
        lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(
            self._context, self._output, self._recovery_id, self._signature
        )
        compact: bytes = self._output_view[:64]
        return compact + _RECOVERY_IDS[self._recovery_id[0]]

    def wipe(self) -> None:
        """Overwrites both keys."""
        self._parent_view[:] = _ZEROS
        self._secret_view[:] = _ZEROS


class ObjectKeySlot(KeySlot):
    """A key slot over coincurve's public objects: slower, and it cannot overwrite what they copied."""

    __slots__ = ("_parent", "_secret")

    def __init__(self, parent: bytes | bytearray) -> None:
        self._parent = bytes(parent)
        self._secret = _ZEROS

    def load(self, tweak: bytes) -> bool:
        """Puts parent + tweak into the slot."""
        number = int.from_bytes(tweak, "big")
        child = (int.from_bytes(self._parent, "big") + number) % ORDER
        self._secret = child.to_bytes(SCALAR_BYTES, "big")
        return number < ORDER and child != 0

    def point(self) -> bytes:
        """Gives the loaded key's public point."""
        return public_key(self._secret, compressed=False)[1:]

    def sign(self, digest: bytes) -> bytes:
        """Gives the RFC 6979 signature of a 32-byte digest."""
        if len(digest) != SCALAR_BYTES or self._secret == _ZEROS:
            raise KeyMaterialError("a digest is not 32 bytes or a key slot holds no valid key")
        return PrivateKey(self._secret).sign_recoverable(digest, hasher=None)

    def wipe(self) -> None:
        """Lets go of both keys."""
        self._parent = self._secret = _ZEROS


def open_slot(parent: bytes | bytearray) -> KeySlot:
    """Gives a slot, to be used in a `with` block, for the children of one private key."""
    require_scalar(parent)
    return RawKeySlot(parent) if lib is not None else ObjectKeySlot(parent)


def require_scalar(secret: bytes | bytearray) -> int:
    """Gives a private key as a number; refuses what is not 32 bytes in 1 to n - 1."""
    number = int.from_bytes(secret, "big")
    if len(secret) != SCALAR_BYTES or not 0 < number < ORDER:
        raise KeyMaterialError("a private key is not 32 bytes in 1 to n - 1")
    return number


def public_key(secret: bytes | bytearray, *, compressed: bool = True) -> bytes:
    """Gives the public point of a private key: 33 bytes, or 65 uncompressed."""
    require_scalar(secret)
    return PublicKey.from_valid_secret(bytes(secret)).format(compressed=compressed)


def require_point(point: bytes) -> None:
    """Refuses bytes that are no point of the curve."""
    try:
        PublicKey(point)
    except ValueError:
        raise KeyMaterialError("a public key is no point of the curve") from None


def add_to_point(point: bytes, tweak: bytes) -> bytes:
    """Gives point + tweak * G, compressed."""
    try:
        return PublicKey(point).add(tweak).format()
    except ValueError:
        raise KeyMaterialError("a public key and a tweak have no valid sum") from None


def recover_point(digest: bytes, signature: bytes) -> bytes:
    """Gives the 64-byte public point that made a 65-byte signature (r, s, recovery id)."""
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format(compressed=False)[
            1:
        ]
    except ValueError:
        raise KeyMaterialError("a signature names no public key") from None
