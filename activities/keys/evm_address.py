"""EVM addresses: from a public point to the checksummed text, and back only when the checksum holds."""

import re

from cchecksum import to_checksum_address
from tiny_keccak import keccak256

from activities.keys.errors import KeyMaterialError

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH_PREFIX_BYTES = 12
_ONE_CASE = (str.lower, str.upper)


def address_of_point(point: bytes) -> str:
    """Gives the EIP-55 address of a 64-byte public point (x, y)."""
    address: str = to_checksum_address("0x" + keccak256(point)[_HASH_PREFIX_BYTES:].hex())
    return address


def parse_address(text: str) -> str:
    """Gives the checksummed form of an address; mixed case must already carry the right checksum.

    Source: EIP-55 (an address in one case carries no checksum and is accepted).
    """
    if _ADDRESS.fullmatch(text) is None:
        raise KeyMaterialError("an address is not 0x and 40 hexadecimal digits")
    checksummed: str = to_checksum_address(text.lower())
    digits = text[2:]
    if text != checksummed and all(digits != one_case(digits) for one_case in _ONE_CASE):
        raise KeyMaterialError("an address has a wrong checksum")
    return checksummed
