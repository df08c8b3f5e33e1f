"""What must be found nowhere: secrets of a batch and values of its people, in every form they might take.

A needle's name says what it is and in which form; its bytes are never printed.
"""

import base64
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from bip_utils import (
    Base58Encoder,
    Bip39MnemonicGenerator,
    Bip39SeedGenerator,
    Bip44,
    Bip44Changes,
    Bip44Coins,
)

Needles = dict[bytes, str]
"""Bytes to look for, and what they are."""

KEYS_PLANTED: Final = (0, 1, 1023, 1024, 1999)
"""Indexes whose private keys are looked for: both ends of both slices."""

SAFE_LENGTH: Final = 8
"""Bytes from which on a value is looked for in forms that chance could write as well."""

PERSONAL_COLUMNS: Final = ("full_name", "date_of_birth", "document_number", "kyc_reference")

EPOCH: Final = "1970-01-01"
"""Nobody's birth date here: every server writes it as its zero of time."""

_SEPARATORS: Final = (" ", ",", ", ", "\n", "\t", "-", "_", "", '", "', '","', "', '")


def secret_needles(entropy: bytes) -> Needles:
    """Entropy, mnemonic, seed, private keys and extended keys of one seed, in every form."""
    mnemonic = Bip39MnemonicGenerator().FromEntropy(entropy)
    seed = bytes(Bip39SeedGenerator(mnemonic).Generate())
    account = Bip44.FromSeed(seed, Bip44Coins.ETHEREUM).Purpose().Coin().Account(0)
    branch = account.Change(Bip44Changes.CHAIN_EXT)
    found: Needles = {}
    raw = {"entropy": entropy, "seed": seed, "seed, first half": seed[:32], "seed, second half": seed[32:]}
    for name, level in (("account", account), ("branch", branch)):
        raw[f"{name} private key"] = level.PrivateKey().Raw().ToBytes()
        raw[f"{name} chain code"] = level.PublicKey().ChainCode().ToBytes()
        found |= _texts(f"{name} extended private key", level.PrivateKey().ToExtended())
        found |= _texts(f"{name} extended public key", level.PublicKey().ToExtended())
    for index in KEYS_PLANTED:
        raw[f"private key {index}"] = branch.AddressIndex(index).PrivateKey().Raw().ToBytes()
    for name, value in raw.items():
        found |= binary_forms(name, value)
    return found | mnemonic_forms(str(mnemonic).split())


def binary_forms(name: str, value: bytes) -> Needles:
    """A binary value raw, reversed, and in every usual text form."""
    forms = {value: f"{name}, raw", value[::-1]: f"{name}, reversed"}
    forms |= _texts(f"{name}, hex", value.hex())
    forms |= {value.hex().upper().encode(): f"{name}, upper-case hex"}
    forms |= _base64_forms(name, value)
    forms |= {Base58Encoder.Encode(value).encode(): f"{name}, base58"}
    forms |= {str(int.from_bytes(value, "big")).encode(): f"{name}, decimal"}
    for separator in (", ", ","):
        forms |= {separator.join(map(str, value)).encode(): f"{name}, list of numbers"}
    return forms | {repr(value)[2:-1].encode(): f"{name}, as Python shows it"}


def mnemonic_forms(words: list[str]) -> Needles:
    """Every three neighbouring words, joined in the ways lists of words are joined."""
    forms: Needles = {}
    for at in range(len(words) - 2):
        three = words[at : at + 3]
        for separator in _SEPARATORS:
            joined = separator.join(three)
            if len(joined) < SAFE_LENGTH:
                continue
            name = f"mnemonic words {at + 1} to {at + 3}"
            forms |= {joined.encode(): name}
        forms |= {" ".join(three).upper().encode(): f"{name}, upper case"}
        forms |= {" ".join(three).encode("utf-16-le"): f"{name}, UTF-16"}
        forms |= {" ".join(three).title().encode(): f"{name}, title case"}
        forms |= {" ".join(three)[::-1].encode(): f"{name}, reversed"}
        forms |= _base64_forms(name, " ".join(three).encode())
    return forms


def personal_needles(people: Path) -> Needles:
    """Names, birth dates, document numbers and KYC references of a source's subjects."""
    found: Needles = {}
    with people.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream)):
            for column in PERSONAL_COLUMNS:
                if row[column] != EPOCH:
                    found |= _personal_forms(f"{column} of row {number}", row[column])
    return found


def _personal_forms(name: str, value: str) -> Needles:
    if len(value.encode()) < SAFE_LENGTH:
        return {value.encode(): name}
    shaped = {change(value): f"{name}, {shape}" for shape, change in _SHAPES.items()}
    return _base64_forms(name, value.encode()) | shaped | {value.encode(): name}


def _texts(name: str, text: str) -> Needles:
    return {
        text.encode(): name,
        text[::-1].encode(): f"{name}, reversed",
        text.encode("utf-16-le"): f"{name}, UTF-16",
        text.encode("utf-16-be"): f"{name}, UTF-16 big-endian",
    } | _base64_forms(name, text.encode())


def _base64_forms(name: str, value: bytes) -> Needles:
    return dict.fromkeys(_base64_windows(value), f"{name}, base64")


def _base64_windows(value: bytes) -> Iterator[bytes]:
    """The part of the text that the value alone decides, wherever in the encoded bytes it begins."""
    for shift, first in ((0, 0), (1, 2), (2, 3)):
        last = (shift + len(value)) * 8 // 6
        padded = bytes(shift) + value
        yield base64.b64encode(padded)[first:last]
        yield base64.urlsafe_b64encode(padded)[first:last]


_SHAPES: Final[Mapping[str, Callable[[str], bytes]]] = {
    "lower case": lambda value: value.lower().encode(),
    "upper case": lambda value: value.upper().encode(),
    "escaped for JSON": lambda value: json.dumps(value)[1:-1].encode(),
    "hex": lambda value: value.encode().hex().encode(),
    "UTF-16": lambda value: value.encode("utf-16-le"),
}
