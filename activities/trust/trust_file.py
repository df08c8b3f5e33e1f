"""The trust file: persons, their keys and roles, custody's attest keys, and floors, in one TOML format.

The server, custody and the auditor each pin a copy of their own. Reading the file is the only I/O.
"""

import base64
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from activities.edges import field_path, problems_of, toml_table
from activities.failures import InvalidRequestError
from activities.trust.allowed_signers import SignerLine, parse_allowed_signers
from activities.trust.names import name_key
from activities.trust.persons import Person, SignerKey
from activities.trust.statements import Instant
from activities.trust.statements import Name as PlainName

ED25519_KEY_BYTES: Final = 32
"""Bytes of a raw Ed25519 public key."""

_ROLE: Final = r"^[a-z][a-z0-9_]{0,62}$"
_TENANT: Final = r"^([a-z0-9][a-z0-9._-]{0,127}|\*)$"
_UNUSABLE: Final = "The trust file is not usable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What this deployment asks for whatever a policy says."""

    approvals_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom and which keys a deployment trusts. `digest` (hex) pins the file's exact content."""

    deployment: str
    digest: str
    attest_keys: tuple[bytes, ...]
    persons: Mapping[str, Person]
    floors: Floors

    def person_for(self, public_key: bytes) -> Person | None:
        """The person who holds a key, given by its SSH blob."""
        return next((person for person in self.persons.values() if _key(person, public_key)), None)

    def key_for(self, public_key: bytes) -> SignerKey | None:
        """The key of that SSH blob with the limits on it."""
        found = (_key(person, public_key) for person in self.persons.values())
        return next((key for key in found if key is not None), None)

    def person_named(self, name: str) -> Person | None:
        """The person one of whose names this is, in any spelling."""
        form = name_key(name)
        return next((person for person in self.persons.values() if form in person.name_keys), None)


def _key(person: Person, public_key: bytes) -> SignerKey | None:
    return next((key for key in person.keys if key.public_key == public_key), None)


def _attest_key(encoded: str) -> str:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None
    if len(raw) != ED25519_KEY_BYTES:
        raise ValueError(f"is not {ED25519_KEY_BYTES} bytes of base64")
    return encoded


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Attest(_Edge):
    public_keys: list[Annotated[str, AfterValidator(_attest_key)]] = Field(min_length=1, max_length=16)


class _PersonTable(_Edge):
    roles: list[Annotated[str, StringConstraints(pattern=_ROLE)]] = Field(max_length=50)
    tenants: list[Annotated[str, StringConstraints(pattern=_TENANT)]] = Field(min_length=1, max_length=10_000)
    revoked_at: Instant | None = None
    also_known_as: list[Annotated[str, StringConstraints(min_length=1, max_length=254)]] = Field(
        default_factory=list, max_length=50
    )


class _FloorsTable(_Edge):
    approvals_min: Annotated[int, Field(ge=0, le=20)] = 0


class _TrustTable(_Edge):
    deployment: PlainName
    attest: _Attest | None = None
    allowed_signers: str | None = None
    allowed_signers_file: str | None = None
    persons: dict[str, _PersonTable] = Field(max_length=10_000)
    floors: _FloorsTable = _FloorsTable()

    @model_validator(mode="after")
    def _one_source_of_signers(self) -> Self:
        if (self.allowed_signers is None) == (self.allowed_signers_file is None):
            raise ValueError("give either allowed_signers or allowed_signers_file")
        return self


def load_trust(path: Path) -> Trust:
    """Reads a trust file and the allowed-signers file it may name beside it.

    Raises:
        InvalidRequestError: unreadable, or not usable; every problem is named.
    """
    text = _read(path, "trust file")
    table = _table(text)
    named = table.allowed_signers_file
    if named is None:
        return _trust(table, text, table.allowed_signers or "")
    place = PurePosixPath(named)
    if place.is_absolute() or ".." in place.parts:
        raise InvalidRequestError(_UNUSABLE, ["allowed_signers_file: must lie beside the trust file"])
    return _trust(table, text, _read(path.parent / place, "allowed_signers_file"))


def parse_trust(text: str) -> Trust:
    """The trust in a TOML text that holds its allowed signers itself.

    Raises:
        InvalidRequestError: not usable; every problem is named.
    """
    table = _table(text)
    if table.allowed_signers is None:
        raise InvalidRequestError(_UNUSABLE, ["allowed_signers: missing"])
    return _trust(table, text, table.allowed_signers)


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequestError(f"The {what} cannot be read") from None


def _table(text: str) -> _TrustTable:
    try:
        return _TrustTable.model_validate(_times_as_text(toml_table(text, what="The trust file")))
    except ValidationError as error:
        raise InvalidRequestError(_UNUSABLE, problems_of(error)) from None


def _times_as_text(value: Any) -> Any:
    """TOML may write a time bare; it then goes the way of a quoted one."""
    if isinstance(value, dict):
        return {key: _times_as_text(item) for key, item in value.items()}
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _trust(table: _TrustTable, text: str, signers: str) -> Trust:
    lines, problems = parse_allowed_signers(signers)
    problems += _problems(table, lines)
    if problems:
        raise InvalidRequestError(_UNUSABLE, problems)
    keys = table.attest.public_keys if table.attest else []
    pinned = hashlib.sha256(text.encode()).digest() + hashlib.sha256(signers.encode()).digest()
    return Trust(
        deployment=table.deployment,
        digest=hashlib.sha256(pinned).hexdigest(),
        attest_keys=tuple(base64.b64decode(key) for key in keys),
        persons={name: _person(name, entry, lines) for name, entry in table.persons.items()},
        floors=Floors(approvals_min=table.floors.approvals_min),
    )


def _person(name: str, entry: _PersonTable, lines: list[SignerLine]) -> Person:
    return Person(
        name=name,
        roles=frozenset(entry.roles),
        tenants=frozenset(entry.tenants),
        keys=tuple(line.key for line in lines if name_key(line.principal) == name_key(name)),
        also_known_as=frozenset(entry.also_known_as),
        revoked_at=entry.revoked_at,
    )


def _problems(table: _TrustTable, lines: list[SignerLine]) -> list[str]:
    return [
        *_name_problems(table),
        *_line_problems(table, lines),
        *_repeated_attest_keys(table),
    ]


def _name_problems(table: _TrustTable) -> list[str]:
    """Every name of every person must be plain and must not also mean somebody else."""
    problems: list[str] = []
    owners: dict[str, str] = {}
    for person, entry in table.persons.items():
        for name in (person, *entry.also_known_as):
            form = name_key(name)
            if form is None or not re.fullmatch(r"[\x20-\x7e]{1,254}", name):
                problems.append(f"{field_path(('persons', person))}: names must be plain ASCII")
            elif owners.setdefault(form, person) != person:
                problems.append(f"{field_path(('persons', person))}: the same name stands for two persons")
    return problems


def _line_problems(table: _TrustTable, lines: list[SignerLine]) -> list[str]:
    persons = {name_key(name) for name in table.persons}
    problems = [
        f"allowed_signers line {line.line}: the principal has no entry in persons"
        for line in lines
        if name_key(line.principal) not in persons
    ]
    first: dict[bytes, int] = {}
    for line in lines:
        seen = first.setdefault(line.key.public_key, line.line)
        if seen != line.line:
            problems.append(f"allowed_signers line {line.line}: the same key stands on line {seen}")
    holders = {name_key(line.principal) for line in lines}
    keyless = [name for name in table.persons if name_key(name) not in holders]
    return problems + [f"{field_path(('persons', name))}: has no key in allowed_signers" for name in keyless]


def _repeated_attest_keys(table: _TrustTable) -> list[str]:
    keys = table.attest.public_keys if table.attest else []
    repeated = any(count > 1 for count in Counter(keys).values())
    return ["attest.public_keys: the same key stands twice"] if repeated else []
