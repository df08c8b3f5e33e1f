"""One forgery of a bundle, with the check that must find it and the sentence it says."""

from dataclasses import dataclass
from pathlib import Path

import pyrage

from activities.evidence.report import Status, VerificationReport
from activities.evidence.verify import verify_bundle
from infra.auditor import verify_bundle as second
from tests.integration.office import private_key
from tests.integration.resealing import Dossier, Edit, forged


@dataclass(frozen=True, kw_only=True)
class Forgery:
    """What is edited before everything else agrees, what after that, and who says what of it."""

    check: str
    sentence: str
    edit: Edit = lambda _: None
    after: Edit | None = None
    besides: frozenset[str] = frozenset()
    """Other checks that such a forgery cannot but fail as well."""


def failures(report: VerificationReport) -> dict[str, str]:
    """The checks that failed, each with its sentence."""
    return {check.name: check.sentence for check in report.checks if check.status is Status.FAILED}


def report_on(whole: Dossier, folder: Path, forgery: Forgery) -> VerificationReport:
    """What the verifier finds in a forgery, the restricted part opened."""
    path = forged(whole, folder / "forged.zip", forgery.edit, after=forgery.after)
    identity = pyrage.ssh.Identity.from_buffer(private_key(whole.office.auditor))
    return verify_bundle(path, whole.office.trust, restricted_identity=identity)


def require_refused(whole: Dossier, folder: Path, forgery: Forgery) -> None:
    """Fails unless the check says its sentence, no other but those named fails, and both verifiers refuse."""
    path = forged(whole, folder / "forged.zip", forgery.edit, after=forgery.after)
    found = failures(verify_bundle(path, whole.office.trust))
    assert found.pop(forgery.check, "") == forgery.sentence
    assert found.keys() == forgery.besides
    assert second.verify(path, second.read_trust(whole.office.trust_path)).verdict == "FAILED"


def second_verdict(whole: Dossier, folder: Path, forgery: Forgery) -> str:
    """What the auditors' own verifier says of it; it opens no restricted part."""
    path = forged(whole, folder / "forged.zip", forgery.edit, after=forgery.after)
    return second.verify(path, second.read_trust(whole.office.trust_path)).verdict
