"""Canonical JSON and digests."""

import hashlib

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from activities import canonical
from activities.failures import InvalidRequestError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def test_published_example_gets_its_published_bytes() -> None:
    """RFC 8785 section 3.2.3: keys sort by UTF-16 unit, numbers as in ECMAScript."""
    value = {"\u20ac": 1.0, "\r": 1e30, "1": True, "\U0001f600": None, "\ufb33": 4.5, "\u0080": ""}
    expected = '{"\\r":1e+30,"1":true,"\u0080":"","\u20ac":1,"\U0001f600":null,"\ufb33":4.5}'
    assert canonical.canonical(value) == expected.encode()


def test_digest_is_sha256_of_the_canonical_bytes() -> None:
    """Order of keys and blanks in the source do not change a digest."""
    assert canonical.digest({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()


def test_text_digest_covers_every_byte() -> None:
    """An exact text differs from the same text with a newline."""
    assert canonical.text_digest("x") == hashlib.sha256(b"x").hexdigest()
    assert canonical.text_digest("x\n") != canonical.text_digest("x")


LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False) | TEXTS
NAMES = st.text(st.characters(max_codepoint=127)) | TEXTS
VALUES = st.recursive(
    LEAVES.filter(lambda leaf: leaf not in {float("inf"), float("-inf")}),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(VALUES)
def test_any_value_gets_the_bytes_of_the_standard(value: object) -> None:
    """Whichever encoder writes a value, its bytes are those of RFC 8785."""
    assert canonical.canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # any JSON value


@given(st.dictionaries(TEXTS, TEXTS))
def test_fast_rows_are_the_same_bytes(row: dict[str, str]) -> None:
    """The fast way for rows of strings never differs from RFC 8785."""
    assert canonical.canonical_strings(row) == rfc8785.dumps(dict(row))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**60, "\ud800", {1: "a"}, {"\ud800": 1}, object(), b"bytes"],
    ids=["nan", "inf", "large", "surrogate", "number-key", "surrogate-key", "object", "bytes"],
)
def test_value_json_cannot_say_is_refused_without_repeating_it(value: object) -> None:
    """What has no exact JSON is refused, and the error does not tell the value."""
    with pytest.raises(InvalidRequestError) as caught:
        canonical.canonical(value)
    assert caught.value.message == "A value cannot be written as canonical JSON"


def test_endless_nesting_is_refused() -> None:
    """A structure too deep to write ends as our error."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidRequestError):
        canonical.canonical(deep)


def test_fast_row_with_a_lone_surrogate_is_refused() -> None:
    """The fast way refuses what the exact way refuses."""
    with pytest.raises(InvalidRequestError):
        canonical.canonical_strings({"name": "\ud800"})
