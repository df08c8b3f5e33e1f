"""What these tests share: approvals over a database of their own."""

from pathlib import Path

import pytest

from tests.integration.gates.room import Desk, desk_in
from tests.integration.store_fixtures import Databases


@pytest.fixture
def desk(databases: Databases, tmp_path: Path) -> Desk:
    """Approvals over the module's database."""
    return desk_in(tmp_path, databases.provisioning)
