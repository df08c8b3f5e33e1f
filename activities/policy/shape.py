"""The shape of a policy file (TOML): one jurisdiction's rules, strict and frozen.

A policy is pinned to a plan by the digest of its exact text. Unknown fields are refused by name.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from activities.canonical import text_digest
from activities.edges import problems_of, toml_table
from activities.failures import InvalidRequestError
from activities.trust.gates import SEATS_MAX, GateRule

SUBJECTS_MAX: Final = 10_000_000
"""Subjects; no policy can allow a larger batch than the system takes."""

Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Hours = Annotated[float, Field(gt=0, le=8_784)]


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Caps(_Edge):
    """Most subjects in one batch, and most wallets one subject may have across the tenant's batches."""

    subjects_per_batch: Annotated[int, Field(ge=1, le=SUBJECTS_MAX)]
    wallets_per_subject: Annotated[int, Field(ge=1, le=1_000)]


class Kyc(_Edge):
    """Whether every subject needs a reference to a KYC file, and of which level that file must be."""

    reference_required: bool
    level: Literal["none", "basic", "full"]


class GateTable(_Edge):
    """Distinct persons by role."""

    roles: Annotated[dict[Role, Annotated[int, Field(ge=1, le=10)]], Field(min_length=1, max_length=10)]

    def rule(self) -> GateRule:
        """The rule for a signed request."""
        return GateRule(seats=dict(self.roles))


class Gates(_Edge):
    """Whom each gate asks for; a gate that is absent asks for nobody."""

    compliance: GateTable | None = None
    issuance: GateTable | None = None
    wave: GateTable | None = None
    hold: GateTable
    resume: GateTable | None = None
    rollback: GateTable | None = None


class Approvals(_Edge):
    """How long decisions are valid and gates wait, in hours, and who may fill the extra seat.

    An unsigned request needs one person more at every gate: anyone with one of `extra_roles`.
    """

    validity_hours_max: Hours
    wait_hours: Hours
    remind_hours: Hours
    escalate_hours: Hours
    extra_roles: Annotated[list[Role], Field(min_length=1, max_length=10)]

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if not self.remind_hours <= self.escalate_hours <= self.wait_hours:
            raise ValueError("remind_hours, escalate_hours and wait_hours must rise in this order")
        return self


class ScreeningRules(_Edge):
    """Lists that must be screened, the score that holds a subject, and when a list is not believed.

    `list_shrink_share_max` is the share of entries a new edition may lack.
    """

    lists: Annotated[list[Word], Field(min_length=1, max_length=50)]
    threshold: Annotated[float, Field(gt=0, le=1)]
    list_age_days_max: Annotated[int, Field(ge=1, le=36_600)]
    list_shrink_share_max: Share


class RolloutFloors(_Edge):
    """What a request may only be stricter than. Waves count from 1."""

    first_wave_percent_max: Annotated[int, Field(ge=1, le=100)]
    soak_seconds_min: Annotated[int, Field(ge=0, le=2_592_000)]
    approve_from_wave_max: Annotated[int, Field(ge=1, le=21)] | None = None
    waves_percent: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=20)]
    soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)]

    @model_validator(mode="after")
    def _defaults_keep_the_floors(self) -> Self:
        waves = self.waves_percent
        if sorted(set(waves)) != waves or waves[-1] != 100:  # noqa: PLR2004 - percent
            raise ValueError("waves_percent must rise and end at 100")
        if waves[0] > self.first_wave_percent_max:
            raise ValueError("waves_percent must begin at or below first_wave_percent_max")
        if self.soak_seconds < self.soak_seconds_min:
            raise ValueError("soak_seconds must not be below soak_seconds_min")
        return self


class Health(_Edge):
    """The share of a wave's wallets that may fail before no further wave opens."""

    failed_share_max: Share


class Retention(_Edge):
    """Years that personal data and evidence are kept."""

    years: Annotated[int, Field(ge=1, le=100)]


class Policy(_Edge):
    """One jurisdiction's rules."""

    jurisdiction: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,16}$")]
    version: Word
    custody_modes: Annotated[list[Literal["custodial", "self_custody", "watch_only"]], Field(min_length=1)]
    purposes: Annotated[
        list[Literal["airdrop", "campaign", "user_import", "institutional"]], Field(min_length=1)
    ]
    data_region: Word
    caps: Caps
    kyc: Kyc
    gates: Gates
    approvals: Approvals
    screening: ScreeningRules
    rollout: RolloutFloors
    health: Health
    retention: Retention

    @field_validator("gates")
    @classmethod
    def _gates_can_be_met(cls, gates: Gates) -> Gates:
        tables = (gates.compliance, gates.issuance, gates.wave, gates.hold, gates.resume, gates.rollback)
        if any(table is not None and sum(table.roles.values()) >= SEATS_MAX for table in tables):
            raise ValueError("a gate asks for too many persons")
        return gates

    @model_validator(mode="after")
    def _wave_gate_is_whole(self) -> Self:
        if (self.gates.wave is None) != (self.rollout.approve_from_wave_max is None):
            raise ValueError("gates.wave and rollout.approve_from_wave_max must stand together or not at all")
        return self


def load_policy(text: str) -> Policy:
    """The policy in an exact TOML text.

    Raises:
        InvalidRequestError: names every field that is wrong and why.
    """
    try:
        return Policy.model_validate(toml_table(text, what="The policy"))
    except ValidationError as error:
        raise InvalidRequestError("The policy is not valid", problems_of(error)) from None


def policy_digest(text: str) -> str:
    """Lower-case hex SHA-256 of the policy's exact text."""
    return text_digest(text)
