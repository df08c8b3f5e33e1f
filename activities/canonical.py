"""Canonical JSON (RFC 8785) and the SHA-256 digests made of it.

Everything that is signed or compared across processes is made to bytes here and nowhere else.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import rfc8785

from activities.failures import InvalidRequestError

_FLAT: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises:
        InvalidRequestError: the value holds something JSON cannot say exactly.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError):
        raise InvalidRequestError("A value cannot be written as canonical JSON") from None


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
