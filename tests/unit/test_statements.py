"""The approval statement: the published fields and nothing else."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import InvalidRequestError
from activities.trust.statements import STATEMENT_BYTES_MAX, build_statement, parse_statement

GOOD: dict[str, Any] = {
    "v": 1,
    "deployment": "acme-prod",
    "tenant": "acme",
    "batch_id": "spring-airdrop",
    "gate": "compliance",
    "digest": "ab" * 32,
    "decision": "approve",
    "approver": "lee@acme.example",
    "reason": "Looked at it.",
    "issued_at": "2026-01-02T03:04:05Z",
    "expires_at": "2026-01-03T03:04:05Z",
    "nonce": "0123456789abcdef",
}


def _problem(**changes: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse_statement(json.dumps({**GOOD, **changes}))
    return caught.value.message


def test_published_shape_is_read() -> None:
    """The statement of the design is read field by field."""
    statement = parse_statement(json.dumps(GOOD, indent=2) + "\n")
    assert statement.gate == "compliance"
    assert statement.issued_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert statement.validity.total_seconds() == 86_400


def test_built_statement_is_canonical_and_reads_back() -> None:
    """The command line's text is the canonical JSON of exactly the published fields."""
    text = build_statement(
        **{
            **{name: value for name, value in GOOD.items() if name != "v"},
            "issued_at": datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC),
            "expires_at": datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC),
        }
    )
    assert text == json.dumps(GOOD, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("field", sorted(GOOD))
def test_missing_field_is_named(field: str) -> None:
    """Every field is needed, and the refusal names the one that is not there."""
    text = json.dumps({name: value for name, value in GOOD.items() if name != field})
    with pytest.raises(InvalidRequestError) as caught:
        parse_statement(text)
    assert caught.value.message == f"The statement is not valid: {field}: missing"


def test_unknown_field_is_named() -> None:
    """A field more is refused by its name, never ignored."""
    assert _problem(extra=1) == "The statement is not valid: extra: unknown field"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("v", 0),
        ("v", True),
        ("v", 1.0),
        ("v", "1"),
        ("deployment", ""),
        ("deployment", "a" * 129),
        ("tenant", "acme\n"),
        ("batch_id", "../x"),
        ("gate", "wave/01"),
        ("gate", "wave/"),
        ("gate", "compliance\n"),
        ("gate", "export/1"),
        ("digest", "AB" * 32),
        ("digest", "ab" * 31),
        ("decision", "Approve"),
        ("approver", ""),
        ("approver", "a" * 255),
        ("approver", "lee\u0000"),
        ("reason", ""),
        ("reason", "x" * 1001),
        ("reason", "two\nlines"),
        ("issued_at", "2026-01-02T03:04:05+00:00"),
        ("issued_at", "2026-01-02 03:04:05Z"),
        ("issued_at", "2026-02-30T03:04:05Z"),
        ("issued_at", 1),
        ("expires_at", "2026-01-03T03:04:05.1234567Z"),
        ("nonce", "a" * 15),
        ("nonce", "a" * 129),
        ("nonce", "has blanks in it!"),
    ],
)
def test_wrong_field_is_named_without_its_value(field: str, value: object) -> None:
    """The refusal starts with the field and does not tell what was in it."""
    message = _problem(**{field: value})
    assert message.startswith(f"The statement is not valid: {field}: ")
    assert repr(value) not in message


@pytest.mark.parametrize(
    ("field", "length"),
    [("deployment", 128), ("approver", 254), ("reason", 1000), ("nonce", 128), ("nonce", 16), ("reason", 1)],
)
def test_field_as_long_as_allowed_is_read(field: str, length: int) -> None:
    """The limits are the last values that are taken."""
    assert getattr(parse_statement(json.dumps({**GOOD, field: "a" * length})), field) == "a" * length


@pytest.mark.parametrize(
    ("gate", "decision"), [("hold", "approve"), ("hold", "reject"), ("wave/2", "clear"), ("export", "refuse")]
)
def test_decision_of_another_kind_of_gate_is_refused(gate: str, decision: str) -> None:
    """Holds are cleared or refused, everything else approved or rejected."""
    assert "decision must be" in _problem(gate=gate, decision=decision)


@pytest.mark.parametrize(
    ("gate", "decision"), [("hold", "clear"), ("wave/12", "reject"), ("resume/0", "approve")]
)
def test_decision_that_fits_its_gate_is_read(gate: str, decision: str) -> None:
    """Each gate takes its own two decisions."""
    assert parse_statement(json.dumps({**GOOD, "gate": gate, "decision": decision})).decision == decision


@pytest.mark.parametrize(
    ("gate", "decision", "favourable"),
    [
        ("hold", "clear", True),
        ("hold", "refuse", False),
        ("compliance", "approve", True),
        ("compliance", "reject", False),
    ],
)
def test_decision_is_for_or_against(gate: str, decision: str, favourable: bool) -> None:
    """Approving and clearing are for going on, the others against it."""
    statement = parse_statement(json.dumps({**GOOD, "gate": gate, "decision": decision}))
    assert statement.favourable is favourable


def test_day_that_no_calendar_has_is_told_so() -> None:
    """The thirtieth of February is refused in our words."""
    assert "issued_at: is no time of the calendar" in _problem(issued_at="2026-02-30T03:04:05Z")


def test_statement_that_would_be_refused_is_not_built() -> None:
    """Nobody is asked to sign what cannot count."""
    fields = {name: value for name, value in GOOD.items() if name not in {"v", "issued_at", "expires_at"}}
    now = datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(InvalidRequestError, match="expires_at must be after"):
        build_statement(**fields, issued_at=now, expires_at=now)


def test_statement_that_ends_before_it_begins_is_refused() -> None:
    """Expiry lies after issue."""
    assert "expires_at must be after" in _problem(expires_at=GOOD["issued_at"])


def test_field_named_twice_is_refused() -> None:
    """Two readers might take different ones of the two."""
    text = json.dumps(GOOD).replace("{", '{"decision": "reject", ', 1)
    with pytest.raises(InvalidRequestError, match="names a field twice"):
        parse_statement(text)


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "1"])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    """A statement is one JSON object."""
    with pytest.raises(InvalidRequestError, match="must be a JSON object"):
        parse_statement(text)


def test_statement_over_its_size_is_refused() -> None:
    """Nothing over 8 KiB is parsed."""
    with pytest.raises(InvalidRequestError, match="larger than 8192 bytes"):
        parse_statement(json.dumps(GOOD) + " " * STATEMENT_BYTES_MAX)


@given(
    st.text()
    | st.dictionaries(st.sampled_from(sorted(GOOD)), st.none() | st.integers() | st.text()).map(json.dumps)
)
def test_any_text_is_a_statement_or_refused_in_our_words(text: str) -> None:
    """The parser raises nothing but its own error."""
    with pytest.raises(InvalidRequestError):
        parse_statement(text)


def test_the_readmes_statement_is_one() -> None:
    """Who writes a statement by hand after the README writes one that is read."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (shown,) = re.findall(r'^```json\n(\{"v": 1,.*?)^```$', text, re.DOTALL | re.MULTILINE)
    assert parse_statement(shown).gate == "compliance"
