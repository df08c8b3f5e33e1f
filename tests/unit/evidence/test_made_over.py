"""The bundle that forgeries start from is whole, and what a forger follows through agrees with itself."""

from pathlib import Path

import pytest

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


FOLLOWED: dict[str, Edit] = {
    "nothing": lambda _: None,
    "another request": _another_request,
    "another row": _another_row,
    "another policy": _another_policy,
    "another reason": _another_reason,
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_edit_that_breaks_no_rule_is_followed_through(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Whoever holds every key can write another true bundle: both verifiers take it."""
    forgery = Forgery(check="", sentence="", edit=FOLLOWED[name])
    report = report_on(whole, tmp_path, forgery)
    assert report.ok, failures(report)
    assert second_verdict(whole, tmp_path, forgery) == "VERIFIED"
