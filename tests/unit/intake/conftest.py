"""Fixtures of intake's tests."""

from pathlib import Path

import pytest

from tests.unit.intake.room import Room


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """An empty inbox and object store."""
    (tmp_path / "inbox").mkdir()
    return Room(folder=tmp_path)
