"""Every hostile string in messages to a batch: statements, reasons, names, and the page that shows them."""

import json
import re
import string
from functools import partial
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities.approvals.attempts import as_word, storable
from activities.canonical import canonical
from activities.failures import InvalidRequestError
from activities.trust.judging import judge_attempt
from activities.trust.statements import build_statement, parse_statement
from tests.hostile.strings import LONE, UNSEEN, hostile_strings, outcome, telling
from tests.trust_room import LEE, NOW, context, statement, trust
from workflows.batch_state import BatchState, Refusal, Waiting
from workflows.messages import parse_pause, parse_signed_message
from workflows.status import details_of, escaped, status_of

FIELDS = tuple(json.loads(statement(LEE)))
EVERYTHING = (*hostile_strings(), *LONE)


def _sent(value: object) -> list[RawValue]:
    return [RawValue(Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode()))]


@pytest.mark.parametrize("field", FIELDS)
def test_every_string_in_every_field_of_a_statement(field: str) -> None:
    """Taken as it is, or refused by the field's name; what is taken holds nothing that a screen obeys."""
    for text in EVERYTHING:
        exact = statement(LEE, **{field: text})
        said, refusal = outcome(partial(parse_statement, exact))
        assert refusal.isprintable()
        assert not (telling(text) and text in refusal), ascii(text)
        if said:
            assert field in {"approver", "reason", "tenant", "batch_id", "deployment", "nonce", "digest"}
            assert getattr(said, field) == text
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)


@pytest.mark.parametrize("field", FIELDS)
def test_no_statement_of_a_stranger_counts_or_ends_the_judge(field: str) -> None:
    """A statement that is signed well but holds another text in any field is judged, and never counts."""
    trusted, usual = trust(), context()
    good = json.loads(statement(LEE))[field]
    for text in EVERYTHING[:: 1 if field == "approver" else 7]:
        if field in {"reason", "nonce"} or text == good:
            continue
        exact = statement(LEE, **{field: text})
        signature = LEE.sign(exact) if text not in LONE else "none"
        judged = judge_attempt(
            exact, signature, trust=trusted, context=usual, now=NOW, seen_nonces=frozenset()
        )
        assert not judged.counted, ascii(text)
        assert judged.sentence.isprintable()


def test_every_string_as_statement_signature_and_reason_of_a_message() -> None:
    """Texts arrive exactly as they were sent; what cannot be judged can still be stored."""
    trusted, usual = trust(), context()
    for text in filter(str.strip, EVERYTHING):
        message = parse_signed_message(_sent({"statement": text, "signature": text}))
        assert (message.statement, message.signature) == (text, text)
        judged = judge_attempt(text, text, trust=trusted, context=usual, now=NOW, seen_nonces=frozenset())
        assert (judged.counted, judged.statement) == (False, None)
        for kept in (storable(text), storable(parse_pause(_sent({"reason": text})))):
            assert "\x00" not in kept
            assert kept.encode().decode() == kept


def test_every_string_as_name_of_a_message() -> None:
    """What is written down of a name is a word; a field's name is shown printable in the refusal."""
    for text in EVERYTHING:
        assert re.fullmatch(r"[A-Za-z0-9_./@:-]{0,64}", as_word(text)), ascii(text)
        if text in {"statement", "signature"}:
            continue
        with pytest.raises(InvalidRequestError) as raised:
            parse_signed_message(_sent({"statement": "x", "signature": "x", text: "word-of-a-stranger"}))
        assert raised.value.message.isprintable(), ascii(text)
        assert "word-of-a-stranger" not in raised.value.message


@pytest.mark.parametrize("field", ["reason", "approver", "gate", "tenant"])
def test_a_statement_is_not_built_with_what_would_be_refused(field: str) -> None:
    """Our own tool signs nothing that the judge cannot read, and says which field is wrong."""
    fields: dict[str, Any] = json.loads(statement(LEE))
    del fields["v"]
    for text in EVERYTHING:
        given = fields | {"issued_at": NOW, "expires_at": NOW.replace(hour=NOW.hour + 1), field: text}
        built, refusal = outcome(partial(build_statement, **given))
        assert refusal.isprintable()
        assert built is None or json.loads(built)[field] == text


def test_the_page_shows_every_string_as_text() -> None:
    """In the engine's page nothing is markup, a bare address that becomes a link, or a line of its own."""
    for text in EVERYTHING:
        shown = escaped(text)
        bare = re.sub(rf"\\[{re.escape(string.punctuation)}]", "", shown)
        assert not set(bare) & set(string.punctuation), ascii(text)
        assert not UNSEEN.search(shown), ascii(text)
        assert "\n" not in shown


def test_no_string_changes_the_pages_lines_or_the_status() -> None:
    """Wherever a stranger's text is shown, the page keeps its lines, and the status says it as JSON."""
    calm = len(details_of(_state("calm")).splitlines())
    for text in EVERYTHING:
        state = _state(text)
        assert len(details_of(state).splitlines()) == calm, ascii(text)
        assert not UNSEEN.search(details_of(state)), ascii(text)
        told = json.dumps(status_of(state))
        assert "\n" not in told
        assert json.loads(told)["requested_by"] == text


def _state(text: str) -> BatchState:
    return BatchState(
        request={"tenant": text, "requested_by": text, "purpose": "airdrop", "chains": []},
        waiting=Waiting(kind="approval", name=text),
        services={"x": text},
        refusals=[Refusal(message=text[:64], reason_code="unknown_message", reason=text, at="")],
    )


def test_what_is_written_down_is_canonical() -> None:
    """An audit body holds a stranger's words as JSON on one line, or they are replaced before."""
    for text in EVERYTHING:
        body = canonical({"reason": storable(text)})
        assert b"\n" not in body
        assert json.loads(body)["reason"] == storable(text)
