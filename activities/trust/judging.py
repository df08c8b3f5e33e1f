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

_IDLE_AGAINST: Final = frozenset({Reason.NONCE_ALREADY_USED})
"""A no said twice is still a no: nobody can take it back by using its nonce up."""

_LAPSES: Final = _IDLE_AGAINST | {Reason.EXPIRED, Reason.PERSON_REVOKED, Reason.KEY_NOT_VALID_NOW}
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
    """A message as it came; `counted_at` is when it was counted, if that is to be judged again later.

    One that the record calls `refused` is never for anything; as a no it stands where it should have counted.
    """

    statement: str
    signature: str
    counted_at: datetime | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether an attempt counts and why; `person` is set only when a key of theirs really signed.

    `broken` are all the rules it breaks; `reason` is the first of them.
    """

    counted: bool
    reason: Reason
    sentence: str
    statement: Statement | None = None
    person: str | None = None
    key_fingerprint: str | None = None
    broken: tuple[Reason, ...] = ()


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
        reason = Reason.MALFORMED_STATEMENT
        return Judgement(counted=False, reason=reason, sentence=error.message, broken=(reason,))
    verified = verify_signature(statement_text, signature, namespace=APPROVAL_NAMESPACE)
    if not isinstance(verified, VerifiedSignature):
        return _judgement(verified.reason, statement=statement)
    person, key = trust.person_for(verified.public_key), trust.key_for(verified.public_key)
    if person is None or key is None:
        return _judgement(Reason.UNKNOWN_KEY, statement=statement, key_fingerprint=verified.fingerprint)
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
    broken = tuple(reason for reason, is_broken in _RULES if is_broken(case))
    return _judgement(*broken, statement=statement, person=person.name, key_fingerprint=key.fingerprint)


def tally(
    gate: Gate, attempts: Sequence[Attempt], *, trust: Trust, context: GateContext, now: datetime
) -> GateState:
    """Counts a gate from the raw attempts, judging each again.

    Expiry is judged at the time an attempt was counted (`now` when it carries none), revocation now. A
    person fills one seat and a nonce counts once. One decision against is final: what lapses later
    does not take it back, and neither does a record that calls it refused though it broke no rule.
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
            revoked_as_of=attempt.counted_at if attempt.refused else now,
        )
        if judged.statement is None or judged.person is None:
            continue
        if judged.statement.favourable:
            if judged.counted and not attempt.refused:
                approved[judged.person] = trust.persons[judged.person]
                seen.add(judged.statement.nonce)
        elif _IDLE_AGAINST.issuperset(judged.broken) or (
            not attempt.refused and _LAPSES.issuperset(judged.broken)
        ):
            rejected[judged.person] = trust.persons[judged.person]
    needed = still_needed(gate.rule.at_least(floor), [person.roles for person in approved.values()])
    return GateState(
        satisfied=not needed and not rejected,
        approved_by=tuple(approved),
        rejected_by=tuple(rejected),
        needed=needed,
    )


def _judgement(
    *broken: Reason,
    statement: Statement,
    person: str | None = None,
    key_fingerprint: str | None = None,
) -> Judgement:
    reason = next(iter(broken), Reason.COUNTED)
    return Judgement(
        counted=not broken,
        reason=reason,
        broken=broken,
        sentence=SENTENCES[reason],
        statement=statement,
        person=person,
        key_fingerprint=key_fingerprint,
    )


def _names_another(case: _Case) -> bool:
    return name_key(case.statement.approver) != name_key(case.person.name)


def _gates(case: _Case) -> list[Gate]:
    return [gate for gate in case.context.gates if gate.name == case.statement.gate]


def _is_over_another_digest(case: _Case) -> bool:
    return all(gate.digest != case.statement.digest for gate in _gates(case))


def _lacks_role(case: _Case) -> bool:
    decided_on = (gate for gate in _gates(case) if gate.digest == case.statement.digest)
    return case.person.roles.isdisjoint(role for gate in decided_on for role in gate.rule.roles)


def _hides_who_asked(case: _Case) -> bool:
    return name_key(case.context.requester.name) is None


def _asked_for_it(case: _Case) -> bool:
    """The requester is shut out by name, other name, key, second key and look-alike."""
    requester, trust = case.context.requester, case.trust
    own_keys = {key.fingerprint for key in case.person.keys}
    asked = name_key(requester.name)
    if asked in case.person.name_keys or requester.key_fingerprint in own_keys:
        return True
    # A name that is nobody's might be typed to pass for somebody else's; a known person's is that person's.
    unknown = trust.person_named(requester.name) is None
    return unknown and any(looks_like(asked or "", name) for name in case.person.name_keys)


_Rule = tuple[Reason, Callable[[_Case], bool]]

_RULES: Final[tuple[_Rule, ...]] = (
    (Reason.KEY_NOT_FOR_THIS, lambda case: not case.key.serves(APPROVAL_NAMESPACE)),
    (Reason.KEY_NOT_VALID_NOW, lambda case: not case.key.valid_at(case.now)),
    (Reason.APPROVER_IS_NOT_SIGNER, _names_another),
    (Reason.PERSON_REVOKED, lambda case: case.person.revoked_by(case.revoked_as_of)),
    (Reason.PERSON_NOT_FOR_TENANT, lambda case: not case.person.serves_tenant(case.context.tenant)),
    (Reason.WRONG_DEPLOYMENT, lambda case: case.statement.deployment != case.trust.deployment),
    (Reason.WRONG_TENANT, lambda case: case.statement.tenant != case.context.tenant),
    (Reason.WRONG_BATCH, lambda case: case.statement.batch_id != case.context.batch_id),
    (Reason.GATE_NOT_OPEN, lambda case: not _gates(case)),
    (Reason.WRONG_DIGEST, _is_over_another_digest),
    (Reason.REQUESTER_UNRECOGNISABLE, _hides_who_asked),
    (Reason.REQUESTER_MAY_NOT_APPROVE, _asked_for_it),
    (Reason.ROLE_MISSING, _lacks_role),
    (Reason.ISSUED_IN_FUTURE, lambda case: case.statement.issued_at > case.now + CLOCK_SKEW_MAX),
    (Reason.EXPIRED, lambda case: case.statement.expires_at <= case.now),
    (Reason.VALIDITY_TOO_LONG, lambda case: case.statement.validity > case.context.validity_max),
    (Reason.NONCE_ALREADY_USED, lambda case: case.statement.nonce in case.seen_nonces),
)
"""Each asks one thing, so that no broken rule hides another; the first one broken is the one told."""
