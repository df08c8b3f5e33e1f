"""Does a signed decision count: every rule, and every way around it that was thought of."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities.trust.gates import GateRule
from activities.trust.judging import (
    Gate,
    GateContext,
    Judgement,
    Requester,
    judge_attempt,
    tally,
)
from activities.trust.reasons import SENTENCES, Reason
from activities.trust.trust_file import Trust
from tests.signers import Signer
from tests.trust_room import (
    ANA,
    DIGEST,
    GATE,
    KIM,
    LEE,
    LEE_SECOND,
    NOW,
    OPS,
    OTHER_DIGEST,
    STRANGER,
    Person,
    at,
    attempt,
    context,
    person,
    statement,
    trust,
)


def _judge(
    signer: Signer,
    *,
    where: GateContext | None = None,
    whom: Trust | None = None,
    seen: AbstractSet[str] = frozenset(),
    **changes: Any,
) -> Judgement:
    text = statement(signer, **changes)
    return judge_attempt(
        text, signer.sign(text), trust=whom or trust(), context=where or context(), now=NOW, seen_nonces=seen
    )


def _asked_by(name: str, key: Signer | None = None) -> GateContext:
    fingerprint = None
    if key is not None:
        found = trust().key_for(key.public_key)
        assert found is not None
        fingerprint = found.fingerprint
    return context(requester=Requester(name=name, key_fingerprint=fingerprint))


def test_decision_that_keeps_every_rule_counts() -> None:
    """The right person, gate, digest and time count, and the judgement says who."""
    judged = _judge(LEE)
    assert judged.counted
    assert (judged.reason, judged.person) == (Reason.COUNTED, LEE.name)
    assert judged.statement is not None
    assert judged.statement.gate == "compliance"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"deployment": "acme-test"}, Reason.WRONG_DEPLOYMENT),
        ({"tenant": "other"}, Reason.WRONG_TENANT),
        ({"batch_id": "autumn-airdrop"}, Reason.WRONG_BATCH),
        ({"gate": "issuance"}, Reason.GATE_NOT_OPEN),
        ({"gate": "wave/1"}, Reason.GATE_NOT_OPEN),
        ({"digest": OTHER_DIGEST}, Reason.WRONG_DIGEST),
        ({"approver": KIM.name}, Reason.APPROVER_IS_NOT_SIGNER),
        ({"issued_at": at(0.09)}, Reason.ISSUED_IN_FUTURE),
        ({"issued_at": at(24), "expires_at": at(48)}, Reason.ISSUED_IN_FUTURE),
        ({"expires_at": at(0)}, Reason.EXPIRED),
        ({"issued_at": at(-48), "expires_at": at(-24)}, Reason.EXPIRED),
        ({"expires_at": at(71.1)}, Reason.VALIDITY_TOO_LONG),
        ({"v": 2}, Reason.MALFORMED_STATEMENT),
        ({"decision": "clear"}, Reason.MALFORMED_STATEMENT),
    ],
)
def test_decision_about_something_else_or_at_another_time_is_refused(
    changes: dict[str, Any], reason: Reason
) -> None:
    """Each field of the statement binds; one that differs is refused with its own reason."""
    judged = _judge(LEE, **changes)
    assert (judged.counted, judged.reason) == (False, reason)


@pytest.mark.parametrize("changes", [{"issued_at": at(1 / 12)}, {"expires_at": at(71)}])
def test_decision_at_the_edge_of_its_time_counts(changes: dict[str, Any]) -> None:
    """Five minutes of skew and exactly the policy's validity are allowed."""
    assert _judge(LEE, **changes).counted


def test_text_changed_after_signing_is_refused() -> None:
    """The signature is over the exact text: another blank voids it."""
    text = statement(LEE)
    judged = judge_attempt(
        text + " ", LEE.sign(text), trust=trust(), context=context(), now=NOW, seen_nonces=set()
    )
    assert (judged.counted, judged.reason, judged.person) == (False, Reason.BAD_SIGNATURE, None)


def test_unsigned_statement_is_refused() -> None:
    """A statement alone says nothing about who made it."""
    text = statement(LEE)
    judged = judge_attempt(text, "", trust=trust(), context=context(), now=NOW, seen_nonces=set())
    assert (judged.counted, judged.reason, judged.person) == (False, Reason.MALFORMED_SIGNATURE, None)


def test_signature_for_a_request_does_not_approve() -> None:
    """Signatures made for another purpose cannot be turned into approvals."""
    text = statement(LEE)
    signature = LEE.sign(text, "walletworks-request")
    judged = judge_attempt(text, signature, trust=trust(), context=context(), now=NOW, seen_nonces=set())
    assert judged.reason is Reason.WRONG_NAMESPACE


def test_foreign_key_is_refused_whatever_name_it_gives() -> None:
    """A key that nobody here holds counts for nobody."""
    judged = _judge(STRANGER)
    assert (judged.counted, judged.reason, judged.person) == (False, Reason.UNKNOWN_KEY, None)


def test_malformed_statement_is_told_by_field() -> None:
    """The sentence names the field and the rule."""
    assert "digest: has the wrong form" in _judge(LEE, digest="x").sentence


def test_replayed_nonce_is_refused() -> None:
    """The same statement sent again changes nothing."""
    judged = _judge(LEE, nonce="nonce-used-before", seen={"nonce-used-before"})
    assert (judged.counted, judged.reason) == (False, Reason.NONCE_ALREADY_USED)


def test_person_without_a_role_of_the_gate_is_refused() -> None:
    """Being trusted is not enough: the gate asks for roles."""
    where = context(gates=(Gate(name="hold", digest=DIGEST, rule=GateRule(seats={"compliance_officer": 1})),))
    refused = _judge(KIM, where=where, gate="hold", decision="clear")
    assert (refused.counted, refused.reason) == (False, Reason.ROLE_MISSING)
    assert _judge(LEE, where=where, gate="hold", decision="clear").counted


def test_one_of_several_open_digests_is_enough() -> None:
    """Many holds are open at once, each a gate over its own digest with its own rule."""
    rule = GateRule(seats={"compliance_officer": 1})
    holds = tuple(Gate(name="hold", digest=digest, rule=rule) for digest in (DIGEST, OTHER_DIGEST))
    where = context(gates=holds)
    assert _judge(LEE, where=where, gate="hold", decision="refuse", digest=OTHER_DIGEST).counted
    unknown = _judge(LEE, where=where, gate="hold", decision="refuse", digest="ef" * 32)
    assert unknown.reason is Reason.WRONG_DIGEST


def test_role_is_asked_of_the_digest_decided_on() -> None:
    """A role that only another open gate of that name asks for does not help."""
    easy = Gate(name="hold", digest=OTHER_DIGEST, rule=GateRule(seats={"wallet_officer": 1}))
    hard = Gate(name="hold", digest=DIGEST, rule=GateRule(seats={"compliance_officer": 1}))
    judged = _judge(KIM, where=context(gates=(easy, hard)), gate="hold", decision="clear")
    assert judged.reason is Reason.ROLE_MISSING


def test_person_of_another_tenant_is_refused() -> None:
    """Roles reach no further than the person's tenants."""
    whom = trust(person(LEE, tenants=("globex",)))
    assert _judge(LEE, whom=whom).reason is Reason.PERSON_NOT_FOR_TENANT
    assert _judge(LEE, whom=trust(person(LEE, tenants=("*",)))).counted


@pytest.mark.parametrize(("hours", "counts"), [(-1, False), (0, False), (1, True)])
def test_revoked_person_is_refused_from_the_moment_on(hours: float, counts: bool) -> None:
    """Revocation is judged at the time of counting."""
    whom = trust(person(LEE, extra=f'revoked_at = "{at(hours)}"'))
    assert _judge(LEE, whom=whom).counted is counts


def test_revocation_can_be_judged_at_another_moment_than_expiry() -> None:
    """Custody counts again later: expiry as it was then, revocation as it is now."""
    whom = trust(person(LEE, extra=f'revoked_at = "{at(2)}"'))
    text = statement(LEE)
    judged = judge_attempt(
        text,
        LEE.sign(text),
        trust=whom,
        context=context(),
        now=NOW,
        seen_nonces=set(),
        revoked_as_of=NOW + timedelta(hours=3),
    )
    assert judged.reason is Reason.PERSON_REVOKED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('namespaces="walletworks-request"', Reason.KEY_NOT_FOR_THIS),
        ('namespaces="git,walletworks-*"', Reason.COUNTED),
        ('valid-after="20260301120001Z"', Reason.KEY_NOT_VALID_NOW),
        ('valid-after="20260301120000Z"', Reason.COUNTED),
        ('valid-before="202603011200Z"', Reason.KEY_NOT_VALID_NOW),
        ('valid-before="20260302Z"', Reason.COUNTED),
    ],
)
def test_limits_on_the_key_are_kept(options: str, reason: Reason) -> None:
    """Purposes and times of the allowed-signers line bind the key."""
    assert _judge(LEE, whom=trust(person(LEE, options=options))).reason is reason


@pytest.mark.parametrize(
    "name",
    [
        "lee@acme.example",
        "LEE@ACME.example",
        " lee@acme.example\t",
        "lee+batches@acme.example",
        "\uff4cee@acme.example",
        "1ee@acme.example",
        "Iee@acme.example",
        "lee@acme.example.",
    ],
    ids=["same", "case", "blanks", "mail-tag", "full-width", "digit-one", "capital-i", "last-dot"],
)
def test_requester_does_not_count_under_any_spelling(name: str) -> None:
    """Who asked may not decide, however the request spells it."""
    judged = _judge(LEE, where=_asked_by(name))
    assert (judged.counted, judged.reason) == (False, Reason.REQUESTER_MAY_NOT_APPROVE)


def test_requester_does_not_count_by_a_second_key() -> None:
    """A person is their keys together: the request's key shuts out the other one."""
    judged = _judge(LEE_SECOND, where=_asked_by("shop@acme.example", LEE))
    assert (judged.counted, judged.reason) == (False, Reason.REQUESTER_MAY_NOT_APPROVE)


def test_requester_does_not_count_by_another_name() -> None:
    """Old and other names of a person are that person."""
    whom = trust(person(LEE, extra='also_known_as = ["old-lee@acme.example", "Lee Example"]'))
    for name in ("Old-Lee@acme.example", "lee example"):
        judged = _judge(LEE, whom=whom, where=_asked_by(name))
        assert judged.reason is Reason.REQUESTER_MAY_NOT_APPROVE


@pytest.mark.parametrize("name", ["l\u0435e@acme.example", "lee\u200b@acme.example", "\u738b\u4f1f", ""])
def test_requester_whose_name_could_hide_anybody_lets_nobody_approve(name: str) -> None:
    """Letters outside ASCII could imitate any approver: nothing counts."""
    judged = _judge(LEE, where=_asked_by(name))
    assert (judged.counted, judged.reason) == (False, Reason.REQUESTER_UNRECOGNISABLE)


def test_known_requester_shuts_out_nobody_else() -> None:
    """Look-alikes matter only for names that are nobody's."""
    assert _judge(LEE, where=_asked_by(OPS.name)).counted
    twin = Signer(name="1ee@acme.example")
    whom = trust(Person(signer=twin, roles=("wallet_officer",)))
    assert _judge(LEE, whom=whom, where=_asked_by(twin.name)).counted


def test_gate_with_every_seat_filled_is_satisfied() -> None:
    """Two persons of two roles pass the gate."""
    state = tally(GATE, [attempt(LEE), attempt(KIM)], trust=trust(), context=context(), now=NOW)
    assert state.satisfied
    assert state.approved_by == (LEE.name, KIM.name)
    assert (state.rejected_by, state.needed) == ((), {})


def test_gate_tells_which_seats_are_empty() -> None:
    """What is still needed is told by role."""
    state = tally(GATE, [attempt(LEE)], trust=trust(), context=context(), now=NOW)
    assert (state.satisfied, state.needed) == (False, {"wallet_officer": 1})


def test_same_person_twice_fills_one_seat() -> None:
    """Two keys, two nonces, still one person."""
    attempts = [attempt(LEE), attempt(LEE), attempt(LEE_SECOND)]
    rule = GateRule(seats={"compliance_officer": 2})
    gate = Gate(name="compliance", digest=DIGEST, rule=rule)
    state = tally(gate, attempts, trust=trust(), context=context(), now=NOW)
    assert (state.satisfied, state.needed) == (False, {"compliance_officer": 1})
    assert state.approved_by == (LEE.name,)


def test_person_with_two_roles_fills_one_seat() -> None:
    """Whoever could sit on both seats sits on one."""
    state = tally(GATE, [attempt(ANA)], trust=trust(), context=context(), now=NOW)
    assert not state.satisfied
    assert sum(state.needed.values()) == 1


@pytest.mark.parametrize("order", [(ANA, LEE), (LEE, ANA), (ANA, KIM), (KIM, ANA)])
def test_person_with_two_roles_sits_where_they_help_most(order: tuple[Signer, Signer]) -> None:
    """The order of coming does not keep a fitting pair from passing."""
    attempts = [attempt(signer) for signer in order]
    assert tally(GATE, attempts, trust=trust(), context=context(), now=NOW).satisfied


def test_one_rejection_is_final() -> None:
    """A reject outweighs any number of approvals, before or after."""
    attempts = [attempt(ANA), attempt(LEE, decision="reject"), attempt(KIM), attempt(LEE)]
    state = tally(GATE, attempts, trust=trust(), context=context(), now=NOW)
    assert not state.satisfied
    assert state.rejected_by == (LEE.name,)


def test_rejection_stands_when_its_time_or_person_has_lapsed() -> None:
    """Waiting until a reject expires or its author is revoked does not open the gate."""
    attempts = [attempt(ANA), attempt(KIM), attempt(LEE, decision="reject")]
    later = NOW + timedelta(hours=30)
    whom = trust(person(LEE, extra=f'revoked_at = "{at(1)}"'))
    assert tally(GATE, attempts, trust=trust(), context=context(), now=later).rejected_by == (LEE.name,)
    assert tally(GATE, attempts, trust=whom, context=context(), now=NOW).rejected_by == (LEE.name,)


@pytest.mark.parametrize(
    "changes",
    [{"digest": OTHER_DIGEST}, {"batch_id": "autumn-airdrop"}, {"expires_at": at(100)}, {"tenant": "globex"}],
    ids=["digest", "batch", "validity", "tenant"],
)
def test_rejection_about_something_else_does_not_block_because_it_also_lapsed(
    changes: dict[str, Any],
) -> None:
    """No rule that is broken hides another: a lapsed reject is final only where it once counted."""
    whom = trust(person(LEE, options='valid-before="20260301Z"', extra=f'revoked_at = "{at(-2)}"'))
    attempts = [attempt(ANA), attempt(KIM), attempt(LEE, decision="reject", **changes)]
    assert tally(GATE, attempts, trust=whom, context=context(), now=NOW).satisfied


def test_rejection_stands_when_its_nonce_was_used_before_it() -> None:
    """Nobody takes a reject back by signing something of their own with its nonce."""
    rejected = attempt(LEE, decision="reject", nonce="the-same-nonce-1")
    attempts = [attempt(ANA, nonce="the-same-nonce-1"), attempt(KIM), rejected]
    assert tally(GATE, attempts, trust=trust(), context=context(), now=NOW).rejected_by == (LEE.name,)


def test_rejection_that_the_record_calls_refused_without_reason_is_final() -> None:
    """What a record says of a reject does not take it back, where the reject breaks no rule."""
    hidden = replace(attempt(LEE, decision="reject", counted_at=NOW), refused=True)
    attempts = [attempt(ANA), attempt(KIM), hidden]
    whom = trust(person(LEE, extra=f'revoked_at = "{at(1)}"'))
    for later in (NOW, NOW + timedelta(hours=30)):
        state = tally(GATE, attempts, trust=whom, context=context(), now=later)
        assert (state.satisfied, state.rejected_by) == (False, (LEE.name,))


@pytest.mark.parametrize(
    ("limit", "changes"),
    [
        ({"extra": f'revoked_at = "{at(-1)}"'}, {}),
        ({"options": 'valid-before="20260301Z"'}, {}),
        ({}, {"expires_at": at(-0.5)}),
        ({}, {"digest": OTHER_DIGEST}),
    ],
    ids=["revoked", "key", "expired", "digest"],
)
def test_rejection_that_was_rightly_refused_does_not_block(
    limit: dict[str, Any], changes: dict[str, Any]
) -> None:
    """A reject that broke a rule when it came stays refused."""
    refused = replace(attempt(LEE, decision="reject", counted_at=NOW, **changes), refused=True)
    state = tally(
        GATE,
        [attempt(ANA), attempt(KIM), refused],
        trust=trust(person(LEE, **limit)),
        context=context(),
        now=NOW,
    )
    # Of those two, Ana alone can take the seat that Lee's role would fill.
    assert (state.satisfied, state.rejected_by) == (True, ())


def test_approval_that_the_record_calls_refused_fills_no_seat() -> None:
    """Whoever was told that an approval does not count is not counted later."""
    refused = replace(attempt(LEE, counted_at=NOW), refused=True)
    state = tally(GATE, [refused, attempt(KIM)], trust=trust(), context=context(), now=NOW)
    assert (state.satisfied, state.approved_by) == (False, (KIM.name,))


def test_rejection_that_never_counted_does_not_block() -> None:
    """The requester's own reject, or one for another digest, is no rejection."""
    attempts = [attempt(LEE), attempt(KIM), attempt(ANA, decision="reject", digest=OTHER_DIGEST)]
    assert tally(GATE, attempts, trust=trust(), context=context(), now=NOW).satisfied


def test_approval_that_expired_before_counting_no_longer_counts() -> None:
    """Expiry is judged when the gate is counted, not when the approval came."""
    attempts = [attempt(LEE, expires_at=at(1)), attempt(KIM)]
    later = NOW + timedelta(hours=2)
    state = tally(GATE, attempts, trust=trust(), context=context(), now=later)
    assert (state.satisfied, state.approved_by) == (False, (KIM.name,))


def test_recorded_time_of_counting_is_what_expiry_is_judged_by_later() -> None:
    """Custody and the auditor judge expiry as of the recorded counting."""
    attempts = [attempt(signer, expires_at=at(1), counted_at=NOW) for signer in (LEE, KIM)]
    later = NOW + timedelta(days=300)
    assert tally(GATE, attempts, trust=trust(), context=context(), now=later).satisfied


def test_key_that_ran_out_since_keeps_what_it_signed() -> None:
    """A key's end is judged at the time of counting; dated back to before it, the key signed nothing."""
    for end, counts in (("20260301130000Z", True), ("20260301110000Z", False)):
        whom = trust(person(LEE, options=f'valid-before="{end}"'))
        attempts = [attempt(signer, counted_at=NOW) for signer in (LEE, KIM)]
        state = tally(GATE, attempts, trust=whom, context=context(), now=NOW + timedelta(hours=2))
        assert state.satisfied is counts


def test_approver_revoked_since_no_longer_counts() -> None:
    """Revocation is judged now, whatever was recorded."""
    whom = trust(person(LEE, extra=f'revoked_at = "{at(1)}"'))
    attempts = [attempt(signer, counted_at=NOW) for signer in (LEE, KIM)]
    state = tally(GATE, attempts, trust=whom, context=context(), now=NOW + timedelta(hours=2))
    assert (state.satisfied, state.approved_by) == (False, (KIM.name,))


def test_nonce_counts_once_within_a_gate() -> None:
    """A second person cannot reuse the first one's nonce."""
    attempts = [attempt(LEE, nonce="the-same-nonce-1"), attempt(KIM, nonce="the-same-nonce-1")]
    state = tally(GATE, attempts, trust=trust(), context=context(), now=NOW)
    assert state.approved_by == (LEE.name,)


def test_approval_of_another_gate_is_not_counted_here() -> None:
    """Each gate counts its own."""
    attempts = [attempt(LEE), attempt(KIM, gate="issuance")]
    open_both = context(gates=(GATE, Gate(name="issuance", digest=DIGEST, rule=GATE.rule)))
    state = tally(GATE, attempts, trust=trust(), context=open_both, now=NOW)
    assert state.approved_by == (LEE.name,)


def test_floor_of_the_trust_file_raises_the_compliance_gate_alone() -> None:
    """A deployment's floor holds whatever the policy says."""
    attempts = [attempt(LEE), attempt(KIM)]
    floored = trust(floors=3)
    state = tally(GATE, attempts, trust=floored, context=context(), now=NOW)
    assert (state.satisfied, sum(state.needed.values())) == (False, 1)
    assert tally(GATE, [*attempts, attempt(ANA)], trust=floored, context=context(), now=NOW).satisfied
    other = Gate(name="issuance", digest=DIGEST, rule=GATE.rule)
    others = [attempt(signer, gate="issuance") for signer in (LEE, KIM)]
    assert tally(other, others, trust=floored, context=context(), now=NOW).satisfied


def test_every_reason_has_its_sentence() -> None:
    """No refusal is without words."""
    assert set(SENTENCES) == set(Reason)
