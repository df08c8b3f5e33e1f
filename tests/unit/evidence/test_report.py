"""What a report says of itself."""

import subprocess
import sys

import pytest

from activities.evidence.report import (
    Check,
    CheckFailedError,
    CheckSkippedError,
    Findings,
    Status,
    VerificationReport,
)


def report(*statuses: Status, pinned: bool = True) -> VerificationReport:
    """A report with checks that ended so."""
    checks = tuple(Check(name=str(n), status=status, sentence="") for n, status in enumerate(statuses))
    return VerificationReport(pinned=pinned, checks=checks, counts={})


@pytest.mark.parametrize(
    ("statuses", "pinned", "verdict"),
    [
        ((Status.OK,), True, "VERIFIED"),
        ((Status.OK, Status.SKIPPED), True, "VERIFIED"),
        ((Status.OK, Status.FAILED), True, "FAILED"),
        ((Status.OK,), False, "UNPINNED"),
        ((Status.FAILED,), False, "FAILED"),
        ((Status.SKIPPED,), True, "FAILED"),
        ((), True, "FAILED"),
    ],
)
def test_only_pinned_and_checked_is_ok(statuses: tuple[Status, ...], pinned: bool, verdict: str) -> None:
    """Nothing failed is not enough: trust must be pinned and something must have been checked."""
    made = report(*statuses, pinned=pinned)
    assert made.verdict == verdict
    assert made.ok == (verdict == "VERIFIED")
    assert made.as_dict()["verdict"] == verdict


def test_a_check_that_raises_anything_has_failed() -> None:
    """Only a check's own sentence is told; what a stranger caused is not repeated."""
    findings = Findings()

    def raising(error: Exception) -> bool:
        def check() -> str:
            raise error

        return findings.run("x", check)

    assert not raising(CheckFailedError("because"))
    assert raising(CheckSkippedError("nothing there"))
    assert not raising(ValueError("evil text"))
    assert findings.run("y", lambda: "fine")
    assert [check.sentence for check in findings.checks] == [
        "because",
        "nothing there",
        "this part of the bundle cannot be read",
        "fine",
    ]


def test_the_verifier_reaches_no_service() -> None:
    """Verifying imports no database, key service or Temporal client: it works on a machine without them."""
    script = (
        "import sys, activities.evidence.verify; "
        "print([m for m in sys.modules if m in "
        "{'psycopg', 'sqlalchemy', 'hvac', 'requests', 'temporalio.client', 'temporalio.worker'}])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
