"""The approval statement: exactly the published fields, parsed from the exact text that was signed.

The text need not be canonical, because the signature is over the text as sent. Problems name field and
reason, never the value.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from activities.canonical import canonical_text
from activities.edges import problems_of, strict_json
from activities.failures import InvalidRequestError

STATEMENT_BYTES_MAX: Final = 8 * 1024
"""Bytes of UTF-8; a statement with the longest fields stays below it."""

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_GATE: Final = r"^(compliance|issuance|rollback|hold|export|(wave|resume)/(0|[1-9][0-9]{0,3}))$"
_NAME: Final = r"^[a-z0-9][a-z0-9._-]*$"
_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

Decision = Literal["approve", "reject", "clear", "refuse"]

FAVOURABLE: Final = frozenset({"approve", "clear"})
"""Decisions that fill a seat; the others are final against."""


def parse_instant(value: object) -> datetime:
    """The time an RFC 3339 text in UTC with `Z` names; anything else is a ValueError."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("must be RFC 3339 in UTC, ending in Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is no time of the calendar") from None


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Instant = Annotated[datetime, BeforeValidator(parse_instant)]
Name = Annotated[str, StringConstraints(max_length=128, pattern=_NAME)]


class Statement(BaseModel):
    """A decision of one person about one digest at one gate of one batch."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    v: Annotated[int, Field(ge=1, le=1)]
    deployment: Name
    tenant: Name
    batch_id: Name
    gate: Annotated[str, StringConstraints(pattern=_GATE)]
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    decision: Decision
    approver: Annotated[str, StringConstraints(min_length=1, max_length=254, pattern=_LINE)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=_LINE)]
    issued_at: Instant
    expires_at: Instant
    nonce: Annotated[str, StringConstraints(min_length=16, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]

    @property
    def favourable(self) -> bool:
        """Whether it is for going on."""
        return self.decision in FAVOURABLE

    @property
    def validity(self) -> timedelta:
        """From issue to expiry."""
        return self.expires_at - self.issued_at

    @model_validator(mode="after")
    def _decision_fits_gate(self) -> Self:
        expected = ("clear", "refuse") if self.gate == "hold" else ("approve", "reject")
        if self.decision not in expected:
            raise ValueError(f"decision must be {expected[0]} or {expected[1]} at this gate")
        if self.validity <= timedelta(0):
            raise ValueError("expires_at must be after issued_at")
        return self


def parse_statement(text: str) -> Statement:
    """The statement in an exact text.

    Raises:
        InvalidRequestError: names every field that is wrong and why.
    """
    value = strict_json(text, what="The statement", bytes_max=STATEMENT_BYTES_MAX)
    if not isinstance(value, dict):
        raise InvalidRequestError("The statement is not valid", ["it must be a JSON object"])
    try:
        return Statement.model_validate(value)
    except ValidationError as error:
        raise InvalidRequestError("The statement is not valid", problems_of(error)) from None


def build_statement(  # noqa: PLR0913 - one per published field
    *,
    deployment: str,
    tenant: str,
    batch_id: str,
    gate: str,
    digest: str,
    decision: str,
    approver: str,
    reason: str,
    issued_at: datetime,
    expires_at: datetime,
    nonce: str,
) -> str:
    """The canonical text of a statement, ready to be signed.

    `nonce` is 16 to 128 letters, digits, `_` or `-`, never used before. Times are cut to the second.

    Raises:
        InvalidRequestError: a field would be refused.
    """
    text = canonical_text(
        {
            "v": 1,
            "deployment": deployment,
            "tenant": tenant,
            "batch_id": batch_id,
            "gate": gate,
            "digest": digest,
            "decision": decision,
            "approver": approver,
            "reason": reason,
            "issued_at": instant_text(issued_at),
            "expires_at": instant_text(expires_at),
            "nonce": nonce,
        }
    )
    parse_statement(text)
    return text
