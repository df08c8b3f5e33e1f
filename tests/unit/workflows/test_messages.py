"""What strangers send: one JSON object of the named fields, or a refusal that names the field."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities.failures import InvalidRequestError
from tests.vectors import load_vectors
from workflows.limits import MESSAGE_BYTES_MAX
from workflows.messages import one_object, parse_pause, parse_signed_message

GOOD = {"statement": '{"v":1}', "signature": "-----BEGIN SSH SIGNATURE-----"}


def raw(data: bytes, encoding: str = "json/plain") -> RawValue:
    """A payload as it comes."""
    return RawValue(Payload(metadata={"encoding": encoding.encode()}, data=data))


def sent(value: object) -> list[RawValue]:
    """One JSON value as it comes."""
    return [raw(json.dumps(value).encode())]


def test_a_signed_message_keeps_its_exact_text() -> None:
    """The statement is the text that was signed, blanks and line ends included."""
    text = ' {"v": 1}\r\n\t '
    message = parse_signed_message(sent({**GOOD, "statement": text}))
    assert (message.statement, message.signature) == (text, GOOD["signature"])


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "0 values came"),
        ([raw(b"{}"), raw(b"{}")], "2 values came"),
        ([raw(b"{}", "binary/plain")], "not JSON"),
        ([raw(b"", "binary/null")], "not JSON"),
        ([RawValue(Payload(data=b"{}"))], "not JSON"),
        ([raw(b"")], "does not parse"),
        ([raw(b"[]")], "does not parse"),
        ([raw(b'"{}"')], "does not parse"),
        ([raw(b"null")], "does not parse"),
        ([raw(b"{} {}")], "does not parse"),
        ([raw(b'{"a": 1, "a": 2}')], "does not parse"),
        ([raw(b'{"a": {"b": 1, "b": 1}}')], "does not parse"),
        ([raw(b'{"a": NaN}')], "does not parse"),
        ([raw(b'{"a": -Infinity}')], "does not parse"),
        ([raw(b'{"a": "\xff"}')], "does not parse"),
        ([raw(b"[" * 20_000)], "does not parse"),
        ([raw(b'{"a":' * 5_000 + b"1" + b"}" * 5_000)], "does not parse"),
        ([raw(b'{"a": ' + b"9" * 5_000 + b"}")], "does not parse"),
        ([raw(b'{"a": "' + b"x" * MESSAGE_BYTES_MAX + b'"}')], "larger than"),
    ],
)
def test_what_is_not_one_json_object_is_refused(inputs: list[RawValue], reason: str) -> None:
    """Every other shape is refused by an error that ends or refuses cleanly, never by another one."""
    with pytest.raises(InvalidRequestError, match=reason):
        one_object(inputs, bytes_max=MESSAGE_BYTES_MAX)


def test_a_message_of_exactly_the_bound_is_read() -> None:
    """The bound counts bytes of the payload."""
    data = json.dumps({"reason": ""}).encode()
    filled = data[:-2] + b"x" * (MESSAGE_BYTES_MAX - len(data)) + data[-2:]
    assert len(filled) == MESSAGE_BYTES_MAX
    assert one_object([raw(filled)], bytes_max=MESSAGE_BYTES_MAX)
    with pytest.raises(InvalidRequestError):
        one_object([raw(filled + b" ")], bytes_max=MESSAGE_BYTES_MAX)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "statement: is required"),
        ({"statement": "x"}, "signature: is required"),
        ({**GOOD, "statement": ""}, "statement: must be a non-empty string"),
        ({**GOOD, "statement": "  \n"}, "statement: must be a non-empty string"),
        ({**GOOD, "statement": {"v": 1}}, "statement: must be a non-empty string"),
        ({**GOOD, "signature": 7}, "signature: must be a non-empty string"),
        ({**GOOD, "signature": None}, "signature: must be a non-empty string"),
        ({**GOOD, "note": "x"}, "note: unknown field"),
        ({**GOOD, "Statement": "x"}, "Statement: unknown field"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], problem: str) -> None:
    """By name and reason, never with its value."""
    with pytest.raises(InvalidRequestError, match=problem):
        parse_signed_message(sent(fields))


def test_a_value_never_shows_in_a_refusal() -> None:
    """What somebody sent by mistake, a key perhaps, stays out of the history."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_signed_message(sent({"statement": ["canary-value"], "signature": {"x": "canary-value"}}))
    assert "canary-value" not in f"{caught.value} {caught.value.details}"


def test_names_of_unknown_fields_are_shown_short_and_few() -> None:
    """A stranger's names cannot fill the history or steer a terminal."""
    many = {f"\x1b[31m{number:03}" + "n" * 5_00: 1 for number in range(40)}
    with pytest.raises(InvalidRequestError) as caught:
        parse_signed_message(sent({**GOOD, **many}))
    assert "\x1b" not in caught.value.message
    assert caught.value.message.count("unknown field") == 10
    assert len(caught.value.message) < 1_500


@pytest.mark.parametrize("parse", [parse_signed_message, parse_pause])
def test_naughty_names_are_refused_by_name(parse: Callable[[list[RawValue]], object]) -> None:
    """Five hundred naughty strings as field names: each is refused as unknown, none breaks out."""
    strings = load_vectors("hostile-input/blns.json")
    assert isinstance(strings, list)
    for text in strings:
        with pytest.raises(InvalidRequestError):
            parse(sent({str(text): "x"}))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_value_is_a_message_or_a_refusal(value: object) -> None:
    """No input raises anything that the engine would retry for ever."""
    for shaped in (value, {"statement": value, "signature": value}, {"reason": value}):
        for parse in (parse_signed_message, parse_pause):
            with suppress(InvalidRequestError):
                assert parse(sent(shaped))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_refusal(data: bytes) -> None:
    """The same for what is no JSON at all."""
    with suppress(InvalidRequestError):
        assert isinstance(one_object([raw(data)], bytes_max=MESSAGE_BYTES_MAX), dict)


def test_a_refusal_is_final() -> None:
    """The engine tries a message that cannot be read no second time."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_signed_message(sent({}))
    assert caught.value.non_retryable


def test_a_pause_is_cut_to_a_bound() -> None:
    """Anyone may pause, and says why in at most five hundred characters."""
    assert parse_pause(sent({"reason": "x" * 600})) == "x" * 500
    for fields in ({}, {"reason": " "}, {"reason": 1}, {**GOOD, "reason": "x"}):
        with pytest.raises(InvalidRequestError):
            parse_pause(sent(fields))
