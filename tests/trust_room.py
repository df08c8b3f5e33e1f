"""A small deployment for tests: persons with keys, a trust file, and statements signed by them."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.trust.gates import GateRule
from activities.trust.judging import Attempt, Gate, GateContext, Requester
from activities.trust.trust_file import Trust, parse_trust
from tests.signers import Signer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32

OPS = Signer(name="ops@acme.example")
LEE = Signer(name="lee@acme.example")
KIM = Signer(name="kim@acme.example")
ANA = Signer(name="ana@acme.example")
LEE_SECOND = Signer(name="lee@acme.example")
STRANGER = Signer(name="lee@acme.example")

ROLES = {
    OPS: ["compliance_officer", "wallet_officer"],
    LEE: ["compliance_officer"],
    KIM: ["wallet_officer"],
    ANA: ["compliance_officer", "wallet_officer"],
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person's table in a trust file."""

    signer: Signer
    roles: tuple[str, ...]
    tenants: tuple[str, ...] = ("acme",)
    options: str = ""
    extra: str = ""
    more_keys: tuple[Signer, ...] = ()

    def table(self) -> str:
        """The person in TOML."""
        head = f"[persons.{json.dumps(self.signer.name)}]"
        body = f"roles = {json.dumps(self.roles)}\ntenants = {json.dumps(self.tenants)}"
        return f"{head}\n{body}\n{self.extra}"

    def lines(self) -> str:
        """The person's allowed-signers lines."""
        signers = (self.signer, *self.more_keys)
        return "\n".join(signer.line(self.options) for signer in signers)


PERSONS = {
    signer: Person(signer=signer, roles=tuple(roles), more_keys=(LEE_SECOND,) if signer is LEE else ())
    for signer, roles in ROLES.items()
}


def trust_text(*changed: Person, floors: int = 0, lines: str | None = None) -> str:
    """A trust file with the usual persons, some of them replaced or added."""
    persons = {**PERSONS, **{person.signer: person for person in changed}}
    signers = lines if lines is not None else "\n".join(person.lines() for person in persons.values())
    head = f'deployment = "acme-prod"\nallowed_signers = """\n{signers}\n"""\n'
    tables = "\n".join(person.table() for person in persons.values())
    return f"{head}\n[floors]\napprovals_min = {floors}\n\n{tables}\n"


def trust(*changed: Person, floors: int = 0) -> Trust:
    """The usual trust, with some persons replaced or added."""
    return parse_trust(trust_text(*changed, floors=floors))


def person(signer: Signer, **changes: Any) -> Person:
    """The usual person with something changed."""
    return replace(PERSONS[signer], **changes)


TWO_ROLES = GateRule(seats={"compliance_officer": 1, "wallet_officer": 1})
GATE = Gate(name="compliance", digest=DIGEST, rule=TWO_ROLES)


def context(**changes: Any) -> GateContext:
    """The usual batch at its compliance gate, asked for by somebody outside the trust file."""
    usual = GateContext(
        tenant="acme",
        batch_id="spring-airdrop",
        requester=Requester(name="shop@acme.example"),
        validity_max=timedelta(hours=72),
        gates=(GATE,),
    )
    return replace(usual, **changes)


_count = iter(range(10**9))


def statement(signer: Signer, **changes: Any) -> str:
    """A statement of the signer's that counts, unless something is changed."""
    fields = {
        "v": 1,
        "deployment": "acme-prod",
        "tenant": "acme",
        "batch_id": "spring-airdrop",
        "gate": "compliance",
        "digest": DIGEST,
        "decision": "approve",
        "approver": signer.name,
        "reason": "Looked at it.",
        "issued_at": at(-1),
        "expires_at": at(24),
        "nonce": f"nonce-{next(_count):012d}",
    }
    return json.dumps({**fields, **changes})


def at(hours: float) -> str:
    """A time so many hours from now, as statements write it."""
    return (NOW + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def attempt(signer: Signer, *, counted_at: datetime | None = None, **changes: Any) -> Attempt:
    """A signed statement as it would be stored."""
    text = statement(signer, **changes)
    return Attempt(statement=text, signature=signer.sign(text), counted_at=counted_at)
