"""Which modules are tried, and the tests that must notice: quick ones first, those on real servers after."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One module with the tests that cover it."""

    module: str
    unit: tuple[str, ...] = ()
    integration: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The module's file."""
        return REPOSITORY / f"{self.module.replace('.', '/')}.py"

    @property
    def source(self) -> str:
        """The module's text, as it was when it was first asked for."""
        return _source(self.path)


@cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


_JUDGING: Final = "tests/unit/test_judging.py"
_SIGNATURES: Final = ("tests/unit/test_signatures.py", _JUDGING)
_DESK: Final = tuple(
    f"tests/integration/gates/test_{name}.py"
    for name in (
        "four_eyes",
        "approvals",
        "holds",
        "filed_attempts",
        "ends",
        "one_at_a_time",
        "planned_gates",
        "standing_orders",
        "refused_noes",
    )
)
_CUSTODY: Final = tuple(
    f"tests/integration/custody/test_{name}.py" for name in ("four_eyes", "attacks", "forgeries", "custody")
)
_KEYS: Final = (
    *(f"tests/integration/custody/test_{name}.py" for name in ("custody", "one_at_a_time", "sealing")),
    *_CUSTODY[:-1],
)
_WAVES: Final = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("activation", "attested_wallets", "wave_records", "announcements")
)
_POLICY: Final = ("tests/unit/test_policy.py", "tests/unit/test_policy_edges.py")
_BUNDLES: Final = (
    *(f"tests/integration/test_{name}.py" for name in ("evidence_forgeries", "evidence", "second_verifier")),
    "tests/unit/evidence/test_hostile_bundles.py",
    "tests/unit/evidence/test_restricted.py",
)


def _trust(name: str, *unit: str) -> Target:
    return Target(module=f"activities.trust.{name}", unit=unit, integration=_DESK[:2])


def _workflow(name: str, *unit: str) -> Target:
    """Noticed by the recorded histories: a run that decides otherwise does not walk them (in ten seconds)."""
    tests = tuple(f"tests/unit/workflows/test_{test}.py" for test in unit)
    return Target(module=f"workflows.{name}", integration=(*tests, "tests/replay/test_replay.py"))


def _evidence(name: str, *unit: str) -> Target:
    quick = tuple(f"tests/unit/evidence/test_{each}.py" for each in unit)
    return Target(module=f"activities.evidence.{name}", unit=quick, integration=_BUNDLES)


TARGETS: Final = (
    _trust("allowed_signers", "tests/unit/test_trust_file.py", _JUDGING),
    _trust("gates", "tests/unit/test_gate_rules.py", _JUDGING),
    _trust("judging", _JUDGING, "tests/unit/test_tally.py"),
    Target(module="activities.trust.mounted", integration=_DESK[:2]),
    _trust("names", "tests/unit/test_names.py", _JUDGING),
    _trust("persons", _JUDGING, "tests/unit/test_names.py", "tests/unit/test_trust_file.py"),
    _trust("request_signing", "tests/unit/test_request_signing.py"),
    _trust("signatures", *_SIGNATURES),
    _trust("sk_keys", *_SIGNATURES),
    _trust("ssh_wire", *_SIGNATURES),
    _trust("statements", "tests/unit/test_statements.py", _JUDGING),
    _trust("trust_file", "tests/unit/test_trust_file.py", _JUDGING),
    Target(module="activities.merkle", unit=("tests/unit/test_merkle.py",)),
    Target(module="activities.custody.door", unit=("tests/unit/custody/test_key_room.py",)),
    Target(module="activities.approvals.gates", integration=_DESK),
    Target(module="activities.approvals.attempts", integration=_DESK),
    Target(module="activities.approvals.activities", integration=_DESK),
    Target(module="activities.custody.authority", integration=_CUSTODY),
    Target(module="activities.custody.entitled", integration=_CUSTODY),
    Target(module="activities.custody.signed_statements", integration=_CUSTODY),
    Target(module="activities.custody.refusals", integration=_CUSTODY),
    Target(module="activities.custody.activities", integration=_KEYS),
    Target(module="activities.custody.rederiving", integration=_KEYS),
    Target(module="activities.custody.keyrings", integration=_KEYS),
    Target(module="activities.activation.attested_wallets", integration=_WAVES[::-1]),
    Target(module="activities.activation.wave_order", integration=_WAVES),
    Target(module="activities.activation.waves", integration=_WAVES),
    Target(module="activities.activation.activities", integration=_WAVES),
    Target(module="activities.policy.decision", unit=_POLICY),
    Target(module="activities.policy.shape", unit=_POLICY),
    Target(module="activities.compliance.activities", integration=("tests/integration/test_compliance.py",)),
    _workflow("approval_gate", "approval_gate"),
    _workflow("message_desk"),
    _workflow("passage", "passage"),
    _workflow("pausing"),
    _workflow("stages"),
    _workflow("waves"),
    _evidence("check_approvals", "forged_decisions", "taken_decisions", "refused_noes", "made_over"),
    _evidence("check_audit", "other_ways", "forged_log", "forged_waves", "kept_heads"),
    _evidence("check_evidence", "other_ways", "forged_evidence"),
    _evidence("check_plan", "forged_plans", "made_over", "costly_bundles"),
    _evidence("check_restricted", "forged_subjects", "made_over"),
    _evidence("check_wallets", "other_ways", "forged_wallets"),
    _evidence("verify", "verified_parts"),
)
