"""What stands of a decision against when its author, key or text is doubtful."""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.trust.judging import Attempt, Requester, judge_attempt, tally
from activities.trust.reasons import Reason
from tests.trust_room import (
    ANA,
    GATE,
    KIM,
    LEE,
    NOW,
    STRANGER,
    Person,
    at,
    attempt,
    context,
    person,
    statement,
    trust,
)

LAPSED: dict[str, Person] = {
    "person revoked before it": person(LEE, extra=f'revoked_at = "{at(-2)}"'),
    "key dated back to before it": person(LEE, options='valid-before="20260301Z"'),
}


@pytest.mark.parametrize("case", LAPSED)
def test_counted_rejection_stands_though_its_author_lapsed(case: str) -> None:
    """Whoever revokes the person or the key after a reject has counted does not open the gate."""
    attempts = [attempt(ANA), attempt(KIM), attempt(LEE, decision="reject", counted_at=NOW)]
    state = tally(GATE, attempts, trust=trust(LAPSED[case]), context=context(), now=NOW + timedelta(hours=1))
    assert (state.satisfied, state.rejected_by) == (False, (LEE.name,))


def _unsigned(text: str) -> Attempt:
    return Attempt(statement=text, signature="", counted_at=NOW)


FORGED = {
    "no statement": _unsigned("{}"),
    "no signature": _unsigned(statement(LEE, decision="reject")),
    "a stranger's key": attempt(STRANGER, decision="reject"),
    "another text": replace(attempt(LEE, decision="reject"), statement=statement(LEE, decision="reject")),
}


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("case", FORGED)
def test_forged_rejection_blocks_nothing(case: str, refused: bool) -> None:
    """A no that nobody signed is nobody's, whatever its row says."""
    forged = replace(FORGED[case], refused=refused)
    state = tally(
        GATE, [attempt(ANA), attempt(LEE), forged, attempt(KIM)], trust=trust(), context=context(), now=NOW
    )
    assert (state.satisfied, state.rejected_by) == (True, ())


def test_judgement_tells_every_broken_rule() -> None:
    """The first broken rule is told, and none of the others is lost behind it."""
    text = statement(LEE, tenant="globex", batch_id="autumn", expires_at=at(-0.5))
    judged = judge_attempt(text, LEE.sign(text), trust=trust(), context=context(), now=NOW, seen_nonces=set())
    assert judged.broken == (Reason.WRONG_TENANT, Reason.WRONG_BATCH, Reason.EXPIRED)
    assert (judged.counted, judged.reason) == (False, Reason.WRONG_TENANT)


def test_requester_who_looks_like_one_of_a_persons_names_is_that_person() -> None:
    """Any name of a person is enough to be taken for them."""
    whom = trust(person(LEE, extra='also_known_as = ["smith@acme.example"]'))
    for name in ("sm1th@acme.example", "1ee@acme.example"):
        where = context(requester=Requester(name=name))
        text = statement(LEE)
        judged = judge_attempt(text, LEE.sign(text), trust=whom, context=where, now=NOW, seen_nonces=set())
        assert judged.reason is Reason.REQUESTER_MAY_NOT_APPROVE
