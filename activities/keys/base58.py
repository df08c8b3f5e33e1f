"""Base58Check as Bitcoin defines it: the text form of extended keys."""

import hashlib

from activities.keys.errors import KeyMaterialError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHECKSUM_BYTES = 4
_TEXT_MAX = 256
"""Longest text decoded, in characters: twice an extended key, because the arithmetic is quadratic."""


def encode_check(payload: bytes) -> str:
    """Gives the Base58Check text of a payload."""
    raw = payload + _checksum(payload)
    number = int.from_bytes(raw, "big")
    letters: list[str] = []
    while number:
        number, value = divmod(number, 58)
        letters.append(_ALPHABET[value])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + "".join(reversed(letters))


def decode_check(text: str) -> bytes:
    """Gives the payload of a Base58Check text; refuses a foreign letter and a wrong checksum."""
    if len(text) > _TEXT_MAX:
        raise KeyMaterialError("a Base58 text is too long")
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise KeyMaterialError("a Base58 text holds a letter outside its alphabet")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if len(raw) <= _CHECKSUM_BYTES or checksum != _checksum(payload):
        raise KeyMaterialError("a Base58 text has a wrong checksum")
    return payload


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:_CHECKSUM_BYTES]
