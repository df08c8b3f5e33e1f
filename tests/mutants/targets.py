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
    f"tests/integration/test_{name}.py"
    for name in (
        "four_eyes",
        "approvals",
        "holds",
        "filed_attempts",
        "planned_gates",
        "standing_orders",
    )
)
_CUSTODY: Final = tuple(
    f"tests/integration/custody/test_{name}.py" for name in ("four_eyes", "attacks", "forgeries", "custody")
)
_BUNDLES: Final = (
    *(f"tests/integration/test_{name}.py" for name in ("evidence_forgeries", "evidence", "second_verifier")),
    "tests/unit/evidence/test_hostile_bundles.py",
    "tests/unit/evidence/test_restricted.py",
)


def _trust(name: str, *unit: str) -> Target:
    return Target(module=f"activities.trust.{name}", unit=unit, integration=_DESK[:2])


def _evidence(name: str) -> Target:
    return Target(module=f"activities.evidence.{name}", integration=_BUNDLES)


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
    Target(
        module="activities.activation.attested_wallets",
        integration=(
            "tests/integration/test_attested_wallets.py",
            "tests/integration/test_activation.py",
        ),
    ),
    *(
        _evidence(f"check_{name}")
        for name in ("approvals", "audit", "evidence", "plan", "restricted", "wallets")
    ),
    _evidence("verify"),
)
