"""What the custody tests share: a key service that answers as it is told, and a token file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import serving
from tests.unit.custody.answering_service import TOKEN, AnsweringHandler, AnsweringService


@pytest.fixture
def service() -> Iterator[AnsweringService]:
    """A key service on a free port of this machine."""
    with serving(AnsweringService(("127.0.0.1", 0), AnsweringHandler)) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a token."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="ascii")
    return file
