"""Which checks the verifier makes of a bundle, and how far it looks when one of them has failed."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from activities.evidence import layout
from activities.evidence.report import Status, VerificationReport
from activities.evidence.verify import verify_bundle
from tests.integration import other_ends
from tests.integration.forgeries import failures
from tests.integration.office import private_key
from tests.integration.resealing import Dossier, Edit, forged

BEGUN = ("container", "members", "trust", "audit_chains")
AGAINST_THE_LOG = (
    "audit_head",
    "audit_slices",
    "outcome",
    "waves",
    "request",
    "request_signature",
    "plan",
    "policy",
    "evidence",
    "lists",
    "approvals",
    "gates",
    "holds",
)
WALLETS = ("histories", "wallet_signatures", "wallets", "wallet_states", "restricted")
EVERY = (*BEGUN, "kept_heads", *AGAINST_THE_LOG, *WALLETS)


def _nothing(_: Dossier) -> None:
    pass


def _out_of_order(path: Path) -> None:
    """Turns the zip's first two members round."""
    with zipfile.ZipFile(path) as source:
        parts = [(name, source.read(name)) for name in source.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in (parts[1], parts[0], *parts[2:]):
            target.writestr(name, content)


def _names(report: VerificationReport) -> tuple[str, ...]:
    return tuple(check.name for check in report.checks)


def test_every_check_is_made_of_a_whole_bundle(whole: Dossier, tmp_path: Path) -> None:
    """With trust, an auditor's key and a bundle from before, every check is made, and each is fine."""
    path = forged(whole, tmp_path / "whole.zip", _nothing)
    identity = pyrage.ssh.Identity.from_buffer(private_key(whole.office.auditor))
    report = verify_bundle(path, whole.office.trust, restricted_identity=identity, kept=path)
    assert [(check.name, check.status) for check in report.checks] == [(name, Status.OK) for name in EVERY]
    assert report.batch_id == whole.request["batch_id"]
    assert report.counts == {
        "subjects": 12,
        "wallets": 20,
        "wallets_active": 18,
        "wallets_ready": 2,
        "attempts": 14,
        "slices": 9,
    }
    assert report.checks[2].sentence == f"pinned to trust file {whole.office.trust.digest}"


def test_what_was_never_planned_counts_no_subject(whole: Dossier, tmp_path: Path) -> None:
    """A batch that ended at the door has no plan to count by."""
    path = forged(whole, tmp_path / "whole.zip", other_ends.ended_at_the_door)
    report = verify_bundle(path, whole.office.trust)
    assert report.counts == {"subjects": 0, "wallets": 0, "attempts": 0, "slices": 0}


def test_without_trust_nothing_is_pinned(whole: Dossier, tmp_path: Path) -> None:
    """The check of the trust says what is missing, and the report is never fine."""
    report = verify_bundle(forged(whole, tmp_path / "whole.zip", _nothing), None)
    assert (report.checks[2].name, report.checks[2].status, report.checks[2].sentence) == (
        "trust",
        Status.SKIPPED,
        "no trust file was given: nothing says whose signatures these should be",
    )
    assert (report.pinned, report.ok) == (False, False)


def _tampered_log(made: Dossier) -> None:
    made.told("batch.claimed")["run"] = "another"


def _tampered_wallet(made: Dossier) -> None:
    made.parts[layout.WALLETS][0]["state"] = "ready"


def _tampered_table(made: Dossier) -> None:
    made.table["v"] = 2


STOPS: dict[str, tuple[Edit, str, str, tuple[str, ...]]] = {
    "table": (
        _tampered_table,
        "members",
        "bundle.json does not have the published shape",
        ("container", "members"),
    ),
    "log": (
        _tampered_log,
        "audit_chains",
        "an audit entry differs from its hash",
        (*BEGUN, *WALLETS),
    ),
    "wallet": (
        _tampered_wallet,
        "wallets",
        "a wallet's state does not fit its wave",
        (*BEGUN, *AGAINST_THE_LOG, *WALLETS[:3]),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_rests_on_a_failed_check_is_not_looked_at(whole: Dossier, tmp_path: Path, name: str) -> None:
    """No check is made on what another one has just found not to hold; all others still are."""
    after, check, sentence, made = STOPS[name]
    report = verify_bundle(forged(whole, tmp_path / "forged.zip", _nothing, after=after), whole.office.trust)
    assert failures(report).get(check) == sentence
    assert _names(report) == made


def test_a_zip_of_another_order_is_not_read(whole: Dossier, tmp_path: Path) -> None:
    """Where the container fails nothing in it is looked at, and no batch is named."""
    path = forged(whole, tmp_path / "forged.zip", _nothing)
    _out_of_order(path)
    report = verify_bundle(path, whole.office.trust)
    assert failures(report) == {"container": "the members are not in their order"}
    assert (_names(report), report.batch_id) == (("container",), "")
    good = forged(whole, tmp_path / "good.zip", _nothing)
    told = failures(verify_bundle(good, whole.office.trust, kept=path))
    assert told == {"kept_heads": "the members are not in their order"}


def test_a_file_that_is_no_zip_is_a_failed_container(whole: Dossier, tmp_path: Path) -> None:
    """The report says so, and so does that on a bundle beside which it was kept."""
    path = tmp_path / "nonsense.zip"
    path.write_bytes(b"nonsense")
    assert failures(verify_bundle(path, whole.office.trust)) == {"container": "the bundle is not a zip"}
    good = forged(whole, tmp_path / "good.zip", _nothing)
    told = failures(verify_bundle(good, whole.office.trust, kept=path))
    assert told == {"kept_heads": "the bundle is not a zip"}


def test_trust_of_another_deployment_or_without_custody_pins_nothing(whole: Dossier, tmp_path: Path) -> None:
    """Whom the auditor trusts must be this deployment's, custody included."""
    path, trust = forged(whole, tmp_path / "whole.zip", _nothing), whole.office.trust
    for changed, sentence in (
        (replace(trust, deployment="another"), "the bundle is of another deployment than the trust file"),
        (replace(trust, attest_keys=()), "the trust file pins no key of custody"),
    ):
        assert failures(verify_bundle(path, changed))["trust"] == sentence
