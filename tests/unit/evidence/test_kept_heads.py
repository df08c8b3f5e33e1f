"""Heads that an auditor kept from before, held against a log: each that does not stand in it is found."""

from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.report import VerificationReport
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import Trust
from infra.auditor import verify_bundle as second
from tests.integration.forgeries import failures
from tests.integration.made_over import KEPT
from tests.integration.resealing import Dossier, Edit, forged

NOT_THIS_CHAIN = "an attestation is not about this batch's audit chain"


def _nothing(_: Dossier) -> None:
    pass


def _went_on(made: Dossier) -> None:
    """The log told one thing more."""
    log, last = made.parts[layout.AUDIT], made.entries("batch.ended")[0]
    log.insert(log.index(last) + 1, {**last, "body": {"kind": "note"}})


def _heads(**changes: str) -> Edit:
    return lambda made: made.parts[layout.HEADS]["heads"][0].update(changes)


KEPT_ONES: dict[str, tuple[Edit, Edit, str]] = {
    "a longer log's": (_went_on, _nothing, "the audit log ends before a head that was kept from before"),
    "another log's": (
        lambda made: made.told("batch.claimed").update(more=1),
        _nothing,
        "the audit log is another than a kept head was signed over",
    ),
    "nobody's": (
        _nothing,
        _heads(signature="QUFB"),
        "no pinned key signed a head that was kept from before",
    ),
    "none": (
        _nothing,
        lambda made: made.parts.update({layout.HEADS: {"heads": []}}),
        "no head was kept from before",
    ),
    "no head at all": (_nothing, _heads(message="yesterday"), NOT_THIS_CHAIN),
}


def _with_kept(whole: Dossier, folder: Path, kept: Path, trust: Trust | None) -> VerificationReport:
    """What is said of the whole bundle by who kept another one; both verifiers say the same verdict."""
    shown = forged(whole, folder / "shown.zip", lambda _: None)
    report = verify_bundle(shown, trust, kept=kept)
    pinned = second.read_trust(whole.office.trust_path) if trust else None
    assert second.verify(shown, pinned, kept=kept).verdict == report.verdict
    return report


@pytest.mark.parametrize("name", KEPT_ONES)
def test_a_kept_head_that_does_not_stand_in_the_log_is_found(
    whole: Dossier, tmp_path: Path, name: str
) -> None:
    """Heads from before tell of a log that was cut off or forked, and vouch for nothing unless signed."""
    edit, after, sentence = KEPT_ONES[name]
    kept = forged(whole, tmp_path / "kept.zip", edit, after=after)
    report = _with_kept(whole, tmp_path, kept, whole.office.trust)
    assert failures(report) == {"kept_heads": sentence}


def test_a_kept_head_of_another_batch_is_none_of_this_log(whole: Dossier, tmp_path: Path) -> None:
    """A genuine head of another batch's chain says nothing of this one."""
    report = _with_kept(whole, tmp_path, KEPT.with_name("001.zip"), whole.office.trust)
    assert failures(report) == {"kept_heads": NOT_THIS_CHAIN}


@pytest.mark.parametrize("pinned", [True, False])
def test_a_kept_head_that_stands_in_the_log_is_told_of(
    whole: Dossier, tmp_path: Path, *, pinned: bool
) -> None:
    """Without a trust file the heads are compared all the same; nobody says whose they are."""
    kept = forged(whole, tmp_path / "kept.zip", lambda _: None)
    report = _with_kept(whole, tmp_path, kept, whole.office.trust if pinned else None)
    told = {check.name: check.sentence for check in report.checks}
    assert told["kept_heads"] == "1 heads from before stand in the log"
    assert told["audit_head"] == (
        "1 attested heads, the last one at the chain's end" if pinned else "custody's keys are not pinned"
    )
    assert report.verdict == ("VERIFIED" if pinned else "UNPINNED")
