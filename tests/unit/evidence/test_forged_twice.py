"""What one verifier finds forged, the other one, which shares no code with it, does not take either."""

from pathlib import Path

import pytest

from tests.integration.forgeries import Forgery, second_verdict
from tests.integration.resealing import Dossier
from tests.unit.evidence import test_forged_decisions, test_forged_plans

FORGERIES: dict[str, Forgery] = {
    f"{module.__name__.rpartition('_')[2]}: {name}": forgery
    for module in (test_forged_decisions, test_forged_plans)
    for name, forgery in module.FORGERIES.items()
}


@pytest.mark.parametrize("name", FORGERIES)
def test_both_verifiers_refuse_a_forgery(whole: Dossier, tmp_path: Path, name: str) -> None:
    """The auditors' own verifier needs no agreement on which check it is, only on the verdict."""
    assert second_verdict(whole, tmp_path, FORGERIES[name]) == "FAILED"
