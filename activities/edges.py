"""How text from outside becomes values: strict JSON, TOML, and problems named by field.

Never repeats an offending value: problems give the field's path and the reason, and field names that a
stranger chose are shortened and made printable first.
"""

import json
import math
import re
import tomllib
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from activities.failures import InvalidRequestError

FIELD_NAME_CHARS_MAX: Final = 80
"""Longest part of a field's path that is shown; longer names are cut."""

_KEY_PARTS_MAX: Final = 64
"""Dots in a line of TOML: the library takes the square of a dotted key's parts to read it."""

_TOML_POSITION: Final = re.compile(r"\(at (line \d+, column \d+|end of document)\)")


def strict_json(text: str, *, what: str, bytes_max: int) -> Any:
    """The value of a JSON text without duplicate keys, NaN, infinities or lone surrogates.

    Args:
        text: the exact text as it came.
        what: names the text in errors, for example "The statement".
        bytes_max: largest accepted UTF-8 size.

    Raises:
        InvalidRequestError: the text is too large or not such JSON.
    """
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{what} is not valid Unicode text") from None
    if size > bytes_max:
        raise InvalidRequestError(f"{what} is larger than {bytes_max} bytes")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
        # An escape such as \ud800 is read without complaint but can never be written again.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except _DuplicateKeyError:
        raise InvalidRequestError(f"{what} names a field twice") from None
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{what} is not valid JSON") from None
    return value


def toml_table(text: str, *, what: str) -> dict[str, Any]:
    """The table a TOML text holds; errors give line and column, never the content."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > _KEY_PARTS_MAX and not line.lstrip().startswith("#"):
            raise InvalidRequestError(f"{what} is not valid TOML", [f"line {number}: too many dots"])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_POSITION.search(str(error))
        where = found.group(1) if found else "unknown place"
        raise InvalidRequestError(f"{what} is not valid TOML", [where]) from None
    except RecursionError:
        raise InvalidRequestError(f"{what} is nested too deeply") from None


def problems_of(error: ValidationError) -> list[str]:
    """One sentence per problem, `field: reason`, without any input value."""
    return [
        f"{field_path(entry['loc'])}: {_reason(entry['type'], entry['msg'])}"
        for entry in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def field_path(parts: tuple[int | str, ...]) -> str:
    """A printable path of field names, for example `rollout.waves_percent.0`."""
    return ".".join(_printable(str(part)) for part in parts) or "the whole"


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown field"
    if kind == "missing":
        return "missing"
    if kind == "string_pattern_mismatch":
        return "has the wrong form"
    return message.removeprefix("Value error, ")


def _printable(name: str) -> str:
    shown = name[:FIELD_NAME_CHARS_MAX].encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else "?" for char in shown)


class _DuplicateKeyError(ValueError):
    """A JSON object names one key twice."""


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DuplicateKeyError
    return value


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
