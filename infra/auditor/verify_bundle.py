"""Verifies an evidence bundle offline by code of its own: a second opinion beside `walletworks verify`.

One long file on purpose: an auditor reads it, copies it and runs it with Python 3.11 and `cryptography`
alone. It imports nothing of the project, writes no file and reaches no network. PROOF may come alone.
Usage: python verify_bundle.py BUNDLE --trust TRUST [--kept EARLIER] [--proof PROOF] [--json] [--all]
Exit: 0 verified, 1 not verified (always without a trust file, but for a PROOF alone), 2 wrong use.
"""

# ruff: noqa: PLR2004 - the numbers that formats and curves fix stand where they are read

import argparse
import base64
import contextlib
import fnmatch
import hashlib
import itertools
import json
import math
import os
import random
import re
import stat
import struct
import sys
import tomllib
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

Row = dict[str, Any]
Test = Callable[[Any], bool]

DOCUMENT_MAX: Final = 4 * 2**20
"""Bytes of a member that is read whole."""
LINE_MAX: Final = 2**20
"""Bytes of one line."""
MEMBER_MAX: Final = 64 * 2**30
"""Bytes of an unpacked member."""
KEPT_MAX: Final = 2**30
"""Bytes of an unpacked member of which most is held in memory."""
STREAMED: Final = {"wallets.jsonl", "histories.jsonl", "restricted.age"}
"""Members of which little is held."""
TOML_MAX: Final = 2**16
"""Bytes of a policy's text."""
TOML_PARTS_MAX: Final = 64
"""Parts of a TOML key: to read one takes as long as the square of them."""
KEPT_ROWS_MAX: Final = 1_000_000
"""Rows of a member that is held in memory."""
RATIO_MAX: Final = 200
"""Unpacked bytes for one packed byte; above it a member is taken for a bomb..."""
RATIO_FREE: Final = 2**20
"""...unless it unpacks to no more than these bytes."""
SLICE: Final = 1024
"""Rows of a full slice."""
POSSESSIONS_ALWAYS: Final = 2_000
"""Wallets whose possession is all recomputed (milliseconds each); of more, a sample unless --all."""
POSSESSIONS_SAMPLED: Final = 400
"""Size of the sample: one forged proof in a hundred is found in 98 of 100 runs."""

ORDER: Final = (
    "request.json",
    "plan.json",
    "policy.toml",
    "evidence-0.json",
    "evidence-1.json",
    "lists.json",
    "gates.jsonl",
    "approvals.jsonl",
    "slices.jsonl",
    "adjudications.jsonl",
    "withholdings.jsonl",
    "waves.json",
    "wallets.jsonl",
    "audit.jsonl",
    "heads.json",
    "histories.jsonl",
    "restricted.age",
    "bundle.json",
)
MAY_LACK: Final = {"plan.json", "policy.toml", "evidence-0.json", "evidence-1.json", "restricted.age"}
COMPLETED: Final = ("completed", "completed_with_exceptions")
"""Outcomes under which everybody eligible has wallets."""
CHAINS: Final = {"ethereum", "bsc", "polygon"}
"""All of one family: coin type 60, one address per subject."""


class FailedError(Exception):
    """What a check asks for does not hold; the text says what, in our words only."""


class SkippedError(Exception):
    """A check has nothing to look at; the text says why."""


class TrustError(Exception):
    """The auditor's own trust file cannot be used."""


def need(holds: object, sentence: str) -> None:
    """Fails the running check unless something holds."""
    if not holds:
        raise FailedError(sentence)


@dataclass
class Report:
    """The checks in their order, each with name, status (ok, failed, skipped) and sentence."""

    pinned: bool
    batch_id: str = ""
    checks: list[tuple[str, str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def run(self, name: str, check: Callable[..., str], *given: Any) -> bool:
        """Makes one check; anything it raises is an answer, never an end."""
        try:
            status, sentence = "ok", check(*given)
        except SkippedError as why:
            status, sentence = "skipped", str(why)
        except FailedError as why:
            status, sentence = "failed", str(why)
        except Exception:  # noqa: BLE001 - a stranger's file must not end the verifier
            status, sentence = "failed", "this part cannot be read"
        self.checks.append((name, status, sentence))
        return status != "failed"

    @property
    def failed(self) -> list[str]:
        """Names of the failed checks."""
        return [name for name, status, _ in self.checks if status == "failed"]

    @property
    def ok(self) -> bool:
        """Nothing failed, something was checked, and trust was pinned."""
        return self.pinned and not self.failed and any(status == "ok" for _, status, _ in self.checks)

    @property
    def verdict(self) -> str:
        """VERIFIED, UNPINNED or FAILED."""
        if self.failed:
            return "FAILED"
        if not self.pinned:
            return "UNPINNED"
        return "VERIFIED" if self.ok else "FAILED"

    def as_json(self) -> Row:
        """The report as JSON values."""
        keys = ("name", "status", "sentence")
        checks = [dict(zip(keys, check, strict=True)) for check in self.checks]
        told = {"ok": self.ok, "verdict": self.verdict, "batch_id": self.batch_id}
        return {**told, "checks": checks, "counts": self.counts}


# Canonical JSON, RFC 8785: read strictly, written anew, compared.

ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
TO_ESCAPE: Final = re.compile(r'["\\\x00-\x1f]')


def spelt(value: Any) -> str:
    """The one spelling of a JSON value; raises ValueError for what JSON cannot say exactly."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"' + TO_ESCAPE.sub(lambda m: ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", value) + '"'
    if isinstance(value, int):
        if abs(value) >= 2**53:
            raise ValueError("a whole number beyond 2**53")
        return str(value)
    if isinstance(value, float):
        return spelt_float(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(spelt, value)) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{spelt(name)}:{spelt(value[name])}" for name in names) + "}"
    raise ValueError("no JSON value")


def spelt_float(value: float) -> str:
    """A number as ECMAScript writes it; fractions stand in the hours of gates and nowhere else."""
    if not math.isfinite(value):
        raise ValueError("no finite number")
    if value == 0:
        return "0"
    if value < 0:
        return "-" + spelt_float(-value)
    shortest = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, shortest.digits)), len(shortest.digits) + int(shortest.exponent)
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"


def canonical(value: Any) -> bytes:
    """The bytes of a value's one spelling."""
    return spelt(value).encode("utf-8")


def _once(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("no finite number")
    return value


def _no_constant(_: str) -> NoReturn:
    raise ValueError("no JSON number")


def strict_json(text: str, *, most: int = DOCUMENT_MAX) -> Any:
    """A JSON value; raises ValueError for doubled names, odd numbers, lone surrogates, depth and size."""
    if len(text.encode("utf-8")) > most:
        raise ValueError("too long")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("too deep") from None
    return value


def exact_json(raw: bytes, what: str) -> Any:
    """The value of bytes that are its one spelling; fails the check otherwise."""
    try:
        value = strict_json(raw.decode("utf-8"))
        same = canonical(value) == raw
    except (ValueError, RecursionError):
        raise FailedError(f"{what} is not strict JSON") from None
    need(same, f"{what} is not spelt canonically")
    return value


def quoted_object(text: str | None) -> Row:
    """The object in a quoted text, or an empty one."""
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def toml(told: str) -> Row:
    """The table in a TOML text; raises ValueError, also for a key of very many parts."""
    lines = (line for line in told.split("\n") if not line.lstrip().startswith("#"))
    if any(line.count(".") > TOML_PARTS_MAX for line in lines):
        raise ValueError("a key of too many parts")
    return tomllib.loads(told)


# Hashes and trees, RFC 6962.


def sha(content: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(content).digest()


class Tree:
    """A Merkle tree that grows leaf by leaf; only the peaks of whole subtrees are held."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        self.size = 0

    def leaf(self, content: bytes) -> None:
        """Adds a leaf by its content."""
        self.node(sha(b"\x00" + content))

    def node(self, value: bytes) -> None:
        """Adds a leaf's hash, or the root of an aligned slice."""
        height = 0
        while self._peaks and self._peaks[-1][0] == height:
            value = sha(b"\x01" + self._peaks.pop()[1] + value)
            height += 1
        self._peaks.append((height, value))
        self.size += 1

    def root(self) -> str:
        """The root in hex."""
        if not self._peaks:
            return sha(b"").hex()
        value = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            value = sha(b"\x01" + left + value)
        return value.hex()


def composed(roots: Iterable[str]) -> str:
    """The root over the roots of slices, all but the last of them full."""
    tree = Tree()
    for root in roots:
        tree.node(bytes.fromhex(root))
    return tree.root()


def proven(node: bytes, *, start: int, end: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a node stands for the leaves [start, end) of the tree of that size and root.

    One walk from the node to the top by the bits of three places: RFC 9162 section 2.1.3.2 where it stands
    for one leaf, 2.1.4.2 where it stands for the first leaves, and their like for a subtree in between.
    """
    if start == end:
        return 0 <= start <= size and not proof and node == sha(b"")
    if not aligned(start, end) or not end <= size <= 2**64:
        return False
    if any(len(value) != 32 for value in (node, root, *proof)):
        return False
    low, high, top, rest = start, end - 1, size - 1, list(proof)
    while low != high and (high == top or high & 1):
        low, high, top = low >> 1, high >> 1, top >> 1
    if low != high and not rest:
        return False
    part = all_of_it = node if low == high else rest.pop(0)
    for beside in rest:
        if not top:
            return False
        if high & 1 or high == top:
            part = sha(b"\x01" + beside + part) if low < high else part
            all_of_it = sha(b"\x01" + beside + all_of_it)
            while not high & 1:
                low, high, top = low >> 1, high >> 1, top >> 1
        else:
            all_of_it = sha(b"\x01" + all_of_it + beside)
        low, high, top = low >> 1, high >> 1, top >> 1
    return not top and part == node and all_of_it == root


def aligned(start: int, end: int) -> bool:
    """Whether some leaves are a subtree: they begin at a multiple of the power of two that covers them."""
    return 0 <= start < end and start % (1 << (end - start - 1).bit_length()) == 0


# Keccak-256 (FIPS 202's permutation with the original padding) and secp256k1 (SEC 2), in plain Python.

LANES: Final = 2**64 - 1
RATE: Final = 136


def _round_constants() -> list[int]:
    """The 24 constants, from the linear feedback register that defines them."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


def _lane_moves() -> list[tuple[int, int, int]]:
    """Rho and pi together: from lane, to lane, rotation."""
    moves, x, y = [(0, 0, 0)], 1, 0
    for step in range(24):
        moves.append((x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), (step + 1) * (step + 2) // 2 % 64))
        x, y = y, (2 * x + 3 * y) % 5
    return moves


ROUND_CONSTANTS: Final = _round_constants()
LANE_MOVES: Final = _lane_moves()


def _keccak_f(a: list[int]) -> list[int]:
    for constant in ROUND_CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[x - 1] ^ ((c[(x + 1) % 5] << 1 | c[(x + 1) % 5] >> 63) & LANES) for x in range(5)]
        b = [0] * 25
        for source, target, turn in LANE_MOVES:
            lane = a[source] ^ d[source % 5]
            b[target] = (lane << turn | lane >> (64 - turn)) & LANES
        a = []
        for row in (b[0:5], b[5:10], b[10:15], b[15:20], b[20:25]):
            v, w, x, y, z = row
            a += [v ^ (~w & x), w ^ (~x & y), x ^ (~y & z), y ^ (~z & v), z ^ (~v & w)]
        a[0] ^= constant
    return a


def keccak256(content: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it."""
    padded = bytearray(content) + bytes(RATE - len(content) % RATE)
    padded[len(content)] ^= 0x01
    padded[-1] ^= 0x80
    state = [0] * 25
    for start in range(0, len(padded), RATE):
        for lane in range(RATE // 8):
            at = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        state = _keccak_f(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


P: Final = 2**256 - 2**32 - 977
N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Point = tuple[int, int, int]
"""Jacobian coordinates; the last is 0 for the point at infinity."""
G: Final[Point] = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    1,
)
INFINITY: Final[Point] = (0, 1, 0)


def _twice(point: Point) -> Point:
    x, y, z = point
    a = y * y % P
    b, c = 4 * x * a % P, 3 * x * x % P
    x3 = (c * c - 2 * b) % P
    return x3, (c * (b - x3) - 8 * a * a) % P, 2 * y * z % P


def _sum(left: Point, right: Point) -> Point:
    if not left[2]:
        return right
    if not right[2]:
        return left
    (x1, y1, z1), (x2, y2, z2) = left, right
    s1, s2 = z1 * z1 % P, z2 * z2 % P
    u1, v1 = x1 * s2 % P, y1 * s2 * z2 % P
    h, r = (x2 * s1 - u1) % P, (y2 * s1 * z1 - v1) % P
    if not h:
        return INFINITY if r else _twice(left)
    h2 = h * h % P
    h3, t = h2 * h % P, u1 * h2 % P
    x3 = (r * r - h3 - 2 * t) % P
    return x3, (r * (t - x3) - v1 * h3) % P, z1 * z2 * h % P


def _multiples(point: Point) -> list[Point]:
    """The point nought to fifteen times."""
    table = [INFINITY]
    for _ in range(15):
        table.append(_sum(table[-1], point))
    return table


G_MULTIPLES: Final = _multiples(G)


def _both(of_g: int, of_point: int, point: Point) -> Point:
    """The sum of two multiples, four bits of each at a time."""
    multiples, total = _multiples(point), INFINITY
    for shift in range(252, -4, -4):
        for _ in range(4):
            total = _twice(total)
        total = _sum(total, G_MULTIPLES[of_g >> shift & 15])
        total = _sum(total, multiples[of_point >> shift & 15])
    return total


def recovered_key(digest: bytes, signature: bytes) -> bytes | None:
    """The public point (64 bytes) that made a signature (r, s, v of 27 or 28, low s); None when none did."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if not (0 < r < N and 0 < s <= N // 2):
        return None
    square = (pow(r, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    if y & 1 != signature[64] - 27:
        y = P - y
    inverse = pow(r, -1, N)
    x, y, z = _both(-int.from_bytes(digest, "big") * inverse % N, s * inverse % N, (r, y, 1))
    if not z:
        return None
    back = pow(z, -1, P)
    x, y = x * back * back % P, y * back * back * back % P
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


def checksummed(digits: str) -> str:
    """An address by EIP-55, from its forty lower-case hexadecimal digits."""
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if int(m, 16) > 7 else d for d, m in zip(digits, marks, strict=False))


def personal_signer(message: str, signature: bytes) -> str | None:
    """The forty digits of the address that signed a text by EIP-191."""
    text = message.encode()
    key = recovered_key(keccak256(b"\x19Ethereum Signed Message:\n%d%b" % (len(text), text)), signature)
    return keccak256(key)[12:].hex() if key is not None else None


# SSH signatures: PROTOCOL.sshsig, PROTOCOL.u2f, RFC 4253, RFC 5656, RFC 8332.

ARMOUR_MAX: Final = 16_384
APPROVALS: Final = "walletworks-approval"
REQUESTS: Final = "walletworks-request"
CURVES: Final[dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    b"nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
RSA_HASHES: Final[dict[bytes, hashes.HashAlgorithm]] = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}


class Wire:
    """SSH data types read from bytes; raises ValueError for what does not fit."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        end = self._at + size
        if end > len(self._content):
            raise ValueError("cut off")
        found, self._at = self._content[self._at : end], end
        return found

    def string(self) -> bytes:
        """A string."""
        return self.raw(int.from_bytes(self.raw(4), "big"))

    def positive(self) -> int:
        """A positive mpint in its shortest form."""
        found = self.string()
        value = int.from_bytes(found, "big")
        if not value or len(found) != value.bit_length() // 8 + 1:
            raise ValueError("not the shortest form")
        return value

    def done(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._content):
            raise ValueError("more than expected")


Verify = Callable[[bytes, Wire, bytes], None]
"""Takes the algorithm named, the rest of the signature and what was signed; raises when they do not fit."""


@dataclass(frozen=True)
class SshKey:
    """A public key out of its SSH blob."""

    kind: str
    blob: bytes
    verify: Verify


def ssh_key(blob: bytes) -> SshKey:
    """The key in a blob; raises ValueError for what is malformed or of no accepted kind."""
    wire = Wire(blob)
    kind = wire.string()
    if kind == b"ssh-ed25519":
        verify = _ed25519(wire)
    elif kind == b"ssh-rsa":
        verify = _rsa(wire)
    elif kind.startswith(b"ecdsa-sha2-") and kind[11:] in CURVES:
        verify = _ecdsa(wire, kind[11:])
    elif kind in (b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"):
        within = _ed25519(wire) if b"ed25519" in kind else _ecdsa(wire, b"nistp256")
        verify = _touched(within, wire.string())
    else:
        raise ValueError("a kind of key that is not accepted")
    wire.done()

    def of_its_kind(algorithm: bytes, signature: Wire, signed: bytes) -> None:
        if algorithm not in (RSA_HASHES if kind == b"ssh-rsa" else {kind}):
            raise ValueError("another algorithm than the key's")
        verify(algorithm, signature, signed)

    return SshKey(kind=kind.decode("ascii"), blob=blob, verify=of_its_kind)


def _ed25519(wire: Wire) -> Verify:
    key = ed25519.Ed25519PublicKey.from_public_bytes(wire.string())
    return lambda _, signature, signed: key.verify(signature.string(), signed)


def _ecdsa(wire: Wire, curve_name: bytes) -> Verify:
    curve, hashed_by = CURVES[curve_name]
    named, point = wire.string(), wire.string()
    if named != curve_name or point[:1] != b"\x04":
        raise ValueError("another curve, or a packed point")
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)

    def verify(_: bytes, signature: Wire, signed: bytes) -> None:
        pair = Wire(signature.string())
        r, s = pair.positive(), pair.positive()
        pair.done()
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashed_by))

    return verify


def _rsa(wire: Wire) -> Verify:
    exponent, modulus = wire.positive(), wire.positive()
    sound = 2048 <= modulus.bit_length() <= 8192 and modulus & 1 and 3 <= exponent < 2**32 and exponent & 1
    if not sound:
        raise ValueError("an RSA key of a size that is not accepted")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return lambda algorithm, signature, signed: key.verify(
        signature.string(), signed, padding.PKCS1v15(), RSA_HASHES[algorithm]
    )


def _touched(within: Verify, application: bytes) -> Verify:
    """A security key signs the hash of the application, flags, counter and the hash of what is signed."""

    def verify(algorithm: bytes, signature: Wire, signed: bytes) -> None:
        value = signature.string()
        flags, counter = signature.raw(1), signature.raw(4)
        if not flags[0] & 1:
            raise ValueError("nobody touched the security key")
        boxed = Wire(len(value).to_bytes(4, "big") + value)
        within(algorithm, boxed, sha(application) + flags + counter + sha(signed))

    return verify


def ssh_signer(text: str, armoured: str, namespace: str) -> bytes | None:
    """The blob of the key that signed exactly this text for this purpose; None when none did."""
    try:
        return _ssh_signer(text.encode("utf-8"), armoured, namespace.encode())
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return None


def _ssh_signer(content: bytes, armoured: str, namespace: bytes) -> bytes:
    lines = [line.strip() for line in armoured.strip().splitlines()]
    framed = lines[:1] == ["-----BEGIN SSH SIGNATURE-----"] and lines[-1:] == ["-----END SSH SIGNATURE-----"]
    if len(armoured) > ARMOUR_MAX or len(lines) < 3 or not framed:
        raise ValueError("no armoured signature")
    wire = Wire(base64.b64decode("".join(lines[1:-1]).encode("ascii"), validate=True))
    if wire.raw(10) != b"SSHSIG\x00\x00\x00\x01":
        raise ValueError("no SSH signature")
    blob, purpose, reserved, hash_name, signature = (wire.string() for _ in range(5))
    wire.done()
    if purpose != namespace or reserved or hash_name not in (b"sha256", b"sha512"):
        raise ValueError("for another purpose, or with another hash")
    hashed = hashlib.new(hash_name.decode(), content).digest()
    parts = (purpose, reserved, hash_name, hashed)
    signed = b"SSHSIG" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    inner = Wire(signature)
    ssh_key(blob).verify(inner.string(), inner, signed)
    inner.done()
    return blob


def attested(keys: Iterable[bytes], message: bytes, signature: str) -> bool:
    """Whether one of custody's Ed25519 keys made a base64 signature over a message."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    if base64.b64encode(raw).decode() != signature:
        return False
    for key in keys:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(raw, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


# Shapes: small tests that are put together to larger ones.


def text(pattern: str) -> Test:
    """A text of which the whole fits a pattern."""
    form = re.compile(pattern, re.ASCII | re.DOTALL)
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def whole(low: int, high: int) -> Test:
    """A whole number between two, both allowed."""
    return lambda value: type(value) is int and low <= value <= high


def real(high: float, *, above: float | None = None) -> Test:
    """A number from 0 (or above another) up to a highest."""
    return lambda v: type(v) in (int, float) and (v >= 0 if above is None else v > above) and v <= high


def one_of(*words: str) -> Test:
    """One of some words."""
    return lambda value: isinstance(value, str) and value in words


def or_null(test: Test) -> Test:
    """The same, or null."""
    return lambda value: value is None or test(value)


def each(test: Test, least: int = 0, most: int = KEPT_ROWS_MAX) -> Test:
    """A list of such."""
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(test, value))


def table(key: Test, value: Test, least: int = 0, most: int = KEPT_ROWS_MAX) -> Test:
    """An object with such names and values."""
    return lambda found: (
        (isinstance(found, dict) and least <= len(found) <= most and all(map(key, found)))
        and all(map(value, found.values()))
    )


def shape(optional: dict[str, Test] | None = None, /, **required: Test) -> Test:
    """An object with exactly these fields, some of which it may lack."""
    known = {**required, **(optional or {})}

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or not required.keys() <= value.keys() <= known.keys():
            return False
        return all(known[name](item) for name, item in value.items())

    return fits


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def some_text(value: Any) -> bool:
    """Any text."""
    return isinstance(value, str)


def some_object(value: Any) -> bool:
    """Any object."""
    return isinstance(value, dict)


HEX64: Final = text("[0-9a-f]{64}")
MOMENT: Final = text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
COUNT: Final = whole(0, 2**53 - 1)
FROM_ONE: Final = whole(1, 2**53 - 1)
ORDINAL: Final = whole(0, 2**31 - 1)
TRANCHE: Final = whole(0, 1)
WAVE_NO: Final = whole(1, 10_000)
WORD: Final = text("[A-Za-z0-9_./@:-]{0,200}")
UUID: Final = text("[0-9a-f-]{36}")
BATCH: Final = text("[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
PERCENT: Final = whole(1, 100)
SOAK: Final = whole(0, 2_592_000)
ROLE: Final = text("[a-z][a-z0-9_]{0,62}")
LABEL: Final = text("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME: Final = text("[a-z0-9][a-z0-9._-]{0,127}")

SHAPES: Final[dict[str, Test]] = {
    "bundle.json": shape(
        v=whole(1, 1),
        deployment=text(".{1,200}"),
        batch_id=BATCH,
        tenant=BATCH,
        outcome=WORD,
        made_at=MOMENT,
        members=each(shape(name=WORD, sha256=HEX64, size=COUNT), most=50),
    ),
    "plan.json": shape(request=some_object, manifest_root=HEX64, subject_count=COUNT, policy_digest=HEX64),
    "evidence": shape(
        plan_digest=HEX64,
        list_digests=table(WORD, HEX64),
        verdict_root=HEX64,
        adjudication_root=HEX64,
        counts=table(WORD, COUNT),
    ),
    "lists.json": shape(
        lists=each(
            shape(
                list_id=WORD,
                digest=HEX64,
                applied_in_wave=COUNT,
                source=some_text,
                published_on=some_text,
                entry_count=COUNT,
            )
        )
    ),
    "gates.jsonl": shape(
        gate=text("[a-z]{1,20}(/[1-9][0-9]{0,3})?"),
        digest=HEX64,
        terms=some_object,
        expires_at=MOMENT,
        outcome=WORD,
    ),
    "approvals.jsonl": shape(
        attempt_key=UUID,
        message=WORD,
        statement=or_null(some_text),
        signature=or_null(some_text),
        counted=flag,
        reason_code=WORD,
        received_at=MOMENT,
    ),
    "slices.jsonl": shape(
        stage=text("[a-z]{1,20}(/[1-9][0-9]{0,3})?"),
        tranche=TRANCHE,
        slice_index=COUNT,
        first_position=COUNT,
        length=COUNT,
        row_count=COUNT,
        counts=table(WORD, COUNT),
        root=HEX64,
        signature=or_null(some_text),
    ),
    "adjudications.jsonl": shape(
        ordinal=ORDINAL,
        hold_digest=HEX64,
        decision=one_of("clear", "refuse", "cancelled"),
        tranche=or_null(TRANCHE),
    ),
    "withholdings.jsonl": shape(ordinal=ORDINAL, list_id=WORD, list_digest=HEX64, before_wave=COUNT),
    "waves.json": shape(
        waves=each(
            shape(
                wave=WAVE_NO,
                tranche=TRANCHE,
                first_position=COUNT,
                length=COUNT,
                percent=whole(0, 100),
                outcome=WORD,
            )
        )
    ),
    "wallets.jsonl": shape(
        ordinal=ORDINAL,
        chain=one_of(*CHAINS),
        path=text("m/44'/60'/[0-9]{1,10}'/0/[0-9]{1,10}"),
        address=text("0x[0-9a-fA-F]{40}"),
        possession=text("([0-9a-f]{2}){1,1000}"),
        state=one_of("derived", "ready", "active", "frozen", "revoked"),
        tranche=TRANCHE,
        wave=or_null(WAVE_NO),
    ),
    "audit.jsonl": shape(
        chain=text("[a-z0-9/_-]{1,200}"),
        seq=FROM_ONE,
        recorded_at=MOMENT,
        body=some_text,
        prev=HEX64,
        hash=HEX64,
    ),
    "heads.json": shape(heads=each(shape(message=some_text, signature=some_text))),
    "histories.jsonl": shape(
        workflow_id=text(".{1,1000}"),
        run_id=UUID,
        event_id=FROM_ONE,
        event_type=text("[A-Za-z_]{1,100}"),
        payload_digests=each(HEX64),
    ),
}
"""What each member, or each of its lines, must look like."""

REQUEST: Final = shape(
    {
        "on_bad_rows": one_of("refuse", "skip"),
        "rollout": or_null(
            shape(
                {"soak_seconds": SOAK, "approve_from_wave": or_null(whole(1, 21))},
                waves_percent=each(PERCENT, 1, 20),
            )
        ),
        "signature": or_null(text(r"[\r\n\x20-\x7e]{0,20000}")),
    },
    batch_id=BATCH,
    tenant=BATCH,
    requested_by=text(r"[\x20-\x7e]{1,200}"),
    purpose=one_of("airdrop", "campaign", "user_import", "institutional"),
    custody=one_of("custodial", "self_custody", "watch_only"),
    jurisdiction=text("[A-Za-z]{2,16}"),
    chains=each(one_of(*CHAINS), 1, 20),
    source=shape(uri=text("(?=.{0,1000}$)(inbox://|s3://)[^\x00-\x1f\x7f]+"), sha256=HEX64),
)

SEATS: Final = shape(roles=table(ROLE, whole(1, 10), 1, 10))
HOURS: Final = real(8_784, above=0)
POLICY: Final = shape(
    jurisdiction=text("[A-Za-z]{2,16}"),
    version=LABEL,
    custody_modes=each(one_of("custodial", "self_custody", "watch_only"), 1),
    purposes=each(one_of("airdrop", "campaign", "user_import", "institutional"), 1),
    data_region=LABEL,
    caps=shape(subjects_per_batch=whole(1, 10_000_000), wallets_per_subject=whole(1, 1_000)),
    kyc=shape(reference_required=flag, level=one_of("none", "basic", "full")),
    gates=shape(dict.fromkeys(("compliance", "issuance", "wave", "resume", "rollback"), SEATS), hold=SEATS),
    approvals=shape(
        validity_hours_max=HOURS,
        wait_hours=HOURS,
        remind_hours=HOURS,
        escalate_hours=HOURS,
        extra_roles=each(ROLE, 1, 10),
    ),
    screening=shape(
        lists=each(LABEL, 1, 50),
        threshold=real(1, above=0),
        list_age_days_max=whole(1, 36_600),
        list_shrink_share_max=real(1),
    ),
    rollout=shape(
        {"approve_from_wave_max": whole(1, 21)},
        first_wave_percent_max=PERCENT,
        soak_seconds_min=SOAK,
        waves_percent=each(PERCENT, 1, 20),
        soak_seconds=SOAK,
    ),
    health=shape(failed_share_max=real(1)),
    retention=shape(years=whole(1, 100)),
)

ONE_LINE: Final = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]"
INSTANT_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
STATEMENT: Final = shape(
    v=whole(1, 1),
    deployment=NAME,
    tenant=NAME,
    batch_id=NAME,
    gate=text("compliance|issuance|rollback|hold|export|(wave|resume)/(0|[1-9][0-9]{0,3})"),
    digest=HEX64,
    decision=one_of("approve", "reject", "clear", "refuse"),
    approver=text(ONE_LINE + "{1,254}"),
    reason=text(ONE_LINE + "{1,1000}"),
    issued_at=some_text,
    expires_at=some_text,
    nonce=text("[A-Za-z0-9_-]{16,128}"),
)


def moment(value: Any) -> datetime:
    """A time in UTC; raises ValueError for what is none."""
    if not isinstance(value, str) or not INSTANT_FORM.fullmatch(value):
        raise ValueError("no time in UTC")
    return datetime.fromisoformat(value)


# Persons: the auditor's own trust file.


def plain_name(name: str) -> str | None:
    """How names are compared: one width, one case, no blanks, mail tag or last dot; None outside ASCII."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    name = "".join(unicodedata.normalize("NFKC", folded).split()).rstrip(".")
    if not re.fullmatch(r"[\x21-\x7e]+", name):
        return None
    return re.sub(r"\+.*(?=@[^@]*$)", "", name)


def to_the_eye(name: str) -> str:
    """What a compared name may be taken for."""
    for seen, like in (("rn", "m"), ("vv", "w"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s")):
        name = name.replace(seen, like)
    return name


@dataclass(frozen=True)
class Key:
    """A person's key with the limits on it."""

    blob: bytes
    purposes: tuple[str, ...]
    begins: datetime | None
    ends: datetime | None

    def serves(self, purpose: str) -> bool:
        """Whether it may sign for a purpose."""
        return not self.purposes or any(fnmatch.fnmatchcase(purpose, pattern) for pattern in self.purposes)

    def stands(self, at: datetime) -> bool:
        """Whether it is valid at a time."""
        return (self.begins is None or self.begins <= at) and (self.ends is None or at < self.ends)


@dataclass(frozen=True)
class Person:
    """A person of the trust file."""

    name: str
    names: frozenset[str]
    roles: frozenset[str]
    tenants: frozenset[str]
    revoked_at: datetime | None
    keys: tuple[Key, ...]

    def gone(self, at: datetime) -> bool:
        """Whether the person stood revoked at a time."""
        return self.revoked_at is not None and self.revoked_at <= at

    def serves(self, tenant: str) -> bool:
        """Whether the person acts for a tenant."""
        return bool(self.tenants & {"*", tenant})


@dataclass(frozen=True)
class Trust:
    """Whom the auditor trusts."""

    deployment: str
    digest: str
    attest_keys: tuple[bytes, ...]
    approvals_min: int
    persons: tuple[Person, ...]

    def holder(self, blob: bytes | None) -> tuple[Person, Key] | None:
        """Whose key it is."""
        pairs = ((person, key) for person in self.persons for key in person.keys if key.blob == blob)
        return next(pairs, None)


TRUST: Final = shape(
    {
        "attest": shape(public_keys=each(some_text, 1, 16)),
        "allowed_signers": some_text,
        "allowed_signers_file": some_text,
        "floors": shape({"approvals_min": whole(0, 20)}),
    },
    deployment=NAME,
    persons=table(
        text(r"[\x20-\x7e]{1,254}"),
        shape(
            {"revoked_at": some_text, "also_known_as": each(text(r"[\x20-\x7e]{1,254}"), 0, 50)},
            roles=each(ROLE, 0, 50),
            tenants=each(text(r"[a-z0-9][a-z0-9._-]{0,127}|\*"), 1, 10_000),
        ),
        0,
        10_000,
    ),
)
SIGNER_LINE: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._+@-]*)[ \t]+"
    r"((?P<options>[a-z-]+=\"[^\"]*\"(,[a-z-]+=\"[^\"]*\")*)[ \t]+)?"
    r"(?P<kind>[a-z0-9@.-]+)[ \t]+(?P<key>[A-Za-z0-9+/]+={0,2})([ \t][\t -~]*)?",
    re.ASCII | re.IGNORECASE,
)


def read_trust(path: Path) -> Trust:
    """The trust file with the allowed signers in it or beside it; raises TrustError."""
    try:
        raw = path.read_text(encoding="utf-8")
        told = _quoted_times(toml(raw))
        return _trust(told, raw, _signers(path, told))
    except (OSError, ValueError, RecursionError, UnsupportedAlgorithm):
        raise TrustError("the trust file cannot be used") from None


def _signers(path: Path, told: Row) -> str:
    """The text of the allowed signers, in the trust file or beside it."""
    if not TRUST(told) or ("allowed_signers" in told) == ("allowed_signers_file" in told):
        raise ValueError("another shape")
    if "allowed_signers" in told:
        return str(told["allowed_signers"])
    named = Path(told["allowed_signers_file"])
    if named.is_absolute() or ".." in named.parts:
        raise ValueError("not beside the trust file")
    return (path.parent / named).read_text(encoding="utf-8")


def _quoted_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _quoted_times(item) for name, item in value.items()}
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _trust(told: Row, raw: str, signers: str) -> Trust:
    keys = _signer_lines(signers)
    persons = tuple(_person(name, entry, keys) for name, entry in told["persons"].items())
    names = [name for person in persons for name in person.names]
    held = [key.blob for person in persons for key in person.keys]
    listed = [key.blob for _, key in keys]
    attest = [base64.b64decode(key, validate=True) for key in told.get("attest", {}).get("public_keys", [])]
    sound = (
        len(set(names)) == len(names)
        and len(set(held)) == len(held) == len(listed)
        and all(person.keys for person in persons)
        and len(set(attest)) == len(attest)
        and all(len(key) == 32 for key in attest)
    )
    if not sound:
        raise ValueError("names or keys that are doubled, missing or nobody's")
    return Trust(
        deployment=told["deployment"],
        digest=sha(sha(raw.encode()) + sha(signers.encode())).hex(),
        attest_keys=tuple(attest),
        approvals_min=told.get("floors", {}).get("approvals_min", 0),
        persons=persons,
    )


def _person(name: str, entry: Row, keys: list[tuple[str | None, Key]]) -> Person:
    names = [plain_name(each_name) for each_name in (name, *entry.get("also_known_as", []))]
    plain = frozenset(each_name for each_name in names if each_name)
    if None in names:
        raise ValueError("a name of nobody")
    revoked = entry.get("revoked_at")
    return Person(
        name=name,
        names=plain,
        roles=frozenset(entry["roles"]),
        tenants=frozenset(entry["tenants"]),
        revoked_at=moment(revoked) if revoked is not None else None,
        keys=tuple(key for holder, key in keys if holder == names[0]),
    )


def _signer_lines(signers: str) -> list[tuple[str | None, Key]]:
    # OpenSSH knows no other end of a line; with more, a key could stand in what others read as a comment.
    lines = (line.strip(" \t\r") for line in signers.split("\n"))
    return [_signer_line(line) for line in lines if line and not line.startswith("#")]


def _signer_line(line: str) -> tuple[str | None, Key]:
    found = SIGNER_LINE.fullmatch(line)
    if found is None:
        raise ValueError("no line of an allowed-signers file that names one person and one key")
    pairs = [
        (name.lower(), value) for name, value in re.findall(r'([A-Za-z-]+)="([^"]*)"', found["options"] or "")
    ]
    options = _once(pairs)
    if not options.keys() <= {"namespaces", "valid-after", "valid-before"}:
        raise ValueError("an option that is not known")
    key = ssh_key(base64.b64decode(found["key"], validate=True))
    purposes = tuple(options["namespaces"].split(",")) if "namespaces" in options else ()
    if key.kind != found["kind"] or not all(map(text("[A-Za-z0-9@._*?-]+"), purposes)):
        raise ValueError("another kind of key than the line says, or a namespace that is none")
    begins, ends = (_signer_time(options.get(name)) for name in ("valid-after", "valid-before"))
    return plain_name(found["name"]), Key(blob=key.blob, purposes=purposes, begins=begins, ends=ends)


def _signer_time(stated: str | None) -> datetime | None:
    """YYYYMMDD[HHMM[SS]]Z; without the Z it would mean another time on another machine."""
    if stated is None:
        return None
    form = {9: "%Y%m%dZ", 13: "%Y%m%d%H%MZ", 15: "%Y%m%d%H%M%SZ"}.get(len(stated), "")
    return datetime.strptime(stated, form).replace(tzinfo=UTC)


# The zip: fixed names in their order, bounded sizes, deflate only, nothing that could be read in two ways.

ABSENT: Final = 2**32 - 1
"""In place of a number that is too large."""
PLAIN_MAX: Final = 2**31 - 1
"""Largest number that zip libraries write plainly in a directory."""


def plain_entry(entry: zipfile.ZipInfo) -> bool:
    """Whether a directory's entry is a file's, with no name, text or number beside the ones that count."""
    large = [entry.file_size, entry.compress_size]
    large = large if max(large) > PLAIN_MAX else []
    large += [entry.header_offset] if entry.header_offset > PLAIN_MAX else []
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    empty = not (entry.flag_bits or entry.comment or entry.volume)
    own_name = entry.orig_filename == entry.filename
    return empty and own_name and entry.extra in (b"", extra) and kind in (0, stat.S_IFREG)


def own_header(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """The length of the header before a member, which must say what the directory says."""
    file.seek(entry.header_offset)
    mark, flags, method, crc, packed, size, name, extra = struct.unpack("<4s2x2H4x3L2H", file.read(30))
    need(mark == b"PK\3\4", "the members overlap, or there is something between them")
    stated = (entry.compress_size, entry.file_size)
    large = struct.pack("<2H2Q", 1, 16, entry.file_size, entry.compress_size)
    expected = large if (packed, size) == (ABSENT, ABSENT) else b""
    same = (flags, method, crc) == (0, 8, entry.CRC) and (packed, size) in (stated, (ABSENT, ABSENT))
    same = same and file.read(name + extra) == entry.filename.encode() + expected
    need(same, "a member says something else of itself than the directory")
    return 30 + int(name) + int(extra)


def directory_place(file: BinaryIO) -> int:
    """Where the directory begins: a short one, right before the end records, which end the file."""
    end = file.seek(0, 2) - 22
    file.seek(max(end - 20, 0))
    tail = file.read()
    need(tail[-22:-18] == b"PK\5\6" and tail[-2:] == bytes(2), "the bundle is no zip, or carries a comment")
    disks, entries, size, place = struct.unpack("<L2xH2L", tail[-18:-2])
    if tail[:4] == b"PK\6\7" and len(tail) == 42:
        end -= 20 + 56
        need(end >= 0, "the bundle is no zip")
        file.seek(end)
        large, plain = file.read(56), (entries, size, place)
        need(large[:4] == b"PK\6\6", "the bundle is no zip")
        more, entries, size, place = struct.unpack("<Q8x3Q", large[16:])
        disks |= more
        told = zip(plain, (entries, size, place), (2**16 - 1, ABSENT, ABSENT), strict=True)
        need(all(p in (t, none) for p, t, none in told), "the zip has two ends that differ")
    need(not disks, "the zip is a part of one")
    need(entries <= len(ORDER) and size <= 2**16, "the zip's directory is longer than the format's")
    need(place + size == end, "the zip's directory is not where it should be")
    return int(place)


class Bundle:
    """The members of a bundle, read as streams."""

    def __init__(self, path: Path) -> None:
        try:
            regular = stat.S_ISREG(path.stat().st_mode)
        except (OSError, ValueError):
            regular = False
        need(regular, "the bundle is no file that can be read")
        with contextlib.ExitStack() as opened:
            try:
                self._file = opened.enter_context(path.open("rb"))
                self._directory = directory_place(self._file)
                self._zip = opened.enter_context(zipfile.ZipFile(self._file))
            except FailedError:
                raise
            except Exception:  # noqa: BLE001 - zipfile raises a dozen types on damaged bytes
                raise FailedError("the bundle is no zip") from None
            self._opened = opened.pop_all()
        self._entries = self._zip.infolist()
        self.names = [entry.filename for entry in self._entries]

    def close(self) -> None:
        """Closes the file."""
        self._opened.close()

    def check_container(self) -> str:
        """Fails unless the directory is what the format fixes."""
        expected = [name for name in ORDER if name in self.names or name not in MAY_LACK]
        need(self.names == expected, "the zip's members are not the format's, each once and in order")
        need(not self._zip.comment, "the zip carries a comment")
        for entry in self._entries:
            need(entry.compress_type == zipfile.ZIP_DEFLATED, "a member is not packed by deflate")
            need(not entry.flag_bits & 1, "a member is encrypted by the zip")
            need(plain_entry(entry), "a member carries more than a file")
            most = MEMBER_MAX if entry.filename in STREAMED else KEPT_MAX
            bound = min(most, max(RATIO_FREE, RATIO_MAX * entry.compress_size))
            need(entry.file_size <= bound, "a member unpacks to more than its packed size allows")
        self._check_gapless()
        return f"{len(self.names)} members, known and bounded"

    def _check_gapless(self) -> None:
        """Members must fill the file up to its directory: none inside another, nothing between two."""
        place = 0
        for entry in self._entries:
            need(entry.header_offset == place, "the members overlap, or there is something between them")
            place += own_header(self._file, entry) + entry.compress_size
        need(place == self._directory, "the members overlap, or there is something between them")

    def parts(self, name: str) -> Iterator[bytes]:
        """A member's bytes, part by part."""
        try:
            yield from self._inflated(self._zip.getinfo(name))
        except FailedError:
            raise
        except Exception:  # noqa: BLE001 - zlib's and the file's own errors, on damaged bytes
            raise FailedError(f"{name} cannot be unpacked") from None

    def _inflated(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Unpacks to the very end: a zip library would stop at the stated size and hide what follows."""
        place = entry.header_offset + own_header(self._file, entry)
        end, stream = place + entry.compress_size, zlib.decompressobj(-15)
        size = crc = 0
        while not stream.eof:
            packed = stream.unconsumed_tail
            if not packed:
                self._file.seek(place)
                packed = self._file.read(min(2**18, end - place))
                place += len(packed)
            part = stream.decompress(packed, 2**18) if packed else stream.flush()
            size, crc = size + len(part), zlib.crc32(part, crc)
            fits = size <= entry.file_size and (packed or stream.eof)
            need(fits, f"{entry.filename} is cut off, or unpacks to more than it says")
            yield part
        whole = place == end and not stream.unused_data and (size, crc) == (entry.file_size, entry.CRC)
        need(whole, f"{entry.filename} ends elsewhere or otherwise than it says")

    def content(self, name: str) -> bytes:
        """A small member's bytes."""
        need(self._zip.getinfo(name).file_size <= DOCUMENT_MAX, f"{name} is too large")
        return b"".join(self.parts(name))

    def value(self, name: str, kind: str = "") -> Any:
        """The value of a member that is one document of its shape."""
        value = exact_json(self.content(name), name)
        need(SHAPES[kind or name](value), f"{name} does not have its shape")
        return value

    def rows(self, name: str) -> Iterator[Row]:
        """The lines of a member, each of its shape."""
        fits = SHAPES[name]
        for line in self._lines(name):
            row = exact_json(line, name)
            need(fits(row), f"{name} does not have its shape")
            yield row

    def kept_rows(self, name: str) -> list[Row]:
        """All lines of a member."""
        rows = list(itertools.islice(self.rows(name), KEPT_ROWS_MAX + 1))
        need(len(rows) <= KEPT_ROWS_MAX, f"{name} holds too many rows")
        return rows

    def _lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for part in self.parts(name):
            *lines, rest = (rest + part).split(b"\n")
            need(len(rest) <= LINE_MAX, f"{name} holds a line that is too long")
            yield from lines
        need(not rest, f"{name} does not end with a line feed")

    def check_table(self, members: list[Row]) -> str:
        """Fails unless the table names every other member with its digest and size, in order."""
        need([row["name"] for row in members] == self.names[:-1], "the table lists other members")
        for row in members:
            digest, size = hashlib.sha256(), 0
            for part in self.parts(row["name"]):
                digest.update(part)
                size += len(part)
            same = (digest.hexdigest(), size) == (row["sha256"], row["size"])
            need(same, f"{row['name']} differs from the table")
        return f"{len(members)} members have the digests of the table"


@dataclass
class Case:
    """The small members of one bundle, with what the audit log told."""

    bundle: Bundle
    trust: Trust | None
    facts: Row
    request: Row = field(default_factory=dict)
    plan: Row | None = None
    policy_text: bytes = b""
    digests: dict[str, str] = field(default_factory=dict)
    evidence: dict[int, Row] = field(default_factory=dict)
    lists: list[Row] = field(default_factory=list)
    gates: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    slices: list[Row] = field(default_factory=list)
    decided: dict[int, Row] = field(default_factory=dict)
    withheld: dict[int, Row] = field(default_factory=dict)
    waves: list[Row] = field(default_factory=list)
    heads: list[Row] = field(default_factory=list)
    log: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    ranges: dict[tuple[Any, Any], Row] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)
    wallets: Counter[str] = field(default_factory=Counter)
    possessions: str = ""

    @property
    def chain(self) -> str:
        """The batch's own audit chain."""
        return f"batch/{self.facts['batch_id']}"

    @property
    def plan_digest(self) -> str:
        """The plan digest, empty without a plan."""
        return self.digests.get("plan.json", "")

    def evidence_digest(self, tranche: int) -> str:
        """The evidence digest of a tranche, empty without evidence."""
        return self.digests.get(f"evidence-{tranche}.json", "")

    def stage(self, name: str, tranche: int = 0) -> list[Row]:
        """The slices of a stage, in order."""
        return [row for row in self.slices if row["stage"] == name and row["tranche"] == tranche]

    def derived(self) -> list[Row]:
        """The slices of addresses, of both tranches."""
        return [row for row in self.slices if row["stage"] == "derive"]

    def pinned(self, what: str) -> Trust:
        """The trust; skips the check without it."""
        if self.trust is None:
            raise SkippedError(f"no trust file: nothing pins {what}")
        return self.trust


def rising(keys: Sequence[Any]) -> bool:
    """Whether each is larger than the one before."""
    return all(a < b for a, b in itertools.pairwise(keys))


def load(case: Case) -> str:
    """Reads the small members and checks shapes and orders."""
    bundle = case.bundle
    sentence = bundle.check_table(case.facts["members"])
    for name in ("request.json", "plan.json", "evidence-0.json", "evidence-1.json"):
        if name in bundle.names:
            case.digests[name] = sha(bundle.content(name)).hex()
    case.request = exact_json(bundle.content("request.json"), "request.json")
    need(some_object(case.request), "request.json is no object")
    need(("plan.json" in bundle.names) == ("policy.toml" in bundle.names), "plan or policy came alone")
    if "plan.json" in bundle.names:
        case.plan, case.policy_text = bundle.value("plan.json"), bundle.content("policy.toml")
        case.policy_text.decode("utf-8")
        need(len(case.policy_text) <= TOML_MAX, "policy.toml is too large")
    for tranche in (0, 1):
        if case.evidence_digest(tranche):
            case.evidence[tranche] = bundle.value(f"evidence-{tranche}.json", "evidence")
    load_rows(case)
    return sentence


def load_rows(case: Case) -> None:
    """Reads the members of rows that are kept."""
    bundle = case.bundle
    case.lists, case.heads = bundle.value("lists.json")["lists"], bundle.value("heads.json")["heads"]
    case.waves = bundle.value("waves.json")["waves"]
    case.gates, case.attempts = bundle.kept_rows("gates.jsonl"), bundle.kept_rows("approvals.jsonl")
    case.slices = bundle.kept_rows("slices.jsonl")
    keys = [(row["stage"], row["tranche"], row["slice_index"]) for row in case.slices]
    need(rising(keys), "slices.jsonl is not in its order")
    decided, withheld = bundle.kept_rows("adjudications.jsonl"), bundle.kept_rows("withholdings.jsonl")
    need(rising([row["ordinal"] for row in decided]), "adjudications.jsonl is not in its order")
    need(rising([row["ordinal"] for row in withheld]), "withholdings.jsonl is not in its order")
    case.decided = {row["ordinal"]: row for row in decided}
    case.withheld = {row["ordinal"]: row for row in withheld}
    numbers = [row["wave"] for row in case.waves]
    need(numbers == list(range(1, len(numbers) + 1)), "waves are not numbered from 1")


def check_trust(case: Case) -> str:
    """The pinned trust is for this deployment and pins custody."""
    trust = case.pinned("whose signatures these should be")
    need(trust.deployment == case.facts["deployment"], "the bundle is another deployment's")
    need(trust.attest_keys, "the trust file pins no key of custody")
    return f"pinned to trust file {trust.digest}"


# The audit log: chains of hashes, shard heads in the batch's chain, that chain's head attested.


class Link:
    """Where a chain stands while it is read."""

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self.seq, self.hash, self.at = 0, "0" * 64, ""
        self._stated: set[tuple[Any, ...]] = set()

    def add(self, row: Row) -> Row:
        """Takes the next entry and gives its body."""
        need(row["seq"] == self.seq + 1, "an audit chain has a gap, a repetition or a swap")
        need(row["prev"] == self.hash, "an audit entry does not follow the one before it")
        told = f"{row['recorded_at']}\n{row['body']}".encode()
        hashed = sha(bytes.fromhex(row["prev"]) + row["seq"].to_bytes(8, "big") + told).hex()
        need(hashed == row["hash"], "an audit entry differs from its hash")
        need(row["recorded_at"] >= self.at, "an audit chain's clock steps back")
        self.seq, self.hash, self.at = row["seq"], row["hash"], row["recorded_at"]
        body = exact_json(row["body"].encode(), "an audit entry")
        need(some_object(body) and some_text(body.get("kind")), "an audit entry has no kind")
        self._follow(body)
        return dict(body)

    def _follow(self, body: Row) -> None:
        """An outcome needs its intent before it."""
        what, _, end = body["kind"].rpartition(".")
        key = (what, *(body.get(name) for name in ("stage", "tranche", "slice_index")))
        if end == "intent":
            self._stated.add(key)
        elif end == "outcome":
            need(key in self._stated, "an outcome stands in the audit log without its intent")


def check_audit(case: Case) -> str:
    """Reads the whole log once; what later checks ask for is kept in the case."""
    expected = {}
    for head in case.heads:
        said = quoted_object(head["message"])
        expected[said.get("chain"), said.get("seq")] = said.get("head")
    ends: dict[str, tuple[Any, Any]] = {}
    link, total = Link(""), 0
    for row in case.bundle.rows("audit.jsonl"):
        if row["chain"] != link.chain:
            need(row["chain"] > link.chain, "the audit chains are not in their order")
            own = row["chain"] == case.chain or row["chain"].startswith(case.chain + "/")
            need(own, "an audit chain is another batch's")
            link = Link(row["chain"])
        body = link.add(row)
        known = expected.get((link.chain, link.seq), link.hash)
        need(known == link.hash, "the audit log differs from a head that was signed or chained")
        _remember(case, row, body, expected)
        ends[link.chain], total = (link.seq, link.hash), total + 1
    need(case.chain in ends, "the batch's own audit chain is missing")
    closed = {e["chain"]: (e["seq"], e["head"]) for e in case.log["shard.closed"]}
    own_end = ends.pop(case.chain)
    need(closed == ends, "the shards' chains do not end where the batch's chain says")
    case.log["(end)"] = [{"seq": own_end[0], "head": own_end[1], "at": case.log["(last)"][0]["at"]}]
    return f"{total} entries in {len(ends) + 1} chains, every hash recomputed"


def _remember(case: Case, row: Row, body: Row, expected: dict[tuple[Any, Any], Any]) -> None:
    """The batch's own entries by kind, and every slice's outcome from all chains."""
    kind = body["kind"]
    if row["chain"] == case.chain:
        case.hashes[row["seq"]] = row["hash"]
        case.log[kind].append({**body, "(at)": row["recorded_at"], "(seq)": row["seq"]})
        case.log["(last)"] = [{"at": row["recorded_at"]}]
    if kind == "shard.closed":
        need(row["chain"] == case.chain, "a head is chained outside of the batch's chain")
        expected[body["chain"], body["seq"]] = body["head"]
    if kind == "slice.outcome":
        key = (body["stage"], body.get("tranche", 0), body["slice_index"])
        need(key not in case.outcomes, "the audit log tells of a slice twice")
        case.outcomes[key] = body
    if kind == "range.verified":
        of_range = (body.get("tranche"), body.get("slice_index"))
        need(of_range not in case.ranges, "the audit log tells of a second derivation twice")
        case.ranges[of_range] = body


def check_head(case: Case) -> str:
    """Custody signed where the log ends, and every head before it."""
    need(case.heads, "no head of the audit log is signed")
    end = case.log["(end)"][0]
    seqs = [head_said(case, head)["seq"] for head in case.heads]
    need(rising(seqs), "the signed heads are not in their order")
    last = quoted_object(case.heads[-1]["message"])
    need((last["seq"], last["head"]) == (end["seq"], end["head"]), "the log does not end at its signed head")
    need(case.facts["made_at"] == end["at"], "made_at is not the time of the signed entry")
    trust = case.pinned("custody's keys")
    for head in case.heads:
        signed = attested(trust.attest_keys, head["message"].encode(), head["signature"])
        need(signed, "a head is not signed by a pinned key of custody")
    return f"{len(case.heads)} signed heads, the last one at the log's end"


def check_kept(case: Case, kept: Path) -> str:
    """The heads of an earlier bundle that the auditor kept still stand in this log."""
    earlier = Bundle(kept)
    try:
        earlier.check_container()
        heads = earlier.value("heads.json")["heads"]
    finally:
        earlier.close()
    need(heads, "the earlier bundle holds no signed head")
    for head in heads:
        said = head_said(case, head)
        need(said["seq"] in case.hashes, "the log ends before a head that was signed earlier")
        need(case.hashes[said["seq"]] == said["head"], "the log is a fork of the one that was signed earlier")
        if case.trust is not None:
            signed = attested(case.trust.attest_keys, head["message"].encode(), head["signature"])
            need(signed, "a kept head is not signed by a pinned key of custody")
    return f"{len(heads)} heads of the earlier bundle stand in the log"


def head_said(case: Case, head: Row) -> Row:
    """What a signed head says, which must be of this batch's chain."""
    said = quoted_object(head["message"])
    told = {
        "v": 1,
        "kind": "head",
        "deployment": case.facts["deployment"],
        "batch_id": case.facts["batch_id"],
        "chain": case.chain,
        "seq": said.get("seq"),
        "head": said.get("head"),
    }
    own = type(told["seq"]) is int and canonical(told) == head["message"].encode()
    need(own, "a signed head is not this batch's")
    return said


def check_slices(case: Case) -> str:
    """Every slice is in the log as it stands here, and the log knows no other."""
    seconds = others = 0
    for row in case.slices:
        need(
            (row["signature"] is not None) == (row["stage"] == "derive"), "signatures are for addresses only"
        )
        if row["stage"] == "verify":
            check_again(row, case.ranges.get((row["tranche"], row["slice_index"]), {}))
            seconds += 1
            continue
        others += 1
        told = case.outcomes.get((row["stage"], row["tranche"], row["slice_index"]))
        need(told is not None, "a slice is not in the audit log")
        for name in ("root", "row_count", "counts", "first_position", "length"):
            optional = name in ("first_position", "length") and name not in (told or {})
            need(optional or (told or {}).get(name) == row[name], "a slice differs from the audit log")
    need(seconds == len(case.ranges), "the audit log tells of a second derivation that is missing")
    need(others == len(case.outcomes), "the audit log tells of a slice that is missing")
    return f"{len(case.slices)} slices as in the audit log"


def check_again(row: Row, told: Row) -> None:
    """A second derivation is the log's; older logs do not say where its range lies."""
    need(set(row["counts"]) == {"checked", "sampled"}, "a second derivation counts something else")
    own = {"root": row["root"], **row["counts"]}
    own |= {name: row[name] for name in ("first_position", "length", "row_count") if name in told}
    need(own.items() <= told.items(), "a second derivation differs from the audit log")


def check_outcome(case: Case) -> str:
    """The batch ended as the bundle says."""
    told = {str(entry.get("outcome", "")) for entry in case.log["batch.ended"]}
    if not told and not case.facts["outcome"]:
        raise SkippedError("the batch had not ended")
    need(told == {case.facts["outcome"]}, "the outcome differs from the audit log")
    return f"ended: {case.facts['outcome']}"


def check_waves(case: Case) -> str:
    """The waves are those that were opened, and ended as the log says."""
    opened = case.log["wave.opened"]
    if not case.waves and not opened:
        raise SkippedError("no wave was opened")
    names = ("wave", "tranche", "first_position", "length", "percent")
    told, held = ([[row.get(name) for name in names] for row in rows] for rows in (opened, case.waves))
    need(told == held, "the waves differ from the audit log")
    undone = bool(case.log["undo.activation"])
    closed = {entry.get("wave"): entry.get("outcome") for entry in case.log["wave.closed"]}
    for row in case.waves:
        end = "undone" if undone else closed.get(row["wave"], "")
        need(row["outcome"] == end, "a wave ended otherwise than the audit log says")
    ranges = [tuple(row[name] for name in names[1:]) for row in case.waves]
    need(ranges == planned_waves(case)[: len(ranges)], "a wave is not the one that was planned")
    return f"{len(held)} waves as in the audit log"


def planned_waves(case: Case) -> list[tuple[int, ...]]:
    """Tranche, place, length and percent of the waves by request or policy; those cleared late come last."""
    need(case.plan is not None, "a wave was opened without a plan")
    wish, total = case.request.get("rollout") or {}, (case.plan or {})["subject_count"]
    percents = wish.get("waves_percent") or policy_of(case)["rollout"]["waves_percent"]
    ends = [-(-total * percent // 100) for percent in percents]
    shares = zip([0, *ends], ends, percents, strict=False)
    planned = [(0, start, end - start, percent) for start, end, percent in shares if end > start]
    late = case.evidence.get(1)
    return planned + ([(1, 0, late["counts"].get("cleared", 0), 100)] if late else [])


def check_histories(case: Case) -> str:
    """The histories are whole in themselves; nothing signs them."""
    before: tuple[str, str] = ("", "")
    events = last = workflows = 0
    has_own = False
    for row in case.bundle.rows("histories.jsonl"):
        run = (row["workflow_id"], row["run_id"])
        need(run >= before, "the histories are not in their order")
        workflows += run[0] != before[0]
        last = last if run == before else 0
        need(row["event_id"] == last + 1, "a history has a gap or a repetition")
        before, last, events = run, row["event_id"], events + 1
        has_own = has_own or run[0] == case.facts["batch_id"]
    need(has_own, "the history of the batch's own workflow is missing")
    return f"{events} events of {workflows} workflows (not attested)"


# The request, the plan, the policy and what the policy decides.


def check_request(case: Case) -> str:
    """The request is valid, this batch's, and the one that claimed the id."""
    request = case.request
    need(REQUEST(request), "the request does not have its shape")
    need(len(set(request["chains"])) == len(request["chains"]), "the request names a chain twice")
    percents = (request.get("rollout") or {"waves_percent": [100]})["waves_percent"]
    need(rising(percents) and percents[-1] == 100, "the request's waves do not rise to 100")
    same = all(request[name] == case.facts[name] for name in ("batch_id", "tenant"))
    need(same, "the request is another batch's")
    claimed = {entry.get("request_digest") for entry in case.log["batch.claimed"]}
    need(claimed == {case.digests["request.json"]}, "another request claimed the batch id")
    return "the request is the one that claimed the batch id"


def requester_key(case: Case) -> bytes | None:
    """The key that signed the request, when it is the requester's own and may sign."""
    signature, claims = case.request.get("signature"), case.log["batch.claimed"]
    if case.trust is None or not signature or not claims:
        return None
    bare = {name: value for name, value in case.request.items() if name != "signature"}
    blob = ssh_signer(spelt(bare), signature, REQUESTS)
    held, at = case.trust.holder(blob), moment(claims[0]["(at)"])
    if held is None:
        return None
    person, key = held
    own = plain_name(case.request["requested_by"]) in person.names and person.serves(case.request["tenant"])
    return blob if own and not person.gone(at) and key.stands(at) and key.serves(REQUESTS) else None


def check_request_signature(case: Case) -> str:
    """A signed request is signed by the requester."""
    if case.request.get("signature") is None:
        raise SkippedError("the request is unsigned: each gate asks for one person more")
    case.pinned("the requester's key")
    need(requester_key(case) is not None, "the requester did not sign the request")
    return "the requester signed the request"


def covers(rows: list[Row], total: int) -> bool:
    """Whether slices follow each other from nought to a total, all but the last of them full."""
    if len(rows) != -(-total // SLICE):
        return False  # before anything is made that is as long as a total somebody made up
    expected = [(i, at, min(SLICE, total - at)) for i, at in enumerate(range(0, total, SLICE))]
    held = [(row["slice_index"], row["first_position"], row["row_count"]) for row in rows]
    return held == expected and all(row["length"] == row["row_count"] for row in rows)


def check_plan(case: Case) -> str:
    """The plan is made of the request, the policy's text and the rows taken in, and is in the log."""
    plan, planned = case.plan, {entry.get("plan_digest") for entry in case.log["batch.planned"]}
    if plan is None:
        need(not planned, "the plan is missing")
        raise SkippedError("the batch ended before it was planned")
    need(plan["request"] == case.request, "the plan is of another request")
    need(sha(case.policy_text).hex() == plan["policy_digest"], "the policy's text is another")
    rows, total = case.stage("intake"), plan["subject_count"]
    need(covers(rows, total), "the intake slices are not the plan's subjects")
    same = composed(row["root"] for row in rows) == plan["manifest_root"]
    need(same, "the manifest root differs from its slices")
    counted = all(ordinal < total for ordinal in (*case.decided, *case.withheld))
    need(counted, "a hold or a withholding is of a subject that the plan does not count")
    need(planned == {case.plan_digest}, "the plan differs from the audit log")
    return f"a plan of {total} subjects, its digest and root recomputed"


def policy_of(case: Case) -> Row:
    """The policy the batch was planned under; skips the check without one."""
    if case.plan is None:
        raise SkippedError("the batch ended before it was planned")
    policy = toml(case.policy_text.decode())
    need(POLICY(policy), "the policy does not have its shape")
    hours, rollout = policy["approvals"], policy["rollout"]
    percents = rollout["waves_percent"]
    sound = (
        hours["remind_hours"] <= hours["escalate_hours"] <= hours["wait_hours"]
        and rising(percents)
        and percents[-1] == 100
        and percents[0] <= rollout["first_wave_percent_max"]
        and rollout["soak_seconds"] >= rollout["soak_seconds_min"]
        and ("wave" in policy["gates"]) == ("approve_from_wave_max" in rollout)
        and all(sum(gate["roles"].values()) < 50 for gate in policy["gates"].values())
    )
    need(sound, "the policy contradicts itself")
    return policy


def with_more(seats: dict[str, int], persons: int, roles: Iterable[str]) -> dict[str, int]:
    """The seats and some more, for anyone with one of the roles."""
    seat = "|".join(sorted(set(roles)))
    return {**seats, seat: seats.get(seat, 0) + persons} if persons > 0 else seats


def seats_of(case: Case, policy: Row) -> dict[str, dict[str, int]]:
    """Whom each gate asks for: the policy's, one more when unsigned, and no fewer than the floor."""
    floor = case.trust.approvals_min if case.trust else 0
    signature = case.request.get("signature")
    signed = requester_key(case) is not None if case.trust else signature is not None
    extra, more = policy["approvals"]["extra_roles"], 0 if signed else 1
    gates = {name: with_more(gate["roles"], more, extra) for name, gate in policy["gates"].items()}
    if more or floor:
        gates.setdefault("compliance", with_more({}, 1, extra))
    if "compliance" in gates:
        seats = gates["compliance"]
        own = (role for seat in seats for role in seat.split("|"))
        gates["compliance"] = with_more(seats, floor - sum(seats.values()), own)
    if (case.request.get("rollout") or {}).get("approve_from_wave"):
        gates.setdefault("wave", with_more({}, 1 + more, extra))
    return gates


def gated_from(case: Case, policy: Row) -> int:
    """The first wave that needs a gate; 0 when none does."""
    wished = (case.request.get("rollout") or {}).get("approve_from_wave")
    return int(wished or policy["rollout"].get("approve_from_wave_max") or 0)


def refuses(case: Case, policy: Row) -> bool:
    """Whether the policy refuses what the public part shows of the batch."""
    request, plan, caps = case.request, case.plan or {}, policy["caps"]
    wish, floors = request.get("rollout") or {}, policy["rollout"]
    missing = sum(row["counts"].get("kyc_references_missing", 0) for row in case.stage("intake"))
    latest = floors.get("approve_from_wave_max")
    return (
        request["jurisdiction"] != policy["jurisdiction"]
        or request["purpose"] not in policy["purposes"]
        or request["custody"] not in policy["custody_modes"]
        or not 1 <= plan["subject_count"] <= caps["subjects_per_batch"]
        or len(request["chains"]) > caps["wallets_per_subject"]
        or (policy["kyc"]["reference_required"] and missing > 0)
        or wish.get("waves_percent", [0])[0] > floors["first_wave_percent_max"]
        or wish.get("soak_seconds", floors["soak_seconds_min"]) < floors["soak_seconds_min"]
        or (latest is not None and (wish.get("approve_from_wave") or latest) > latest)
    )


def check_policy(case: Case) -> str:
    """The policy decides as the log says it did."""
    policy = policy_of(case)
    need(REQUEST(case.request), "the request does not have its shape")
    told = {str(entry.get("outcome")) for entry in case.log["policy.decided"]}
    if told == {"refused"}:
        # It may rest on the tenant's other batches, which no bundle shows.
        went_on = [row for row in case.slices if row["stage"] != "intake"]
        need(not went_on, "the batch went on though the policy had refused it")
        return "the policy's refusal stands"
    asks = {"compliance", "issuance"} & seats_of(case, policy).keys() or gated_from(case, policy)
    decided = "refused" if refuses(case, policy) else "needs_approvals" if asks else "approved"
    need(told == {decided}, "the policy decides otherwise than the audit log says")
    return f"the policy decides: {decided}"


# Screening: the evidence documents, the lists, and who was withheld.


def check_evidence(case: Case) -> str:
    """Each evidence document is what its parts say, and was sealed."""
    sealed = {(entry.get("tranche"), entry.get("evidence_digest")) for entry in case.log["evidence.sealed"]}
    held = {(tranche, case.evidence_digest(tranche)) for tranche in case.evidence}
    need(sealed == held, "the evidence differs from what was sealed")
    if not held:
        need(not case.derived(), "addresses were made without evidence")
        need(case.facts["outcome"] not in COMPLETED, "a batch without evidence cannot be completed")
        raise SkippedError("the batch ended before its evidence was sealed")
    need(0 in case.evidence, "the late evidence came alone")
    rows, total = case.stage("screen"), (case.plan or {"subject_count": 0})["subject_count"]
    need(case.plan is not None and covers(rows, total), "the screening slices are not the plan's subjects")
    root = composed(row["root"] for row in rows)
    for tranche, evidence in case.evidence.items():
        need(evidence["plan_digest"] == case.plan_digest, "the evidence is about another plan")
        need(evidence["verdict_root"] == root, "the verdict root differs from its slices")
        _check_evidence_lists(case, evidence)
        _check_settled(case, tranche, evidence)
    return f"{len(held)} evidence documents recomputed"


def _check_evidence_lists(case: Case, evidence: Row) -> None:
    pinned = {row["list_id"]: row["digest"] for row in case.lists if row["applied_in_wave"] == 0}
    need(evidence["list_digests"] == pinned, "the evidence names other lists")
    wanted = set(policy_of(case)["screening"]["lists"])
    need(wanted <= pinned.keys(), "a list that the policy asks for was not screened")


def _check_settled(case: Case, tranche: int, evidence: Row) -> None:
    """What people decided on holds before this evidence, and how many subjects are what."""
    taken = [row for row in case.decided.values() if row["tranche"] == tranche]
    tree = Tree()
    for row in taken:
        told = {name: row[name] for name in ("ordinal", "hold_digest", "decision")}
        tree.leaf(sha(canonical(told)))
    need(tree.root() == evidence["adjudication_root"], "the settled holds differ from their root")
    said, people = evidence["counts"], Counter(row["decision"] for row in taken)
    verdicts: Counter[str] = Counter()
    for row in case.stage("screen"):
        said_of = [row["counts"].get(name, 0) for name in ("clear", "held", "refused")]
        need(sum(said_of) == row["row_count"], "a screening slice does not add up")
        verdicts.update(row["counts"])
    if tranche:
        verdicts = Counter(held=len(taken))
    counted = {
        "clear": verdicts["clear"],
        "cleared": people["clear"],
        "held": verdicts["held"] - len(taken),
        "refused": verdicts["refused"] + people["refuse"],
    }
    same = all(said.get(name, 0) == counted.get(name, 0) for name in said.keys() | counted)
    need(same, "the evidence counts other subjects")


def check_lists(case: Case) -> str:
    """The lists and the subjects that a change of them hit are those of the log."""
    told = set()
    for entry in (*case.log["lists.pinned"], *case.log["list.changed"]):
        told |= {(entry.get("wave", 0), name, value) for name, value in entry.get("lists", {}).items()}
    held = [(row["applied_in_wave"], row["list_id"], row["digest"]) for row in case.lists]
    need(rising(held), "lists.json is not in its order")
    need(set(held) == told, "the lists differ from the audit log")
    hits: Counter[int] = Counter()
    for entry in case.log["list.changed"]:
        hits[entry.get("wave", 0)] += entry.get("withheld", 0)
    rows = case.withheld.values()
    need(hits == Counter(row["before_wave"] for row in rows), "the log tells of other withheld subjects")
    known = {held_row[1:] for held_row in held}
    fits = all((row["list_id"], row["list_digest"]) in known for row in rows)
    need(fits, "a subject is withheld by a list that was not applied")
    for entry in (*case.log["lists.pinned"], *case.log["list.changed"]):
        check_stated(case, entry)
    return f"{len(held)} lists, {len(rows)} subjects withheld"


def check_stated(case: Case, entry: Row) -> None:
    """Whom a change withheld and what a list says of itself, where the log is new enough to tell."""
    lists, tree = entry.get("lists", {}), Tree()
    for row in case.withheld.values():
        if row["before_wave"] == entry.get("wave", 0) and lists.get(row["list_id"]) == row["list_digest"]:
            tree.leaf(canonical({name: row[name] for name in ("ordinal", "list_id", "list_digest")}))
    same = entry.get("withheld_root", tree.root()) == tree.root()
    need(same, "a change of a list withheld other subjects")
    for row in case.lists:
        about = entry.get("editions", {}).get(row["list_id"], row)
        own = lists.get(row["list_id"]) == row["digest"]
        same = all(about.get(name) == row[name] for name in ("source", "published_on", "entry_count"))
        need(same or not own, "a list says something else of itself than the audit log")


# Decisions: every statement that counted is judged again; gates are counted anew from the raw texts.

FOR_IT: Final = {"approve", "clear"}
LAPSES: Final = {"expired", "revoked", "key_time"}
"""What may befall a decision later; one against stands nevertheless."""
LATE_MAX: Final = timedelta(minutes=5)
EARLY_MAX: Final = timedelta(milliseconds=1)
"""How long after (and, by rounding, before) an attempt's time its entry may be written."""
SKEW: Final = timedelta(minutes=5)
"""How far ahead of the log a signer's clock may be."""


@dataclass
class Bench:
    """What decisions are held against."""

    case: Case
    trust: Trust
    seats: dict[str, dict[str, int]]
    validity: timedelta
    requester: bytes | None

    def asked(self, gate: str) -> dict[str, int]:
        """The seats of a gate; `wave/3` is a gate of kind `wave`."""
        seats = self.seats.get(gate.partition("/")[0])
        need(seats is not None, "a gate is one the policy does not know")
        return seats or {}


def bench_of(case: Case) -> Bench:
    """Sets up the judging; skips without trust or plan."""
    trust = case.pinned("the approvers' keys")
    policy = policy_of(case)
    need(REQUEST(case.request), "the request does not have its shape")
    need(trust.deployment == case.facts["deployment"], "the bundle is another deployment's")
    refused = refuses(case, policy)
    validity = timedelta(hours=policy["approvals"]["validity_hours_max"])
    seats = {} if refused else seats_of(case, policy)
    return Bench(case=case, trust=trust, seats=seats, validity=validity, requester=requester_key(case))


@dataclass(frozen=True)
class Judged:
    """A statement with whoever signed it, and what is wrong with it."""

    said: Row
    person: Person | None
    wrong: frozenset[str]


def parsed_statement(exact: str) -> Row | None:
    """A statement of the published shape, or None."""
    try:
        said = strict_json(exact, most=8 * 1024)
        if not STATEMENT(said):
            return None
        begins, ends = moment(said["issued_at"]), moment(said["expires_at"])
    except ValueError:
        return None
    fits = (said["gate"] == "hold") == (said["decision"] in ("clear", "refuse"))
    return {**said, "(issued)": begins, "(ends)": ends} if fits and ends > begins else None


def judged(bench: Bench, row: Row, gate: str, digest: str, *, revoked_at: datetime) -> Judged:
    """Judges an attempt as of the time it came; revocation as of another."""
    said, at = parsed_statement(row["statement"] or ""), moment(row["received_at"])
    blob = ssh_signer(row["statement"] or "", row["signature"] or "", APPROVALS)
    held = bench.trust.holder(blob) if blob is not None else None
    if said is None or held is None:
        return Judged(said=said or {}, person=None, wrong=frozenset({"unsigned"}))
    person, key = held
    facts = bench.case.facts
    faults = {
        "key_purpose": not key.serves(APPROVALS),
        "key_time": not key.stands(at),
        "signer": plain_name(said["approver"]) != plain_name(person.name),
        "revoked": person.gone(revoked_at),
        "tenant": not person.serves(facts["tenant"]),
        "place": any(said[name] != facts[name] for name in ("deployment", "tenant", "batch_id")),
        "gate": said["gate"] != gate or said["digest"] != digest,
        "requester": is_requester(bench, person),
        "role": not person.roles & {role for seat in bench.asked(gate) for role in seat.split("|")},
        "future": said["(issued)"] > at + SKEW,
        "expired": said["(ends)"] <= at,
        "validity": said["(ends)"] - said["(issued)"] > bench.validity,
    }
    return Judged(said=said, person=person, wrong=frozenset(name for name, is_so in faults.items() if is_so))


def is_requester(bench: Bench, person: Person) -> bool:
    """Whether a person may be the requester: by any name, any key, or by looking like the name."""
    name = plain_name(bench.case.request["requested_by"])
    if name is None or name in person.names or bench.requester in {key.blob for key in person.keys}:
        return True
    somebodys = any(name in other.names for other in bench.trust.persons)
    alike = {to_the_eye(own) for own in person.names}
    return not somebodys and to_the_eye(name) in alike


def decisions(case: Case, *, counted: bool = True) -> dict[tuple[str, str], list[Row]]:
    """Attempts that counted, or those that did not, by the gate and digest they name."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in case.attempts:
        pause = row["message"] == "pause" and row["statement"] is None
        if row["counted"] == counted and not pause:
            said = quoted_object(row["statement"])
            found[str(said.get("gate")), str(said.get("digest"))].append(row)
    return found


def denied(bench: Bench) -> set[tuple[str, str]]:
    """Gates, and holds, against which a good no came while they were open, and was refused."""
    log, found = bench.case.log, set()
    came = {entry.get("attempt_key"): entry["(seq)"] for entry in log["attempt.refused"]}
    # Told twice, a gate was open for the longer of the times.
    opened = {(entry.get("gate"), entry.get("digest")): entry for entry in reversed(log["gate.opened"])}
    ended = {(entry.get("gate"), entry.get("digest")): entry["(seq)"] for entry in log["gate.closed"]}
    ended |= {("hold", entry.get("hold_digest")): entry["(seq)"] for entry in log["hold.settled"]}
    for key, rows in decisions(bench.case, counted=False).items():
        gate = opened.get(key, {"(seq)": 0} if key[0] == "hold" else None)
        for row in rows:
            at, arrived = came.get(row["attempt_key"], 0), moment(row["received_at"])
            if gate is None or not gate["(seq)"] < at < ended.get(key, at + 1):
                continue
            if "expires_at" in gate and arrived >= moment(gate["expires_at"]):
                continue
            no = judged(bench, row, *key, revoked_at=arrived)
            if no.person is not None and no.said["decision"] not in FOR_IT and not no.wrong:
                found.add(key)
    return found


def check_attempts(case: Case) -> str:
    """Every attempt is in the log and ended as it says; every one that counted counts again."""
    need(
        sorted(row["received_at"] for row in case.attempts) == [row["received_at"] for row in case.attempts],
        "approvals.jsonl is not in its order",
    )
    entries = case.log["attempt.counted"] + case.log["attempt.refused"]
    told = {entry.get("attempt_key"): entry for entry in entries}
    need(len(told) == len(entries), "the audit log tells of an attempt twice")
    keys = [row["attempt_key"] for row in case.attempts]
    need(len(set(keys)) == len(keys) and set(keys) == set(told), "the attempts differ from the audit log")
    for row in case.attempts:
        _check_recorded(row, told[row["attempt_key"]])
    bench, nonces = bench_of(case), set()
    for (gate, digest), rows in decisions(case).items():
        bench.asked(gate)
        for row in rows:
            found = judged(bench, row, gate, digest, revoked_at=moment(row["received_at"]))
            need(not found.wrong, "a decision was counted that does not count")
            need(found.said["nonce"] not in nonces, "a nonce was counted twice")
            nonces.add(found.said["nonce"])
    refused = sum(not row["counted"] for row in case.attempts)
    return f"{len(nonces)} decisions count again, {refused} refused attempts on record"


def _check_recorded(row: Row, entry: Row) -> None:
    same = (entry["kind"] == "attempt.counted", entry.get("reason_code")) == (
        row["counted"],
        row["reason_code"],
    )
    need(same, "an attempt ended otherwise than the audit log says")
    late = moment(entry["(at)"]) - moment(row["received_at"])
    need(-EARLY_MAX <= late <= LATE_MAX, "an attempt came at another time than it was logged")
    arrived = all(entry.get(name, row[name]) == row[name] for name in ("message", "received_at"))
    need(arrived, "an attempt came in another message or at another time than the log says")
    came = row["statement"] is not None
    kept = came == ("statement_sha256" in entry) and came == (row["signature"] is not None)
    need(kept, "an attempt lacks its statement or signature, or has one that it came without")
    if not came:
        return
    for name in ("statement", "signature"):
        # A malformed text that no database can hold is kept with replacement characters.
        malformed = row["reason_code"] in ("malformed_statement", f"malformed_{name}")
        replaced, told = malformed and not row["counted"] and "\ufffd" in row[name], f"{name}_sha256"
        # Older logs do not tell of signatures.
        exact = entry.get(told) == sha(row[name].encode()).hex() or told not in entry
        need(exact or replaced, f"an attempt's {name} differs from the audit log")


@dataclass(frozen=True)
class Stand:
    """How a gate stands: passed, or refused by somebody who may."""

    passed: bool
    refused: bool


def stand(bench: Bench, gate: str, digest: str, rows: Iterable[Row], at: str) -> Stand:
    """Counts a gate from the raw statements that had come by a time: distinct persons in their seats."""
    yes: dict[str, frozenset[str]] = {}
    no, nonces = False, set()
    for row in rows:
        if row["received_at"] > at:
            continue
        found = judged(bench, row, gate, digest, revoked_at=moment(at))
        if found.person is None or found.said["nonce"] in nonces:
            continue
        if found.said["decision"] in FOR_IT:
            if found.wrong:
                continue
            yes[found.person.name] = found.person.roles
        else:
            if found.wrong - LAPSES:
                continue
            no = True
        nonces.add(found.said["nonce"])
    return Stand(passed=not no and all_seated(bench.asked(gate), list(yes.values())), refused=no)


def all_seated(seats: dict[str, int], persons: list[frozenset[str]]) -> bool:
    """Whether every seat can be given to a person of its own (a matching by augmenting paths)."""
    wanted = [frozenset(seat.split("|")) for seat, count in seats.items() for _ in range(count)]
    sits: dict[int, int] = {}

    def give(seat: int, asked: set[int]) -> bool:
        for person, roles in enumerate(persons):
            if person not in asked and roles & wanted[seat]:
                asked.add(person)
                if person not in sits or give(sits[person], asked):
                    sits[person] = seat
                    return True
        return False

    return all(give(seat, set()) for seat in range(len(wanted)))


def check_gates(case: Case) -> str:
    """Gates ended as their statements say, and nothing went on without those it needed."""
    bench, policy, rows = bench_of(case), policy_of(case), decisions(case)
    against = denied(bench)
    told, held = (
        [(entry.get("gate"), entry.get("digest"), moment(entry.get("expires_at"))) for entry in entries]
        for entries in (case.log["gate.opened"], case.gates)
    )
    need(told == held, "the gates differ from the audit log")
    closed = {(entry.get("gate"), entry.get("digest")): entry for entry in case.log["gate.closed"]}
    ended_twice = len(closed) < len(case.log["gate.closed"])
    times = ("wait_hours", "remind_hours", "escalate_hours")
    over = {case.plan_digest, *(case.evidence_digest(tranche) for tranche in case.evidence)}
    for row in case.gates:
        key = (row["gate"], row["digest"])
        need(row["digest"] in over, "a gate is over neither the plan nor the evidence")
        terms = {"roles": bench.asked(row["gate"]), **{name: policy["approvals"][name] for name in times}}
        need(spelt(row["terms"]) == spelt(terms), "a gate asked for others than the policy")
        end = closed.pop(key, None)
        need((end or {}).get("outcome", "") == row["outcome"], "a gate ended otherwise than the log says")
        if end is not None:
            state = stand(bench, *key, rows.get(key, []), end["(at)"])
            need(row["outcome"] != "approved" or state.passed, "a gate passed without its decisions")
            hidden = row["outcome"] == "approved" and key in against
            need(not hidden, "a gate passed over a decision against it that stands")
            need(
                row["outcome"] != "rejected" or state.refused or key in against,
                "nobody who may rejected a gate",
            )
    need(not closed, "the audit log tells of a gate that is missing")
    need(not ended_twice, "the audit log tells of a gate's end twice")
    passed = {(row["gate"], row["digest"]) for row in case.gates if row["outcome"] == "approved"}
    needed = gates_needed(case, bench, gated_from(case, policy))
    need(needed <= passed, "something went on without a gate that it needed")
    check_waited(case, needed)
    return f"{len(passed)} gates passed, {len(needed)} of them needed"


def check_waited(case: Case, needed: set[tuple[str, str]]) -> None:
    """Lists were pinned, the keyring opened and waves begun after the gate that each had to wait for."""
    ended = {(entry.get("gate"), entry.get("digest")): entry["(seq)"] for entry in case.log["gate.closed"]}
    begun = {f"wave/{entry.get('wave')}": entry["(seq)"] for entry in case.log["wave.opened"]}
    for gate, kind in (("compliance", "lists.pinned"), ("issuance", "keyring.opened")):
        if case.log[kind]:
            begun[gate] = case.log[kind][0]["(seq)"]
    for gate, over in needed - {("issuance", case.evidence_digest(1))}:
        early = gate in begun and begun[gate] < ended[gate, over]
        need(not early, "something went on before the gate that it needed")


def gates_needed(case: Case, bench: Bench, first: int) -> set[tuple[str, str]]:
    """The gates that screening, addresses and waves had to wait for."""
    tranches = {row["tranche"] for row in case.derived()}
    needed = set()
    if "compliance" in bench.seats and (tranches or case.stage("screen")):
        needed.add(("compliance", case.plan_digest))
    if "issuance" in bench.seats:
        needed |= {("issuance", case.evidence_digest(tranche)) for tranche in tranches}
    if first and "wave" in bench.seats:
        late = [row for row in case.waves if row["wave"] >= first]
        needed |= {(f"wave/{row['wave']}", case.evidence_digest(row["tranche"])) for row in late}
    return needed


def check_holds(case: Case) -> str:
    """Every settled hold is in the log and carries the decisions it needs."""
    names = ("ordinal", "hold_digest", "decision")
    told = {
        tuple(e.get(name) for name in names)
        for e in case.log["hold.settled"]
        if e.get("decision") != "cancelled"
    }
    settled = [row for row in case.decided.values() if row["decision"] != "cancelled"]
    need(
        told == {tuple(row[name] for name in names) for row in settled}, "the holds differ from the audit log"
    )
    cancelled = sum(entry.get("cancelled") or 0 for entry in case.log["undo.screening"])
    need(cancelled == len(case.decided) - len(settled), "the audit log tells of other cancelled holds")
    if not settled:
        raise SkippedError("no hold was settled by people")
    bench, rows = bench_of(case), decisions(case)
    against = denied(bench)
    for row in settled:
        key = ("hold", row["hold_digest"])
        need(row["decision"] != "clear" or key not in against, "a hold was cleared over a no that stands")
        state = stand(bench, *key, rows.get(key, []), case.facts["made_at"])
        fits = state.passed if row["decision"] == "clear" else state.refused or key in against
        need(fits, "a hold was settled without the decisions it needs")
    return f"{len(settled)} holds settled by signed decisions"


# Wallets: one pass over the stream.


def check_attestations(case: Case) -> str:
    """Custody signed every slice of addresses."""
    rows = case.derived()
    if not rows:
        raise SkippedError("no addresses were made")
    trust = case.pinned("custody's keys")
    names = ("tranche", "slice_index", "first_position", "length", "row_count", "root")
    for row in rows:
        told = {name: case.facts[name] for name in ("deployment", "batch_id")}
        message = canonical({"v": 1, "kind": "slice", **told, **{name: row[name] for name in names}})
        signed = attested(trust.attest_keys, message, row["signature"] or "")
        need(signed, "a slice of addresses is not signed by a pinned key of custody")
    return f"{len(rows)} slices of addresses signed by custody"


class Roots:
    """The slices of one stage, filled from the wallets as they pass and compared with their roots."""

    def __init__(self, rows: list[Row], what: str) -> None:
        self._rows = sorted(rows, key=lambda row: row["first_position"])
        self._what, self._tree = what, Tree()

    def take(self, position: int, leaf: bytes, *, must: bool = True) -> None:
        """Adds a wallet at its position, which may be outside of all slices unless it must not."""
        while self._rows and position >= self._rows[0]["first_position"] + self._rows[0]["length"]:
            self._compare()
        if self._rows and position >= self._rows[0]["first_position"]:
            self._tree.leaf(leaf)
        else:
            need(not must, f"a wallet is outside of every slice that was {self._what}")

    def finish(self) -> None:
        """Compares what is left."""
        while self._rows:
            self._compare()

    def _compare(self) -> None:
        row = self._rows.pop(0)
        same = (self._tree.size, self._tree.root()) == (row["row_count"], row["root"])
        need(same, f"the wallets of a slice differ from what was {self._what}")
        self._tree = Tree()


class Walk:
    """Walks the wallets; what is held per subject is its address."""

    def __init__(self, case: Case, *, every: bool) -> None:
        self._case = case
        self._made = [Roots(case.stage("derive", tranche), "signed") for tranche in (0, 1)]
        self._again = [Roots(case.stage("verify", tranche), "derived twice") for tranche in (0, 1)]
        self._activated = {
            row["wave"]: Roots(case.stage(f"wave/{row['wave']}", row["tranche"]), "activated")
            for row in case.waves
        }
        late = [n for n, row in case.decided.items() if (row["decision"], row["tranche"]) == ("clear", 1)]
        self._rank = {ordinal: rank for rank, ordinal in enumerate(late)}
        self._chains = sorted(case.request["chains"])
        self._addresses: set[bytes] = set()
        self._account = ""
        self._sample = sample_of(sum(row["row_count"] for row in case.derived()), every=every)
        self.total = self.proven = 0

    def run(self) -> str:
        """Checks every subject's wallets by themselves and as slices."""
        last = -1
        for ordinal, rows in itertools.groupby(
            self._case.bundle.rows("wallets.jsonl"), lambda row: row["ordinal"]
        ):
            need(ordinal > last, "the wallets are not in their order")
            last = ordinal
            self._subject(ordinal, list(rows))
        for roots in (*self._made, *self._again, *self._activated.values()):
            roots.finish()
        whole_of = "all" if self._sample is None else "a random sample"
        self._case.possessions = f"{self.proven} of {self.total} proofs of possession recomputed ({whole_of})"
        return f"{self.total} wallets, paths and roots recomputed"

    def _subject(self, ordinal: int, rows: list[Row]) -> None:
        need([row["chain"] for row in rows] == self._chains, "a subject lacks a wallet or has one twice")
        tranche, address = rows[0]["tranche"], rows[0]["address"]
        one = all((row["tranche"], row["address"]) == (tranche, address) for row in rows)
        need(one, "a subject's wallets are of two tranches or two addresses")
        known = self._case.plan is not None and ordinal < self._case.plan["subject_count"]
        need(known, "a wallet is of a subject that the plan does not count")
        raw = bytes.fromhex(address[2:])
        need(raw not in self._addresses, "two subjects share an address")
        self._addresses.add(raw)
        position = self._position(ordinal, tranche)
        self._case.wallets[f"subjects/{tranche}"] += 1
        for row in rows:
            self._wallet(row, position)
            leaf = {name: row[name] for name in ("ordinal", "chain", "path", "address")}
            self._made[tranche].take(position, canonical(leaf))
            twice = row["state"] in ("ready", "active", "frozen") or self._case.facts["outcome"] in COMPLETED
            self._again[tranche].take(position, canonical(leaf), must=twice)

    def _position(self, ordinal: int, tranche: int) -> int:
        """Where a subject stands in its tranche: by ordinal, or by rank among those cleared late."""
        if tranche:
            need(ordinal in self._rank, "a late wallet's subject was not cleared by people")
            return self._rank[ordinal]
        row = self._case.decided.get(ordinal)
        cleared = row is None or (row["decision"], row["tranche"]) == ("clear", 0)
        need(cleared, "a wallet's subject was held and not cleared in time")
        return ordinal

    def _wallet(self, row: Row, position: int) -> None:
        self._account = self._account or row["path"].split("/")[3]
        path = f"m/44'/60'/{self._account}/0/{row['ordinal']}"
        need(row["path"] == path, "a wallet's path is not its subject's")
        if self._sample is None or self.total in self._sample:
            need(possession_holds(self._case, row), "a proof of possession is not of its address")
            self.proven += 1
        self.total += 1
        self._case.wallets[row["state"]] += 1
        self._state(row, position)

    def _state(self, row: Row, position: int) -> None:
        number, case = row["wave"], self._case
        live = row["state"] in ("active", "frozen")
        need(live == (number is not None), "a wallet's state does not fit its wave")
        if number is None:
            return
        need(number <= len(case.waves), "a wallet is active in a wave that was not opened")
        wave = case.waves[number - 1]
        inside = 0 <= position - wave["first_position"] < wave["length"] and wave["tranche"] == row["tranche"]
        need(inside, "a wallet is active in a wave that does not hold it")
        need(row["ordinal"] not in case.withheld, "a withheld subject's wallet was activated")
        leaf = {name: row[name] for name in ("address", "chain", "ordinal")}
        self._activated[number].take(position, canonical(leaf))


def sample_of(total: int, *, every: bool) -> frozenset[int] | None:
    """Which wallets' possession is recomputed: None for all. Nobody can foresee a sample."""
    if every or total <= POSSESSIONS_ALWAYS:
        return None
    return frozenset(random.SystemRandom().sample(range(total), POSSESSIONS_SAMPLED))


def possession_holds(case: Case, row: Row) -> bool:
    """Whether the key behind an address signed the text that names exactly this wallet."""
    text_lines = (
        "walletworks-possession-v1",
        f"deployment: {case.facts['deployment']}",
        f"batch: {case.facts['batch_id']}",
        f"plan: {case.plan_digest or '0' * 64}",
        f"chain: {row['chain']}",
        f"path: {row['path']}",
        f"address: {row['address']}",
    )
    digits = personal_signer("\n".join(text_lines), bytes.fromhex(row["possession"]))
    return digits is not None and checksummed(digits) == row["address"]


def check_possessions(case: Case) -> str:
    """Says how many proofs the walk recomputed; any that failed has failed the walk."""
    if not case.wallets:
        raise SkippedError("no addresses were made")
    return case.possessions


def check_states(case: Case) -> str:
    """States and numbers fit the waves, the evidence, the undoing and the outcome."""
    held, outcome = case.wallets, case.facts["outcome"]
    for kind, state in (("undo.activation", "frozen"), ("undo.derivation", "revoked")):
        moved = sum(entry.get(state, 0) for entry in case.log[kind])
        need(moved == held[state], f"the audit log tells of other {state} wallets")
    waves = {(f"wave/{wave['wave']}", wave["tranche"]) for wave in case.waves}
    stages = {*itertools.product(("derive", "verify"), (0, 1)), ("intake", 0), ("screen", 0), *waves}
    known = all((row["stage"], row["tranche"]) in stages for row in case.slices)
    need(known, "a slice is of a stage or a wave that the batch does not have")
    whole_batch = outcome in COMPLETED
    need(whole_batch or not outcome or not held["active"], "wallets are active although the batch was undone")
    for tranche in (0, 1):
        counts = case.evidence.get(tranche, {"counts": {}})["counts"]
        most, subjects = counts.get("clear", 0) + counts.get("cleared", 0), held[f"subjects/{tranche}"]
        fits = subjects == most if whole_batch else subjects <= most
        need(fits, "others than the eligible subjects have wallets")
    total = sum(held[state] for state in ("derived", "ready", "active", "frozen", "revoked"))
    idle = total - held["active"]
    most_idle = len(case.withheld) * len(case.request["chains"])
    need(outcome != "completed" or idle <= most_idle, "the batch is completed and wallets are not active")
    return f"states of {total} wallets fit: {held['active']} active"


def check_restricted(case: Case) -> str:
    """The restricted part is covered by the table's digest only."""
    there = "restricted.age" in case.bundle.names
    raise SkippedError("this verifier does not open the restricted part" if there else "no restricted part")


# Proofs that somebody brings: JSON objects (one, or a list) whose fields tell of what kind each is.

_HASHES: Final = ("root", "leafHash", "root1", "root2")
_PLACES: Final = ("leafIdx", "treeSize", "size1", "size2", "start", "end", "size")
ROOTS: Final = ("manifest_root", "verdict_root", "adjudication_root", "root")
"""Names under which a bundle's plan, evidence and slices state roots."""


def hash_of(value: Any) -> bytes:
    """A hash in hex or base64."""
    return bytes.fromhex(value) if len(value) == 64 else base64.b64decode(value, validate=True)


def check_proof(told: Any, known: set[str] | None) -> str:
    """A brought proof leads to the root it states, and that root stands in the bundle if there is one."""
    need(isinstance(told, dict), "no proof")
    node = {name: hash_of(told[name]) for name in _HASHES if name in told}
    at = {name: told[name] for name in _PLACES if name in told}
    need(all(type(value) is int for value in at.values()), "a place is no whole number")
    path = [hash_of(value) for value in told["proof"] or []]
    match [*node, *at]:
        case ["root", "leafHash", "leafIdx", "treeSize"]:
            root, holds = node["root"], _has_leaf(node, at["leafIdx"], 0, at["treeSize"], path)
        case ["root", "leafHash", "leafIdx", "start", "end"]:
            root, inside = node["root"], aligned(at["start"], at["end"])
            holds = inside and _has_leaf(node, at["leafIdx"], at["start"], at["end"], path)
        case ["root1", "root2", "size1", "size2"]:
            root, first = node["root2"], at["size1"]
            holds = first > 0 and proven(
                node["root1"], start=0, end=first, size=at["size2"], proof=path, root=root
            )
        case ["root1", "root2", "start", "end", "size"]:
            root, holds = node["root2"], proven(node["root1"], **at, proof=path, root=node["root2"])
        case _:
            raise FailedError("the fields are those of no kind of proof")
    need(holds, "the proof does not lead to its root")
    need(known is None or root.hex() in known, "the root is none that this bundle's plan or slices state")
    return f"leads to root {root.hex()}" + ("" if known else ": compare it with one that you trust")


def _has_leaf(node: dict[str, bytes], index: int, start: int, end: int, path: list[bytes]) -> bool:
    place, size = index - start, end - start
    return proven(node["leafHash"], start=place, end=place + 1, size=size, proof=path, root=node["root"])


def run_proofs(report: Report, proofs: list[Any], known: set[str] | None) -> None:
    """Checks each of the brought proofs."""
    for number, told in enumerate(proofs, 1):
        report.run(f"proof {number}", check_proof, told, known)


def roots_of(case: Case) -> set[str]:
    """Every root over leaves that the bundle states."""
    stated = [case.plan or {}, *case.evidence.values(), *case.slices]
    return {row[name] for row in stated for name in ROOTS if name in row}


def read_proofs(path: Path) -> list[Any]:
    """The proofs in a file, or in the standard input for `-`; what is no JSON is one proof that fails."""
    with contextlib.ExitStack() as ends:
        file = sys.stdin.buffer if str(path) == "-" else ends.enter_context(path.open("rb"))
        raw = file.read(DOCUMENT_MAX + 1)
    try:
        told = strict_json(raw.decode("utf-8"))
    except ValueError:
        return [None]
    return told if isinstance(told, list) and told else [told]


# All of it, and the command line.

AFTER_THE_LOG: Final[dict[str, Callable[[Case], str]]] = {
    "head": check_head,
    "slices": check_slices,
    "outcome": check_outcome,
    "waves": check_waves,
    "request": check_request,
    "request_signature": check_request_signature,
    "plan": check_plan,
    "policy": check_policy,
    "evidence": check_evidence,
    "lists": check_lists,
    "approvals": check_attempts,
    "gates": check_gates,
    "holds": check_holds,
}


def verify(
    path: Path,
    trust: Trust | None,
    *,
    every: bool = False,
    kept: Path | None = None,
    proofs: Sequence[Any] = (),
) -> Report:
    """Checks everything the public part of a bundle claims; never raises for what is in it."""
    report, opened = Report(pinned=trust is not None), []

    def container() -> str:
        opened.append(Bundle(path))
        return opened[0].check_container()

    if report.run("container", container):
        case = _verify(opened[0], trust, report, every=every, kept=kept)
        run_proofs(report, list(proofs), roots_of(case) if case else set())
    for bundle in opened:
        bundle.close()
    return report


def _verify(
    bundle: Bundle, trust: Trust | None, report: Report, *, every: bool, kept: Path | None
) -> Case | None:
    cases: list[Case] = []

    def members() -> str:
        cases.append(Case(bundle=bundle, trust=trust, facts=bundle.value("bundle.json")))
        return load(cases[0])

    if not report.run("members", members):
        return None
    case = cases[0]
    report.batch_id = case.facts["batch_id"]
    report.run("trust", check_trust, case)
    if report.run("audit", check_audit, case):
        if kept is not None:
            report.run("kept", check_kept, case, kept)
        for name, check in AFTER_THE_LOG.items():
            report.run(name, check, case)
    report.run("histories", check_histories, case)
    report.run("attestations", check_attestations, case)
    if report.run("wallets", lambda: Walk(case, every=every).run()):
        report.run("possession", check_possessions, case)
        report.run("states", check_states, case)
    report.run("restricted", check_restricted, case)
    states = {name: case.wallets[name] for name in sorted(case.wallets) if "/" not in name}
    report.counts = {"wallets": sum(states.values()), **states, "attempts": len(case.attempts)}
    return case


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="verify_bundle.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE")
    parser.add_argument("--trust", type=Path, metavar="TRUST", help="the trust file you hold")
    parser.add_argument("--kept", type=Path, metavar="EARLIER", help="a bundle of the batch kept from before")
    parser.add_argument("--proof", type=Path, metavar="PROOF", help="proofs in a tree, as JSON; - reads them")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument("--all", action="store_true", help="recompute every proof of possession")
    given = parser.parse_args(arguments)
    try:
        trust = read_trust(given.trust) if given.trust is not None else None
        proofs = read_proofs(given.proof) if given.proof is not None else []
    except TrustError as error:
        parser.error(str(error))
    except OSError:
        parser.error("the proofs cannot be read")
    if given.bundle is not None:
        report = verify(given.bundle, trust, every=given.all, kept=given.kept, proofs=proofs)
    elif proofs and not (given.trust or given.kept or given.all):
        report = Report(pinned=True)
        run_proofs(report, proofs, None)
    else:
        parser.error("a bundle is needed")
    if given.json:
        lines = [json.dumps(report.as_json(), indent=2)]
    else:
        lines = [f"{status:8}{name:19}{sentence}" for name, status, sentence in report.checks]
        lines.append(report.verdict)
    sys.stdout.write("\n".join(lines) + os.linesep)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
