"""The bundle that forgeries start from: made over to keys of this session, without any server."""

import pytest

from infra.auditor import verify_bundle as second
from tests.integration.made_over import made_over
from tests.integration.office import an_office
from tests.integration.resealing import Dossier


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """A batch that went all the way, with holds, refusals and a withheld subject."""
    return made_over(an_office(tmp_path_factory.mktemp("office")))


@pytest.fixture
def one_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the second verifier recompute one slow proof of possession where no forgery is about any."""
    monkeypatch.setattr(second, "POSSESSIONS_ALWAYS", 0)
    monkeypatch.setattr(second, "POSSESSIONS_SAMPLED", 1)
