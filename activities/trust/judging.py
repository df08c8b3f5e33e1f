"""The rules of trust: does a signed decision count, and how does a gate stand.

Pure: one clock reading comes in, nothing is read or written, so that server, custody and the offline
verifier reach the same judgement from the raw texts. Which nonces were used is the caller's knowledge.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from activities.failures import InvalidRequestError
from activities.trust.gates import GateRule, still_needed
from activities.trust.names import looks_like, name_key
from activities.trust.persons import Person, SignerKey
from activities.trust.reasons import SENTENCES, Reason
from activities.trust.signatures import APPROVAL_NAMESPACE, VerifiedSignature, verify_signature
from activities.trust.statements import Statement, parse_statement
from activities.trust.trust_file import Trust

CLOCK_SKEW_MAX: Final = timedelta(minutes=5)
"""How far ahead of ours a signer's clock may be."""

PLAN_GATE: Final = "compliance"
"""The gate over the plan, which the trust file's floor of approvals applies to."""

_FINAL_WHEN_AGAINST: Final = frozenset(
    {Reason.COUNTED, Reason.EXPIRED, Reason.PERSON_REVOKED, Reason.KEY_NOT_VALID_NOW}
)
"""A counted decision against stands, also when its time, key or person has lapsed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An open gate: its name in statements, the digest decided on, and whom it asks for."""

    name: str
    digest: str
    rule: GateRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asked for the batch: the name in the request, and the fingerprint of the key that signed it."""

    name: str
    key_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateContext:
    """What a statement is judged against; `validity_max` is the policy's cap."""

    tenant: str
    batch_id: str
    requester: Requester
    validity_max: timedelta
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A message as it came; `counted_at` is when it was counted, if that is to be judged again later."""

    statement: str
    signature: str
    counted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an attempt counts and why; `person` is set only when a key of theirs really signed."""

    counted: bool
    reason: Reason
    sentence: str
    statement: Statement | None = None
    person: str | None = None
    key_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """How a gate stands: who is for it, whose `no` is final, and which seats are still empty."""

    satisfied: bool
    approved_by: tuple[str, ...] = ()
    rejected_by: tuple[str, ...] = ()
    needed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One attempt with everything it is judged against."""

    statement: Statement
    person: Person
    key: SignerKey
    trust: Trust
    context: GateContext
    now: datetime
    revoked_as_of: datetime
    seen_nonces: AbstractSet[str]


def judge_attempt(
    statement_text: str,
    signature: str,
    *,
    trust: Trust,
    context: GateContext,
    now: datetime,
    seen_nonces: AbstractSet[str],
    revoked_as_of: datetime | None = None,
) -> Judgement:
    """Judges one signed statement, exactly as it was sent, by every rule.

    Expiry is judged at `now`, the time of counting; revocation at `revoked_as_of`, or at `now` when that
    is absent. `seen_nonces` are those of decisions that counted before.
    """
    try:
        statement = parse_statement(statement_text)
    except InvalidRequestError as error:
        return Judgement(counted=False, reason=Reason.MALFORMED_STATEMENT, sentence=error.message)
    verified = verify_signature(statement_text, signature, namespace=APPROVAL_NAMESPACE)
    if not isinstance(verified, VerifiedSignature):
        return _judgement(verified.reason, statement)
    person, key = trust.person_for(verified.public_key), trust.key_for(verified.public_key)
    if person is None or key is None:
        return _judgement(Reason.UNKNOWN_KEY, statement, key_fingerprint=verified.fingerprint)
    case = _Case(
        statement=statement,
        person=person,
        key=key,
        trust=trust,
        context=context,
        now=now,
        revoked_as_of=revoked_as_of or now,
        seen_nonces=seen_nonces,
    )
    broken = (reason for rule in _RULES if (reason := rule(case)) is not None)
    reason = next(broken, Reason.COUNTED)
    return _judgement(reason, statement, person=person.name, key_fingerprint=key.fingerprint)


def tally(
    gate: Gate, attempts: Sequence[Attempt], *, trust: Trust, context: GateContext, now: datetime
) -> GateState:
    """Counts a gate from the raw attempts that counted when they came, judging each again.

    Expiry is judged at the time an attempt was counted (`now` when it carries none), revocation now. A
    person fills one seat and a nonce counts once. One decision against is final: what lapses later
    does not take it back.
    """
    floor = trust.floors.approvals_min if gate.name == PLAN_GATE else 0
    context = replace(context, gates=(gate,))
    seen: set[str] = set()
    approved: dict[str, Person] = {}
    rejected: dict[str, Person] = {}
    for attempt in attempts:
        judged = judge_attempt(
            attempt.statement,
            attempt.signature,
            trust=trust,
            context=context,
            now=attempt.counted_at or now,
            seen_nonces=seen,
            revoked_as_of=now,
        )
        if judged.statement is None or judged.person is None:
            continue
        if judged.counted and judged.statement.favourable:
            approved[judged.person] = trust.persons[judged.person]
        elif not judged.statement.favourable and judged.reason in _FINAL_WHEN_AGAINST:
            rejected[judged.person] = trust.persons[judged.person]
        else:
            continue
        seen.add(judged.statement.nonce)
    needed = still_needed(gate.rule.at_least(floor), [person.roles for person in approved.values()])
    return GateState(
        satisfied=not needed and not rejected,
        approved_by=tuple(approved),
        rejected_by=tuple(rejected),
        needed=needed,
    )


def _judgement(
    reason: Reason,
    statement: Statement,
    *,
    person: str | None = None,
    key_fingerprint: str | None = None,
) -> Judgement:
    return Judgement(
        counted=reason is Reason.COUNTED,
        reason=reason,
        sentence=SENTENCES[reason],
        statement=statement,
        person=person,
        key_fingerprint=key_fingerprint,
    )


def _key_rules(case: _Case) -> Reason | None:
    if not case.key.serves(APPROVAL_NAMESPACE):
        return Reason.KEY_NOT_FOR_THIS
    return None if case.key.valid_at(case.now) else Reason.KEY_NOT_VALID_NOW


def _person_rules(case: _Case) -> Reason | None:
    if name_key(case.statement.approver) != name_key(case.person.name):
        return Reason.APPROVER_IS_NOT_SIGNER
    if case.person.revoked_by(case.revoked_as_of):
        return Reason.PERSON_REVOKED
    return None if case.person.serves_tenant(case.context.tenant) else Reason.PERSON_NOT_FOR_TENANT


def _place_rules(case: _Case) -> Reason | None:
    if case.statement.deployment != case.trust.deployment:
        return Reason.WRONG_DEPLOYMENT
    if case.statement.tenant != case.context.tenant:
        return Reason.WRONG_TENANT
    return None if case.statement.batch_id == case.context.batch_id else Reason.WRONG_BATCH


def _gate_rules(case: _Case) -> Reason | None:
    named = [gate for gate in case.context.gates if gate.name == case.statement.gate]
    if not named:
        return Reason.GATE_NOT_OPEN
    matching = [gate for gate in named if gate.digest == case.statement.digest]
    return None if matching else Reason.WRONG_DIGEST


def _requester_rules(case: _Case) -> Reason | None:
    """The requester is shut out by name, other name, key, second key and look-alike."""
    requester, trust = case.context.requester, case.trust
    asked = name_key(requester.name)
    if asked is None:
        return Reason.REQUESTER_UNRECOGNISABLE
    own_keys = {key.fingerprint for key in case.person.keys}
    if asked in case.person.name_keys or requester.key_fingerprint in own_keys:
        return Reason.REQUESTER_MAY_NOT_APPROVE
    # A name that is nobody's might be typed to pass for somebody else's; a known person's is that person's.
    unknown = trust.person_named(requester.name) is None
    if unknown and any(looks_like(asked, name) for name in case.person.name_keys):
        return Reason.REQUESTER_MAY_NOT_APPROVE
    return None


def _role_rules(case: _Case) -> Reason | None:
    gates = [gate for gate in case.context.gates if gate.name == case.statement.gate]
    asked = {role for gate in gates for role in gate.rule.roles if gate.digest == case.statement.digest}
    return None if asked & case.person.roles else Reason.ROLE_MISSING


def _time_rules(case: _Case) -> Reason | None:
    if case.statement.issued_at > case.now + CLOCK_SKEW_MAX:
        return Reason.ISSUED_IN_FUTURE
    if case.statement.expires_at <= case.now:
        return Reason.EXPIRED
    too_long = case.statement.validity > case.context.validity_max
    return Reason.VALIDITY_TOO_LONG if too_long else None


def _nonce_rules(case: _Case) -> Reason | None:
    return Reason.NONCE_ALREADY_USED if case.statement.nonce in case.seen_nonces else None


_RULES: Final[tuple[Callable[[_Case], Reason | None], ...]] = (
    _key_rules,
    _person_rules,
    _place_rules,
    _gate_rules,
    _requester_rules,
    _role_rules,
    _time_rules,
    _nonce_rules,
)
