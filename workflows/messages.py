"""What enters a workflow: payloads are taken raw and parsed here, so that nothing bad can wedge a run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.common import RawValue

from activities.failures import InvalidRequestError
from workflows.limits import MESSAGE_BYTES_MAX

SIGNED_MESSAGES = ("approve", "reject", "adjudicate", "resume", "abort")
"""Messages that carry a signed statement; `pause` alone needs none."""

_JSON_ENCODING = b"json/plain"
_REASON_CHARS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMessage:
    """The exact text that was signed, and its armoured SSH signature."""

    statement: str
    signature: str


def one_object(inputs: Sequence[RawValue], *, bytes_max: int) -> dict[str, Any]:
    """Gives the one JSON object that was sent.

    Raises: InvalidRequestError when it is not exactly one, not JSON, or too large.
    """
    if len(inputs) != 1:
        raise InvalidRequestError(f"one JSON object is expected, {len(inputs)} values came")
    payload = inputs[0].payload
    if payload.metadata.get("encoding") != _JSON_ENCODING:
        raise InvalidRequestError("one JSON object is expected, the value is not JSON")
    if len(payload.data) > bytes_max:
        raise InvalidRequestError(f"the JSON object is larger than {bytes_max} bytes")
    try:
        value = json.loads(payload.data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequestError("one JSON object is expected, the value does not parse as one")
    return value


def parse_signed_message(inputs: Sequence[RawValue]) -> SignedMessage:
    """Gives the signed message.

    Raises: InvalidRequestError naming the field that is missing, unknown or of the wrong type.
    """
    fields = one_object(inputs, bytes_max=MESSAGE_BYTES_MAX)
    _require_fields(fields, {"statement", "signature"})
    return SignedMessage(statement=fields["statement"], signature=fields["signature"])


def parse_pause(inputs: Sequence[RawValue]) -> str:
    """Gives the reason of a pause, cut to a bound; anyone may send one."""
    fields = one_object(inputs, bytes_max=MESSAGE_BYTES_MAX)
    _require_fields(fields, {"reason"})
    return str(fields["reason"])[:_REASON_CHARS_MAX]


def _require_fields(fields: dict[str, Any], names: set[str]) -> None:
    problems = [f"{_shown(name)}: unknown field" for name in sorted(fields.keys() - names)[:10]]
    problems += [f"{name}: is required" for name in sorted(names - fields.keys())]
    problems += [
        f"{name}: must be a non-empty string"
        for name in sorted(names & fields.keys())
        if not (isinstance(fields[name], str) and fields[name].strip())
    ]
    if problems:
        raise InvalidRequestError("the message is not valid", problems)


def _shown(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:80]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _refuse_constant(_: str) -> None:
    raise ValueError("not JSON")
