"""What somebody without any key can change in a genuine bundle: nothing that both verifiers do not see."""

from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.verify import verify_bundle
from infra.auditor import verify_bundle as second
from tests.integration.forgeries import failures
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, forged
from tests.integration.tampering import Change, document, edited, rewritten

pytestmark = pytest.mark.usefixtures("one_proof")
UNSAID = "\ufffd Nobody said no."


def of_one_person(rows: list[Row]) -> None:
    """A gate's terms with true for one: to Python the two are equal."""
    roles = next(row["terms"]["roles"] for row in rows if row["terms"]["roles"])
    roles.update(dict.fromkeys(roles, True))


def unsaid(name: str) -> Change:
    """A refused decision whose text is said to have been one that no store can hold."""

    def edit(rows: list[Row]) -> None:
        next(row for row in rows if row["reason_code"] == "role_missing")[name] = UNSAID

    return edited(layout.APPROVALS, edit)


CHANGES = {
    "true for one person": (edited(layout.GATES, of_one_person), "gates"),
    "true for the first version": (document(layout.BUNDLE, lambda table: table.update(v=True)), "members"),
    "a refused decision unsaid": (unsaid("statement"), "approvals"),
    "a refused decision unsigned": (unsaid("signature"), "approvals"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_needs_no_key_is_seen(whole: Dossier, tmp_path: Path, name: str) -> None:
    """The table agrees with the change, and nothing else in the bundle was touched."""
    change, check = CHANGES[name]
    genuine = forged(whole, tmp_path / "genuine.zip", lambda _: None)
    path = rewritten(genuine, tmp_path / "changed.zip", change)
    assert list(failures(verify_bundle(path, whole.office.trust))) == [check]
    assert second.verify(path, second.read_trust(whole.office.trust_path)).failed == [check]
