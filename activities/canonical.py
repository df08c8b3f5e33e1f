"""Canonical JSON (RFC 8785) and the SHA-256 digests made of it.

Everything that is signed or compared across processes is made to bytes here and nowhere else.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import rfc8785

from activities.failures import InvalidRequestError

_EXACT_INTEGER_MAX: Final = 2**53 - 1
_FLAT: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises:
        InvalidRequestError: the value holds something JSON cannot say exactly.
    """
    try:
        return _FLAT.encode(value).encode("utf-8") if _is_plain(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError):
        raise InvalidRequestError("A value cannot be written as canonical JSON") from None


def _is_plain(value: Any) -> bool:
    """Whether the standard encoder, some ten times faster, writes the same bytes as RFC 8785 asks for.

    The two differ in floats, in integers that a float cannot hold, and in the order of names outside of
    ASCII: the standard encoder sorts by code point and RFC 8785 by UTF-16 unit.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-_EXACT_INTEGER_MAX <= value <= _EXACT_INTEGER_MAX)
    if kind is dict:
        return all(type(name) is str and name.isascii() and _is_plain(one) for name, one in value.items())
    return kind is list and all(map(_is_plain, value))


def canonical_text(value: Any) -> str:
    """The canonical JSON as text, as it is shown and signed."""
    return canonical(value).decode("utf-8")


def canonical_strings(row: Mapping[str, str | int]) -> bytes:
    """The same bytes as `canonical`, some ten times faster, for one flat row of strings and row numbers.

    The standard encoder sorts by code point and RFC 8785 by UTF-16 unit: the two agree for names in
    ASCII, which column names are; any other name takes the slow way.

    Raises:
        InvalidRequestError: a text holds a lone surrogate.
    """
    if not all(map(str.isascii, row)):
        return canonical(dict(row))
    try:
        return _FLAT.encode(dict(row)).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequestError("A value cannot be written as canonical JSON") from None


def digest(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical JSON of a value."""
    return sha256_hex(canonical(value))


def text_digest(text: str) -> str:
    """Lower-case hex SHA-256 of an exact text in UTF-8."""
    return sha256_hex(text.encode("utf-8"))


def sha256_hex(content: bytes) -> str:
    """Lower-case hex SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()
