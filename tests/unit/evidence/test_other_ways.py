"""True bundles of every other form: both verifiers take them, and the first says how each check ended."""

from pathlib import Path

import pytest

from activities.evidence.verify import verify_bundle
from tests.integration import other_ends, other_ways
from tests.integration.forgeries import Forgery, failures, report_on, second_verdict
from tests.integration.resealing import Dossier, Edit, forged

Said = dict[str, str]

WHOLE: Said = {
    "audit_chains": "72 entries in 7 chains, hashes recomputed",
    "audit_head": "1 attested heads, the last one at the chain's end",
    "audit_slices": "9 slices agree with the audit log",
    "outcome": "the outcome is the one in the audit log",
    "waves": "3 waves agree with the audit log",
    "evidence": "2 evidence documents, recomputed from their parts",
    "lists": "3 lists applied, 1 subjects withheld",
    "histories": "10 events of 2 workflows (not attested)",
    "wallet_signatures": "2 slices of addresses are signed by custody",
    "wallets": "20 wallets: paths, roots and proofs of possession recomputed",
    "wallet_states": "states fit waves, evidence and outcome: 18 active, 2 ready",
}
NEVER_SCREENED: Said = {
    "waves": "no wave was opened",
    "evidence": "the batch ended before its evidence was sealed",
    "lists": "0 lists applied, 0 subjects withheld",
    "wallet_signatures": "no addresses were derived",
    "wallet_states": "states fit waves, evidence and outcome: no wallets",
}

OTHERS: dict[str, tuple[Edit, Said]] = {
    "the whole": (lambda _: None, WHOLE),
    "told as before": (other_ways.told_as_before, WHOLE),
    "not ended": (
        other_ways.not_ended,
        {"outcome": "the batch had not ended when the bundle was written"},
    ),
    "completed": (other_ways.completed, {"outcome": WHOLE["outcome"]}),
    "rolled back": (
        other_ways.rolled_back,
        {"wallet_states": "states fit waves, evidence and outcome: 18 frozen, 2 revoked"},
    ),
    "not yet verified": (
        other_ways.not_yet_verified,
        {"wallet_states": "states fit waves, evidence and outcome: 18 derived"},
    ),
    "aborted before its waves": (
        other_ways.aborted_before_its_waves,
        {"waves": "no wave was opened", "audit_slices": "3 slices agree with the audit log"},
    ),
    "in two slices": (
        other_ways.in_two_slices,
        {
            "audit_slices": "12 slices agree with the audit log",
            "wallet_signatures": "3 slices of addresses are signed by custody",
        },
    ),
    "with more list changes": (
        other_ways.with_more_list_changes,
        {"lists": "5 lists applied, 3 subjects withheld"},
    ),
    "at the door": (other_ends.ended_at_the_door, NEVER_SCREENED),
    "rejected": (other_ends.rejected, NEVER_SCREENED),
    "without a late tranche": (
        other_ends.without_a_late_tranche,
        {"evidence": "1 evidence documents, recomputed from their parts"},
    ),
}


@pytest.mark.usefixtures("one_proof")
@pytest.mark.parametrize("name", OTHERS)
def test_a_true_bundle_of_another_form_verifies(whole: Dossier, tmp_path: Path, name: str) -> None:
    """What broke no rule is refused by none; a check says what it found, or why it had nothing to look at."""
    edit, said = OTHERS[name]
    other = Forgery(check="", sentence="", edit=edit)
    report = report_on(whole, tmp_path, other)
    assert failures(report) == {}
    assert said.items() <= {check.name: check.sentence for check in report.checks}.items()
    assert second_verdict(whole, tmp_path, other) == "VERIFIED"


def test_without_a_trust_file_signatures_are_not_judged(whole: Dossier, tmp_path: Path) -> None:
    """Custody's signatures say nothing where nobody pins custody's keys; all else is recomputed."""
    report = verify_bundle(forged(whole, tmp_path / "whole.zip", lambda _: None), None)
    assert failures(report) == {}
    said = {check.name: check.sentence for check in report.checks}
    unpinned = dict.fromkeys(("audit_head", "wallet_signatures"), "custody's keys are not pinned")
    assert (WHOLE | unpinned).items() <= said.items()
