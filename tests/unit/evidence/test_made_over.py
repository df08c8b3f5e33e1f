"""Bundles that forgeries start from are whole, and what a forger follows through agrees with itself."""

from pathlib import Path

import pytest

from tests.integration import other_ends
from tests.integration.forgeries import Forgery, failures, report_on, second_verdict
from tests.integration.resealing import Dossier, Edit


def _another_request(made: Dossier) -> None:
    made.request["purpose"] = "campaign"


def _another_row(made: Dossier) -> None:
    made.subjects[3]["row"]["full_name"] = "Somebody Else"
    made.reroot_subjects()


def _another_policy(made: Dossier) -> None:
    made.parts["policy.toml"] += "# A remark.\n"


def _another_reason(made: Dossier) -> None:
    made.state(made.attempt("issuance"), reason="Looked twice.")


def _an_erased_subject(made: Dossier) -> None:
    made.subjects[2] |= {"row": None, "salt": None, "verdict_detail": None}


FOLLOWED: dict[str, Edit] = {
    "nothing": lambda _: None,
    "another request": _another_request,
    "another row": _another_row,
    "another policy": _another_policy,
    "another reason": _another_reason,
    "an erased subject": _an_erased_subject,
    "ended at the door": other_ends.ended_at_the_door,
    "refused by the policy": other_ends.refused_by_policy,
    "rejected": other_ends.rejected,
    "aborted when screened": other_ends.aborted_when_screened,
    "of many subjects": other_ends.of_many_subjects,
    "of an unsigned request": other_ends.of_an_unsigned_request,
    "without a late tranche": other_ends.without_a_late_tranche,
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_edit_that_breaks_no_rule_is_followed_through(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Whoever holds every key can write another true bundle: both verifiers take it."""
    forgery = Forgery(check="", sentence="", edit=FOLLOWED[name])
    report = report_on(whole, tmp_path, forgery)
    assert report.ok, failures(report)
    assert second_verdict(whole, tmp_path, forgery) == "VERIFIED"
