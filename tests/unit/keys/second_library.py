"""The second implementation that differential tests compare with: bip_utils, and the ecdsa package."""

import hashlib
import hmac

from bip_utils import Bip39MnemonicGenerator, Bip39SeedGenerator, Bip44, Bip44Changes, Bip44Coins
from ecdsa import SECP256k1, SigningKey, VerifyingKey
from ecdsa.ellipticcurve import PointJacobi

ABANDON_SEED = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
"""BIP-39 seed of the published test mnemonic "abandon ... about" without passphrase."""


def other_addresses(seed: bytes, account: int, indexes: list[int]) -> list[str]:
    """The addresses bip_utils derives."""
    branch = Bip44.FromSeed(seed, Bip44Coins.ETHEREUM).Purpose().Coin().Account(account)
    change = branch.Change(Bip44Changes.CHAIN_EXT)
    return [str(change.AddressIndex(index).PublicKey().ToAddress()) for index in indexes]


def other_seed(entropy: bytes) -> bytes:
    """The BIP-39 seed bip_utils makes of an entropy."""
    return bytes(Bip39SeedGenerator(Bip39MnemonicGenerator().FromEntropy(entropy)).Generate())


def other_secret(seed: bytes, account: int, index: int) -> bytes:
    """The private key bip_utils derives."""
    branch = Bip44.FromSeed(seed, Bip44Coins.ETHEREUM).Purpose().Coin().Account(account)
    leaf = branch.Change(Bip44Changes.CHAIN_EXT).AddressIndex(index)
    return bytes(leaf.PrivateKey().Raw().ToBytes())


def other_signature(secret: bytes, digest: bytes) -> tuple[int, int]:
    """The RFC 6979 signature (r, low s) the pure-Python curve makes."""
    key = SigningKey.from_string(secret, curve=SECP256k1, hashfunc=hashlib.sha256)
    raw = key.sign_digest_deterministic(digest, hashfunc=hashlib.sha256)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return r, min(s, SECP256k1.order - s)


def other_point(secret: bytes) -> bytes:
    """The 64-byte public point the pure-Python curve computes."""
    key: VerifyingKey = SigningKey.from_string(secret, curve=SECP256k1).get_verifying_key()
    return bytes(key.to_string())


def tweak_of(parent_point: bytes, chain_code: bytes, index: int) -> bytes:
    """The tweak of a soft child by plain HMAC, without the midstates of the fast path."""
    return hmac.digest(chain_code, parent_point + index.to_bytes(4, "big"), "sha512")[:32]


def sum_of_points(point: bytes, tweak: bytes) -> bytes:
    """Point + tweak * G by the pure-Python curve, 64 bytes."""
    base = VerifyingKey.from_string(point, curve=SECP256k1).pubkey.point
    total: PointJacobi = base + SECP256k1.generator * int.from_bytes(tweak, "big")
    return int(total.x()).to_bytes(32, "big") + int(total.y()).to_bytes(32, "big")
