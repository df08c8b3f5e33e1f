"""The request as the outside face fixes it (design, section 5), parsed strictly.

Problems name the field and the reason, never the value. No policy is asked here, no file is read.
"""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from activities.failures import InvalidRequestError

CHAIN_IDS = ("ethereum", "bsc", "polygon")
"""Chains a request may name; each has its entry in the chain registry."""

BATCH_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""Lower-case letters, digits and inner hyphens, 1 to 63 characters: safe in paths, URLs and queries."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]*$")]
"""A person's name in printable ASCII: no other can be told from the approvers', so nothing would count."""

Armour = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[\r\n\x20-\x7e]*$")]
"""An armoured signature: printable ASCII and line ends."""


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Source(_Edge):
    """Where the subjects are listed, and the digest that pins the file."""

    uri: Annotated[str, StringConstraints(max_length=1000, pattern=r"^(inbox://|s3://)[^\x00-\x1f\x7f]+$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Rollout(_Edge):
    """How the request wants wallets to go live; the policy may ask for more, never for less."""

    waves_percent: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=20)]
    soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    approve_from_wave: Annotated[int, Field(ge=1, le=21)] | None = None

    @field_validator("waves_percent")
    @classmethod
    def _rises_to_100(cls, waves_percent: list[int]) -> list[int]:
        rising = all(a < b for a, b in pairwise(waves_percent))
        if not rising or waves_percent[-1] != 100:  # noqa: PLR2004 - percent
            raise ValueError("must rise and end at 100")
        return waves_percent


class BatchRequest(_Edge):
    """One batch as a product team asks for it."""

    batch_id: Annotated[str, StringConstraints(pattern=rf"^{BATCH_ID.pattern}$", max_length=63)]
    tenant: Annotated[str, StringConstraints(pattern=rf"^{BATCH_ID.pattern}$", max_length=63)]
    requested_by: Name
    purpose: Literal["airdrop", "campaign", "user_import", "institutional"]
    custody: Literal["custodial", "self_custody", "watch_only"]
    jurisdiction: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,16}$")]
    chains: Annotated[list[str], Field(min_length=1, max_length=20)]
    source: Source
    on_bad_rows: Literal["refuse", "skip"] = "refuse"
    rollout: Rollout | None = None
    signature: Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[\r\n\x20-\x7e]*$")] | None = (
        None
    )

    @field_validator("chains")
    @classmethod
    def _known_once(cls, chains: list[str]) -> list[str]:
        if len(set(chains)) != len(chains):
            raise ValueError("must not repeat")
        if not set(chains) <= set(CHAIN_IDS):
            raise ValueError(f"must be among {', '.join(CHAIN_IDS)}")
        return chains


def parse_request(received: object) -> BatchRequest:
    """Gives the request, or says which fields are wrong and why.

    Raises: InvalidRequestError with one problem per field.
    """
    if not isinstance(received, dict):
        raise InvalidRequestError("the request must be one JSON object")
    try:
        return BatchRequest.model_validate(received)
    except ValidationError as error:
        problems = _problems(error)
    raise InvalidRequestError("the request is not valid", problems)


def _problems(error: ValidationError) -> list[str]:
    """One line per field: its name and the rule it breaks; unknown names are shown cut and printable."""
    return [_problem(item) for item in error.errors(include_input=False, include_url=False)][:50]


def _problem(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "request"
    safe = "".join(c for c in name if c.isprintable())[:80]
    if item["type"] == "extra_forbidden":
        return f"{safe}: unknown field"
    if item["type"] == "value_error":
        return f"{safe}: {item['ctx']['error']}"
    return f"{safe}: {item['msg']}"
