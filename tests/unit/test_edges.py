"""Strict reading of text from outside."""

import json
import tomllib
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.edges import field_path, strict_json, toml_table
from activities.failures import InvalidRequestError
from tests.vectors import load_vectors

TEXTS = st.text(st.characters(codec="utf-8"))


def _refusal(text: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        strict_json(text, what="The text", bytes_max=100_000)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "The text names a field twice"),
        ('{"o": {"a": 1, "a": 2}}', "The text names a field twice"),
        ('{"a": NaN}', "The text is not valid JSON"),
        ('{"a": Infinity}', "The text is not valid JSON"),
        ('{"a": 1e999}', "The text is not valid JSON"),
        ('{"a": "\\ud800"}', "The text is not valid JSON"),
        ('{"a": "\ud800"}', "The text is not valid Unicode text"),
        ("", "The text is not valid JSON"),
        ("{} {}", "The text is not valid JSON"),
        ("[" * 50_000, "The text is not valid JSON"),
        ("9" * 5_000, "The text is not valid JSON"),
        (" " * 100_001, "The text is larger than 100000 bytes"),
    ],
    ids=["twice", "twice-inside", "nan", "inf", "overflow", "escape", "surrogate", "empty", "two",
         "deep", "digits", "large"],
)  # fmt: skip
def test_json_that_could_be_read_two_ways_is_refused(text: str, message: str) -> None:
    """What two readers could understand differently is refused in fixed words."""
    assert _refusal(text) == message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=10,
    )
)
def test_ordinary_json_is_read_as_written(value: object) -> None:
    """Strict reading changes nothing about a good text."""
    assert strict_json(json.dumps(value), what="The text", bytes_max=10**6) == value


@given(st.text())
def test_any_text_is_json_or_refused_in_our_words(text: str) -> None:
    """The parser raises nothing but its own error."""
    try:
        value = strict_json(text, what="The text", bytes_max=1_000)
    except InvalidRequestError:
        return
    assert value == json.loads(text)


def test_hostile_strings_are_values_like_any_other() -> None:
    """Every string of the hostile collection passes as text or is refused in our words."""
    read = [
        strict_json(json.dumps([text]), what="The text", bytes_max=10**6)
        for text in cast("list[str]", load_vectors("hostile-input/blns.json"))
    ]
    assert read == [[text] for text in cast("list[str]", load_vectors("hostile-input/blns.json"))]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = 1\na = 2\nb = 3", "line 2, column 6"), ("a = ", "end of document"), ("x" * 10, "end of document")],
)
def test_broken_toml_is_refused_with_its_place(text: str, place: str) -> None:
    """Line and column are told, the content is not."""
    with pytest.raises(InvalidRequestError) as caught:
        toml_table(text, what="The file")
    assert caught.value.details[0] == [place]


@given(st.text())
def test_any_text_is_toml_or_refused_in_our_words(text: str) -> None:
    """The TOML reader raises nothing but its own error."""
    table: dict[str, Any]
    try:
        table = toml_table(text, what="The file")
    except InvalidRequestError:
        return
    assert repr(table) == repr(tomllib.loads(text))


def test_field_names_of_strangers_are_cut_and_printable() -> None:
    """A field name cannot carry control characters or pages of text into a message."""
    shown = field_path(("a\x1b[31m\u202e", 0, "x" * 500))
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 200
