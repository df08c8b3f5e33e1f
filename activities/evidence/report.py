"""What a verification found: named checks, each with one sentence, and counts.

Sentences carry names of ours, numbers and safe ids; never text that the bundle's maker chose.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended; a skipped one could not be made and proves nothing."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckFailedError(Exception):
    """The bundle does not hold what this check asks for; the text is the check's sentence."""


class CheckSkippedError(Exception):
    """The check has nothing to look at in this bundle; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named check and what it found."""

    name: str
    status: Status
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """All checks in the order they were made."""

    pinned: bool
    checks: tuple[Check, ...]
    counts: dict[str, int]
    batch_id: str = ""

    @property
    def ok(self) -> bool:
        """True when trust was pinned, something was checked, and nothing failed."""
        made = [check for check in self.checks if check.status is not Status.SKIPPED]
        return self.pinned and bool(made) and all(check.status is Status.OK for check in made)

    @property
    def verdict(self) -> str:
        """VERIFIED, UNPINNED (nothing failed, but no trust file was given) or FAILED."""
        if any(check.status is Status.FAILED for check in self.checks):
            return "FAILED"
        if not self.pinned:
            return "UNPINNED"
        return "VERIFIED" if self.ok else "FAILED"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "batch_id": self.batch_id,
            "checks": [
                {"name": check.name, "status": str(check.status), "sentence": check.sentence}
                for check in self.checks
            ],
            "counts": dict(self.counts),
        }


@dataclass(slots=True, kw_only=True)
class Findings:
    """Collects checks; a check that raises has failed, whatever it raised."""

    checks: list[Check] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def run(self, name: str, check: Callable[[], str]) -> bool:
        """Makes one check, which gives its sentence, and tells whether it is not failed."""
        try:
            status, sentence = Status.OK, check()
        except CheckSkippedError as reason:
            status, sentence = Status.SKIPPED, str(reason)
        except CheckFailedError as reason:
            status, sentence = Status.FAILED, str(reason)
        except Exception:  # noqa: BLE001 - a verifier answers, whatever a stranger put into the file
            status, sentence = Status.FAILED, "this part of the bundle cannot be read"
        self.checks.append(Check(name=name, status=status, sentence=sentence))
        return status is not Status.FAILED

    def skip(self, name: str, sentence: str) -> None:
        """Notes a check that was not made."""
        self.checks.append(Check(name=name, status=Status.SKIPPED, sentence=sentence))


def require(holds: object, sentence: str) -> None:
    """Fails the running check with a fixed sentence unless something holds."""
    if not holds:
        raise CheckFailedError(sentence)
